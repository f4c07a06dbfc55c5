import { describe, expect, it } from "vitest";

import {
  formatCount,
  formatDate,
  formatDuration,
  formatRate,
  formatTime,
  formatValue,
  formatZone,
  timeDecimals,
  timeTicks,
  valueDecimals,
} from "../../src/core/format";

const AT = Date.UTC(2026, 0, 2, 3, 4, 5) + 6.789;

describe("times", () => {
  it("shows UTC with the decimals asked for, cut", () => {
    expect(formatTime(AT, "utc", 0)).toBe("03:04:05");
    expect(formatTime(AT, "utc", 3)).toBe("03:04:05.006");
    expect(formatTime(AT, "utc", 6)).toBe("03:04:05.006789");
    expect(formatDate(AT, "utc")).toBe("2026-01-02");
  });

  it("does not lose a millisecond to binary fractions", () => {
    for (let ms = 0; ms < 1000; ms++) {
      const at = Date.UTC(2026, 0, 1) + Number((ms * 1e6).toFixed(0)) / 1e6;
      expect(formatTime(at, "utc", 3).slice(-3)).toBe(String(ms).padStart(3, "0"));
    }
  });

  it("agrees with the browser's own local time", () => {
    const date = new Date(AT);
    const pad = (value: number) => String(value).padStart(2, "0");
    expect(formatTime(AT, "local", 0)).toBe(`${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`);
    expect(formatZone(AT, "local")).toMatch(/^UTC([+−]\d\d:\d\d)?$/);
    expect(formatZone(AT, "utc")).toBe("UTC");
  });

  it("shows microseconds only of fast streams", () => {
    expect([timeDecimals(2), timeDecimals(1), timeDecimals(0.04), timeDecimals(null)]).toEqual([3, 3, 6, 3]);
  });
});

describe("values", () => {
  it("shows a raw count's step, no less and no more", () => {
    expect([1, 0.5, 0.1, 0.0011, 4.8e-7, 10].map((scale) => valueDecimals(scale, "int16"))).toEqual([0, 1, 1, 3, 7, 0]);
    expect(valueDecimals(1, "float32")).toBe(3);
  });

  it("has a true minus sign and no minus zero", () => {
    expect(formatValue(-1.65, 3)).toBe("−1.650");
    expect(formatValue(-0.0001, 3)).toBe("0.000");
    expect(formatValue(Number.NaN, 3)).toBe("—");
  });

  it("writes rates, counts and durations for people", () => {
    expect([500, 1000 / 3, 0.5, 25_000].map(formatRate)).toEqual(["500 Hz", "333.3 Hz", "0.5 Hz", "25 kHz"]);
    expect(formatCount(1234567)).toBe("1\u202f234\u202f567");
    expect([5.4, 3210, 240_000].map(formatDuration)).toEqual(["5 ms", "3.2 s", "4 min"]);
  });
});

describe("timeTicks", () => {
  it("stands on round times, far enough apart to be read", () => {
    const { stepMs, ticks } = timeTicks(12_345, 22_345, 1000, 90);
    expect(stepMs).toBe(1000);
    expect([ticks[0], ticks.at(-1)]).toEqual([13_000, 22_000]);
    expect(timeTicks(0, 30_000, 300, 90).stepMs).toBe(10_000);
  });
});
