import type { Batch } from "../wire/message";

const EMPTY = -1;

/**
 * The newest frames of one epoch, addressed by index: frame i lives in slot i mod capacity. A late batch
 * falls into its place, and a frame that never came leaves its slot's mark at another index.
 */
export class FrameRing {
  /** Index of the newest frame held, or -1. */
  newest = EMPTY;
  /** Time from frame to frame in ms; null if irregular. */
  periodMs: number | null = null;
  private readonly marks: Float64Array;
  private readonly times: Float64Array;
  private readonly columns: Float64Array[];
  private anchorIndex = 0;
  private anchorMs = 0;

  constructor(
    readonly channels: number,
    readonly capacity: number,
  ) {
    this.marks = new Float64Array(capacity).fill(EMPTY);
    this.times = new Float64Array(capacity);
    this.columns = Array.from({ length: channels }, () => new Float64Array(capacity));
  }

  /** Oldest index that may still be held. */
  get oldest(): number {
    return Math.max(0, this.newest - this.capacity + 1);
  }

  /** UTC ms of the newest frame; only when there is one. */
  get newestMs(): number {
    return this.timeMs(this.newest);
  }

  /** Take the batch's frames; those older than the ring reaches are passed over. */
  write(batch: Batch): void {
    const end = batch.index + batch.count;
    this.newest = Math.max(this.newest, end - 1);
    for (let index = Math.max(batch.index, this.oldest); index < end; index++) this.writeFrame(batch, index);
    if (end - 1 === this.newest) {
      this.anchorIndex = batch.index;
      this.anchorMs = batch.utcMs;
      this.periodMs = batch.periodMs;
    }
  }

  private writeFrame(batch: Batch, index: number): void {
    const row = index - batch.index;
    const slot = index % this.capacity;
    this.marks[slot] = index;
    this.times[slot] = frameMs(batch, row);
    for (let channel = 0; channel < this.channels; channel++) {
      this.columns[channel]![slot] = Number(batch.data[row * batch.channels + channel]);
    }
  }

  /** Whether the frame is here. */
  has(index: number): boolean {
    return index >= 0 && this.marks[index % this.capacity] === index;
  }

  /** UTC ms of a frame that is here. */
  timeMs(index: number): number {
    return this.times[index % this.capacity]!;
  }

  /** Raw value of a frame that is here. */
  raw(index: number, channel: number): number {
    return this.columns[channel]![index % this.capacity]!;
  }

  /** Where a frame that is not here should stand in time, ms; NaN if nothing tells. */
  expectedMs(index: number): number {
    if (this.has(index)) return this.timeMs(index);
    if (this.has(index - 1)) return this.timeMs(index - 1) + (this.periodMs ?? 0);
    if (this.periodMs === null || this.newest === EMPTY) return Number.NaN;
    return this.anchorMs + (index - this.anchorIndex) * this.periodMs;
  }

  /** A copy that later writes leave alone. */
  clone(): FrameRing {
    const copy = new FrameRing(this.channels, this.capacity);
    copy.newest = this.newest;
    copy.periodMs = this.periodMs;
    copy.anchorIndex = this.anchorIndex;
    copy.anchorMs = this.anchorMs;
    copy.marks.set(this.marks);
    copy.times.set(this.times);
    this.columns.forEach((column, channel) => copy.columns[channel]!.set(column));
    return copy;
  }
}

function frameMs(batch: Batch, row: number): number {
  if (batch.offsetsNs) return batch.utcMs + Number(batch.offsetsNs[row]) / 1e6;
  return batch.utcMs + row * (batch.periodMs ?? 0);
}
