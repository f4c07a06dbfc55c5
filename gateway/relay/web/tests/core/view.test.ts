import { describe, expect, it } from "vitest";

import { Trace } from "../../src/core/trace";
import { joinMarks, marksIn, nearestSpot, neighbour, runsIn, type Run } from "../../src/core/view";
import type { Message } from "../../src/wire/message";
import { gap, generator, ramp } from "../make";

function traceOf(...messages: Message[]): Trace {
  const trace = new Trace(10_000);
  for (const message of messages) trace.accept(message);
  return trace;
}

function spans(runs: readonly Run[]): [number, number][] {
  return runs.map(({ from, to }) => [from, to]);
}

describe("runsIn", () => {
  it("takes the frames in the window and one beyond each edge", () => {
    const { epochs } = traceOf(ramp(0, 100));
    expect(spans(runsIn(epochs, { fromMs: 20, toMs: 30 }))).toEqual([[19, 31]]);
    expect(spans(runsIn(epochs, { fromMs: 20.5, toMs: 30.5 }))).toEqual([[20, 31]]);
  });

  it("stops at what there is", () => {
    const { epochs } = traceOf(ramp(0, 100));
    expect(spans(runsIn(epochs, { fromMs: -50, toMs: 500 }))).toEqual([[0, 99]]);
    expect(spans(runsIn([], { fromMs: 0, toMs: 1 }))).toEqual([]);
  });

  it("ends a run at a gap and at a hole", () => {
    const { epochs } = traceOf(ramp(0, 20), gap(20, 10), ramp(30, 40), ramp(50, 60));
    expect(spans(runsIn(epochs, { fromMs: 0, toMs: 60 }))).toEqual([
      [0, 19],
      [30, 39],
      [50, 59],
    ]);
  });

  it("shows the trace before a restart and after it, apart", () => {
    const { epochs } = traceOf(ramp(100, 120, { utcMs: 0 }), ramp(0, 10, { epoch: 2n, utcMs: 50 }));
    expect(spans(runsIn(epochs, { fromMs: 0, toMs: 100 }))).toEqual([
      [100, 119],
      [0, 9],
    ]);
  });

  it("never goes back in time where the clock was set back", () => {
    const { epochs } = traceOf(ramp(0, 100), ramp(100, 150, { utcMs: 60 }));
    const runs = runsIn(epochs, { fromMs: 0, toMs: 200 });
    expect(spans(runs)).toEqual([
      [0, 59],
      [100, 149],
    ]);
  });

  it("agrees with a look at every frame, whatever came and whatever the window", () => {
    const random = generator(11);
    for (let round = 0; round < 200; round++) {
      const trace = new Trace(10_000);
      const here = new Set<number>();
      for (let from = 0; from < 300; from += 10) {
        if (random() < 0.25) continue;
        trace.accept(ramp(from, from + 10));
        for (let index = from; index < from + 10; index++) here.add(index);
      }
      const fromMs = random() * 300;
      const toMs = fromMs + random() * 100;
      const shown = runsIn(trace.epochs, { fromMs, toMs }).flatMap(({ from, to }) =>
        Array.from({ length: to - from + 1 }, (_, i) => from + i),
      );
      expect(shown.filter((index) => index >= fromMs && index <= toMs)).toEqual(
        [...here].filter((index) => index >= fromMs && index <= toMs),
      );
      expect(shown.every((index) => here.has(index))).toBe(true);
    }
  });
});

