import type { FrameRing } from "./ring";
import type { EpochTrace } from "./trace";

/** A stretch of time, UTC ms. */
export interface Window {
  fromMs: number;
  toMs: number;
}

/** Slots [from, to] of one ring that follow each other without a hole. */
export interface Run {
  ring: FrameRing;
  from: number;
  to: number;
}

/** What is to be marked beside the trace: frames that are not there, or a restart. */
export interface Mark extends Window {
  kind: "lost" | "missing" | "restart";
  epoch: bigint;
  /** First index concerned, and how many. */
  index: number;
  count: number;
  /** Why, if it was declared. */
  reason: string;
}

/**
 * The runs of slots in a window, oldest first and strictly forward in time, with one slot beyond each edge so
 * that the line reaches it. Where the clock was set back, the later frames win.
 */
export function runsIn(epochs: readonly EpochTrace[], window: Window): Run[] {
  const runs: Run[] = [];
  let before = Number.POSITIVE_INFINITY;
  for (let e = epochs.length - 1; e >= 0; e--) {
    const ring = epochs[e]!.ring;
    if (!ring) continue;
    before = collect(ring, window, before, runs);
    if (before < window.fromMs) break;
  }
  return runs.reverse();
}

/** Add the ring's runs in the window, newest first; returns the time of the oldest slot taken. */
function collect(ring: FrameRing, window: Window, before: number, runs: Run[]): number {
  const oldest = ring.oldest;
  let to = -1;
  let slot = ring.newest;
  for (; slot >= oldest; slot--) {
    const usable = ring.has(slot) && ring.timeMs(slot) < before;
    if (!usable) {
      if (to >= 0) runs.push({ ring, from: slot + 1, to });
      to = -1;
      continue;
    }
    before = ring.timeMs(slot);
    if (before > window.toMs || to < 0) to = slot;
    if (before < window.fromMs) break;
  }
  if (to >= 0) runs.push({ ring, from: Math.max(slot, oldest), to });
  return before;
}

/** Gaps, holes and restarts in a window. */
export function marksIn(epochs: readonly EpochTrace[], window: Window): Mark[] {
  const marks: Mark[] = [];
  epochs.forEach((part, position) => {
    const { ring, epoch } = part;
    if (!ring) return;
    for (const gap of part.gaps) {
      marks.push({ ...extent(ring, gap.index, gap.count), kind: "lost", epoch, index: gap.index, count: gap.count, reason: gap.reason });
    }
    for (const hole of part.coverage.holesAfter(ring.oldestIndex)) {
      const count = hole.end - hole.start;
      marks.push({ ...extent(ring, hole.start, count), kind: "missing", epoch, index: hole.start, count, reason: "" });
    }
    if (position > 0) marks.push(restart(part));
  });
  return marks.filter((mark) => mark.toMs >= window.fromMs && mark.fromMs <= window.toMs);
}

/** Marks of one kind that would be drawn into each other, as one: so there are no more than there are pixels. */
export function joinMarks(marks: readonly Mark[], leastMs: number): Mark[] {
  const joined: Mark[] = [];
  const last = new Map<string, Mark>();
  for (const mark of [...marks].sort((a, b) => a.fromMs - b.fromMs)) {
    const kind = `${mark.kind} ${mark.reason}`;
    const before = last.get(kind);
    if (before && mark.kind !== "restart" && before.epoch === mark.epoch && mark.fromMs - before.toMs < leastMs) {
      before.toMs = Math.max(before.toMs, mark.toMs);
      before.count += mark.count;
      continue;
    }
    const own = { ...mark };
    last.set(kind, own);
    joined.push(own);
  }
  return joined;
}

/** Each frame owns half a period on either side of its instant. */
function extent(ring: FrameRing, index: number, count: number): Window {
  const half = (ring.periodMs ?? 0) / 2;
  return { fromMs: ring.expectedMs(index) - half, toMs: ring.expectedMs(index + count) - half };
}

function restart(part: EpochTrace): Mark {
  const index = part.coverage.ranges[0]?.start ?? 0;
  const atMs = part.ring!.expectedMs(index);
  return { kind: "restart", epoch: part.epoch, index, count: 0, reason: "", fromMs: atMs, toMs: atMs };
}

/** A slot that is here: a frame and its instant, or a bucket and its middle. */
export interface Spot {
  ring: FrameRing;
  epoch: bigint;
  slot: number;
  /** The slot's first frame. */
  index: number;
  atMs: number;
}

function spot(ring: FrameRing, epoch: bigint, slot: number): Spot {
  return { ring, epoch, slot, index: slot * ring.size, atMs: ring.middleMs(slot) };
}

/** The slot nearest to a moment, or null if there is none at all. */
export function nearestSpot(epochs: readonly EpochTrace[], atMs: number): Spot | null {
  let best: Spot | null = null;
  for (const { ring, epoch } of epochs) {
    if (!ring) continue;
    for (let slot = ring.newest; slot >= ring.oldest; slot--) {
      if (!ring.has(slot)) continue;
      const time = ring.middleMs(slot);
      if (!best || Math.abs(time - atMs) < Math.abs(best.atMs - atMs)) best = spot(ring, epoch, slot);
      if (time < atMs) break;
    }
  }
  return best;
}

/** The newest slot, or null if there is none. */
export function newestSpot(part: EpochTrace | undefined): Spot | null {
  return part?.ring && part.ring.newest >= 0 ? spot(part.ring, part.epoch, part.ring.newest) : null;
}

/** The slot `step` slots after (before, if negative) the given one, stopping at what is held. */
export function neighbour({ ring, epoch, slot }: Spot, step: number): Spot {
  const direction = Math.sign(step);
  let at = slot;
  for (let left = Math.abs(step); left > 0; left--) {
    let next = at + direction;
    while (next >= ring.oldest && next <= ring.newest && !ring.has(next)) next += direction;
    if (!ring.has(next)) break;
    at = next;
  }
  return spot(ring, epoch, at);
}
