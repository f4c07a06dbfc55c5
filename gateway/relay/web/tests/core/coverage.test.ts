import { describe, expect, it } from "vitest";

import { Coverage } from "../../src/core/coverage";
import { generator } from "../make";

describe("Coverage", () => {
  it("counts each index once, whatever comes twice", () => {
    const coverage = new Coverage();
    expect(coverage.add(10, 20)).toBe(10);
    expect(coverage.add(10, 20)).toBe(0);
    expect(coverage.add(15, 25)).toBe(5);
    expect(coverage.covered).toBe(15);
  });

  it("knows the hole, and that a late batch fills it", () => {
    const coverage = new Coverage();
    coverage.add(0, 10);
    coverage.add(20, 30);
    expect(coverage.missing).toBe(10);
    expect(coverage.holesAfter(0)).toEqual([{ start: 10, end: 20 }]);
    expect(coverage.add(10, 20)).toBe(10);
    expect(coverage.missing).toBe(0);
    expect(coverage.ranges).toEqual([{ start: 0, end: 30 }]);
  });

  it("does not take what was before the first index for missing", () => {
    const coverage = new Coverage();
    coverage.add(1_000_000, 1_000_050);
    expect(coverage.missing).toBe(0);
  });

  it("names no hole before the given index", () => {
    const coverage = new Coverage();
    for (const start of [0, 10, 20]) coverage.add(start, start + 5);
    expect(coverage.holesAfter(12)).toEqual([{ start: 15, end: 20 }]);
  });

  it("agrees with a set of indices after any additions in any order", () => {
    const random = generator(7);
    for (let round = 0; round < 200; round++) {
      const coverage = new Coverage();
      const seen = new Set<number>();
      for (let i = 0; i < 30; i++) {
        const start = Math.floor(random() * 200);
        const end = start + Math.floor(random() * 12);
        const before = seen.size;
        for (let index = start; index < end; index++) seen.add(index);
        expect(coverage.add(start, end)).toBe(seen.size - before);
      }
      const known = [...seen].sort((a, b) => a - b);
      expect(coverage.covered).toBe(seen.size);
      expect(coverage.missing).toBe(known.at(-1)! - known[0]! + 1 - seen.size);
    }
  });

  it("stays bounded under holes without end, and still counts them", () => {
    const coverage = new Coverage();
    for (let i = 0; i < 20_000; i++) coverage.add(3 * i, 3 * i + 1);
    expect(coverage.ranges.length).toBeLessThanOrEqual(10_000);
    expect(coverage.missing).toBe(2 * 19_999);
  });
});
