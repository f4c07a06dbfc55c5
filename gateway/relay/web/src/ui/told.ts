import type { Trace } from "../core/trace";
import type { Mark, Window } from "../core/view";
import { setAttribute } from "./dom";

/** The newest of the ranges that came or were declared lost are told. */
const RANGES = 20;

/** What is shown. */
export interface Shown {
  paused: boolean;
  window: Window;
  marks: readonly Mark[];
  trace: Trace;
}

/** Say on the scope's root what it shows, for tests and for other scripts that read the page. */
export function tellShown(root: HTMLElement, { paused, window, marks, trace }: Shown): void {
  setAttribute(root, "data-paused", String(paused));
  setAttribute(root, "data-from-ms", window.fromMs.toFixed(3));
  setAttribute(root, "data-to-ms", window.toMs.toFixed(3));
  setAttribute(root, "data-marks", JSON.stringify(marks.map(summary)));
  const part = trace.current;
  if (!part?.ring) return;
  setAttribute(root, "data-epoch", String(part.epoch));
  setAttribute(root, "data-newest-index", String(part.ring.size === 1 ? part.ring.newest : part.coverage.end - 1));
  setAttribute(root, "data-bucket", String(part.ring.size));
  setAttribute(root, "data-held-from-ms", part.ring.oldestMs.toFixed(3));
  const ranges = part.coverage.ranges.slice(-RANGES).map(({ start, end }) => [start, end]);
  setAttribute(root, "data-covered", JSON.stringify(ranges));
}

function summary({ kind, reason, index, count, fromMs, toMs }: Mark): object {
  return { kind, reason, index, count, from_ms: fromMs, to_ms: toMs };
}