describe("marksIn", () => {
  it("gives a gap its place in time, between the frames beside it", () => {
    const { epochs } = traceOf(ramp(0, 20), gap(20, 10), ramp(30, 40));
    expect(marksIn(epochs, { fromMs: 0, toMs: 40 })).toEqual([
      { kind: "lost", epoch: 1n, index: 20, count: 10, reason: "overrun", fromMs: 19.5, toMs: 29.5 },
    ]);
  });

  it("marks a hole that nobody declared as missing", () => {
    const { epochs } = traceOf(ramp(0, 20), ramp(30, 40));
    expect(marksIn(epochs, { fromMs: 0, toMs: 40 })).toMatchObject([{ kind: "missing", index: 20, count: 10, fromMs: 19.5 }]);
  });

  it("marks a restart", () => {
    const { epochs } = traceOf(ramp(0, 20), ramp(0, 10, { epoch: 2n, utcMs: 50 }));
    expect(marksIn(epochs, { fromMs: 0, toMs: 60 })).toMatchObject([{ kind: "restart", epoch: 2n, fromMs: 50, toMs: 50 }]);
  });

  it("leaves out what is outside of the window", () => {
    const { epochs } = traceOf(ramp(0, 20), gap(20, 10), ramp(30, 100));
    expect(marksIn(epochs, { fromMs: 40, toMs: 60 })).toEqual([]);
  });
});

describe("joinMarks", () => {
  it("makes one of those that cannot be told apart, and counts on", () => {
    const { epochs } = traceOf(ramp(0, 20), gap(20, 2), ramp(22, 24), gap(24, 3), ramp(27, 60), gap(60, 1), ramp(61, 70));
    const marks = marksIn(epochs, { fromMs: 0, toMs: 100 });
    expect(joinMarks(marks, 5)).toMatchObject([
      { index: 20, count: 5, fromMs: 19.5, toMs: 26.5 },
      { index: 60, count: 1 },
    ]);
    expect(joinMarks(marks, 1)).toEqual(marks);
  });

  it("keeps different reasons, epochs and restarts apart", () => {
    const { epochs } = traceOf(ramp(0, 20), gap(20, 2), gap(22, 2, "late"), ramp(30, 40), ramp(0, 10, { epoch: 2n, utcMs: 41 }));
    const kinds = (marks: readonly { kind: string; reason: string }[]) => marks.map(({ kind, reason }) => `${kind} ${reason}`.trim());
    expect(kinds(joinMarks(marksIn(epochs, { fromMs: 0, toMs: 60 }), 50))).toEqual(["lost overrun", "lost late", "missing", "restart"]);
  });

  it("leaves no more than there are pixels of a stream with a loss every other frame", () => {
    const messages = Array.from({ length: 1000 }, (_, i) => [ramp(2 * i, 2 * i + 1), gap(2 * i + 1, 1)]).flat();
    expect(joinMarks(marksIn(traceOf(...messages).epochs, { fromMs: 0, toMs: 2000 }), 6)).toHaveLength(1);
  });
});

describe("nearestSpot", () => {
  it("finds the frame next to a moment, before or after it", () => {
    const { epochs } = traceOf(ramp(0, 20), ramp(30, 40));
    expect(nearestSpot(epochs, 7.4)!.index).toBe(7);
    expect(nearestSpot(epochs, 7.6)!.index).toBe(8);
    expect(nearestSpot(epochs, 22)!.index).toBe(19);
    expect(nearestSpot(epochs, 28)!.index).toBe(30);
    expect(nearestSpot(epochs, 1e6)!.index).toBe(39);
    expect(nearestSpot([], 0)).toBeNull();
  });

  it("looks into the epoch before", () => {
    const { epochs } = traceOf(ramp(100, 120, { utcMs: 0 }), ramp(0, 10, { epoch: 2n, utcMs: 50 }));
    expect(nearestSpot(epochs, 5)).toMatchObject({ epoch: 1n, index: 105, atMs: 5 });
  });
});

describe("neighbour", () => {
  it("steps from frame to frame, over gaps, and stops at the ends", () => {
    const { epochs } = traceOf(ramp(0, 20), gap(20, 10), ramp(30, 40));
    const frame = nearestSpot(epochs, 19)!;
    expect(neighbour(frame, 1)).toMatchObject({ index: 30, atMs: 30 });
    expect(neighbour(frame, -2).index).toBe(17);
    expect(neighbour(frame, 1000).index).toBe(39);
    expect(neighbour(frame, -1000).index).toBe(0);
  });
});
