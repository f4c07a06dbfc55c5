import { decimate } from "../core/decimate";
import { formatTime, formatValue, timeDecimals, valueDecimals, type Zone } from "../core/format";
import { SweepClock } from "../core/sweep";
import { Trace } from "../core/trace";
import { marksIn, nearestFrame, neighbour, runsIn, type Frame, type Mark, type Window } from "../core/view";
import type { Channel, Meta } from "../wire/control";
import type { Message } from "../wire/message";
import { Cursor } from "./cursor";
import { make, setAttribute } from "./dom";
import { readPalette } from "./palette";
import { Panels } from "./panels";

/** A little more than the longest span, so that its left edge is whole. */
const KEPT_MS = 34_000;
/** A running display without data goes on for this part of its width, then waits. */
const HOLD = 0.25;
/** Numbers change at most so often, to stay legible. */
const VALUES_EVERY_MS = 200;

/** What the cursor reads. */
export interface Reading {
  /** Null between frames: in a gap. */
  frame: Frame | null;
  mark: Mark | null;
  atMs: number;
  periodMs: number | null;
  values: readonly string[];
}

export interface ScopeEvents {
  onReading(reading: Reading | null): void;
  onPause(paused: boolean): void;
}

/** The oscilloscope: what is held of one stream, the panels that draw it, and the cursor that reads it. */
export class Scope {
  readonly root = make("div", { class: "scope", "data-testid": "plot" });
  trace = new Trace(KEPT_MS);
  private clock = new SweepClock();
  private channels: Channel[] = [];
  private revision: number | null = null;
  private dtype = "";
  private palette = readPalette();
  private panels: Panels;
  private cursor: Cursor;
  /** A copy of the trace as it was when the display was paused. */
  private frozen: Trace | null = null;
  private edgeMs = 0;
  private window: Window = { fromMs: 0, toMs: 1 };
  private pointer: number | null = null;
  private pinned: { atMs: number; frame: Frame | null } | null = null;
  private dirty = true;
  private drawnEdgeMs = 0;
  private valuesMs = 0;

  constructor(
    private spanMs: number,
    private zone: Zone,
    private readonly events: ScopeEvents,
  ) {
    this.panels = new Panels(this.palette, zone, () => this.redraw());
    this.cursor = new Cursor({
      onPoint: (fraction) => this.point(fraction),
      onLeave: () => this.leave(),
      onStep: (frames) => this.step(frames),
    });
    this.root.append(this.panels.root, this.cursor.root);
  }

  get paused(): boolean {
    return this.frozen !== null;
  }

  /** Begin anew: another stream. */
  reset(): void {
    this.trace = new Trace(KEPT_MS);
    this.clock = new SweepClock();
    this.revision = null;
    this.setChannels([]);
    this.resume();
    for (const name of ["data-epoch", "data-newest-index"]) setAttribute(this.root, name, null);
  }

  /** The stream is described, perhaps anew. */
  describe(meta: Meta | null): void {
    if (!meta) return;
    // What was taken under another revision had other scales.
    if (this.revision !== null && this.revision !== meta.revision) this.trace.clear();
    this.revision = meta.revision;
    this.dtype = meta.dtype;
    if (JSON.stringify(meta.channels) !== JSON.stringify(this.channels)) this.setChannels(meta.channels);
  }

  /** A message came; returns how many new frames it brought. */
  accept(message: Message, nowMs: number): number {
    if (message.kind === "batch" && this.channels.length !== message.channels) this.setChannels(unnamed(message.channels));
    const before = this.trace.newestMs;
    const fresh = this.trace.accept(message);
    const newest = this.trace.newestMs;
    if (newest !== null && newest !== before) this.clock.arrived(nowMs, newest);
    this.dirty ||= !this.paused;
    return fresh;
  }

  setSpan(spanMs: number): void {
    this.spanMs = spanMs;
    this.redraw();
  }

  restyle(zone: Zone): void {
    this.zone = zone;
    this.palette = readPalette();
    this.panels.restyle(this.palette, zone);
    this.redraw();
  }

  togglePause(): void {
    if (this.paused) this.resume();
    else this.pause();
  }

  /** Turn the paused display by a part of its width; negative is back. */
  page(part: number): void {
    if (!this.frozen) return;
    const newest = this.frozen.newestMs ?? this.edgeMs;
    const oldest = newest - KEPT_MS + this.spanMs;
    this.edgeMs = Math.min(newest, Math.max(oldest, this.edgeMs + part * this.spanMs));
    this.pinned = null;
    this.redraw();
  }

  /** Say how many frames came, drawn or not. */
  tellReceived(frames: number): void {
    setAttribute(this.root, "data-received", String(frames));
  }

  redraw(): void {
    this.dirty = true;
  }

  /** Draw if there is anything new to see; called once a frame of the screen. */
  frame(nowMs: number): void {
    this.advance(nowMs);
    const pixelMs = this.spanMs / this.panels.columns;
    if (!this.dirty && Math.abs(this.edgeMs - this.drawnEdgeMs) < pixelMs / 2) return;
    this.dirty = false;
    this.drawnEdgeMs = this.edgeMs;
    this.draw(nowMs);
  }

  private get shown(): Trace {
    return this.frozen ?? this.trace;
  }

  private pause(): void {
    this.frozen = this.trace.clone();
    this.pinned = this.pointer === null ? null : { atMs: this.pointedMs(this.pointer), frame: null };
    this.redraw();
    this.events.onPause(true);
  }

