import type uPlot from "uplot";

import { formatCount } from "../core/format";
import type { Mark } from "../core/view";
import type { Palette } from "./palette";

/** A gap of one frame must still be seen. */
const LEAST_WIDTH_PX = 2;
const LABEL_ROOM_PX = 6;

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
    else shade(ctx, { x, y: top, width: wide, height }, mark.kind === "lost" ? palette.lost : palette.missing);
  }
  ctx.restore();
}

/** Name the marks at the top of the panel, where there is room. */
export function labelMarks(plot: uPlot, marks: readonly Mark[], palette: Palette): void {
  const { ctx } = plot;
  const ratio = devicePixelRatio;
  ctx.save();
  ctx.font = `600 ${11 * ratio}px system-ui, sans-serif`;
  ctx.textBaseline = "top";
  for (const mark of marks) {
    const [x, wide] = extent(plot, mark);
    const text = describeMark(mark);
    const room = mark.kind === "restart" ? Number.POSITIVE_INFINITY : wide - 2 * LABEL_ROOM_PX * ratio;
    const from = Math.max(x, plot.bbox.left) + LABEL_ROOM_PX * ratio;
    const short = mark.kind === "lost" ? mark.reason : text;
    const label = [text, short].find((words) => ctx.measureText(words).width <= room);
    if (!label || from + ctx.measureText(label).width > plot.bbox.left + plot.bbox.width) continue;
    ctx.fillStyle = { lost: palette.lost, missing: palette.missing, restart: palette.faint }[mark.kind];
    ctx.fillText(label, from, plot.bbox.top + LABEL_ROOM_PX * ratio);
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
  ctx.globalAlpha = 0.14;
  ctx.fillStyle = colour;
  ctx.fillRect(x, y, width, height);
  ctx.globalAlpha = 0.55;
  ctx.strokeStyle = colour;
  ctx.lineWidth = devicePixelRatio;
  ctx.save();
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
  ctx.globalAlpha = 1;
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
