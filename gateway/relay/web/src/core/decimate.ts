import type { Run, Window } from "./view";

/** Raw value to physical. */
export interface Scaling {
  scale: number;
  offset: number;
}

type Height = number | null;

/** What a plot draws: one x for all channels; null breaks the line. */
export interface Strip {
  /** UTC ms, never falling. */
  x: number[];
  /** Physical values, one row a channel. */
  ys: (number | null)[][];
}

/** Fewer frames than this for each pixel column are drawn as they are. */
const RAW_FRAMES_PER_COLUMN = 4;

/**
 * The runs as a strip at most a few points a pixel column wide. Where there are many frames in a column, or buckets in
 * place of frames, each channel keeps its minimum and its maximum, in the order they came, so that no spike is lost. The
 * columns stand on a grid fixed in time: a trace that scrolls does not shimmer. A channel that the frames do not have
 * stays empty.
 */
export function decimate(runs: readonly Run[], window: Window, columns: number, channels: readonly Scaling[]): Strip {
  const slots = runs.reduce((sum, run) => sum + run.to - run.from + 1, 0);
  const strip: Strip = { x: [], ys: channels.map(() => []) };
  const widthMs = (window.toMs - window.fromMs) / Math.max(1, columns);
  for (const run of runs) {
    breakLine(strip);
    if (run.ring.size === 1 && slots <= columns * RAW_FRAMES_PER_COLUMN) copyFrames(run, channels, strip);
    else reduceFrames(run, widthMs, channels, strip);
  }
  return strip;
}

/** Which points get a dot: all if `every`, else those that no line reaches, which would not be seen. */
export function dotted(y: readonly (number | null)[], every: boolean): number[] {
  const dots: number[] = [];
  for (let i = 0; i < y.length; i++) {
    if (y[i] === null) continue;
    if (every || ((y[i - 1] ?? null) === null && (y[i + 1] ?? null) === null)) dots.push(i);
  }
  return dots;
}

function breakLine(strip: Strip): void {
  const last = strip.x.at(-1);
  if (last === undefined) return;
  strip.x.push(last);
  for (const y of strip.ys) y.push(null);
}

function copyFrames(run: Run, channels: readonly Scaling[], strip: Strip): void {
  for (let slot = run.from; slot <= run.to; slot++) strip.x.push(run.ring.timeMs(slot));
  channels.forEach(({ scale, offset }, channel) => {
    const y = strip.ys[channel]!;
    const here = channel < run.ring.channels;
    for (let slot = run.from; slot <= run.to; slot++) {
      y.push(here ? finite(run.ring.low(slot, channel) * scale + offset) : null);
    }
  });
}

function reduceFrames(run: Run, widthMs: number, channels: readonly Scaling[], strip: Strip): void {
  const { ring } = run;
  let from = run.from;
  while (from <= run.to) {
    const endMs = (Math.floor(ring.timeMs(from) / widthMs) + 1) * widthMs;
    let to = from;
    while (to < run.to && ring.timeMs(to + 1) < endMs) to++;
    strip.x.push(...placesOf({ ring, from, to }, strip.x.at(-1) ?? Number.NEGATIVE_INFINITY));
    for (let channel = 0; channel < channels.length; channel++) {
      const { scale, offset } = channels[channel]!;
      const y = strip.ys[channel]!;
      const [first, second] = extremes({ ring, from, to }, channel);
      const [one, other] = [finite(first * scale + offset), finite(second * scale + offset)];
      // Which extreme of a lone bucket came first is not known: the line goes on to the nearer one.
      if (from === to && farther(one, other, y.at(-1) ?? null)) y.push(other, one);
      else y.push(one, other);
    }
    from = to + 1;
  }
}

/**
 * Where a column's two points stand: those of frames at the first and the last one, those of buckets both in the middle,
 * so that the line fills the band between them. A clock that is corrected by some µs must not turn the line back.
 */
function placesOf({ ring, from, to }: Run, leastMs: number): [number, number] {
  const startMs = Math.max(leastMs, ring.timeMs(from));
  const endMs = Math.max(startMs, ring.lastMs(to));
  if (ring.size === 1) return [startMs, endMs];
  const middleMs = (startMs + endMs) / 2;
  return [middleMs, middleMs];
}

/** Minimum and maximum of the run, whichever came first; NaN if it holds no finite value. */
function extremes({ ring, from, to }: Run, channel: number): [number, number] {
  let low = Number.NaN;
  let high = Number.NaN;
  let lowAt = from;
  let highAt = from;
  if (channel >= ring.channels) return [low, high];
  for (let slot = from; slot <= to; slot++) {
    const least = ring.low(slot, channel);
    const greatest = ring.high(slot, channel);
    if (Number.isNaN(least)) continue;
    if (!(least >= low)) {
      low = least;
      lowAt = slot;
    }
    if (!(greatest <= high)) {
      high = greatest;
      highAt = slot;
    }
  }
  return lowAt <= highAt ? [low, high] : [high, low];
}

function farther(one: Height, other: Height, from: Height): boolean {
  return one !== null && other !== null && from !== null && Math.abs(one - from) > Math.abs(other - from);
}

function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}
