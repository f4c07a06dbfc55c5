/** The least and the greatest values of buckets of frames. The writer is gateway/relay/envelope/live.py. */
import { big, count as countOf, DecodeError, nsToMs, offsets, period, shaped, whole, type Fields, type Samples } from "./fields";

/** Consecutive frames that are not there. */
export interface Loss {
  index: number;
  count: number;
  /** Null: nobody has said why, and they may yet come. */
  reason: string | null;
}

/** Consecutive buckets of equal size. */
export interface Envelope {
  kind: "envelope";
  epoch: bigint;
  /** The first bucket's first frame; a multiple of `size`. */
  index: number;
  /** Frames in a bucket. */
  size: number;
  /** How many buckets. */
  count: number;
  channels: number;
  /** Row-major raw values, `count` × `channels`; they mean nothing where nothing was delivered. */
  lo: Samples;
  hi: Samples;
  /** Delivered frames of each bucket. */
  delivered: Uint32Array;
  /** UTC of the first bucket's first frame, ms since 1970. */
  utcMs: number;
  /** Time from frame to frame in ms; null if the stream is irregular. */
  periodMs: number | null;
  /** Time of each bucket's first frame after `utcMs`, ns; irregular streams only. */
  offsetsNs: BigInt64Array | null;
  /** Which frames of the buckets are not there, in order; beyond them the last bucket's frames are yet to come. */
  losses: Loss[];
}

/** The envelope in a map; throws DecodeError. */
export function envelope(fields: Fields): Envelope {
  const size = whole(fields, "b");
  const count = whole(fields, "n");
  const index = whole(fields, "i");
  if (size === 0 || index % size !== 0 || !Number.isSafeInteger(index + count * size)) {
    throw new DecodeError(`${count} buckets of ${size} frames cannot begin at ${index}`);
  }
  const [lo, hi] = [shaped(fields, "lo"), shaped(fields, "hi")];
  if (lo.rows !== count || hi.rows !== count || lo.columns !== hi.columns) {
    throw new DecodeError(`fields 'lo' and 'hi' must have a row for each of ${count} buckets`);
  }
  if (!inOrder(fields["k"], lo.columns)) throw new DecodeError("field 'k' must name all channels in order");
  return {
    kind: "envelope",
    epoch: big(fields, "e"),
    index,
    size,
    count,
    channels: lo.columns,
    lo: lo.data,
    hi: hi.data,
    delivered: delivered(fields["u"], count, size),
    utcMs: nsToMs(big(fields, "t")),
    periodMs: period(fields["r"]),
    offsetsNs: offsets(fields, count),
    losses: losses(fields["g"], index, index + count * size),
  };
}

/** The page asks for no choice of channels. */
function inOrder(value: unknown, columns: number): boolean {
  return Array.isArray(value) && value.length === columns && value.every((channel, i) => channel === i);
}

function delivered(value: unknown, count: number, size: number): Uint32Array {
  if (!(value instanceof Uint32Array) || value.length !== count || value.some((frames) => frames > size)) {
    throw new DecodeError(`field 'u' must hold ${count} uint32 of at most ${size}`);
  }
  return value;
}

function losses(value: unknown, from: number, to: number): Loss[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw new DecodeError("field 'g' must be an array");
  let end = from;
  return value.map((item: unknown) => {
    const [first, frames, reason] = Array.isArray(item) ? (item as unknown[]) : [];
    const index = countOf(first);
    const count = countOf(frames);
    if (index === null || !count || index < end || index + count > to) {
      throw new DecodeError("field 'g' must be [index, frames, why] one after the other, within the buckets");
    }
    if (reason !== null && typeof reason !== "string") throw new DecodeError("a loss needs a reason, or null");
    end = index + count;
    return { index, count, reason };
  });
}
