/** How long an arrival is remembered for the display's delay. */
const MEMORY_MS = 3000;
/** How fast the display's clock may run differently from time itself, while it settles. */
const SLEW = 0.05;
/** Farther off than this, it jumps. */
const JUMP_MS = 1000;
/** What comes at this part of its own pace, or slower, is no past that is made up for. */
const PACE = 0.5;

interface Arrival {
  atMs: number;
  /** Time of the newest frame less the time of its arrival. */
  leadMs: number;
}

/**
 * Where the right edge of a running display stands. Batches come in steps; the edge runs smoothly just so far behind the
 * newest frame that it never overtakes one while they come as they did in the last seconds.
 *
 * All times in ms: `nowMs` on the page's monotonic clock, frames in UTC of the device.
 */
export class SweepClock {
  private arrivals: Arrival[] = [];
  private leadMs: number | null = null;
  private steppedMs = 0;
  private behind: "no" | "asked" | "coming" = "no";

  /** The past is what comes next, as fast as it can be sent: that says nothing of how far to stay behind. */
  catchUp(): void {
    this.behind = "asked";
  }

  /** Whether it still comes. */
  get catchingUp(): boolean {
    return this.behind !== "no";
  }

  /** A batch came and made `newestMs` the newest frame. */
  arrived(nowMs: number, newestMs: number): void {
    const last = this.arrivals.at(-1);
    if (this.behind === "coming" && last && nowMs - last.atMs >= PACE * (newestMs - last.atMs - last.leadMs)) this.behind = "no";
    if (this.behind !== "no") {
      this.behind = "coming";
      this.arrivals = [];
      this.leadMs = null;
    }
    this.arrivals.push({ atMs: nowMs, leadMs: newestMs - nowMs });
    this.arrivals = this.arrivals.filter((arrival) => arrival.atMs > nowMs - MEMORY_MS);
  }

  /** UTC ms of the right edge, or null before the first batch. `holdMs`: how far it may run past the newest frame. */
  edgeMs(nowMs: number, newestMs: number | null, holdMs: number): number | null {
    const target = this.targetMs(nowMs);
    if (target === null || newestMs === null) return null;
    this.leadMs = this.step(target, nowMs);
    this.steppedMs = nowMs;
    return Math.min(nowMs + this.leadMs, newestMs + holdMs);
  }

  /** Just before the next arrival the edge must not have passed the frame that the last one brought. */
  private targetMs(nowMs: number): number | null {
    if (this.arrivals.length === 0) return null;
    let least = Number.POSITIVE_INFINITY;
    for (let i = 1; i < this.arrivals.length; i++) {
      least = Math.min(least, this.arrivals[i - 1]!.atMs + this.arrivals[i - 1]!.leadMs - this.arrivals[i]!.atMs);
    }
    const last = this.arrivals.at(-1)!;
    if (least === Number.POSITIVE_INFINITY) return last.leadMs;
    return nowMs - last.atMs > MEMORY_MS ? (this.leadMs ?? least) : least;
  }

  private step(target: number, nowMs: number): number {
    if (this.leadMs === null || Math.abs(target - this.leadMs) > JUMP_MS) return target;
    const limit = SLEW * Math.max(0, nowMs - this.steppedMs);
    return this.leadMs + Math.max(-limit, Math.min(limit, target - this.leadMs));
  }
}