  private resume(): void {
    this.frozen = null;
    this.pinned = null;
    this.redraw();
    this.events.onPause(false);
  }

  private setChannels(channels: Channel[]): void {
    this.channels = channels;
    this.panels.setChannels(channels);
    this.cursor.setChannels(channels.length, this.palette.traces.length);
    this.redraw();
  }

  private advance(nowMs: number): void {
    if (this.paused) return;
    const edge = this.clock.edgeMs(nowMs, this.trace.newestMs, this.spanMs * HOLD);
    if (edge !== null) this.edgeMs = edge;
  }

  private draw(nowMs: number): void {
    const { epochs } = this.shown;
    this.window = { fromMs: this.edgeMs - this.spanMs, toMs: this.edgeMs };
    const marks = marksIn(epochs, this.window);
    const strip = decimate(runsIn(epochs, this.window), this.window, this.panels.columns, this.channels);
    this.panels.draw({ window: this.window, strip, marks, nowMs });
    this.drawCursor(marks, nowMs);
    this.tell(marks);
  }

  private drawCursor(marks: readonly Mark[], nowMs: number): void {
    const atMs = this.pinned?.atMs ?? (this.pointer === null ? null : this.pointedMs(this.pointer));
    const reading = atMs === null ? null : this.read(atMs, marks);
    this.events.onReading(reading);
    if (!reading) {
      this.cursor.hide();
      if (nowMs - this.valuesMs > VALUES_EVERY_MS || this.paused) this.showNewest(nowMs);
      return;
    }
    this.panels.showValues(reading.values);
    const share = (reading.atMs - this.window.fromMs) / this.spanMs;
    this.cursor.show({
      x: share * this.cursor.width,
      heights: reading.frame ? this.panels.heights(this.physical(reading.frame)) : [],
      flag: formatTime(reading.atMs, this.zone, timeDecimals(reading.periodMs)),
    });
  }

  private showNewest(nowMs: number): void {
    this.valuesMs = nowMs;
    const part = this.shown.current;
    const ring = part?.ring;
    if (!part || !ring || ring.newest < 0) return this.panels.showValues([]);
    const frame = { ring, epoch: part.epoch, index: ring.newest, atMs: ring.newestMs };
    this.panels.showValues(this.texts(frame));
  }

  /** What stands at a moment: in a gap the gap, else the nearest frame. */
  private read(atMs: number, marks: readonly Mark[]): Reading | null {
    const pinned = this.pinned?.frame;
    const mark = pinned ? null : (marks.find((m) => m.kind !== "restart" && m.fromMs <= atMs && atMs < m.toMs) ?? null);
    const periodMs = this.shown.current?.ring?.periodMs ?? null;
    if (mark) return { frame: null, mark, atMs, periodMs, values: this.channels.map(() => "—") };
    const frame = pinned ?? nearestFrame(this.shown.epochs, Math.min(Math.max(atMs, this.window.fromMs), this.window.toMs));
    return frame && { frame, mark, atMs: frame.atMs, periodMs, values: this.texts(frame) };
  }

  private physical(frame: Frame): number[] {
    return this.channels.map(({ scale, offset }, channel) =>
      channel < frame.ring.channels ? frame.ring.raw(frame.index, channel) * scale + offset : Number.NaN,
    );
  }

  private texts(frame: Frame): string[] {
    return this.physical(frame).map((value, channel) => formatValue(value, valueDecimals(this.channels[channel]!.scale, this.dtype)));
  }

  private pointedMs(fraction: number): number {
    return this.window.fromMs + fraction * this.spanMs;
  }

  private point(fraction: number): void {
    this.pointer = fraction;
    if (this.paused) this.pinned = { atMs: this.pointedMs(fraction), frame: null };
    this.redraw();
  }

  /** A paused display keeps the cursor where it was left. */
  private leave(): void {
    this.pointer = null;
    this.redraw();
  }

  private step(frames: number): void {
    if (!this.paused) return;
    const atMs = this.pinned?.atMs ?? this.window.toMs;
    const from = this.pinned?.frame ?? nearestFrame(this.shown.epochs, atMs);
    if (!from) return;
    const frame = this.pinned ? neighbour(from, frames) : from;
    this.pinned = { atMs: frame.atMs, frame };
    this.edgeMs = Math.min(Math.max(this.edgeMs, frame.atMs), frame.atMs + this.spanMs);
    this.redraw();
  }

  /** Say on the root what is shown, for tests and for other scripts that read the page. */
  private tell(marks: readonly Mark[]): void {
    const part = this.shown.current;
    setAttribute(this.root, "data-paused", String(this.paused));
    setAttribute(this.root, "data-from-ms", this.window.fromMs.toFixed(3));
    setAttribute(this.root, "data-to-ms", this.window.toMs.toFixed(3));
    setAttribute(this.root, "data-marks", JSON.stringify(marks.map(summary)));
    if (!part?.ring) return;
    setAttribute(this.root, "data-epoch", String(part.epoch));
    setAttribute(this.root, "data-newest-index", String(part.ring.newest));
  }
}

function summary({ kind, reason, index, count, fromMs, toMs }: Mark): object {
  return { kind, reason, index, count, from_ms: fromMs, to_ms: toMs };
}

/** Stand-ins until the stream is described. */
function unnamed(count: number): Channel[] {
  return Array.from({ length: count }, (_, i) => ({ name: `channel ${i + 1}`, unit: "", scale: 1, offset: 0, input: "" }));
}
