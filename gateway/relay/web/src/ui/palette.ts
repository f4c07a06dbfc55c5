/** The colours of the style sheet that the canvases need. */
export interface Palette {
  soft: string;
  faint: string;
  grid: string;
  lost: string;
  traces: string[];
}

const TRACES = 8;

/** The palette of the theme that is in force. */
export function readPalette(): Palette {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string) => style.getPropertyValue(`--${name}`).trim();
  return {
    soft: colour("soft"),
    faint: colour("faint"),
    grid: colour("grid"),
    lost: colour("lost"),
    traces: Array.from({ length: TRACES }, (_, i) => colour(`trace-${i + 1}`)),
  };
}

/** The colour of a channel's trace. */
export function traceColour(palette: Palette, channel: number): string {
  return palette.traces[channel % palette.traces.length]!;
}
