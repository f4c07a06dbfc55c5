import type { Channel } from "../wire/control";
import { formatValue, valueDecimals } from "./format";
import type { EpochTrace } from "./trace";
import { nearestSpot, type Mark, type Spot, type Window } from "./view";

/** What the cursor reads. */
export interface Reading {
  /** Null between frames: in a gap. */
  spot: Spot | null;
  mark: Mark | null;
  atMs: number;
  periodMs: number | null;
  /** One text a channel. */
  values: readonly string[];
}

/** Physical values of one channel: of a frame the same twice, of a bucket the least and the greatest. */
export type Extremes = readonly [number, number];

export interface Scales {
  channels: readonly Channel[];
  dtype: string;
}

/** What stands at a moment: in a gap the gap, else the nearest frame or bucket in the window. */
export function readAt(epochs: readonly EpochTrace[], marks: readonly Mark[], window: Window, atMs: number, scales: Scales): Reading | null {
  const mark = marks.find((m) => m.kind !== "restart" && m.fromMs <= atMs && atMs < m.toMs) ?? null;
  const periodMs = epochs.at(-1)?.ring?.periodMs ?? null;
  if (mark) return { spot: null, mark, atMs, periodMs, values: scales.channels.map(() => "—") };
  const spot = nearestSpot(epochs, Math.min(Math.max(atMs, window.fromMs), window.toMs));
  return spot && readSpot(spot, scales);
}

export function readSpot(spot: Spot, scales: Scales): Reading {
  return { spot, mark: null, atMs: spot.atMs, periodMs: spot.ring.periodMs, values: texts(spot, scales) };
}

/** The physical values of every channel; NaN where the frames do not have it. */
export function physical({ ring, slot }: Spot, { channels }: Scales): Extremes[] {
  return channels.map(({ scale, offset }, channel) => {
    if (channel >= ring.channels) return [Number.NaN, Number.NaN];
    const [one, other] = [ring.low(slot, channel) * scale + offset, ring.high(slot, channel) * scale + offset];
    return one <= other ? [one, other] : [other, one];
  });
}

/** The value of every channel, or its range. */
export function texts(spot: Spot, scales: Scales): string[] {
  return physical(spot, scales).map(([low, high], channel) => {
    const decimals = valueDecimals(scales.channels[channel]!.scale, scales.dtype);
    const [one, other] = [formatValue(low, decimals), formatValue(high, decimals)];
    return spot.ring.size === 1 || one === other ? one : `${one}${BETWEEN}${other}`;
  });
}

/** Between the least and the greatest value. */
export const BETWEEN = " … ";
