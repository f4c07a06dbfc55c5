import { decodeSequence, type Message } from "./message";

/** What the relay's history answers to a question about a stream; rejects with what the relay says if it does not. */
export async function fetchSamples(base: URL, stream: string, question: Record<string, string>): Promise<Message[]> {
  const path = stream.split("/").map(encodeURIComponent).join("/");
  const url = new URL(`api/v1/streams/${path}/samples`, base);
  url.search = new URLSearchParams(question).toString();
  const answer = await fetch(url);
  if (!answer.ok) throw new Error((await answer.text()).trim() || `the relay answered ${answer.status} ${answer.statusText}`);
  return decodeSequence(await answer.arrayBuffer());
}
