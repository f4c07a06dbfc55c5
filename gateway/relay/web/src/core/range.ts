/** A vertical range in physical units. */
export interface Span {
  low: number;
  high: number;
}

const MARGIN = 0.12;
/** Below this part of its range used, it shrinks. */
const LOOSE = 0.55;
/** It shrinks only after so long, so that it does not breathe with the signal. */
const PATIENCE_MS = 4000;

/** A vertical range that follows the trace: it grows at once and shrinks with patience. */
export class AutoRange {
  private span: Span | null = null;
  private looseSinceMs: number | null = null;

  /** The range for values between `low` and `high`. */
  follow(values: Span | null, nowMs: number): Span {
    if (!values) return this.span ?? { low: 0, high: 1 };
    if (!this.span || values.low < this.span.low || values.high > this.span.high) return this.settle(values);
    const used = (values.high - values.low) / (this.span.high - this.span.low);
    if (used > LOOSE || this.span.high - this.span.low <= padded(values).high - padded(values).low) {
      this.looseSinceMs = null;
      return this.span;
    }
    this.looseSinceMs ??= nowMs;
    return nowMs - this.looseSinceMs < PATIENCE_MS ? this.span : this.settle(values);
  }

  private settle(values: Span): Span {
    this.looseSinceMs = null;
    this.span = padded(values);
    return this.span;
  }
}

/** The least and the greatest of the values that are there, or null. */
export function spanOf(values: readonly (number | null)[]): Span | null {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    if (value === null) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? { low, high } : null;
}

function padded({ low, high }: Span): Span {
  const extent = high - low;
  const margin = extent > 0 ? extent * MARGIN : Math.max(Math.abs(high) * 0.05, 0.5);
  return { low: low - margin, high: high + margin };
}
