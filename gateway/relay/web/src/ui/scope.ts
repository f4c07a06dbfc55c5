import { decimate } from "../core/decimate";
import { formatTime, timeDecimals, type Zone } from "../core/format";
import { Past, type Ask, type Direction } from "../core/past";
import type { Plan } from "../core/plan";
import { physical, readAt, readSpot, texts, type Reading } from "../core/reading";
import { SweepClock } from "../core/sweep";
import { Trace } from "../core/trace";
import { joinMarks, marksIn, nearestSpot, neighbour, newestSpot, runsIn, type Mark, type Spot, type Window } from "../core/view";
import type { Channel, Meta } from "../wire/control";
import type { Message } from "../wire/message";
import { Cursor } from "./cursor";
import { make, setAttribute } from "./dom";
import { readPalette } from "./palette";
import { Panels } from "./panels";
import { tellShown } from "./told";

/** A little more than the longest span, so that its left edge is whole. */
const KEPT_MS = 34_000;
/** A running display without data goes on for this part of its width, then waits. */
const HOLD = 0.25;
/** Marks closer together than this cannot be told apart, device px. */
const MARKS_APART_PX = 3;
/** Numbers change at most so often, to stay legible. */
const VALUES_EVERY_MS = 200;

export interface ScopeEvents {
  onReading(reading: Reading | null): void;
  /** Paused, running again, or turned to another time. */
  onTurn(): void;
  /** The plotting area has so many pixels across now, device px. */
  onColumns(columns: number): void;
}

/** The oscilloscope: what is held of one stream, the panels that draw it, and the cursor that reads it. */
export class Scope {
  readonly root = make("div", { class: "scope", "data-testid": "plot" });
  trace = new Trace(KEPT_MS);
  /** The display that stands still, while it does. */
  past: Past | null = null;
  private clock = new SweepClock();
  private channels: Channel[] = [];
  private revision: number | null = null;
  private dtype = "";
  private palette = readPalette();
  private panels: Panels;
  private cursor: Cursor;
  private edgeMs = 0;
  private pointer: number | null = null;
  private pinned: { atMs: number; spot: Spot | null } | null = null;
  private dirty = true;
  private drawnEdgeMs = 0;
  private valuesMs = 0;

  constructor(
    private spanMs: number,
    private zone: Zone,
    /** How the stream is to be had for the present view. */
    private readonly plan: () => Plan,
    private readonly ask: Ask,
    private readonly events: ScopeEvents,
  ) {
    this.panels = new Panels(this.palette, zone, () => this.redraw());
    this.cursor = new Cursor({
      onPoint: (fraction) => this.point(fraction),
      onLeave: () => this.leave(),
      onStep: (slots) => this.step(slots),
    });
    this.root.append(this.panels.root, this.cursor.root);
    new ResizeObserver(() => this.events.onColumns(this.columns)).observe(this.cursor.root);
  }

  get paused(): boolean {
    return this.past !== null;
  }

  /** How wide the plotting area is, device px; it need not be there yet. */
  get columns(): number {
    return Math.round(this.cursor.width * devicePixelRatio) || window.innerWidth;
  }

  /** Whether what comes is the past, as fast as it can be sent. */
  get catchingUp(): boolean {
    return this.clock.catchingUp;
  }

