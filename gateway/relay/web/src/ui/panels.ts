import uPlot from "uplot";

import { dotted, type Strip } from "../core/decimate";
import { formatTime, timeTicks, type Zone } from "../core/format";
import { AutoRange, spanOf } from "../core/range";
import { BETWEEN, type Extremes } from "../core/reading";
import type { Mark, Window } from "../core/view";
import type { Channel } from "../wire/control";
import { make, setText } from "./dom";
import { labelMarks, shadeMarks } from "./marks";
import { traceColour, type Palette } from "./palette";

/** Where the plotting area stands in each panel, CSS px. The style sheet's `--axis` and `--edge` say the same. */
export const AXIS_PX = 58;
const EDGE_PX = 10;
const TIME_AXIS_PX = 30;
const BARE_AXIS_PX = 4;
const TICK_APART_PX = 92;
const LABEL_HALF_PX = 34;
const LINE_PX = 1.5;
/** Without a graphics processor a hairline costs a fraction of a wider line: beyond so many points there is nothing but hairlines. */
const HAIRLINE_FROM_POINTS = 8000;
const HAIRLINE_PX = 1;
const DOT_PX = 5;
/** Every sample has a dot where the samples stand so far apart. */
const DOTS_APART_PX = 14;
const FONT = "11px system-ui, sans-serif";

/** One drawing of all the panels. */
export interface Picture {
  window: Window;
  strip: Strip;
  marks: readonly Mark[];
  nowMs: number;
}

interface Panel {
  root: HTMLElement;
  body: HTMLElement;
  value: HTMLElement;
  range: AutoRange;
  plot: uPlot;
}

/** A panel for each channel, one above the other on one time axis. */
export class Panels {
  readonly root = make("div", { class: "panels" });
  private panels: Panel[] = [];
  private channels: Channel[] = [];
  private marks: readonly Mark[] = [];
  private window: Window = { fromMs: 0, toMs: 1 };
  private readonly resized = new ResizeObserver(() => this.fit());

  constructor(
    private palette: Palette,
    private zone: Zone,
    /** The panels changed their size and are blank now. */
    private readonly onResize: () => void,
  ) {}

  /** How wide the plotting area is, device px. */
  get columns(): number {
    const plot = this.panels[0]?.plot;
    return plot ? Math.max(1, Math.round(plot.bbox.width)) : 1;
  }

  /** Begin anew with these channels. */
  setChannels(channels: Channel[]): void {
    this.clear();
    this.channels = channels;
    this.panels = channels.map((channel, position) => this.build(channel, position));
    this.root.replaceChildren(...this.panels.map((panel) => panel.root));
    for (const panel of this.panels) this.resized.observe(panel.body);
  }

  /** Take on another theme or another way to show times. */
  restyle(palette: Palette, zone: Zone): void {
    this.palette = palette;
    this.zone = zone;
    this.setChannels(this.channels);
  }

  draw({ window, strip, marks, nowMs }: Picture): void {
    this.window = window;
    this.marks = marks;
    const width = strip.x.length * this.panels.length > HAIRLINE_FROM_POINTS ? HAIRLINE_PX : LINE_PX;
    this.panels.forEach(({ plot, range }, channel) => {
      const values = strip.ys[channel] ?? [];
      plot.series[1]!.width = width;
      const { low, high } = range.follow(spanOf(values), nowMs);
      plot.batch(() => {
        plot.setData([strip.x, values], false);
        plot.setScale("x", { min: window.fromMs, max: window.toMs });
        plot.setScale("y", { min: low, max: high });
      });
    });
  }

  /** Write each channel's number beside its trace. */
  showValues(texts: readonly string[]): void {
    this.panels.forEach(({ value }, channel) => {
      const text = texts[channel] ?? "—";
      setText(value, text);
      value.classList.toggle("extremes", text.includes(BETWEEN));
    });
  }

  /** How far below the top of `root` each channel's values stand, CSS px. */
  heights(values: readonly Extremes[]): number[][] {
    return this.panels.map(({ body, plot }, channel) => {
      const top = plot.over.getBoundingClientRect().top - this.root.getBoundingClientRect().top;
      const ends = body.isConnected ? [...new Set(values[channel])] : [];
      return ends.map((value) => top + plot.valToPos(value, "y"));
    });
  }

