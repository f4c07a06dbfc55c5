import { describe, expect, it } from "vitest";

import { backoffMs } from "../../src/core/backoff";
import { AutoRange, spanOf } from "../../src/core/range";
import { RateMeter } from "../../src/core/rate";

describe("RateMeter", () => {
  it("measures frames a second as they arrive", () => {
    const meter = new RateMeter();
    for (let at = 0; at <= 10_000; at += 100) meter.arrived(at, 50);
    expect(meter.rate(10_000)).toBeCloseTo(500, 6);
  });

  it("says nothing before a second has been seen", () => {
    const meter = new RateMeter();
    expect(meter.rate(0)).toBeNull();
    meter.arrived(0, 50);
    meter.arrived(500, 50);
    expect(meter.rate(500)).toBeNull();
  });

  it("falls when nothing comes any more, down to zero", () => {
    const meter = new RateMeter();
    for (let at = 0; at <= 5000; at += 100) meter.arrived(at, 50);
    expect(meter.rate(8000)!).toBeLessThan(500);
    expect(meter.rate(10_100)).toBe(0);
  });

  it("follows a change of rate within its memory", () => {
    const meter = new RateMeter();
    for (let at = 0; at <= 10_000; at += 100) meter.arrived(at, 50);
    for (let at = 10_100; at <= 20_000; at += 100) meter.arrived(at, 10);
    expect(meter.rate(20_000)).toBeCloseTo(100, 6);
  });
});

describe("AutoRange", () => {
  it("holds what it is shown, with a margin", () => {
    const { low, high } = new AutoRange().follow({ low: -1, high: 1 }, 0);
    expect(low).toBeLessThan(-1);
    expect(high).toBeGreaterThan(1);
  });

  it("grows at once and shrinks only with patience", () => {
    const range = new AutoRange();
    range.follow({ low: 0, high: 1 }, 0);
    const wide = range.follow({ low: 0, high: 100 }, 10);
    expect(wide.high).toBeGreaterThan(100);
    expect(range.follow({ low: 0, high: 1 }, 20)).toEqual(wide);
    expect(range.follow({ low: 0, high: 1 }, 3000)).toEqual(wide);
    expect(range.follow({ low: 0, high: 1 }, 5000).high).toBeLessThan(2);
  });

  it("does not breathe with a signal that keeps using it", () => {
    const range = new AutoRange();
    const wide = range.follow({ low: 0, high: 100 }, 0);
    for (let at = 0; at < 60_000; at += 1000) {
      expect(range.follow(at % 2000 ? { low: 0, high: 5 } : { low: 0, high: 90 }, at)).toEqual(wide);
    }
  });

  it("gives a flat trace room, and settles there", () => {
    const range = new AutoRange();
    const flat = range.follow({ low: 3, high: 3 }, 0);
    expect(flat.low).toBeLessThan(3);
    expect(flat.high).toBeGreaterThan(3);
    expect(range.follow({ low: 3, high: 3 }, 60_000)).toEqual(flat);
  });

  it("keeps its range while there is nothing to see", () => {
    const range = new AutoRange();
    const span = range.follow({ low: -1, high: 1 }, 0);
    expect(range.follow(null, 100)).toEqual(span);
  });
});

describe("spanOf", () => {
  it("passes over what is not there", () => {
    expect(spanOf([null, 3, null, -2])).toEqual({ low: -2, high: 3 });
    expect(spanOf([null])).toBeNull();
  });
});

describe("backoffMs", () => {
  it("doubles up to a bound and spreads the viewers", () => {
    expect([0, 1, 2, 3, 4, 5, 50].map((attempt) => backoffMs(attempt, 1))).toEqual([500, 1000, 2000, 4000, 8000, 8000, 8000]);
    expect(backoffMs(0, 0)).toBe(250);
  });
});
