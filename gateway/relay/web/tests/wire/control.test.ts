import { describe, expect, it } from "vitest";

import { parseMeta, parseServerMessage, parseStreams } from "../../src/wire/control";

const META = {
  v: 1,
  revision: 2,
  stream: "ecg",
  rate: [1000, 3],
  dtype: "int16",
  codec: "cbor",
  channels: [{ name: "lead_i", unit: "mV", scale: 0.0011, offset: -1.65, input: "P9_39" }],
};

describe("parseMeta", () => {
  it("takes the rate as a fraction and the channels as they are", () => {
    const meta = parseMeta(META)!;
    expect(meta.rate).toBeCloseTo(1000 / 3);
    expect(meta.channels).toEqual(META.channels);
  });

  it("knows a stream without a rate", () => {
    expect(parseMeta({ ...META, rate: null })!.rate).toBeNull();
  });

  it("gives a channel without a description a name and the scale one", () => {
    expect(parseMeta({ ...META, channels: [{}] })!.channels).toEqual([
      { name: "channel 1", unit: "", scale: 1, offset: 0, input: "" },
    ]);
  });

  it("is null for anything else", () => {
    for (const value of [null, 1, "meta", [], {}]) expect(parseMeta(value)).toBeNull();
  });
});

describe("parseServerMessage", () => {
  it("knows whether the relay asks for a token", () => {
    expect(parseServerMessage('{"type":"hello","server":"headwater","auth":"required"}')).toMatchObject({ locked: true });
    expect(parseServerMessage('{"type":"hello","server":"headwater"}')).toMatchObject({ locked: false });
  });

  it("reads what a subscription is answered with", () => {
    const text = JSON.stringify({ type: "subscribed", stream: "demo/ecg", meta: META, status: { v: 1, online: true } });
    expect(parseServerMessage(text)).toMatchObject({ type: "subscribed", stream: "demo/ecg", online: true });
  });

  it("does not take a device without a status for offline", () => {
    const text = JSON.stringify({ type: "subscribed", stream: "demo/ecg", meta: null, status: null });
    expect(parseServerMessage(text)).toMatchObject({ type: "subscribed", stream: "demo/ecg", meta: null, online: null });
  });

  it("reads status, broker and error", () => {
    expect(parseServerMessage('{"type":"status","device":"demo","status":{"online":false}}')).toEqual({
      type: "status",
      device: "demo",
      online: false,
    });
    expect(parseServerMessage('{"type":"broker","connected":true}')).toEqual({ type: "broker", connected: true });
    expect(parseServerMessage('{"type":"error","code":"unknown_stream","message":"no"}')).toEqual({
      type: "error",
      code: "unknown_stream",
      message: "no",
    });
  });

  it("passes over what it does not know", () => {
    for (const text of ["", "{", "[]", "1", '{"type":"recipe"}']) expect(parseServerMessage(text)).toBeNull();
  });
});

describe("parseStreams", () => {
  it("reads the streams and passes over what is none", () => {
    const entry = { stream: "demo/ecg", device: "demo", name: "ecg", online: true, meta: META, last_utc_ns: null };
    const streams = parseStreams({ streams: [entry, 1, {}] });
    expect(streams.map(({ stream, online }) => [stream, online])).toEqual([["demo/ecg", true]]);
  });

  it("is empty for anything else", () => {
    expect(parseStreams([])).toEqual([]);
  });
});
