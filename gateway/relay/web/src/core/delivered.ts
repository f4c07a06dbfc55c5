import type { Envelope } from "../wire/message";
import type { Range } from "./coverage";

/**
 * The frames that an envelope says were delivered, ascending. Its first bucket may begin before anything is known,
 * then its frames are the last of the bucket; its last one may have frames yet to come, then they are the first.
 *
 * `known`: the index after the last frame that was heard of before. A lone bucket that is not whole does not tell
 * where in it its frames are; it is left out unless it goes on from there.
 */
export function deliveredIn(envelope: Envelope, known: number): Range[] {
  const { index, size, count, delivered } = envelope;
  const listed = lossesByBucket(envelope);
  const unknown = (bucket: number) => Math.max(0, size - delivered[bucket]! - listed[bucket]!);
  const last = count - 1;
  if (last === 0 && known < index && unknown(0) > 0) return [];

  const ranges: Range[] = [];
  const take = (start: number, end: number) => {
    const before = ranges.at(-1);
    if (before?.end === start) before.end = end;
    else if (start < end) ranges.push({ start, end });
  };
  for (let bucket = 0; bucket <= last; bucket++) {
    const start = index + bucket * size;
    if (bucket === 0 && last > 0) take(start + unknown(0), start + size);
    // More losses than are listed: the newest are, and where the others are in their bucket is not known.
    else take(start, start + size - unknown(bucket));
  }
  return without(ranges, envelope);
}

function lossesByBucket({ index, size, count, losses }: Envelope): Float64Array {
  const listed = new Float64Array(count);
  for (const loss of losses) {
    const end = loss.index + loss.count;
    for (let at = loss.index; at < end; ) {
      const bucket = Math.floor((at - index) / size);
      const to = Math.min(end, index + (bucket + 1) * size);
      listed[bucket]! += to - at;
      at = to;
    }
  }
  return listed;
}

/** The ranges without the losses; both ascending. */
function without(ranges: readonly Range[], { losses }: Envelope): Range[] {
  const left: Range[] = [];
  let next = 0;
  for (const { start, end } of ranges) {
    let at = start;
    while (next < losses.length && losses[next]!.index + losses[next]!.count <= start) next++;
    for (let i = next; i < losses.length && losses[i]!.index < end; i++) {
      const loss = losses[i]!;
      if (loss.index > at) left.push({ start: at, end: loss.index });
      at = Math.max(at, loss.index + loss.count);
    }
    if (at < end) left.push({ start: at, end });
  }
  return left;
}
