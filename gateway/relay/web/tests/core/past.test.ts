import { describe, expect, it, vi } from "vitest";

import { Past, type Question } from "../../src/core/past";
import type { Plan } from "../../src/core/plan";
import { Trace } from "../../src/core/trace";
import { nearestSpot } from "../../src/core/view";
import type { Message } from "../../src/wire/message";
import { envelope, ramp } from "../make";

const SAMPLES: Plan = { kind: "samples", seconds: 1 };
const ENVELOPE: Plan = { kind: "envelope", seconds: 1, width: 100 };
const HELD_FROM = 9000;
const HELD_TO = 10_000;

/** A history of the frames in some ranges, frame i at i ms, and all that it was asked. */
class History {
  asked: Question[] = [];
  constructor(private readonly ranges: readonly (readonly [number, number])[]) {}

  ask = (question: Question): Promise<Message[]> => {
    this.asked.push(question);
    const inside = (from: number, to: number) =>
      this.ranges.flatMap(([start, end]) => {
        const [first, last] = [Math.max(start, Math.ceil(from)), Math.min(end, Math.ceil(to))];
        return first < last ? [ramp(first, last)] : [];
      });
    const ms = (name: string) => Number(BigInt(question[name]!) / 1_000_000n);
    if ("index" in question) return Promise.resolve(this.ranges.slice(0, 1).map(([start]) => ramp(start, start + 1)));
    if ("before" in question) return Promise.resolve(inside(0, ms("at")).slice(-1).map((part) => ramp(part.index + part.count - 1, part.index + part.count)));
    if ("after" in question) return Promise.resolve(inside(ms("at"), 1e9).slice(0, 1).map((part) => ramp(part.index, part.index + 1)));
    if (!("points" in question)) return Promise.resolve(inside(ms("from"), ms("to")));
    return Promise.resolve(inside(ms("from"), ms("to")).map((part) => envelope([...new Array<null>(part.index).fill(null), ...Array.from(part.data, Number)], 8, part.index, part.index + part.count)));
  };
}

function pastOf(history: History, held?: Trace): { past: Past; settled: () => Promise<void> } {
  const trace = held ?? new Trace(2000);
  if (!held) trace.accept(ramp(HELD_FROM, HELD_TO));
  const past = new Past(trace, { fromMs: HELD_TO - 500, toMs: HELD_TO - 1 }, history.ask, () => undefined);
  const settled = () => vi.waitFor(() => expect(past.state).not.toBe("fetching"));
  return { past, settled };
}

function turn(past: Past, byMs: number, plan = SAMPLES): void {
  const { fromMs, toMs } = past.window;
  past.look({ fromMs: fromMs + byMs, toMs: toMs + byMs }, plan, byMs < 0 ? -1 : 1);
}

function shows(past: Past, index: number): boolean {
  return nearestSpot(past.trace.epochs, index)?.index === index;
}

