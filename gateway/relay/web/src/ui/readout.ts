import {
  formatCount,
  formatDate,
  formatDuration,
  formatRate,
  formatTime,
  formatZone,
  timeDecimals,
  type Zone,
} from "../core/format";
import type { Reading } from "../core/reading";
import type { Account } from "../core/trace";
import type { Spot } from "../core/view";
import { make, setAttribute, setText } from "./dom";
import { describeMark } from "./marks";

/** The line at the bottom: what the cursor reads. */
export class Readout {
  readonly root: HTMLElement;
  private readonly time = make("span", { class: "cursor-time", "data-testid": "cursor-time" });
  private readonly date = make("span", { class: "cursor-date" });
  private readonly index = make("span", { class: "cursor-index", "data-testid": "cursor-index" });
  private readonly hint = make("span", { class: "hint" }, "Point at the trace to read a sample. Space pauses.");

  constructor() {
    this.root = make("footer", { class: "readout", "data-testid": "readout" }, this.time, this.date, this.index, this.hint);
    this.show(null, "utc");
  }

  /** A reader of screens is told of each reading, but only while the trace stands still. */
  showPaused(paused: boolean): void {
    setAttribute(this.root, "aria-live", paused ? "polite" : "off");
  }

  show(reading: Reading | null, zone: Zone): void {
    this.hint.hidden = reading !== null;
    this.time.hidden = this.date.hidden = this.index.hidden = reading === null;
    setAttribute(this.root, "data-index", reading?.spot ? String(reading.spot.index) : null);
    setAttribute(this.root, "data-utc-ms", reading?.spot ? reading.spot.atMs.toFixed(3) : null);
    setAttribute(this.root, "data-gap", reading?.mark ? reading.mark.reason || reading.mark.kind : null);
    if (!reading) return;
    setText(this.time, formatTime(reading.atMs, zone, timeDecimals(reading.periodMs)));
    setText(this.date, `${formatDate(reading.atMs, zone)} ${formatZone(reading.atMs, zone)}`);
    setText(this.index, reading.mark ? describeMark(reading.mark) : reading.spot ? describeSpot(reading.spot) : "");
  }
}

function describeSpot({ index, ring: { size } }: Spot): string {
  if (size === 1) return `frame ${formatCount(index)}`;
  return `least … greatest of frames ${formatCount(index)} to ${formatCount(index + size - 1)}`;
}

/** The figures that say how the stream does. */
export interface Figures {
  /** Hz; null while not known. */
  measured: number | null;
  nominal: number | null;
  /** Age of the newest frame on arrival, by this computer's clock, ms. */
  delayMs: number | null;
  /** Bound of the device's clock error, ns; null if it is not synchronised, undefined if nothing is known. */
  clockErrorNs: number | null | undefined;
  account: Account;
}

/** Beyond this an age says only that the clocks differ. */
const PLAUSIBLE_DELAY_MS = 60_000;

/** Rate, delay, clock and losses, as a list of terms. */
export class Metrics {
  private readonly rate: HTMLElement;
  private readonly delay: HTMLElement;
  private readonly clock: HTMLElement;
  private readonly lost: HTMLElement;
  private readonly missed: HTMLElement;
  private readonly reasons = make("span", { class: "reasons", "data-testid": "lost-reasons" });

  constructor(list: HTMLElement) {
    this.rate = term(list, "Rate", "rate", "Frames a second as they arrive here, of the nominal rate");
    this.delay = term(list, "Delay", "delay", "Age of the newest sample on arrival, by the clocks of device and this computer");
    this.clock = term(list, "Clock", "clock", "Bound of the error of the device's clock");
    this.lost = term(list, "Lost", "lost", "Frames declared lost of what this page asked for, and why");
    this.lost.after(this.reasons);
    this.missed = term(list, "Missed", "missed", "Frames that are not here and were not declared lost (yet)");
  }

  show(figures: Figures): void {
    setText(this.rate, rateWords(figures));
    setText(this.delay, delayWords(figures.delayMs));
    setText(this.clock, clockWords(figures.clockErrorNs));
    const { lost, missing, undecodable } = figures.account;
    showCount(this.lost, [...lost.values()].reduce((sum, count) => sum + count, 0));
    showCount(this.missed, missing);
    setText(this.reasons, reasonWords(lost, undecodable));
  }
}

function term(list: HTMLElement, name: string, id: string, title: string): HTMLElement {
  const value = make("span", { "data-testid": id }, "—");
  list.append(make("div", { title }, make("dt", {}, name), make("dd", {}, value)));
  return value;
}

function showCount(element: HTMLElement, count: number): void {
  setText(element, formatCount(count));
  setAttribute(element, "data-count", String(count));
  setAttribute(element, "data-health", count > 0 ? "bad" : "good");
}

function rateWords({ measured, nominal }: Figures): string {
  const now = measured === null ? "—" : formatRate(measured);
  return nominal === null ? now : `${now} / ${formatRate(nominal)}`;
}

function delayWords(delayMs: number | null): string {
  if (delayMs === null) return "—";
  if (delayMs < -20 || delayMs > PLAUSIBLE_DELAY_MS) return "clocks differ";
  return formatDuration(Math.max(0, delayMs));
}

function clockWords(errorNs: number | null | undefined): string {
  if (errorNs === undefined) return "—";
  if (errorNs === null) return "not synchronised";
  return errorNs < 1e6 ? `± ${Math.max(1, Math.round(errorNs / 1000))} µs` : `± ${formatDuration(errorNs / 1e6)}`;
}

function reasonWords(lost: ReadonlyMap<string, number>, undecodable: number): string {
  const several = lost.size > 1;
  const parts = [...lost].map(([reason, count]) => reason.replaceAll("_", " ") + (several ? ` ${formatCount(count)}` : ""));
  if (undecodable > 0) parts.push(`undecodable messages ${formatCount(undecodable)}`);
  return parts.join(", ");
}
