import type { Batch, Gap, Message } from "../wire/message";
import { Coverage } from "./coverage";
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
  /** Null until the first batch tells how many channels there are, and at what rate. */
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

  /** Take a message in; returns how many of its frames are new and here. */
  accept(message: Message): number {
    const part = this.epochOf(message.epoch);
    if (!part) return 0;
    const fresh = part.coverage.add(message.index, message.index + message.count);
    if (message.kind === "gap") {
      this.acceptGap(part, message, fresh);
      return 0;
    }
    if (part.ring?.channels !== message.channels) part.ring = new FrameRing(message.channels, this.capacity(message));
    part.ring.write(message);
    this.received += fresh;
    return fresh;
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
      gaps: [...part.gaps],
    }));
    return copy;
  }

  private acceptGap(part: EpochTrace, gap: Gap, fresh: number): void {
    if (fresh === 0) return;
    this.lost.set(gap.reason, (this.lost.get(gap.reason) ?? 0) + fresh);
    const oldest = part.ring?.oldest ?? 0;
    part.gaps = part.gaps.filter((known) => known.index + known.count > oldest);
    part.gaps.push(gap);
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

  private capacity(batch: Batch): number {
    if (batch.periodMs === null) return IRREGULAR_CAPACITY;
    const frames = Math.ceil(this.keptMs / batch.periodMs) + batch.count;
    return Math.min(MAXIMUM_CAPACITY, Math.max(MINIMUM_CAPACITY, frames));
  }
}
