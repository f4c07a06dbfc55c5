import { describe, expect, it } from "vitest";

import { decodeMessage, decodeSequence, DecodeError, type Envelope } from "../../src/wire/message";
import { generator } from "../make";

// Written by gateway/relay/envelope/live.py.
const REGULAR =
  "ac61760161651b0000000300005eed616919030061741b18776f28a0e32f156162190100616e016172821903e803616b820001626c6f" +
  "d82882820102d84d4419fc0100626869d82882820102d84d441600d2046175d846440e000000616782831903f403676f76657272756e831903f701f6";
const IRREGULAR =
  "ab61760161650161690061741b0de0b6b3a7640000616204616e02616fd84f50000000000000000000286bee00000000616b8100626c6fd828" +
  "82820201d85548000050c00000a040626869d82882820201d85548000080400000c0406175d846480400000002000000";
const EMPTY = "ab617601616501616904617400616204616e00616fd84f40616b8100626c6fd82882820001d85540626869d82882820001d855406175d84640";

function bytes(hex: string): ArrayBuffer {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)).buffer;
}

describe("decodeMessage of an envelope", () => {
  it("reads one as the relay writes it", () => {
    const message = decodeMessage(bytes(REGULAR)) as Envelope;
    expect(message).toMatchObject({
      kind: "envelope",
      epoch: (3n << 32n) | 0x5eedn,
      index: 768,
      size: 256,
      count: 1,
      channels: 2,
      periodMs: 3,
      offsetsNs: null,
      losses: [
        { index: 1012, count: 3, reason: "overrun" },
        { index: 1015, count: 1, reason: null },
      ],
    });
    expect([message.lo, message.hi, message.delivered]).toEqual([
      Int16Array.from([-999, 1]),
      Int16Array.from([22, 1234]),
      Uint32Array.from([14]),
    ]);
  });

  it("reads an irregular one with a time for each bucket, and one without buckets", () => {
    expect(decodeMessage(bytes(IRREGULAR))).toMatchObject({
      periodMs: null,
      offsetsNs: BigInt64Array.from([0n, 4_000_000_000n]),
      lo: Float32Array.from([-3.25, 5]),
      losses: [],
    });
    expect(decodeMessage(bytes(EMPTY))).toMatchObject({ count: 0, channels: 1 });
  });

  it.each([
    ["buckets of no frames", REGULAR.replace("6162190100", "6162190000")],
    ["buckets that do not begin at a multiple of their size", REGULAR.replace("6169190300", "6169190301")],
    ["more frames than a bucket has", REGULAR.replace("d846440e000000", "d8464401010000")],
    ["a count for other buckets", REGULAR.replace("616e01", "616e02")],
    ["extremes of different shapes", REGULAR.replace("6869d82882820102d84d441600d204", "6869d82882820201d84d441600d204")],
    ["other channels than all", REGULAR.replace("616b820001", "616b820100")],
    ["a loss outside of the buckets", REGULAR.replace("831903f403", "8319040003")],
    ["losses that overlap", REGULAR.replace("831903f701", "831903f501")],
    ["a loss of no frames", REGULAR.replace("831903f701", "831903f700")],
    ["a loss whose reason is a number", REGULAR.replace("831903f701f6", "831903f70105")],
    ["losses that are no list", IRREGULAR.replace("ab", "ac") + "616705"],
    ["times for other buckets", IRREGULAR.replace("d84f50000000000000000000286bee00000000", "d84f480000000000000000")],
  ])("refuses %s", (_what, hex) => {
    expect(() => decodeMessage(bytes(hex))).toThrow(DecodeError);
  });

  it("ends in a message or in the one error, whatever the bytes", () => {
    const random = generator(17);
    for (const hex of [REGULAR, IRREGULAR, EMPTY]) {
      for (let round = 0; round < 1000; round++) {
        const payload = new Uint8Array(bytes(hex));
        for (let change = 0; change <= random() * 3; change++) payload[Math.floor(random() * payload.length)] = random() * 256;
        const cut = random() < 0.2 ? payload.slice(0, random() * payload.length) : payload;
        try {
          const message = decodeMessage(cut.buffer);
          if (message.kind !== "envelope") continue;
          expect(message.lo.length).toBe(message.count * message.channels);
          expect(message.hi.length).toBe(message.lo.length);
          expect(message.delivered.every((frames) => frames <= message.size)).toBe(true);
          expect(message.index % message.size).toBe(0);
        } catch (error) {
          expect(error).toBeInstanceOf(DecodeError);
        }
      }
    }
  });
});

describe("decodeSequence", () => {
  it("reads one message after the other", () => {
    expect(decodeSequence(bytes(REGULAR + IRREGULAR)).map((message) => message.epoch)).toEqual([(3n << 32n) | 0x5eedn, 1n]);
    expect(decodeSequence(new ArrayBuffer(0))).toEqual([]);
  });

  it("refuses all if one of them is none", () => {
    expect(() => decodeSequence(bytes(REGULAR + "a0"))).toThrow(DecodeError);
    expect(() => decodeSequence(bytes(REGULAR + IRREGULAR.slice(0, 40)))).toThrow(DecodeError);
  });
});
