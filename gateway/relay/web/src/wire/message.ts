/**
 * A stream's binary messages, exactly as on MQTT: CBOR (RFC 8949) with typed arrays (RFC 8746).
 * The writer is gateway/codec/cbor.py; the fields are named in gateway/codec/fields.py.
 */
import { Decoder } from "cbor-x/decode-no-eval";

export type Samples =
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array;

/** Consecutive frames. */
export interface Batch {
  kind: "batch";
  epoch: bigint;
  /** Index of the first frame. */
  index: number;
  /** How many frames. */
  count: number;
  channels: number;
  /** Row-major raw values, `count` × `channels`; views the payload where its alignment permits. */
  data: Samples;
  /** UTC of the first frame, ms since 1970. */
  utcMs: number;
  /** Time from frame to frame in ms; null if the stream is irregular. */
  periodMs: number | null;
  /** Each frame's time after `utcMs`, ns; irregular streams only. */
  offsetsNs: BigInt64Array | null;
  /** Bound of the clock's error in ns; null while the device's clock is not synchronised. */
  clockErrorNs: number | null;
  /** The revision of the meta that the batch was made under. */
  revision: number;
}

/** Frames that will never come: [index, index + count), and why. */
export interface Gap {
  kind: "gap";
  epoch: bigint;
  index: number;
  count: number;
  reason: string;
}

export type Message = Batch | Gap;

/** The payload is not a message of ours. */
export class DecodeError extends Error {}

const MULTI_DIMENSIONAL = 40;
const SCHEMA_VERSION = 1;
const decoder = new Decoder({ mapsAsObjects: true, useRecords: false });

/** The message in a payload; throws DecodeError, and nothing else, for any other bytes. */
export function decodeMessage(payload: ArrayBuffer): Message {
  const fields = parse(payload);
  const version = whole(fields, "v");
  if (version !== SCHEMA_VERSION) throw new DecodeError(`schema version ${version} is not known here`);
  return "d" in fields ? batch(fields) : gap(fields);
}

type Fields = Record<string, unknown>;

function parse(payload: ArrayBuffer): Fields {
  let content: unknown;
  try {
    content = decoder.decode(new Uint8Array(payload));
  } catch (error) {
    throw new DecodeError(`not CBOR: ${String(error)}`);
  }
  if (typeof content !== "object" || content === null || Array.isArray(content)) {
    throw new DecodeError(`a message must be a map, not ${typeof content}`);
  }
  return content as Fields;
}

function batch(fields: Fields): Batch {
  const { count, channels, data } = shaped(fields["d"]);
  const offsets = fields["o"];
  if (offsets !== undefined && !(offsets instanceof BigInt64Array && offsets.length === count)) {
    throw new DecodeError("field 'o' must hold one int64 for each frame");
  }
  return {
    kind: "batch",
    epoch: big(fields, "e"),
    index: whole(fields, "i"),
    count,
    channels,
    data,
    utcMs: nsToMs(big(fields, "t")),
    periodMs: period(fields["r"]),
    offsetsNs: offsets ?? null,
    clockErrorNs: fields["q"] == null ? null : Number(big(fields, "q")),
    revision: whole(fields, "c"),
  };
}

function gap(fields: Fields): Gap {
  const reason = fields["why"];
  if (typeof reason !== "string") throw new DecodeError("field 'why' must be a text");
  const count = whole(fields, "n");
  if (count === 0) throw new DecodeError("a gap must have at least one frame");
  return { kind: "gap", epoch: big(fields, "e"), index: whole(fields, "i"), count, reason };
}

function shaped(value: unknown): { count: number; channels: number; data: Samples } {
  if (!isTag(value) || value.tag !== MULTI_DIMENSIONAL || !Array.isArray(value.value)) {
    throw new DecodeError("field 'd' must be a multi-dimensional array (RFC 8746, tag 40)");
  }
  const [shape, data] = value.value as [unknown, unknown];
  if (!Array.isArray(shape) || shape.length !== 2 || !ArrayBuffer.isView(data) || data instanceof DataView) {
    throw new DecodeError("field 'd' must be [[frames, channels], typed array]");
  }
  const [count, channels] = shape as [unknown, unknown];
  const samples = data as Samples;
  if (!isCount(count) || !isCount(channels) || channels === 0 || samples.length !== count * channels) {
    throw new DecodeError(`field 'd' has ${samples.length} values, not ${String(count)} x ${String(channels)}`);
  }
  return { count, channels, data: samples };
}

/** What cbor-x makes of a tag that it has no type for. */
function isTag(value: unknown): value is { tag: number; value: unknown } {
  return typeof value === "object" && value !== null && "tag" in value && "value" in value;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function whole(fields: Fields, key: string): number {
  const value = fields[key];
  const number = typeof value === "bigint" ? Number(value) : value;
  if (!isCount(number)) throw new DecodeError(`field '${key}' must be a whole number, not ${String(value)}`);
  return number;
}

function big(fields: Fields, key: string): bigint {
  const value = fields[key];
  if (typeof value === "bigint") return value;
  if (!Number.isSafeInteger(value)) {
    throw new DecodeError(`field '${key}' must be a whole number, not ${String(value)}`);
  }
  return BigInt(value as number);
}

function period(value: unknown): number | null {
  if (value === undefined || value === null) return null;
  if (Array.isArray(value) && value.length === 2) {
    const [numerator, denominator] = value.map(Number) as [number, number];
    if (numerator > 0 && denominator > 0) return (1000 * denominator) / numerator;
  }
  throw new DecodeError("field 'r' must be two positive whole numbers");
}

/** Exact to a quarter of a microsecond, the resolution of a double at today's date. */
export function nsToMs(ns: bigint): number {
  return Number(ns / 1_000_000n) + Number(ns % 1_000_000n) / 1e6;
}
