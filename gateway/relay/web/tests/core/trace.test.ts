import { describe, expect, it } from "vitest";

import { Trace } from "../../src/core/trace";
import { gap, ramp } from "../make";

describe("Trace", () => {
  it("accounts for every frame: received, declared lost, or missing", () => {
    const trace = new Trace(1000);
    expect(trace.accept(ramp(0, 50))).toBe(50);
    expect(trace.accept(gap(50, 20))).toBe(0);
    expect(trace.accept(gap(70, 5, "late"))).toBe(0);
    expect(trace.accept(ramp(100, 150))).toBe(50);
    trace.reject();
    expect(trace.account()).toEqual({
      received: 100,
      lost: new Map([
        ["overrun", 20],
        ["late", 5],
      ]),
      missing: 25,
      undecodable: 1,
    });
  });

  it("counts what comes twice once", () => {
    const trace = new Trace(1000);
    trace.accept(ramp(0, 50));
    expect(trace.accept(ramp(0, 50))).toBe(0);
    trace.accept(gap(50, 20));
    trace.accept(gap(50, 20));
    expect(trace.account()).toMatchObject({ received: 50, lost: new Map([["overrun", 20]]) });
    expect(trace.current!.gaps).toHaveLength(1);
  });

  it("begins a new epoch beside the old one, and its indices anew", () => {
    const trace = new Trace(1000);
    trace.accept(ramp(500, 550));
    trace.accept(ramp(0, 50, { epoch: 2n, utcMs: 2000 }));
    expect(trace.epochs.map((part) => [part.epoch, part.ring!.newest])).toEqual([
      [1n, 549],
      [2n, 49],
    ]);
    expect(trace.newestMs).toBe(2049);
    expect(trace.account()).toMatchObject({ received: 100, missing: 0 });
  });

  it("puts the late backlog of an older epoch where it belongs", () => {
    const trace = new Trace(1000);
    trace.accept(ramp(0, 10, { epoch: 2n }));
    trace.accept(ramp(0, 20, { epoch: 1n }));
    expect(trace.current!.epoch).toBe(2n);
    expect(trace.epochs[0]!.ring!.newest).toBe(19);
  });

  it("keeps three epochs at most, and the account of all", () => {
    const trace = new Trace(1000);
    for (let epoch = 1n; epoch <= 5n; epoch++) {
      trace.accept(ramp(0, 10, { epoch }));
      trace.accept(ramp(15, 20, { epoch }));
    }
    expect(trace.epochs.map((part) => part.epoch)).toEqual([3n, 4n, 5n]);
    expect(trace.account()).toMatchObject({ received: 75, missing: 25 });
    expect(trace.accept(ramp(0, 10, { epoch: 1n }))).toBe(0);
  });

  it("takes a gap that comes before any batch", () => {
    const trace = new Trace(1000);
    trace.accept(gap(0, 20));
    expect(trace.newestMs).toBeNull();
    trace.accept(ramp(20, 30));
    expect(trace.account()).toMatchObject({ received: 10, missing: 0 });
  });

  it("holds as much of a regular stream as asked for, and forgets gaps older than that", () => {
    const trace = new Trace(5000);
    trace.accept(gap(0, 10));
    for (let from = 10; from < 10_000; from += 10) trace.accept(ramp(from, from + 10));
    trace.accept(gap(10_000, 10));
    expect(trace.current!.ring!.capacity).toBeGreaterThanOrEqual(5000);
    expect(trace.current!.gaps.map((known) => known.index)).toEqual([10_000]);
  });

  it("forgets the frames and keeps the account when told to", () => {
    const trace = new Trace(1000);
    trace.accept(ramp(0, 50));
    trace.accept(gap(50, 5));
    trace.clear();
    expect(trace.newestMs).toBeNull();
    expect(trace.account()).toMatchObject({ received: 50, lost: new Map([["overrun", 5]]) });
    trace.accept(ramp(55, 60));
    expect([trace.current!.ring!.has(57), trace.current!.ring!.has(10)]).toEqual([true, false]);
  });

  it("makes a copy that later messages leave alone", () => {
    const trace = new Trace(1000);
    trace.accept(ramp(0, 50));
    const copy = trace.clone();
    trace.accept(ramp(50, 100));
    trace.accept(gap(100, 5));
    expect([copy.current!.ring!.newest, copy.current!.gaps.length, copy.current!.coverage.covered]).toEqual([49, 0, 50]);
  });
});
