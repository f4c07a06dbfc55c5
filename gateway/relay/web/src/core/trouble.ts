import type { LinkState } from "../wire/live";
import type { Batch, Envelope } from "../wire/message";
import { formatTime, type Zone } from "./format";
import type { Past } from "./past";

/** What stands in the way of a trace. */
export interface Trouble {
  id: string;
  title: string;
  words: string;
}

/** How everything stands. */
export interface Standing {
  /** The display that stands still, if it does. */
  past: Pick<Past, "state" | "why" | "atBeginning"> | null;
  link: LinkState;
  /** The chosen stream. */
  stream: string | null;
  /** The relay does not know it. */
  unknown: boolean;
  /** The token does not allow it. */
  forbidden: boolean;
  /** The relay has said which streams there are. */
  listed: boolean;
  /** Whether the relay has its broker; null if not known. */
  broker: boolean | null;
  /** Whether the device is there; null if not known. */
  online: boolean | null;
  newest: Batch | Envelope | null;
  /** How long nothing has come. */
  silentMs: number;
  /** UTC ms of the newest frame. */
  newestMs: number | null;
  zone: Zone;
}

/** No sample for so long is worth a word. */
const SILENT_AFTER_MS = 2_000;

/** The first thing that stands in the way of what one wants to see, or null. */
export function troubleOf(standing: Standing): Trouble | null {
  const { past, link, stream, unknown, forbidden, listed } = standing;
  if (link.kind === "locked") return null; // it is asked for
  if (past?.state === "fetching") return { id: "fetching", title: "Fetching", words: "Asking the relay for its history." };
  if (past?.state === "failed") return { id: "history", title: "No history", words: past.why };
  if (past?.atBeginning) return { id: "beginning", title: "The beginning", words: "The relay has nothing older than this." };
  if (link.kind === "waiting") {
    return { id: "relay", title: "Relay unreachable", words: "The page goes on trying by itself." };
  }
  if (link.kind === "connecting") return { id: "connecting", title: "Connecting", words: "Reaching for the relay." };
  if (unknown) {
    return { id: "unknown", title: "Unknown stream", words: `The relay does not know ${stream ?? ""}. Choose another, or wait for it.` };
  }
  if (forbidden) {
    return { id: "forbidden", title: "Not with this token", words: `It does not allow ${stream ?? ""}. Choose another stream, or sign in anew.` };
  }
  if (stream === null) {
    const words = listed ? "The relay is running and waits for a device to publish." : "Asking the relay for its streams.";
    return { id: "empty", title: "No stream yet", words };
  }
  return silence(stream, standing);
}

function silence(stream: string, { broker, online, newest, silentMs, newestMs, zone }: Standing): Trouble | null {
  const usualMs = newest?.periodMs && newest.kind === "batch" ? newest.count * newest.periodMs : 0;
  if (silentMs < SILENT_AFTER_MS + 2 * usualMs) return null;
  const since = newestMs === null ? "" : ` Its newest sample is of ${formatTime(newestMs, zone, 0)}.`;
  if (broker === false) return { id: "broker", title: "Broker away", words: `The relay tries to reach it. ${stream} waits.${since}` };
  if (online === false) return { id: "offline", title: "Device offline", words: `${stream} will go on when it is back.${since}` };
  return { id: "silent", title: "Waiting for samples", words: `${stream} is subscribed.${since}` };
}