describe("Past", () => {
  it("asks for nothing as long as what is held will do", () => {
    const history = new History([[0, HELD_TO]]);
    const { past } = pastOf(history);
    turn(past, -300);
    turn(past, 200);
    expect(history.asked).toEqual([]);
    expect(past.trace.oldestMs).toBe(HELD_FROM);
  });

  it("fetches what is older, with some beside it, and keeps it to go to and fro", async () => {
    const history = new History([[0, HELD_TO]]);
    const { past, settled } = pastOf(history);
    turn(past, -2000);
    expect(past.state).toBe("fetching");
    await settled();
    expect(past.window).toEqual({ fromMs: 7500, toMs: 7999 });
    expect([shows(past, 7500), shows(past, 7999), past.atBeginning]).toEqual([true, true, false]);
    const asked = history.asked.length;
    turn(past, -200);
    turn(past, 400);
    expect(history.asked).toHaveLength(asked);
    turn(past, 2000);
    await settled();
    expect(past.trace.oldestMs).toBe(HELD_FROM);
    expect(past.atEnd).toBe(true);
  });

  it("stops at the beginning of the history and says so", async () => {
    const { past, settled } = pastOf(new History([[4000, HELD_TO]]));
    for (let page = 0; page < 30 && !past.atBeginning; page++) {
      turn(past, -250);
      await settled();
    }
    expect(past.window).toEqual({ fromMs: 4000, toMs: 4499 });
    expect([past.atBeginning, shows(past, 4000)]).toEqual([true, true]);
    past.lookAtBeginning(2000, SAMPLES);
    await settled();
    expect(past.window).toEqual({ fromMs: 4000, toMs: 6000 });
  });

  it("goes to the beginning at once", async () => {
    const { past, settled } = pastOf(new History([[4000, HELD_TO]]));
    past.lookAtBeginning(500, SAMPLES);
    expect(past.window.fromMs).toBeGreaterThan(HELD_FROM);
    await settled();
    expect(past.window).toEqual({ fromMs: 4000, toMs: 4500 });
    expect(past.atBeginning).toBe(true);
  });

  it("passes over a stretch in which there is nothing, either way", async () => {
    const { past, settled } = pastOf(new History([[1000, 2000], [8000, HELD_TO]]));
    past.look({ fromMs: 8000, toMs: 8500 }, SAMPLES);
    await settled();
    turn(past, -1000);
    await settled();
    expect(past.window.toMs).toBeCloseTo(1999 + 50, 6);
    turn(past, 1000);
    await settled();
    expect(past.window.fromMs).toBeCloseTo(8000 - 50, 6);
  });

  it("goes where one turns to last, however fast one turns", async () => {
    const history = new History([[0, HELD_TO]]);
    const { past, settled } = pastOf(history);
    for (let page = 0; page < 20; page++) turn(past, -400);
    await settled();
    expect(past.window).toEqual({ fromMs: 1500, toMs: 1999 });
    expect(shows(past, 1700)).toBe(true);
    expect(history.asked.filter((question) => "from" in question)).toHaveLength(1);
  });

  it("takes the extremes where there are too many samples, and the samples again where not", async () => {
    const history = new History([[0, HELD_TO]]);
    const { past, settled } = pastOf(history);
    turn(past, -5000, ENVELOPE);
    await settled();
    expect(past.trace.current!.ring!.size).toBe(8);
    expect(history.asked.at(-1)).toMatchObject({ format: "cbor", points: "100" });
    const { fromMs, toMs } = past.window;
    past.look({ fromMs, toMs }, SAMPLES);
    await settled();
    expect(past.trace.current!.ring!.size).toBe(1);
  });

  it("does not take buckets that were held for a longer span for good enough", async () => {
    const held = new Trace(20_000);
    held.accept(envelope(new Array<number>(HELD_TO).fill(1), 64, 0, HELD_TO));
    const history = new History([[0, HELD_TO]]);
    const { past, settled } = pastOf(history, held);
    past.look(past.window, { kind: "envelope", seconds: 1, width: 20 });
    expect(history.asked).toEqual([]);
    past.look(past.window, ENVELOPE);
    await settled();
    expect(past.trace.current!.ring!.size).toBe(8);
  });

  it("looks in the history for what did not come here", async () => {
    const held = new Trace(2000);
    held.accept(ramp(HELD_FROM, 9400));
    held.accept(ramp(9600, HELD_TO));
    const { past, settled } = pastOf(new History([[0, HELD_TO]]), held);
    past.look({ fromMs: 9300, toMs: 9800 }, SAMPLES);
    await settled();
    expect(shows(past, 9500)).toBe(true);
  });

  it("says why when there is no answer, and tries again when one turns again", async () => {
    const history = new History([[0, HELD_TO]]);
    let broken = true;
    const { past, settled } = pastOf(history);
    const ask = history.ask;
    const failing = new Past(past.trace, past.window, (question) => (broken ? Promise.reject(new Error("gone away")) : ask(question)), () => undefined);
    turn(failing, -2000);
    await vi.waitFor(() => expect(failing.state).toBe("failed"));
    expect(failing.why).toBe("gone away");
    broken = false;
    turn(failing, -100);
    await vi.waitFor(() => expect(failing.state).toBe("shown"));
    await settled();
  });

  it("begins with what is held where the relay has no history at all", async () => {
    const { past, settled } = pastOf(new History([]));
    turn(past, -5000);
    await settled();
    expect(past.window.fromMs).toBe(HELD_FROM);
    expect(past.atBeginning).toBe(true);
  });

  it("never turns beyond where it was stopped", () => {
    const { past } = pastOf(new History([[0, HELD_TO + 5000]]));
    turn(past, 3000);
    expect(past.window.toMs).toBe(HELD_TO - 1);
    expect(past.atEnd).toBe(true);
  });

  it("keeps a bounded number of fetched parts", async () => {
    const history = new History([[0, HELD_TO]]);
    const { past, settled } = pastOf(history);
    for (let place = 8000; place > 0; place -= 800) {
      past.look({ fromMs: place, toMs: place + 300 }, SAMPLES);
      await settled();
    }
    expect((past as unknown as { sheets: unknown[] }).sheets).toHaveLength(6);
  });
});
