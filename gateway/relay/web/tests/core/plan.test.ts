import { describe, expect, it } from "vitest";

import { MOST_BUCKETS, planFor, reachingBack, samePlan } from "../../src/core/plan";

const VIEW = { spanMs: 10_000, columns: 1000 };

describe("planFor", () => {
  it.each([
    [{ rate: 500, channels: 2 }, VIEW],
    [{ rate: 1000, channels: 8 }, VIEW],
    [{ rate: 25_000, channels: 1 }, { ...VIEW, spanMs: 2000 }],
    [{ rate: null, channels: 8 }, VIEW],
    [null, VIEW],
  ])("takes the samples where they fit: %o", (extent, view) => {
    expect(planFor(extent, view).kind).toBe("samples");
  });

  it.each([
    [{ rate: 25_000, channels: 1 }, VIEW],
    [{ rate: 25_000, channels: 8 }, { ...VIEW, spanMs: 2000 }],
    [{ rate: 1000, channels: 100 }, VIEW],
    [{ rate: 500, channels: 1 }, { spanMs: 30_000, columns: 200 }],
  ])("takes the envelope where there are many more samples than pixels, or too many at all: %o", (extent, view) => {
    expect(planFor(extent, view).kind).toBe("envelope");
  });

  it("asks for more than the screen shows, in buckets about a pixel wide", () => {
    expect(planFor({ rate: 500, channels: 2 }, VIEW)).toEqual({ kind: "samples", seconds: 12 });
    const plan = planFor({ rate: 25_000, channels: 8 }, VIEW);
    expect(plan).toMatchObject({ seconds: 12, width: 1216 });
  });

  it("asks for the same on screens of about the same width, and never for more than there may be", () => {
    const fast = { rate: 25_000, channels: 8 };
    expect(samePlan(planFor(fast, { ...VIEW, columns: 1010 }), planFor(fast, VIEW))).toBe(true);
    expect(samePlan(planFor(fast, { ...VIEW, columns: 1100 }), planFor(fast, VIEW))).toBe(false);
    expect(planFor(fast, { spanMs: 2000, columns: 100_000 })).toMatchObject({ width: MOST_BUCKETS });
    expect(samePlan(null, planFor(null, VIEW))).toBe(false);
  });
});

describe("reachingBack", () => {
  it("keeps the buckets' size over a longer window, as far as there may be so many", () => {
    const plan = planFor({ rate: 25_000, channels: 8 }, VIEW);
    expect(reachingBack(plan, 12_000)).toEqual({ kind: "envelope", seconds: 24, width: 2432 });
    expect(reachingBack(plan, 3_600_000)).toMatchObject({ width: MOST_BUCKETS });
    expect(reachingBack({ kind: "samples", seconds: 5 }, 1000)).toEqual({ kind: "samples", seconds: 6 });
  });
});
