import { describe, expect, it } from "vitest";

import { troubleOf, type Standing } from "../../src/core/trouble";
import { ramp } from "../make";

const WELL: Standing = {
  past: null,
  link: { kind: "open" },
  stream: "demo/ecg",
  unknown: false,
  forbidden: false,
  listed: true,
  broker: true,
  online: true,
  newest: ramp(0, 100),
  silentMs: 50,
  newestMs: 0,
  zone: "utc",
};

describe("troubleOf", () => {
  it("has nothing to say when all is well", () => {
    expect(troubleOf(WELL)).toBeNull();
    expect(troubleOf({ ...WELL, past: { state: "shown", why: "", atBeginning: false } })).toBeNull();
  });

  it.each<[string, Partial<Standing>]>([
    ["fetching", { past: { state: "fetching", why: "", atBeginning: false }, silentMs: 1e6 }],
    ["history", { past: { state: "failed", why: "gone", atBeginning: false } }],
    ["beginning", { past: { state: "shown", why: "", atBeginning: true } }],
    ["relay", { link: { kind: "waiting", retryAtMs: 0 }, broker: false }],
    ["connecting", { link: { kind: "connecting" } }],
    ["unknown", { unknown: true }],
    ["forbidden", { forbidden: true }],
    ["empty", { stream: null }],
    ["broker", { silentMs: 5000, broker: false, online: false }],
    ["offline", { silentMs: 5000, online: false }],
    ["silent", { silentMs: 5000 }],
  ])("names the first thing in the way: %s", (id, changes) => {
    expect(troubleOf({ ...WELL, ...changes })?.id).toBe(id);
  });

  it("says nothing while the relay asks for a token", () => {
    expect(troubleOf({ ...WELL, link: { kind: "locked" }, silentMs: 1e6 })).toBeNull();
  });

  it("waits for a stream whose batches are long", () => {
    const slow = { ...ramp(0, 10), periodMs: 1000 };
    expect(troubleOf({ ...WELL, newest: slow, silentMs: 15_000 })).toBeNull();
    expect(troubleOf({ ...WELL, newest: slow, silentMs: 25_000 })?.words).toContain("00:00:00");
  });
});
