/** What the page asks the relay for: the samples, or the extremes of as many buckets as there are pixels. */
export type Plan = { kind: "samples"; seconds: number } | { kind: "envelope"; seconds: number; width: number };

/** What is known of a stream that matters here. */
export interface Extent {
  /** Frames a second; null if irregular. */
  rate: number | null;
  channels: number;
}

/** What is to be seen. */
export interface View {
  spanMs: number;
  /** Pixels, device px. */
  columns: number;
}

/** So many frames a column are still sent as they are: one can then go from sample to sample. */
const FRAMES_PER_COLUMN = 50;
/** So many values on the screen at most. */
const MOST_VALUES = 200_000;
/** A little more than the span, as the display runs a batch or two behind what has come. */
const BEYOND = 0.1;
const BEYOND_S = 1;
/** Widths are rounded up to this: screens of about the same width then share one computation. */
const WIDTH_STEP = 64;
/** Of an envelope over the WebSocket. */
export const MOST_BUCKETS = 16_384;

/** How a stream is to be had for a view. */
export function planFor(extent: Extent | null, view: View): Plan {
  const spanS = view.spanMs / 1000;
  const seconds = Number((spanS * (1 + BEYOND) + BEYOND_S).toFixed(3));
  const frames = (extent?.rate ?? 0) * spanS;
  const fits = frames <= view.columns * FRAMES_PER_COLUMN && frames * (extent?.channels ?? 0) <= MOST_VALUES;
  if (fits) return { kind: "samples", seconds };
  return { kind: "envelope", seconds, width: widthFor(view, seconds) };
}

/** So many buckets that each is about a column wide. */
function widthFor({ spanMs, columns }: View, seconds: number): number {
  const width = Math.ceil((columns * seconds * 1000) / spanMs / WIDTH_STEP) * WIDTH_STEP;
  return Math.min(MOST_BUCKETS, Math.max(WIDTH_STEP, width));
}

/** The plan that also reaches back over `awayMs`, with buckets of the same size if there may be so many. */
export function reachingBack(plan: Plan, awayMs: number): Plan {
  const seconds = plan.seconds + awayMs / 1000;
  if (plan.kind === "samples") return { ...plan, seconds };
  return { ...plan, seconds, width: Math.min(MOST_BUCKETS, Math.ceil((plan.width * seconds) / plan.seconds)) };
}

export function samePlan(one: Plan | null, other: Plan): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
