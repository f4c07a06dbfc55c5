/** Over how long a rate is measured. */
const MEMORY_MS = 5000;

/** Frames a second as they arrive, over the last seconds. */
export class RateMeter {
  private points: { atMs: number; total: number }[] = [];
  private total = 0;

  /** `frames` more frames are here. */
  arrived(nowMs: number, frames: number): void {
    this.total += frames;
    this.points.push({ atMs: nowMs, total: this.total });
    while (this.points.length > 2 && this.points[0]!.atMs < nowMs - MEMORY_MS) this.points.shift();
  }

  /** Hz; null until a second has been seen, 0 once nothing came for the whole memory. */
  rate(nowMs: number): number | null {
    const first = this.points[0];
    const last = this.points.at(-1);
    if (!first || !last) return null;
    if (nowMs - last.atMs > MEMORY_MS) return 0;
    const overdue = Math.max(0, nowMs - last.atMs - 1000);
    const spanMs = last.atMs - first.atMs + overdue;
    return spanMs < 1000 ? null : ((last.total - first.total) * 1000) / spanMs;
  }
}