  /** Begin anew: another stream. */
  reset(): void {
    this.trace = new Trace(KEPT_MS);
    this.clock = new SweepClock();
    this.revision = null;
    this.setChannels([]);
    this.resume();
    for (const name of ["data-epoch", "data-newest-index", "data-marks"]) setAttribute(this.root, name, null);
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

  catchUp(): void {
    this.clock.catchUp();
  }

  /** A message came; returns how many frames it brought that are newer than all before. */
  accept(message: Message, nowMs: number): number {
    if (message.kind !== "gap" && this.channels.length !== message.channels) this.setChannels(unnamed(message.channels));
    const { newestMs: before, current: last } = this.trace;
    const end = last?.coverage.end ?? 0;
    const fresh = this.trace.accept(message);
    const { newestMs: newest, current } = this.trace;
    if (newest !== null && newest !== before) this.clock.arrived(nowMs, newest);
    this.dirty ||= !this.paused;
    return current === last && current ? Math.min(fresh, current.coverage.end - end) : fresh;
  }

  setSpan(spanMs: number): void {
    this.spanMs = spanMs;
    if (this.past) this.past.look({ fromMs: this.past.window.toMs - spanMs, toMs: this.past.window.toMs }, this.plan());
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
    this.turn(part * this.spanMs);
  }

  /** Turn the paused display by some time; negative is back. */
  turn(byMs: number): void {
    if (!this.past) return;
    const { fromMs, toMs } = this.past.window;
    this.pinned = null;
    this.past.look({ fromMs: fromMs + byMs, toMs: toMs + byMs }, this.plan(), Math.sign(byMs) as Direction);
    this.turned();
  }

  /** Turn the paused display to the beginning of the history, or to where it was stopped. */
  turnToEnd(which: "first" | "last"): void {
    this.pinned = null;
    if (which === "first") this.past?.lookAtBeginning(this.spanMs, this.plan());
    else this.turn(Number.MAX_SAFE_INTEGER);
    this.turned();
  }

  /** Say how many frames came, drawn or not. */
  tellReceived(frames: number): void {
    setAttribute(this.root, "data-received", String(frames));
  }

  /** Say whether the relay had all that was missing after an interruption; null if that was not asked. */
  tellRecovered(recovered: boolean | null): void {
    setAttribute(this.root, "data-recovered", recovered === null ? null : String(recovered));
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
    return this.past?.trace ?? this.trace;
  }

  private get window(): Window {
    return this.past?.window ?? { fromMs: this.edgeMs - this.spanMs, toMs: this.edgeMs };
  }

  private get scales(): { channels: readonly Channel[]; dtype: string } {
    return { channels: this.channels, dtype: this.dtype };
  }

  private pause(): void {
    this.pinned = this.pointer === null ? null : { atMs: this.pointedMs(this.pointer), spot: null };
    this.past = new Past(this.trace.clone(), this.window, this.ask, () => this.turned());
    this.turned();
  }

  private resume(): void {
    this.past = this.pinned = null;
    this.turned();
  }

  private turned(): void {
    this.redraw();
    this.events.onTurn();
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
    const { window } = this;
    const { columns } = this.panels;
    const marks = joinMarks(marksIn(epochs, window), (MARKS_APART_PX * this.spanMs) / columns);
    const strip = decimate(runsIn(epochs, window), window, columns, this.channels);
    this.panels.draw({ window, strip, marks, nowMs });
    this.drawCursor(marks, nowMs);
    tellShown(this.root, { paused: this.paused, window, marks, trace: this.shown });
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
      heights: reading.spot ? this.panels.heights(physical(reading.spot, this.scales)) : [],
      flag: formatTime(reading.atMs, this.zone, timeDecimals(reading.periodMs)),
    });
  }

  private showNewest(nowMs: number): void {
    this.valuesMs = nowMs;
    const spot = newestSpot(this.shown.current);
    this.panels.showValues(spot ? texts(spot, this.scales) : []);
  }

  private read(atMs: number, marks: readonly Mark[]): Reading | null {
    const pinned = this.pinned?.spot;
    if (pinned) return readSpot(pinned, this.scales);
    return readAt(this.shown.epochs, marks, this.window, atMs, this.scales);
  }

  private pointedMs(fraction: number): number {
    return this.window.fromMs + fraction * this.spanMs;
  }

  private point(fraction: number): void {
    this.pointer = fraction;
    if (this.paused) this.pinned = { atMs: this.pointedMs(fraction), spot: null };
    this.redraw();
  }

  /** A paused display keeps the cursor where it was left. */
  private leave(): void {
    this.pointer = null;
    this.redraw();
  }

  private step(slots: number): void {
    const { past } = this;
    if (!past) return;
    const { toMs } = past.window;
    const from = this.pinned?.spot ?? nearestSpot(this.shown.epochs, this.pinned?.atMs ?? toMs);
    if (!from) return;
    const spot = this.pinned ? neighbour(from, slots) : from;
    this.pinned = { atMs: spot.atMs, spot };
    const edgeMs = Math.min(Math.max(toMs, spot.atMs), spot.atMs + this.spanMs);
    if (edgeMs !== toMs) past.look({ fromMs: edgeMs - this.spanMs, toMs: edgeMs }, this.plan());
    this.redraw();
  }
}

/** Stand-ins until the stream is described. */
function unnamed(count: number): Channel[] {
  return Array.from({ length: count }, (_, i) => ({ name: `channel ${i + 1}`, unit: "", scale: 1, offset: 0, input: "" }));
}
