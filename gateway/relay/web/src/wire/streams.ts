import { parseStreams, type StreamEntry } from "./control";

/** The streams the relay knows; rejects if it cannot be reached. */
export async function fetchStreams(base: URL): Promise<StreamEntry[]> {
  const answer = await fetch(new URL("api/v1/streams", base), { headers: { accept: "application/json" } });
  if (!answer.ok) throw new Error(`the relay answered ${answer.status} ${answer.statusText}`);
  return parseStreams(await answer.json());
}

/** The address of the live WebSocket beside the page. */
export function liveUrl(base: URL): string {
  const url = new URL("api/v1/live", base);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}
