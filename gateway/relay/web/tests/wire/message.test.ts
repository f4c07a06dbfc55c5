import { describe, expect, it } from "vitest";

import { nsToMs } from "../../src/wire/fields";
import { DecodeError, decodeMessage, type Batch } from "../../src/wire/message";

// Written by gateway/codec/cbor.py.
const REGULAR =
  "a961760161651b0000000300005eed61691903e861741b18776f28ca5f4d15616d18376172821903e80361711a0016e360" +
  "6163046164d82882820302d84d4cfdffff07ff0f000007000080";
const IRREGULAR =
  "a961760161650161690061741b18776f28c3038000616d18376171f66163016164d82882820201d855480000c3420080c442" +
  "616fd84f500000000000000000002f685900000000";
const GAP = "a561760161651b7fffffffffffffff61691903e8616e183263776879676f76657272756e";

function bytes(hex: string): ArrayBuffer {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)).buffer;
}

describe("decodeMessage", () => {
  it("reads a regular batch as the device's codec writes it", () => {
    const message = decodeMessage(bytes(REGULAR)) as Batch;
    expect(message).toMatchObject({
      kind: "batch",
      epoch: (3n << 32n) | 0x5eedn,
      index: 1000,
      count: 3,
      channels: 2,
      periodMs: 3,
      offsetsNs: null,
      clockErrorNs: 1_500_000,
      revision: 4,
    });
    expect(message.data).toEqual(Int16Array.from([-3, 2047, 4095, 0, 7, -32768]));
    expect(message.utcMs).toBeCloseTo(1_763_000_000_123.456_789, 3);
  });

  it("views the samples in the payload where they are aligned, and copies them where not", () => {
    // An index of two bytes instead of three moves the samples by one.
    const payloads = [bytes(REGULAR), bytes(REGULAR.replace("1903e8", "1832"))];
    const samples = payloads.map((payload) => (decodeMessage(payload) as Batch).data);
    expect(samples[0]).toEqual(samples[1]);
    expect(samples.map(({ buffer }, i) => buffer === payloads[i]).sort()).toEqual([false, true]);
  });

  it("reads an irregular batch of floats with a time for each frame", () => {
    const message = decodeMessage(bytes(IRREGULAR)) as Batch;
    expect(message.periodMs).toBeNull();
    expect(message.clockErrorNs).toBeNull();
    expect(message.data).toEqual(Float32Array.from([97.5, 98.25]));
    expect(message.offsetsNs).toEqual(BigInt64Array.from([0n, 1_500_000_000n]));
  });

  it("reads a gap, and an epoch of 63 bits exactly", () => {
    const message = decodeMessage(bytes(GAP));
    expect(message).toEqual({ kind: "gap", epoch: (1n << 63n) - 1n, index: 1000, count: 50, reason: "overrun" });
  });

  it.each([
    ["nothing", ""],
    ["a text", "6161"],
    ["an array", "80"],
    ["a map without a version", "a0"],
    ["another version", "a1617602"],
    ["a gap of no frames", "a5617601616501616900616e0063776879646c617465"],
    ["samples without a shape", REGULAR.replace("d82882820302d84d", "d84d")],
    ["a shape of another size", REGULAR.replace("82820302", "82820402")],
    ["a rate of zero", REGULAR.replace("821903e803", "8219000003")],
  ])("refuses %s", (_what, hex) => {
    expect(() => decodeMessage(bytes(hex))).toThrow(DecodeError);
  });

  it("refuses every truncation of a batch with the same error", () => {
    for (let length = 0; length < REGULAR.length; length += 2) {
      expect(() => decodeMessage(bytes(REGULAR.slice(0, length)))).toThrow(DecodeError);
    }
  });
});

describe("nsToMs", () => {
  it("keeps the microsecond at today's date", () => {
    expect(nsToMs(1_763_000_000_123_456_000n) - 1_763_000_000_123).toBeCloseTo(0.456, 3);
  });
});