  private clear(): void {
    this.resized.disconnect();
    for (const panel of this.panels) panel.plot.destroy();
    this.panels = [];
  }

  private fit(): void {
    let changed = false;
    for (const { body, plot } of this.panels) {
      const size = { width: body.clientWidth, height: body.clientHeight };
      if (size.width === 0 || size.height === 0) continue;
      if (size.width === plot.width && size.height === plot.height) continue;
      plot.setSize(size);
      changed = true;
    }
    if (changed) this.onResize();
  }

  private build(channel: Channel, position: number): Panel {
    const last = position === this.channels.length - 1;
    const value = make("output", { class: "value", "data-testid": "value", "data-channel": channel.name }, "—");
    const swatch = make("span", { class: `swatch trace-${(position % this.palette.traces.length) + 1}` });
    const head = make(
      "header",
      { class: "panel-head" },
      make("h2", {}, swatch, channel.name),
      make("p", { class: "number" }, value, make("span", { class: "unit" }, channel.unit)),
      make("p", { class: "input" }, channel.input),
    );
    const body = make("div", { class: "panel-body" });
    const label = `Trace of ${channel.name}${channel.unit ? ` in ${channel.unit}` : ""}`;
    const attributes = { class: last ? "panel last" : "panel", "data-testid": "panel", "aria-label": label };
    const root = make("section", attributes, body, head);
    const plot = new uPlot(this.options(channel, position, last), [[], []], body);
    plot.root.querySelectorAll("canvas").forEach((canvas) => canvas.setAttribute("aria-hidden", "true"));
    return { root, body, value, range: new AutoRange(), plot };
  }

  private options(channel: Channel, position: number, last: boolean): uPlot.Options {
    const colour = traceColour(this.palette, position);
    const points = {
      show: true,
      size: DOT_PX,
      width: 0,
      fill: colour,
      filter: (plot: uPlot, series: number) => {
        const y = plot.data[series] as (number | null)[];
        return dotted(y, y.length * DOTS_APART_PX * devicePixelRatio < plot.bbox.width);
      },
    };
    const line = { stroke: this.palette.grid, width: 1 };
    return {
      width: 300,
      height: 120,
      padding: [6, EDGE_PX, 0, 0],
      scales: { x: { time: false, auto: false }, y: { auto: false } },
      legend: { show: false },
      cursor: { show: false },
      axes: [
        {
          size: last ? TIME_AXIS_PX : BARE_AXIS_PX,
          stroke: this.palette.faint,
          font: FONT,
          grid: line,
          ticks: { show: false },
          splits: (plot) => this.ticks(plot).ticks,
          values: (plot, ticks) => (last ? this.tickLabels(plot, ticks) : ticks.map(() => "")),
        },
        {
          size: AXIS_PX - 18,
          label: channel.unit,
          labelSize: 18,
          labelFont: FONT,
          stroke: this.palette.faint,
          font: FONT,
          grid: line,
          ticks: { show: false },
          space: (_plot, _axis, _low, _high, room) => Math.min(48, Math.max(20, room / 6)),
          values: (_plot, ticks) => ticks.map((tick) => String(Number(tick.toPrecision(6))).replace("-", "−")),
        },
      ],
      series: [{}, { stroke: colour, width: LINE_PX, pxAlign: 0, points }],
      hooks: {
        drawClear: [(plot) => shadeMarks(plot, this.marks, this.palette)],
        draw: [(plot) => position === 0 && labelMarks(plot, this.marks, this.palette)],
      },
    };
  }

  private ticks(plot: uPlot): { stepMs: number; ticks: number[] } {
    return timeTicks(this.window.fromMs, this.window.toMs, plot.bbox.width / devicePixelRatio, TICK_APART_PX);
  }

  private tickLabels(plot: uPlot, ticks: number[]): string[] {
    const decimals = this.ticks(plot).stepMs < 1000 ? 1 : 0;
    const last = plot.bbox.width / devicePixelRatio + EDGE_PX - LABEL_HALF_PX;
    return ticks.map((tick) => (plot.valToPos(tick, "x") > last ? "" : formatTime(tick, this.zone, decimals)));
  }
}
