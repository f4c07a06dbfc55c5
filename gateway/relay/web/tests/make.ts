import type { Batch, Envelope, Gap } from "../src/wire/message";

/** A batch of one int16 channel and 1 ms from frame to frame; frame i is taken at `i` ms unless told. */
export function batch(index: number, values: readonly number[], changes: Partial<Batch> = {}): Batch {
  return {
    kind: "batch",
    epoch: 1n,
    index,
    count: values.length,
    channels: 1,
    data: Int16Array.from(values),
    utcMs: index,
    periodMs: 1,
    offsetsNs: null,
    clockErrorNs: null,
    revision: 1,
    ...changes,
  };
}

/** A batch whose values are its indices. */
export function ramp(from: number, to: number, changes: Partial<Batch> = {}): Batch {
  return batch(from, Array.from({ length: to - from }, (_, i) => from + i), changes);
}

export function gap(index: number, count: number, reason = "overrun", epoch = 1n): Gap {
  return { kind: "gap", epoch, index, count, reason };
}

/** Pseudo-random numbers in [0, 1), the same in every run (mulberry32's mixing). */
export function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** An envelope of one int16 channel and 1 ms from frame to frame, of frames whose values are given; null is not there. */
export function envelope(values: readonly (number | null)[], size: number, from: number, to: number, changes: Partial<Envelope> = {}): Envelope {
  const first = Math.floor(from / size);
  const count = Math.max(0, Math.ceil(Math.min(to, values.length) / size) - first);
  const buckets = Array.from({ length: count }, (_, i) => {
    const start = (first + i) * size;
    return values.slice(start, start + size).filter((value): value is number => value !== null);
  });
  return {
    kind: "envelope",
    epoch: 1n,
    index: first * size,
    size,
    count,
    channels: 1,
    lo: Int16Array.from(buckets, (bucket) => Math.min(...bucket)),
    hi: Int16Array.from(buckets, (bucket) => Math.max(...bucket)),
    delivered: Uint32Array.from(buckets, (bucket) => bucket.length),
    utcMs: first * size,
    periodMs: 1,
    offsetsNs: null,
    losses: [],
    ...changes,
  };
}
