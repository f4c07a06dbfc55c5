import { describe, expect, it } from "vitest";

import { Trace } from "../../src/core/trace";
import type { Envelope } from "../../src/wire/message";
import { batch, envelope, gap, generator, ramp } from "../make";

type Fate = "came" | "overrun" | "late" | null;

/** What the relay would say of the frames from the first that came on: `fates` before `end` are settled. */
function envelopeOf(fates: readonly Fate[], size: number, from: number, end: number, changes: Partial<Envelope> = {}): Envelope {
  const values = fates.slice(0, end).map((fate, index) => (fate === "came" ? index % 1000 : null));
  const begin = fates.findIndex((fate) => fate !== null);
  const whole = envelope(values, size, from, end);
  const losses: Envelope["losses"] = [];
  for (let index = Math.max(begin, whole.index); index < end; index++) {
    const fate = fates[index]!;
    const last = losses.at(-1);
    if (fate === "came") continue;
    if (last && last.index + last.count === index && last.reason === fate) last.count += 1;
    else losses.push({ index, count: 1, reason: fate });
  }
  return { ...whole, losses, ...changes };
}

function account(trace: Trace): unknown {
  const { received, lost, missing } = trace.account();
  return { received, missing, overrun: lost.get("overrun") ?? 0, late: lost.get("late") ?? 0 };
}

function expected(fates: readonly Fate[]): unknown {
  const count = (fate: Fate) => fates.filter((one) => one === fate).length;
  const begin = fates.findIndex((fate) => fate !== null);
  return { received: count("came"), missing: count(null) - begin, overrun: count("overrun"), late: count("late") };
}

/** Ends with a frame that came, as an envelope does, and may begin with some that never were. */
function fatesOf(random: () => number, length: number): Fate[] {
  const fates: Fate[] = Array.from({ length: Math.floor(random() * 40) }, () => null);
  while (fates.length < length) {
    const fate = (["came", "came", "came", "overrun", "late", null] as const)[Math.floor(random() * 6)]!;
    const count = Math.ceil(random() * 30);
    // What was declared is known of from its batches on.
    fates.push(...Array.from({ length: count }, () => (fates.includes("came") || fate === "came" ? fate : null)));
  }
  return [...fates, "came"];
}

