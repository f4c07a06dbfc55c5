/** What all binary messages share: CBOR (RFC 8949) with typed arrays (RFC 8746), and checks of every field. */
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

/** The payload is not a message of ours. */
export class DecodeError extends Error {}

export type Fields = Record<string, unknown>;

const MULTI_DIMENSIONAL = 40;
const SCHEMA_VERSION = 1;
const decoder = new Decoder({ mapsAsObjects: true, useRecords: false });

/** The map in a payload; throws DecodeError. */
export function parse(payload: ArrayBuffer): Fields {
  return checked(attempt(() => decoder.decode(new Uint8Array(payload)) as unknown));
}

/** The maps in a payload, one after the other (RFC 8742); throws DecodeError. */
export function parseSequence(payload: ArrayBuffer): Fields[] {
  if (payload.byteLength === 0) return [];
  return (attempt(() => decoder.decodeMultiple(new Uint8Array(payload))) as unknown[]).map(checked);
}

function attempt<T>(decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    throw new DecodeError(`not CBOR: ${String(error)}`);
  }
}

function checked(content: unknown): Fields {
  if (typeof content !== "object" || content === null || Array.isArray(content)) {
    throw new DecodeError(`a message must be a map, not ${typeof content}`);
  }
  const fields = content as Fields;
  const version = whole(fields, "v");
  if (version !== SCHEMA_VERSION) throw new DecodeError(`schema version ${version} is not known here`);
  return fields;
}

/** A two-dimensional array: rows, columns and the values row by row. */
export function shaped(fields: Fields, key: string): { rows: number; columns: number; data: Samples } {
  const value = fields[key];
  if (!isTag(value) || value.tag !== MULTI_DIMENSIONAL || !Array.isArray(value.value)) {
    throw new DecodeError(`field '${key}' must be a multi-dimensional array (RFC 8746, tag 40)`);
  }
  const [shape, data] = value.value as [unknown, unknown];
  if (!Array.isArray(shape) || shape.length !== 2 || !ArrayBuffer.isView(data) || data instanceof DataView) {
    throw new DecodeError(`field '${key}' must be [[rows, columns], typed array]`);
  }
  const [rows, columns] = shape as [unknown, unknown];
  const samples = data as Samples;
  if (!isCount(rows) || !isCount(columns) || columns === 0 || samples.length !== rows * columns) {
    throw new DecodeError(`field '${key}' has ${samples.length} values, not ${String(rows)} x ${String(columns)}`);
  }
  return { rows, columns, data: samples };
}

/** What cbor-x makes of a tag that it has no type for. */
function isTag(value: unknown): value is { tag: number; value: unknown } {
  return typeof value === "object" && value !== null && "tag" in value && "value" in value;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** A whole number that JavaScript holds exactly, or null; CBOR's of eight bytes come as bigint. */
export function count(value: unknown): number | null {
  const number = typeof value === "bigint" ? Number(value) : value;
  return isCount(number) ? number : null;
}

export function whole(fields: Fields, key: string): number {
  const value = fields[key];
  const number = count(value);
  if (number === null) throw new DecodeError(`field '${key}' must be a whole number, not ${String(value)}`);
  return number;
}

export function big(fields: Fields, key: string): bigint {
  const value = fields[key];
  if (typeof value === "bigint") return value;
  if (!Number.isSafeInteger(value)) {
    throw new DecodeError(`field '${key}' must be a whole number, not ${String(value)}`);
  }
  return BigInt(value as number);
}

/** Time from frame to frame in ms; null if the stream is irregular. */
export function period(value: unknown): number | null {
  if (value === undefined || value === null) return null;
  if (Array.isArray(value) && value.length === 2) {
    const [numerator, denominator] = value.map(Number) as [number, number];
    if (numerator > 0 && denominator > 0) return (1000 * denominator) / numerator;
  }
  throw new DecodeError("field 'r' must be two positive whole numbers");
}

/** Times after the first one, ns; null if there are none, because the rate tells them. */
export function offsets(fields: Fields, count: number): BigInt64Array | null {
  const value = fields["o"];
  if (value === undefined) return null;
  if (value instanceof BigInt64Array && value.length === count) return value;
  throw new DecodeError(`field 'o' must hold ${count} int64`);
}

/** Exact to a quarter of a microsecond, the resolution of a double at today's date. */
export function nsToMs(ns: bigint): number {
  return Number(ns / 1_000_000n) + Number(ns % 1_000_000n) / 1e6;
}
