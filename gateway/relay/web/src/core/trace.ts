import type { Batch, Envelope, Gap, Message } from "../wire/message";
import { Coverage } from "./coverage";
import { deliveredIn } from "./delivered";
import { FrameRing } from "./ring";

/** Epochs kept, so that the trace before a restart scrolls out instead of vanishing. */
const MAXIMUM_EPOCHS = 3;
/** Frames kept of a stream without a rate. */
const IRREGULAR_CAPACITY = 1 << 16;
const MINIMUM_CAPACITY = 1024;
const MAXIMUM_CAPACITY = 1 << 20;

/** One epoch: its frames, and what became of every index. */
export interface EpochTrace {
  epoch: bigint;
  /** Null until the first batch or envelope tells how many channels there are, and at what rate. */
  ring: FrameRing | null;
  coverage: Coverage;
  /** Declared gaps that the ring still reaches. */
  gaps: Gap[];
}

/** What became of the frames since the page began to listen. */
export interface Account {
  received: number;
  /** Frames declared lost, by reason. */
  lost: Map<string, number>;
  /** Frames that neither came nor were declared lost (yet). */
  missing: number;
  /** Messages that could not be decoded. */
  undecodable: number;
}

/** Where to go on after an interruption: everything before it is here or was declared lost. */
export interface Place {
  epoch: bigint;
  index: number;
}

/** Everything the page holds of one stream: the newest frames of the newest epochs, and the account. */
export class Trace {
  /** Oldest first. */
  epochs: EpochTrace[] = [];
  private received = 0;
  private undecodable = 0;
  private lost = new Map<string, number>();
  /** Missing in epochs that are no longer kept. */
  private forgotten = 0;

  /** `keptMs`: the time of a regular stream to be held. */
  constructor(readonly keptMs: number) {}

  get current(): EpochTrace | undefined {
    return this.epochs.at(-1);
  }

  /** UTC ms of the newest frame of the newest epoch, or null. */
  get newestMs(): number | null {
    const ring = this.current?.ring;
    return ring && ring.newest >= 0 ? ring.newestMs : null;
  }

  /** UTC ms of the oldest frame held, or null. */
  get oldestMs(): number | null {
    const times = this.epochs.flatMap(({ ring }) => (ring && ring.newest >= 0 ? [ring.oldestMs] : []));
    return times.length > 0 ? Math.min(...times) : null;
  }

  /** The first frame that is not accounted for, as far back as frames are held; null if nothing came yet. */
  get place(): Place | null {
    for (const { epoch, ring, coverage } of this.epochs) {
      const hole = ring && coverage.holesAfter(ring.oldestIndex).at(-1);
      if (hole) return { epoch, index: Math.max(hole.start, ring.oldestIndex) };
    }
    const newest = this.current;
    return newest ? { epoch: newest.epoch, index: newest.coverage.end } : null;
  }

  /** Take a message in; returns how many of its frames are new and came. */
  accept(message: Message): number {
    const part = this.epochOf(message.epoch);
    if (!part) return 0;
    if (message.kind === "gap") {
      this.declare(part, message);
      return 0;
    }
    return message.kind === "batch" ? this.acceptBatch(part, message) : this.acceptEnvelope(part, message);
  }

  /** A message came that could not be decoded. */
  reject(): void {
    this.undecodable += 1;
  }

  /** Forget the frames, keep the account: what is held no longer means what it did. */
  clear(): void {
    for (const part of this.epochs) {
      part.ring = null;
      part.gaps = [];
    }
  }

  account(): Account {
    const missing = this.epochs.reduce((sum, part) => sum + part.coverage.missing, this.forgotten);
    return { received: this.received, lost: new Map(this.lost), missing, undecodable: this.undecodable };
  }

  /** A copy that later messages leave alone. */
  clone(): Trace {
    const copy = new Trace(this.keptMs);
    copy.epochs = this.epochs.map((part) => ({
      epoch: part.epoch,
      ring: part.ring?.clone() ?? null,
      coverage: part.coverage.clone(),
      gaps: part.gaps.map((gap) => ({ ...gap })),
    }));
    return copy;
  }

  private acceptBatch(part: EpochTrace, batch: Batch): number {
    this.ringFor(part, batch, 1).write(batch);
    return this.receive(part, batch.index, batch.index + batch.count);
  }

  private acceptEnvelope(part: EpochTrace, envelope: Envelope): number {
    if (envelope.count === 0) return 0;
    for (const { index, count, reason } of envelope.losses) {
      if (reason !== null) this.declare(part, { kind: "gap", epoch: part.epoch, index, count, reason });
    }
    this.ringFor(part, envelope, envelope.size).writeBuckets(envelope);
    return deliveredIn(envelope, part.coverage.end).reduce((sum, { start, end }) => sum + this.receive(part, start, end), 0);
  }

  private receive(part: EpochTrace, start: number, end: number): number {
    const fresh = part.coverage.add(start, end);
    this.received += fresh;
    return fresh;
  }

  /** Count and keep what of a gap is not accounted for yet. */
  private declare(part: EpochTrace, { index, count, reason }: Gap): void {
    const oldest = part.ring?.oldestIndex ?? 0;
    part.gaps = part.gaps.filter((known) => known.index + known.count > oldest);
    for (const { start, end } of part.coverage.missingIn(index, index + count)) {
      part.coverage.add(start, end);
      this.lost.set(reason, (this.lost.get(reason) ?? 0) + end - start);
      const before = part.gaps.find((gap) => gap.index + gap.count === start && gap.reason === reason);
      if (before) before.count += end - start;
      else part.gaps.push({ kind: "gap", epoch: part.epoch, index: start, count: end - start, reason });
    }
  }

  /** The epoch's part, begun if it is new; undefined if it is older than all that are kept. */
  private epochOf(epoch: bigint): EpochTrace | undefined {
    const known = this.epochs.find((part) => part.epoch === epoch);
    if (known) return known;
    if (this.epochs.length === MAXIMUM_EPOCHS && epoch < this.epochs[0]!.epoch) return undefined;
    const part: EpochTrace = { epoch, ring: null, coverage: new Coverage(), gaps: [] };
    this.epochs.push(part);
    this.epochs.sort((a, b) => (a.epoch < b.epoch ? -1 : 1));
    if (this.epochs.length > MAXIMUM_EPOCHS) this.forgotten += this.epochs.shift()!.coverage.missing;
    return part;
  }

  /** The epoch's ring, begun anew if other channels or other buckets come. */
  private ringFor(part: EpochTrace, { channels, count, periodMs }: Batch | Envelope, size: number): FrameRing {
    if (part.ring?.channels !== channels || part.ring.size !== size) {
      part.ring = new FrameRing(channels, this.capacity(count, periodMs, size), size);
    }
    return part.ring;
  }

  private capacity(count: number, periodMs: number | null, size: number): number {
    if (periodMs === null) return IRREGULAR_CAPACITY;
    const slots = Math.ceil(this.keptMs / (periodMs * size)) + count;
    return Math.min(MAXIMUM_CAPACITY, Math.max(MINIMUM_CAPACITY, slots));
  }
}
