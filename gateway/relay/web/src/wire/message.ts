/**
 * A stream's binary messages: batches and gaps exactly as on MQTT, and envelopes.
 * The writers are gateway/codec/cbor.py and gateway/relay/envelope/live.py.
 */
import { envelope, type Envelope } from "./envelope";
import { big, DecodeError, nsToMs, offsets, parse, parseSequence, period, shaped, whole, type Fields, type Samples } from "./fields";

export { DecodeError, type Envelope };

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

export type Message = Batch | Gap | Envelope;

/** The message in a payload; throws DecodeError, and nothing else, for any other bytes. */
export function decodeMessage(payload: ArrayBuffer): Message {
  return message(parse(payload));
}

/** The messages in a payload, one after the other; throws DecodeError, and nothing else, for any other bytes. */
export function decodeSequence(payload: ArrayBuffer): Message[] {
  return parseSequence(payload).map(message);
}

function message(fields: Fields): Message {
  if ("b" in fields) return envelope(fields);
  return "d" in fields ? batch(fields) : gap(fields);
}

function batch(fields: Fields): Batch {
  const { rows: count, columns: channels, data } = shaped(fields, "d");
  if (count === 0) throw new DecodeError("a batch must have at least one frame");
  return {
    kind: "batch",
    epoch: big(fields, "e"),
    index: whole(fields, "i"),
    count,
    channels,
    data,
    utcMs: nsToMs(big(fields, "t")),
    periodMs: period(fields["r"]),
    offsetsNs: offsets(fields, count),
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
