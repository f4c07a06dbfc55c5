import { describe, expect, it } from "vitest";

import { decimate, dotted, type Strip } from "../../src/core/decimate";
import { Trace } from "../../src/core/trace";
import { runsIn, type Window } from "../../src/core/view";
import type { Message } from "../../src/wire/message";
import { batch, envelope, gap, generator, ramp } from "../make";

const AS_IS = [{ scale: 1, offset: 0 }];

function stripOf(messages: readonly Message[], window: Window, columns: number, channels = AS_IS): Strip {
  const trace = new Trace(1_000_000);
  for (const message of messages) trace.accept(message);
  return decimate(runsIn(trace.epochs, window), window, columns, channels);
}

describe("decimate", () => {
  it("draws few frames as they are, in physical units", () => {
    const strip = stripOf([batch(0, [1, 2, 3])], { fromMs: 0, toMs: 2 }, 100, [{ scale: 0.5, offset: 10 }]);
    expect(strip).toEqual({ x: [0, 1, 2], ys: [[10.5, 11, 11.5]] });
  });

  it("breaks the line at a gap and never draws across it", () => {
    const strip = stripOf([ramp(0, 3), gap(3, 3), ramp(6, 9)], { fromMs: 0, toMs: 9 }, 100);
    expect(strip.ys[0]).toEqual([0, 1, 2, null, 6, 7, 8]);
    const many = stripOf([ramp(0, 5000), gap(5000, 100), ramp(5100, 10_000)], { fromMs: 0, toMs: 10_000 }, 100);
    const at = many.ys[0]!.indexOf(null);
    expect([many.x[at - 1], many.x[at + 1]]).toEqual([4999, 5100]);
    expect(many.ys[0]!.filter((y) => y === null)).toHaveLength(1);
  });

  it("loses no spike, wherever it stands", () => {
    const random = generator(3);
    for (let round = 0; round < 50; round++) {
      const values = new Array<number>(20_000).fill(0);
      const up = Math.floor(random() * 20_000);
      const down = Math.floor(random() * 20_000);
      values[up] = 1000;
      values[down] = -1000;
      const { ys } = stripOf([batch(0, values)], { fromMs: 0, toMs: 20_000 }, 150);
      expect(ys[0]).toContain(-1000);
      expect(up === down || ys[0]!.includes(1000)).toBe(true);
    }
  });

  it("keeps each column's extremes, as a look at every frame finds them", () => {
    const random = generator(5);
    const values = Array.from({ length: 9000 }, () => Math.floor(random() * 4000));
    const { x, ys } = stripOf([batch(0, values)], { fromMs: 0, toMs: 9000 }, 90);
    for (let i = 0; i < x.length; i += 2) {
      const inside = values.slice(x[i]!, x[i + 1]! + 1);
      const drawn = [ys[0]![i]!, ys[0]![i + 1]!].sort((a, b) => a - b);
      expect(drawn).toEqual([Math.min(...inside), Math.max(...inside)]);
    }
  });

  it("draws at most two points a column, and never back in time", () => {
    const { x } = stripOf([ramp(0, 20_000)], { fromMs: 0, toMs: 20_000 }, 200);
    expect(x.length).toBeLessThanOrEqual(2 * 201);
    expect(x.every((at, i) => i === 0 || at >= x[i - 1]!)).toBe(true);
  });

  it("draws the same columns while the window moves on: nothing shimmers", () => {
    const random = generator(9);
    const messages = [batch(0, Array.from({ length: 10_000 }, () => Math.floor(random() * 4000)))];
    const inner = ({ x, ys }: Strip) => x.map((at, i) => [at, ys[0]![i]]).filter(([at]) => at! > 2000 && at! < 4000);
    const first = stripOf(messages, { fromMs: 0, toMs: 6000 }, 60);
    const second = stripOf(messages, { fromMs: 33, toMs: 6033 }, 60);
    expect(inner(second)).toEqual(inner(first));
  });

  it("leaves a channel empty that the frames do not have", () => {
    const two = [...AS_IS, ...AS_IS];
    expect(stripOf([batch(0, [1, 2])], { fromMs: 0, toMs: 1 }, 100, two).ys[1]).toEqual([null, null]);
    const { ys } = stripOf([ramp(0, 5000)], { fromMs: 0, toMs: 5000 }, 100, two);
    expect(new Set(ys[1])).toEqual(new Set([null]));
  });

  it("breaks the line at a value that is not finite", () => {
    const strip = stripOf([batch(0, [1, 0, 3], { data: Float32Array.from([1, Number.NaN, 3]) })], { fromMs: 0, toMs: 2 }, 100);
    expect(strip.ys[0]).toEqual([1, null, 3]);
    const values = Float64Array.from({ length: 1000 }, (_, i) => (i < 500 ? Number.NaN : i));
    const { ys } = stripOf([batch(0, [...values], { data: values })], { fromMs: 0, toMs: 1000 }, 10);
    expect(ys[0]!.slice(0, 2)).toEqual([null, null]);
    expect(ys[0]!.at(-1)).toBe(999);
  });
});

