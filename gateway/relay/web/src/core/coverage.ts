/** Half-open range of indices. */
export interface Range {
  start: number;
  end: number;
}

/** So many separate ranges are remembered; beyond it the oldest hole is given up as missing for good. */
const MAXIMUM_RANGES = 10_000;

/** Which indices of an epoch are accounted for: sorted, disjoint ranges. */
export class Coverage {
  readonly ranges: Range[] = [];
  /** Frames in the ranges. */
  covered = 0;
  private first = 0;

  /** The index after the last one; 0 if there is none. */
  get end(): number {
    return this.ranges.at(-1)?.end ?? 0;
  }

  /** Add [start, end); returns how many of its indices are new. */
  add(start: number, end: number): number {
    if (end <= start) return 0;
    const from = this.position(start);
    let merged = { start, end };
    let known = 0;
    let to = from;
    for (; to < this.ranges.length; to++) {
      const range = this.ranges[to]!;
      if (range.start > end) break;
      known += Math.max(0, Math.min(range.end, end) - Math.max(range.start, start));
      merged = { start: Math.min(merged.start, range.start), end: Math.max(merged.end, range.end) };
    }
    this.ranges.splice(from, to - from, merged);
    this.covered += end - start - known;
    this.bound();
    return end - start - known;
  }

  /** What of [start, end) is not accounted for, ascending. */
  missingIn(start: number, end: number): Range[] {
    const holes: Range[] = [];
    let at = start;
    for (let i = this.position(start); i < this.ranges.length && at < end; i++) {
      const range = this.ranges[i]!;
      if (range.start > at) holes.push({ start: at, end: Math.min(range.start, end) });
      at = Math.max(at, range.end);
    }
    if (at < end) holes.push({ start: at, end });
    return holes;
  }

  /** Frames between the first and the last index seen that neither came nor were declared lost. */
  get missing(): number {
    const last = this.ranges.at(-1);
    if (!last) return 0;
    return last.end - Math.min(this.first, this.ranges[0]!.start) - this.covered;
  }

  /** Holes that reach beyond `index`, newest first. */
  holesAfter(index: number): Range[] {
    const holes: Range[] = [];
    for (let i = this.ranges.length - 1; i > 0; i--) {
      const hole = { start: this.ranges[i - 1]!.end, end: this.ranges[i]!.start };
      if (hole.end <= index) break;
      holes.push(hole);
    }
    return holes;
  }

  /** A copy that later additions leave alone. */
  clone(): Coverage {
    const copy = new Coverage();
    copy.ranges.push(...this.ranges.map((range) => ({ ...range })));
    copy.covered = this.covered;
    copy.first = this.first;
    return copy;
  }

  /** The first range that touches or follows `start`; looks from the end, where new data arrives. */
  private position(start: number): number {
    let i = this.ranges.length;
    while (i > 0 && this.ranges[i - 1]!.end >= start) i--;
    return i;
  }

  private bound(): void {
    if (this.ranges.length === 1) this.first = this.ranges[0]!.start;
    if (this.ranges.length <= MAXIMUM_RANGES) return;
    this.first = Math.min(this.first, this.ranges[0]!.start);
    this.ranges.shift();
  }
}
