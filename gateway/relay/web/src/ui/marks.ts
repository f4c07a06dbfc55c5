import type uPlot from "uplot";

import { formatCount } from "../core/format";
import type { Mark } from "../core/view";
import type { Palette } from "./palette";

/** A gap of one frame must still be seen. */
const LEAST_WIDTH_PX = 2;
const MARGIN_PX = 6;
const FONT_PX = 11;

/** Shade the frames that are not there, behind the trace. */
export function shadeMarks(plot: uPlot, marks: readonly Mark[], palette: Palette): void {
  const { ctx } = plot;
  const { left, top, width, height } = plot.bbox;
  ctx.save();
  ctx.beginPath();
  ctx.rect(left, top, width, height);
  ctx.clip();
  for (const mark of marks) {
    const [x, wide] = extent(plot, mark);
    if (mark.kind === "restart") dashedLine(ctx, x, top, height, palette.faint);
    else shade(ctx, { x, y: top, width: wide, height }, mark.kind === "lost" ? palette.lost : palette.faint);
  }
  ctx.restore();
}

/** Name the marks at the top of the panel: along it where there is room, else downwards. */
export function labelMarks(plot: uPlot, marks: readonly Mark[], palette: Palette): void {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.font = `600 ${FONT_PX * devicePixelRatio}px system-ui, sans-serif`;
  ctx.textAlign = "left";
  ctx.textBaseline = "middle";
  for (const mark of marks) {
    const [x, wide] = extent(plot, mark);
    ctx.fillStyle = { lost: palette.lost, missing: palette.soft, restart: palette.soft }[mark.kind];
    label(ctx, describeMark(mark), { x, y: bbox.top, width: wide, height: bbox.height });
  }
  ctx.restore();
}

function label(ctx: CanvasRenderingContext2D, text: string, { x, y, width, height }: Box): void {
  const margin = MARGIN_PX * devicePixelRatio;
  const line = FONT_PX * devicePixelRatio;
  const long = ctx.measureText(text).width + 2 * margin;
  ctx.save();
  if (long <= width) {
    ctx.translate(x + (width - long) / 2 + margin, y + margin + line / 2);
    ctx.fillText(text, 0, 0);
  } else if (long <= height) {
    // A band too narrow to write in has its name beside it.
    const across = width >= line + margin ? x + width / 2 : x + width + line;
    ctx.translate(across, y + margin);
    ctx.rotate(Math.PI / 2);
    ctx.fillText(text, 0, 0);
  }
  ctx.restore();
}

/** A mark in a few words. */
export function describeMark(mark: Mark): string {
  if (mark.kind === "restart") return "restarted";
  const frames = `${formatCount(mark.count)} ${mark.count === 1 ? "frame" : "frames"}`;
  return mark.kind === "lost" ? `${frames} lost: ${mark.reason.replaceAll("_", " ")}` : `${frames} not received`;
}

function extent(plot: uPlot, mark: Mark): [number, number] {
  const from = plot.valToPos(mark.fromMs, "x", true);
  const to = plot.valToPos(mark.toMs, "x", true);
  const least = LEAST_WIDTH_PX * devicePixelRatio;
  return to - from >= least ? [from, to - from] : [(from + to - least) / 2, least];
}

interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

function shade(ctx: CanvasRenderingContext2D, { x, y, width, height }: Box, colour: string): void {
  ctx.save();
  ctx.fillStyle = ctx.strokeStyle = colour;
  ctx.lineWidth = devicePixelRatio;
  ctx.globalAlpha = 0.14;
  ctx.fillRect(x, y, width, height);
  ctx.beginPath();
  ctx.rect(x, y, width, height);
  ctx.clip();
  ctx.beginPath();
  const step = 9 * devicePixelRatio;
  const right = Math.min(x + width, ctx.canvas.width);
  for (let start = Math.max(x, 0) - height; start < right; start += step) {
    ctx.moveTo(start, y + height);
    ctx.lineTo(start + height, y);
  }
  ctx.globalAlpha = 0.25;
  ctx.stroke();
  ctx.restore();
}

function dashedLine(ctx: CanvasRenderingContext2D, x: number, y: number, height: number, colour: string): void {
  ctx.strokeStyle = colour;
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
  ctx.beginPath();
  ctx.moveTo(x, y);
  ctx.lineTo(x, y + height);
  ctx.stroke();
  ctx.setLineDash([]);
}
