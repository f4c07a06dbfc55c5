import type { Batch, Envelope } from "../wire/message";

const EMPTY = -1;

/**
 * The newest frames of one epoch, or the extremes of buckets of them. Slot n holds the frames [n × size, (n + 1) × size)
 * and lives at n mod capacity: a late batch falls into its place, and what never came leaves its place's mark at
 * another slot.
 */
export class FrameRing {
  /** The newest slot held, or -1. */
  newest = EMPTY;
  /** UTC ms of the newest frame; only when there is one. */
  newestMs = Number.NaN;
  /** Time from frame to frame in ms; null if irregular. */
  periodMs: number | null = null;
  private readonly marks: Float64Array;
  private readonly times: Float64Array;
  private readonly lasts: Float64Array;
  /** Frames that a bucket is of. */
  private readonly delivered: Float64Array;
  private readonly lows: Float64Array[];
  private readonly highs: Float64Array[];
  private anchorIndex = 0;
  private anchorMs = 0;

  constructor(
    readonly channels: number,
    readonly capacity: number,
    /** Frames in a slot. */
    readonly size = 1,
  ) {
    const columns = () => Array.from({ length: channels }, () => new Float64Array(capacity));
    this.marks = new Float64Array(capacity).fill(EMPTY);
    this.times = new Float64Array(capacity);
    this.lows = columns();
    // A frame is its own extremes, and ends when it begins.
    this.lasts = size === 1 ? this.times : new Float64Array(capacity);
    this.delivered = new Float64Array(size === 1 ? 0 : capacity);
    this.highs = size === 1 ? this.lows : columns();
  }

  /** Oldest slot that may still be held. */
  get oldest(): number {
    return Math.max(0, this.newest - this.capacity + 1);
  }

  /** Oldest frame that may still be held. */
  get oldestIndex(): number {
    return this.oldest * this.size;
  }

  /** UTC ms of the oldest frame held; only when there is one. */
  get oldestMs(): number {
    let slot = this.oldest;
    while (slot < this.newest && !this.has(slot)) slot++;
    return this.timeMs(slot);
  }

  /** Take a batch's frames; those older than the ring reaches are passed over. */
  write(batch: Batch): void {
    const end = batch.index + batch.count;
    if (end - 1 >= this.newest) {
      this.newest = end - 1;
      this.newestMs = frameMs(batch, batch.count - 1);
      this.anchor(batch);
    }
    for (let index = Math.max(batch.index, this.oldest); index < end; index++) this.writeFrame(batch, index);
  }

  /** Put an envelope's buckets in the place of those held, unless they are of fewer frames; those older than the ring reaches are passed over. */
  writeBuckets(envelope: Envelope): void {
    const first = envelope.index / this.size;
    let last = envelope.count - 1;
    while (last >= 0 && envelope.delivered[last] === 0) last--;
    if (last < 0) return;
    if (first + last >= this.newest) {
      this.newest = first + last;
      this.newestMs = lastMs(envelope, last);
      this.anchor(envelope);
    }
    for (let row = Math.max(0, this.oldest - first); row <= last; row++) this.writeBucket(envelope, row, first + row);
  }

  private anchor({ index, utcMs, periodMs }: Batch | Envelope): void {
    this.anchorIndex = index;
    this.anchorMs = utcMs;
    this.periodMs = periodMs;
  }

  private writeFrame(batch: Batch, index: number): void {
    const row = index - batch.index;
    const place = index % this.capacity;
    this.marks[place] = index;
    this.times[place] = frameMs(batch, row);
    for (let channel = 0; channel < this.channels; channel++) {
      this.lows[channel]![place] = Number(batch.data[row * batch.channels + channel]);
    }
  }

  private writeBucket(envelope: Envelope, row: number, slot: number): void {
    const place = slot % this.capacity;
    const delivered = envelope.delivered[row]!;
    // A relay that lost something when it was killed has less than what was shown already.
    if (delivered < (this.has(slot) ? this.delivered[place]! : 1)) return;
    this.marks[place] = slot;
    this.delivered[place] = delivered;
    this.times[place] = bucketMs(envelope, row);
    this.lasts[place] = lastMs(envelope, row);
    for (let channel = 0; channel < this.channels; channel++) {
      this.lows[channel]![place] = Number(envelope.lo[row * envelope.channels + channel]);
      this.highs[channel]![place] = Number(envelope.hi[row * envelope.channels + channel]);
    }
  }

  /** Whether anything of the slot is here. */
  has(slot: number): boolean {
    return slot >= 0 && this.marks[slot % this.capacity] === slot;
  }

  /** UTC ms of the first frame of a slot that is here. */
  timeMs(slot: number): number {
    return this.times[slot % this.capacity]!;
  }

  /** UTC ms of the last frame of a slot that is here. */
  lastMs(slot: number): number {
    return this.lasts[slot % this.capacity]!;
  }

  /** Where a slot that is here is read: a frame at its instant, a bucket in its middle. */
  middleMs(slot: number): number {
    return (this.timeMs(slot) + this.lastMs(slot)) / 2;
  }

  /** The least raw value of a slot that is here. */
  low(slot: number, channel: number): number {
    return this.lows[channel]![slot % this.capacity]!;
  }

  /** The greatest raw value of a slot that is here. */
  high(slot: number, channel: number): number {
    return this.highs[channel]![slot % this.capacity]!;
  }

  /** Where a frame that is not here should stand in time, ms; NaN if nothing tells. */
  expectedMs(index: number): number {
    const slot = Math.floor(index / this.size);
    const period = this.periodMs ?? 0;
    for (const near of [slot, slot - 1]) if (this.has(near)) return this.timeMs(near) + (index - near * this.size) * period;
    if (this.periodMs === null || this.newest === EMPTY) return Number.NaN;
    return this.anchorMs + (index - this.anchorIndex) * this.periodMs;
  }

  /** A copy that later writes leave alone. */
  clone(): FrameRing {
    const copy = new FrameRing(this.channels, this.capacity, this.size);
    copy.newest = this.newest;
    copy.newestMs = this.newestMs;
    copy.periodMs = this.periodMs;
    copy.anchorIndex = this.anchorIndex;
    copy.anchorMs = this.anchorMs;
    copy.marks.set(this.marks);
    copy.times.set(this.times);
    copy.lasts.set(this.lasts);
    copy.delivered.set(this.delivered);
    this.lows.forEach((column, channel) => copy.lows[channel]!.set(column));
    this.highs.forEach((column, channel) => copy.highs[channel]!.set(column));
    return copy;
  }
}

function frameMs(batch: Batch, row: number): number {
  if (batch.offsetsNs) return batch.utcMs + Number(batch.offsetsNs[row]) / 1e6;
  return batch.utcMs + row * (batch.periodMs ?? 0);
}

function bucketMs(envelope: Envelope, row: number): number {
  if (envelope.offsetsNs) return envelope.utcMs + Number(envelope.offsetsNs[row]) / 1e6;
  return envelope.utcMs + row * envelope.size * (envelope.periodMs ?? 0);
}

/** Time of a bucket's last frame that came, if they are its first ones; most often they are all of them. */
function lastMs(envelope: Envelope, row: number): number {
  return bucketMs(envelope, row) + (envelope.delivered[row]! - 1) * (envelope.periodMs ?? 0);
}
