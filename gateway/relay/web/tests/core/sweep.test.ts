import { describe, expect, it } from "vitest";

import { SweepClock } from "../../src/core/sweep";

const HOLD_MS = 2500;
const UTC_MS = 1_763_000_000_000;

/** Batches of 100 ms that arrive `lateMs` after their end; returns the edge at each 16 ms and the newest frame then. */
function run(clock: SweepClock, fromMs: number, toMs: number, lateMs: (k: number) => number): [number, number][] {
  const seen: [number, number][] = [];
  let k = Math.ceil(fromMs / 100);
  let newest: number | null = null;
  for (let now = fromMs; now < toMs; now += 16) {
    while (k * 100 + lateMs(k) <= now) {
      newest = UTC_MS + k * 100;
      clock.arrived(k * 100 + lateMs(k), newest);
      k += 1;
    }
    const edge = clock.edgeMs(now, newest, HOLD_MS);
    if (edge !== null && newest !== null) seen.push([edge, newest]);
  }
  return seen;
}

describe("SweepClock", () => {
  it("has no edge before the first batch", () => {
    expect(new SweepClock().edgeMs(0, null, HOLD_MS)).toBeNull();
  });

  it("stays behind the newest frame, by about a batch", () => {
    const seen = run(new SweepClock(), 0, 20_000, () => 5).slice(500);
    for (const [edge, newest] of seen) {
      expect(edge).toBeLessThanOrEqual(newest + 1);
      expect(edge).toBeGreaterThan(newest - 150);
    }
  });

  it("stays behind the newest frame under jitter too", () => {
    const seen = run(new SweepClock(), 0, 20_000, (k) => 5 + ((k * 37) % 80)).slice(500);
    for (const [edge, newest] of seen) expect(edge).toBeLessThanOrEqual(newest + 40);
  });

  it("moves smoothly and never back, though batches come in steps", () => {
    const edges = run(new SweepClock(), 0, 20_000, (k) => 5 + ((k * 37) % 80)).slice(500);
    for (let i = 1; i < edges.length; i++) {
      const moved = edges[i]![0] - edges[i - 1]![0];
      expect(moved).toBeGreaterThan(0);
      expect(moved).toBeLessThan(32);
    }
  });

  it("goes on for a while when nothing comes, then waits", () => {
    const clock = new SweepClock();
    const newest = run(clock, 0, 5000, () => 5).at(-1)![1];
    expect(clock.edgeMs(6000, newest, HOLD_MS)).toBeGreaterThan(newest + 500);
    expect(clock.edgeMs(60_000, newest, HOLD_MS)).toBe(newest + HOLD_MS);
  });

  it("jumps to a stream whose time is elsewhere", () => {
    const clock = new SweepClock();
    run(clock, 0, 5000, () => 5);
    const elsewhere = UTC_MS - 86_400_000;
    for (let at = 10_000; at <= 15_000; at += 100) clock.arrived(at, elsewhere + at);
    const edge = clock.edgeMs(15_000, elsewhere + 15_000, HOLD_MS)!;
    expect(Math.abs(edge - (elsewhere + 15_000))).toBeLessThan(200);
  });
});

describe("SweepClock that catches up", () => {
  it("has the edge at the present as soon as the past is there, and stays behind by as much as ever", () => {
    const clock = new SweepClock();
    clock.catchUp();
    for (let k = 0; k < 100; k++) clock.arrived(5 + k * 2, UTC_MS - 10_000 + k * 100);
    expect(clock.catchingUp).toBe(true);
    expect(clock.edgeMs(210, UTC_MS - 100, HOLD_MS)).toBeGreaterThan(UTC_MS - 200);
    const seen = run(clock, 300, 10_000, () => 5).slice(200);
    expect(clock.catchingUp).toBe(false);
    for (const [edge, newest] of seen) {
      expect(edge).toBeLessThanOrEqual(newest + 1);
      expect(edge).toBeGreaterThan(newest - 150);
    }
  });

  it("does so after an interruption too", () => {
    const clock = new SweepClock();
    run(clock, 0, 5000, () => 5);
    clock.catchUp();
    for (let k = 50; k < 150; k++) clock.arrived(15_000 + k, UTC_MS + k * 100);
    const [edge, newest] = run(clock, 15_200, 16_000, () => 5)[0]!;
    expect(edge).toBeGreaterThan(newest - 250);
  });
});