describe("a trace of envelopes", () => {
  it("accounts for every frame as one of samples would: delivered, lost and why, or missing", () => {
    const random = generator(23);
    for (let round = 0; round < 200; round++) {
      const fates = fatesOf(random, 400);
      const trace = new Trace(10_000);
      const size = 1 + Math.floor(random() * 40);
      const whole = envelopeOf(fates, size, 0, fates.length);
      const first = Math.floor(fates.indexOf("came") / size);
      const from = first * size;
      const seen = envelopeOf(fates, size, from, fates.length);
      trace.accept(whole.count > 1 ? seen : whole);
      if (seen.count > 1 || from === 0) expect(account(trace)).toEqual(expected(fates));
      trace.accept(seen);
      if (seen.count > 1 || from === 0) expect(account(trace)).toEqual(expected(fates));
    }
  });

  it("needs only the buckets that changed", () => {
    const random = generator(29);
    for (let round = 0; round < 100; round++) {
      const fates = fatesOf(random, 300).map((fate, index) => (index === 0 ? "came" : fate));
      const size = 1 + Math.floor(random() * 30);
      const trace = new Trace(10_000);
      let at = 0;
      while (at < fates.length) {
        let end = Math.min(fates.length, at + 1 + Math.floor(random() * 50));
        while (fates[end - 1] !== "came") end++;
        trace.accept(envelopeOf(fates, size, Math.max(0, at - 1), end));
        at = end;
      }
      expect(account(trace)).toEqual(expected(fates));
      expect(trace.current!.coverage.end).toBe(fates.length);
    }
  });

  it("accounts anew, and nothing twice, whatever the buckets of the next window are", () => {
    const fates = fatesOf(generator(31), 500).map((fate, index) => (index === 0 ? "came" : fate));
    const trace = new Trace(10_000);
    for (const [size, from] of [[16, 0], [64, 100], [7, 250], [256, 0]] as const) trace.accept(envelopeOf(fates, size, from, fates.length));
    expect(account(trace)).toEqual(expected(fates));
  });

  it("goes on where samples ended, and samples where it ended", () => {
    const trace = new Trace(10_000);
    trace.accept(ramp(0, 103));
    trace.accept(gap(103, 7));
    const fates: Fate[] = Array.from({ length: 300 }, (_, i) => (i >= 103 && i < 110 ? "overrun" : "came"));
    expect(trace.accept(envelopeOf(fates, 16, 0, 300))).toBe(190);
    expect(trace.accept(ramp(290, 310))).toBe(10);
    expect(account(trace)).toEqual({ received: 303, missing: 0, overrun: 7, late: 0 });
    expect(trace.current!.gaps).toHaveLength(1);
  });

  it("fills a hole when its frames come late, and when they are declared lost late", () => {
    const fates: Fate[] = Array.from({ length: 200 }, (_, i) => (i >= 50 && i < 90 ? null : "came"));
    const trace = new Trace(10_000);
    trace.accept(envelopeOf(fates, 16, 0, 200));
    expect(account(trace)).toMatchObject({ received: 160, missing: 40 });
    fates.fill("came", 50, 70);
    fates.fill("late", 70, 90);
    expect(trace.accept(envelopeOf(fates, 16, 0, 200))).toBe(20);
    expect(account(trace)).toEqual({ received: 180, missing: 0, overrun: 0, late: 20 });
  });

  it("leaves out a lone bucket that does not tell where its frames are", () => {
    const trace = new Trace(10_000);
    const late: Fate[] = Array.from({ length: 110 }, (_, i) => (i < 100 ? null : "came"));
    expect(trace.accept(envelopeOf(late, 64, 64, 110))).toBe(0);
    expect(trace.newestMs).not.toBeNull();
    const later: Fate[] = Array.from({ length: 150 }, (_, i) => (i < 100 ? null : "came"));
    expect(trace.accept(envelopeOf(later, 64, 64, 150))).toBe(50);
    expect(account(trace)).toMatchObject({ received: 50, missing: 0 });
  });

  it("counts right where more is lost than is listed", () => {
    const fates: Fate[] = Array.from({ length: 300 }, (_, i) => (i % 10 === 3 ? null : "came"));
    const trace = new Trace(10_000);
    const seen = envelopeOf(fates, 20, 0, 300);
    trace.accept({ ...seen, losses: seen.losses.slice(-5) });
    // Those of the first bucket might as well be before the beginning.
    expect(account(trace)).toMatchObject({ received: 270, missing: 28 });
  });

  it("takes no harm from losses that fill a bucket which says otherwise", () => {
    const trace = new Trace(10_000);
    const lies = envelope([1, 2, 3, 4, 5, 6, 7, 8], 4, 0, 8, { losses: [{ index: 0, count: 8, reason: "overrun" }] });
    trace.accept(lies);
    expect(account(trace)).toMatchObject({ missing: 0, overrun: 8 });
  });

  it("keeps the old epoch's buckets beside a new one's, and bounded room", () => {
    const trace = new Trace(1000);
    trace.accept(envelope(new Array<number>(5000).fill(1), 4, 0, 5000));
    trace.accept(envelope(new Array<number>(100).fill(2), 4, 0, 100, { epoch: 2n, utcMs: 5000 }));
    expect(trace.epochs.map(({ ring }) => [ring!.newest, ring!.size])).toEqual([
      [1249, 4],
      [24, 4],
    ]);
    expect(trace.newestMs).toBe(5099);
    for (let from = 0; from < 1e6; from += 1000) {
      trace.accept(envelope([], 4, 0, 0, { ...lone(from), epoch: 2n }));
    }
    expect(trace.current!.ring!.capacity).toBe(1024);
  });

  it("begins anew with other channels, and draws what comes after samples of the same epoch", () => {
    const trace = new Trace(1000);
    trace.accept(batch(0, [1, 2, 3, 4]));
    trace.accept(envelope([1, 9, -3, 4], 4, 0, 4));
    const ring = trace.current!.ring!;
    expect([ring.size, ring.low(0, 0), ring.high(0, 0)]).toEqual([4, -3, 9]);
    expect(trace.oldestMs).toBe(0);
  });
});

it("does not take back what was shown when the relay has it no more", () => {
  const trace = new Trace(1000);
  trace.accept(envelope([1, 2, 3, 4, 5, 6, 7, 8], 4, 0, 8));
  trace.accept(envelope([1, 2, null, null, null, null, null, null, 9, 9, 9, 9], 4, 0, 12));
  const ring = trace.current!.ring!;
  expect([ring.high(0, 0), ring.has(1), ring.high(1, 0), ring.high(2, 0)]).toEqual([4, true, 8, 9]);
});

function lone(index: number): Partial<Envelope> {
  return { index, count: 1, lo: Int16Array.of(0), hi: Int16Array.of(1), delivered: Uint32Array.of(4), utcMs: index };
}

describe("the place to go on at", () => {
  it("is behind what came and was declared, or the first hole", () => {
    const trace = new Trace(10_000);
    expect(trace.place).toBeNull();
    trace.accept(ramp(0, 50));
    trace.accept(gap(50, 10));
    expect(trace.place).toEqual({ epoch: 1n, index: 60 });
    trace.accept(ramp(80, 90));
    expect(trace.place).toEqual({ epoch: 1n, index: 60 });
    trace.accept(ramp(0, 10, { epoch: 2n }));
    expect(trace.place).toEqual({ epoch: 1n, index: 60 });
    trace.accept(ramp(60, 80));
    expect(trace.place).toEqual({ epoch: 2n, index: 10 });
  });

  it("is no farther back than frames are held", () => {
    const trace = new Trace(1000);
    trace.accept(ramp(0, 50));
    for (let from = 60; from < 5000; from += 10) trace.accept(ramp(from, from + 10));
    expect(trace.place).toEqual({ epoch: 1n, index: 5000 });
  });
});
