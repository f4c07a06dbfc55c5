/** The relay's JSON messages, and what they carry. Unknown fields and unknown types are passed over. */

export interface Channel {
  name: string;
  unit: string;
  /** physical = raw * scale + offset */
  scale: number;
  offset: number;
  /** The board's own name of the pin. */
  input: string;
}

/** The retained description of a stream. */
export interface Meta {
  revision: number;
  /** Nominal frames a second; null if irregular. */
  rate: number | null;
  dtype: string;
  channels: Channel[];
}

/** A line of GET /api/v1/streams. */
export interface StreamEntry {
  stream: string;
  device: string;
  name: string;
  online: boolean;
  meta: Meta | null;
}

export type ServerMessage =
  | { type: "hello"; server: string; locked: boolean }
  | { type: "subscribed"; stream: string; meta: Meta | null; online: boolean | null; recovered: boolean | null }
  | { type: "meta"; stream: string; meta: Meta | null }
  | { type: "status"; device: string; online: boolean }
  | { type: "broker"; connected: boolean }
  | { type: "pong" }
  | { type: "error"; code: string; message: string };

type Json = Record<string, unknown>;

/** The message in a text, or null if it is none that the page knows. */
export function parseServerMessage(text: string): ServerMessage | null {
  const message = object(parseJson(text));
  if (!message) return null;
  switch (message["type"]) {
    case "hello":
      return { type: "hello", server: string(message["server"]), locked: message["auth"] === "required" };
    case "subscribed": {
      const status = object(message["status"]);
      const online = status ? status["online"] === true : null;
      const recovered = typeof message["recovered"] === "boolean" ? message["recovered"] : null;
      return { type: "subscribed", stream: string(message["stream"]), meta: parseMeta(message["meta"]), online, recovered };
    }
    case "meta":
      return { type: "meta", stream: string(message["stream"]), meta: parseMeta(message["meta"]) };
    case "status":
      return { type: "status", device: string(message["device"]), online: object(message["status"])?.["online"] === true };
    case "broker":
      return { type: "broker", connected: message["connected"] === true };
    case "pong":
      return { type: "pong" };
    case "error":
      return { type: "error", code: string(message["code"]), message: string(message["message"]) };
    default:
      return null;
  }
}

/** The answer of GET /api/v1/streams. */
export function parseStreams(answer: unknown): StreamEntry[] {
  const streams = object(answer)?.["streams"];
  if (!Array.isArray(streams)) return [];
  return streams.flatMap((item: unknown) => {
    const entry = object(item);
    if (!entry || typeof entry["stream"] !== "string") return [];
    return [
      {
        stream: entry["stream"],
        device: string(entry["device"]),
        name: string(entry["name"]),
        online: entry["online"] === true,
        meta: parseMeta(entry["meta"]),
      },
    ];
  });
}

/** The meta, or null if it is none. */
export function parseMeta(value: unknown): Meta | null {
  const meta = object(value);
  if (!meta || !Array.isArray(meta["channels"])) return null;
  return {
    revision: number(meta["revision"], 0),
    rate: parseRate(meta["rate"]),
    dtype: string(meta["dtype"]),
    channels: meta["channels"].map(parseChannel),
  };
}

function parseChannel(value: unknown, position: number): Channel {
  const channel = object(value) ?? {};
  return {
    name: string(channel["name"]) || `channel ${position + 1}`,
    unit: string(channel["unit"]),
    scale: number(channel["scale"], 1),
    offset: number(channel["offset"], 0),
    input: string(channel["input"]),
  };
}

function parseRate(value: unknown): number | null {
  if (!Array.isArray(value) || value.length !== 2) return null;
  const rate = Number(value[0]) / Number(value[1]);
  return rate > 0 && Number.isFinite(rate) ? rate : null;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function object(value: unknown): Json | null {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : null;
}

function string(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function number(value: unknown, fallback: number): number {
  return typeof value === "number" && Number.isFinite(value) ? value : fallback;
}
