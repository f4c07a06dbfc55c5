import { describe, expect, it } from "vitest";

import { FrameRing } from "../../src/core/ring";
import { batch, ramp } from "../make";

describe("FrameRing", () => {
  it("holds the newest frames and lets the oldest go", () => {
    const ring = new FrameRing(1, 10);
    ring.write(ramp(0, 8));
    ring.write(ramp(8, 16));
    expect([ring.oldest, ring.newest]).toEqual([6, 15]);
    expect(ring.has(5)).toBe(false);
    for (let index = 6; index <= 15; index++) expect([ring.has(index), ring.low(index, 0)]).toEqual([true, index]);
  });

  it("leaves frames that did not come empty, and takes them when they come late", () => {
    const ring = new FrameRing(1, 20);
    ring.write(ramp(0, 5));
    ring.write(ramp(10, 15));
    expect(ring.has(7)).toBe(false);
    ring.write(ramp(5, 10));
    expect([ring.has(7), ring.low(7, 0), ring.newest]).toEqual([true, 7, 14]);
  });

  it("passes over frames older than it reaches", () => {
    const ring = new FrameRing(1, 10);
    ring.write(ramp(100, 105));
    ring.write(ramp(90, 100));
    expect(ring.has(94)).toBe(false);
    expect([ring.has(95), ring.has(104)]).toEqual([true, true]);
  });

  it("takes only the end of a batch longer than itself", () => {
    const ring = new FrameRing(1, 10);
    ring.write(ramp(0, 25));
    expect([ring.has(14), ring.has(15), ring.low(24, 0)]).toEqual([false, true, 24]);
  });

  it("gives each frame its time: by the rate, or its own", () => {
    const ring = new FrameRing(1, 10);
    ring.write(batch(0, [1, 2, 3], { utcMs: 1000, periodMs: 2 }));
    expect([0, 1, 2].map((i) => ring.timeMs(i))).toEqual([1000, 1002, 1004]);
    ring.write(batch(3, [4, 5], { utcMs: 2000, periodMs: null, offsetsNs: BigInt64Array.from([0n, 1_500_000n]) }));
    expect([3, 4].map((i) => ring.timeMs(i))).toEqual([2000, 2001.5]);
  });

  it("says where a frame that is not here should stand", () => {
    const ring = new FrameRing(1, 100);
    ring.write(ramp(0, 5, { utcMs: 0, periodMs: 2 }));
    ring.write(ramp(20, 25, { utcMs: 41, periodMs: 2 }));
    expect(ring.expectedMs(4)).toBe(8);
    expect(ring.expectedMs(5)).toBe(10);
    expect(ring.expectedMs(18)).toBe(37);
  });

  it("keeps the channels apart", () => {
    const ring = new FrameRing(2, 10);
    ring.write(batch(0, [1, 10, 2, 20], { count: 2, channels: 2 }));
    expect([ring.low(1, 0), ring.low(1, 1)]).toEqual([2, 20]);
  });

  it("makes a copy that later frames leave alone", () => {
    const ring = new FrameRing(1, 10);
    ring.write(ramp(0, 10));
    const copy = ring.clone();
    ring.write(ramp(10, 20));
    expect([copy.newest, copy.low(9, 0), copy.timeMs(9)]).toEqual([9, 9, 9]);
  });
});