describe("decimate of buckets", () => {
  const random = generator(41);
  const values = Array.from({ length: 4096 }, () => Math.floor(random() * 2000));
  values[1234] = 30_000;
  values[3333] = -30_000;
  const window = { fromMs: 0, toMs: 4096 };

  it("shows every spike, at its place, with few buckets and with many", () => {
    for (const [size, columns] of [[4, 100], [16, 256], [64, 1000]] as const) {
      const { x, ys } = stripOf([envelope(values, size, 0, 4096)], window, columns);
      const wide = Math.max(size, 4096 / columns);
      expect(Math.abs(x[ys[0]!.indexOf(30_000)]! - 1234)).toBeLessThanOrEqual(wide);
      expect(Math.abs(x[ys[0]!.indexOf(-30_000)]! - 3333)).toBeLessThanOrEqual(wide);
    }
  });

  it("draws the least and the greatest of each bucket, one above the other, and never back in time", () => {
    const { x, ys } = stripOf([envelope(values, 16, 0, 4096)], window, 256);
    expect(x).toHaveLength(2 * 256);
    for (let i = 0; i < x.length; i += 2) {
      const inside = values.slice((i / 2) * 16, (i / 2) * 16 + 16);
      expect([x[i], x[i + 1]]).toEqual([(i / 2) * 16 + 7.5, (i / 2) * 16 + 7.5]);
      expect([ys[0]![i]!, ys[0]![i + 1]!].sort((a, b) => a - b)).toEqual([Math.min(...inside), Math.max(...inside)]);
    }
  });

  it("goes on to the nearer extreme", () => {
    const { ys } = stripOf([envelope([0, 10, 1, 11, 2, 12, 3, 13], 2, 0, 8)], { fromMs: 0, toMs: 8 }, 100);
    expect(ys[0]).toEqual([0, 10, 11, 1, 2, 12, 13, 3]);
  });

  it("breaks the line where nothing was delivered", () => {
    const some = Array.from({ length: 80 }, (_, i) => (i >= 32 && i < 48 ? null : i));
    const { ys } = stripOf([envelope(some, 8, 0, 80)], { fromMs: 0, toMs: 80 }, 100);
    expect(ys[0]!.filter((y) => y === null)).toHaveLength(1);
    expect(ys[0]!.indexOf(null)).toBe(8);
  });

  it("does not go back in time where the clock is corrected", () => {
    const early = envelope(values, 16, 0, 160);
    const late = envelope(values, 16, 160, 320, { utcMs: 159.2 });
    const { x } = stripOf([early, late], { fromMs: 0, toMs: 320 }, 1000);
    expect(x.every((at, i) => i === 0 || at >= x[i - 1]!)).toBe(true);
  });
});

describe("dotted", () => {
  it("dots a sample that no line reaches", () => {
    expect(dotted([1, 2, null, 3, null, 4, 5], false)).toEqual([3]);
    expect(dotted([1], false)).toEqual([0]);
    expect(dotted([null, 1], false)).toEqual([1]);
  });

  it("dots every sample when asked to", () => {
    expect(dotted([1, null, 0], true)).toEqual([0, 2]);
  });
});
