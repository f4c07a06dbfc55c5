import type { Batch, Message } from "../wire/message";
import type { Plan } from "./plan";
import { Trace } from "./trace";
import { marksIn, nearestSpot, type Window } from "./view";

/** A question to the relay's history, in the words of its address. */
export type Question = Record<string, string>;
export type Ask = (question: Question) => Promise<Message[]>;

/** Fetched parts that are kept, to go to and fro among. */
const SHEETS = 6;
/** So much of the span is fetched beside it on either side. */
const MARGIN = 0.5;
/** The history's points in one answer, at most. */
const MOST_POINTS = 8192;
/** Where, in parts of the span from its edge, the frame stands that was found beyond an empty stretch. */
const INSET = 0.1;
/** Times of one frame by two ways may differ by rounding. */
const ROUNDING_MS = 1;
/** Buckets this much wider than a pixel are still good enough to show. */
const COARSER = 2;

/** Which way one turns: -1 back, 1 forward, 0 neither. */
export type Direction = -1 | 0 | 1;

/** A part of the history. */
interface Sheet extends Window {
  trace: Trace;
}

interface Look {
  window: Window;
  plan: Plan;
  direction: Direction;
}

/**
 * A display that stands still, and may be turned back as far as the relay's history reaches. It is drawn from what the
 * page held when it was stopped, or from what is fetched for the place one looks at.
 */
export class Past {
  /** What the window is drawn from. */
  trace: Trace;
  state: "shown" | "fetching" | "failed" = "shown";
  /** Why it failed. */
  why = "";
  /** UTC ms of the first frame there is; null while that was not asked. */
  beginsMs: number | null = null;
  private sheets: Sheet[] = [];
  private wanted: Look | null = null;
  private working = false;

  /** `changed` is called when there is something else to draw or to say. */
  constructor(
    private readonly held: Trace,
    public window: Window,
    private readonly ask: Ask,
    private readonly changed: () => void,
  ) {
    this.trace = held;
  }

  /** Whether there is nothing before the window. */
  get atBeginning(): boolean {
    return this.beginsMs !== null && this.window.fromMs <= this.beginsMs + ROUNDING_MS;
  }

  /** Whether there is nothing behind the window. */
  get atEnd(): boolean {
    return this.window.toMs >= this.endMs - ROUNDING_MS;
  }

  /** Show a window of the time; what is not here for it is fetched. */
  look(window: Window, plan: Plan, direction: Direction = 0): void {
    const look = { window: this.clamp(window), plan, direction };
    this.window = look.window;
    const trace = this.find(look);
    if (trace && !this.isBlank(trace, look)) {
      this.wanted = null;
      this.show(trace);
      return;
    }
    this.wanted = look;
    if (!this.working) void this.work();
  }

  /** The beginning of the history. */
  lookAtBeginning(spanMs: number, plan: Plan): void {
    const fromMs = this.beginsMs ?? 0;
    const window = { fromMs, toMs: fromMs + spanMs };
    if (this.beginsMs !== null) return this.look(window, plan, -1);
    this.wanted = { window, plan, direction: -1 };
    if (!this.working) void this.work();
  }

  private get endMs(): number {
    return this.held.newestMs ?? this.window.toMs;
  }

  private show(trace: Trace): void {
    this.trace = trace;
    this.state = "shown";
    this.changed();
  }

  /** Not before the beginning, and never behind the end. */
  private clamp({ fromMs, toMs }: Window): Window {
    const least = (this.beginsMs ?? Number.NEGATIVE_INFINITY) + toMs - fromMs;
    const edge = Math.min(Math.max(toMs, least), this.endMs);
    return { fromMs: edge - (toMs - fromMs), toMs: edge };
  }

  private async work(): Promise<void> {
    this.working = true;
    this.state = "fetching";
    this.changed();
    try {
      while (this.wanted) await this.fetch(this.wanted);
    } catch (error) {
      this.wanted = null;
      this.state = "failed";
      this.why = error instanceof Error ? error.message : String(error);
    }
    this.working = false;
    this.changed();
  }

  private async fetch(look: Look): Promise<void> {
    if (this.beginsMs === null || look.direction < 0) this.beginsMs = await this.begin();
    if (this.wanted !== look) return;
    look.window = this.window = this.clamp(look.window);
    const trace = this.find(look) ?? (await this.fetchSheet(look));
    if (this.wanted !== look) return;
    const found = this.isBlank(trace, look) ? await this.beyond(look) : null;
    if (this.wanted !== look) return;
    if (found) {
      // Looked for once: what was found is shown, whatever stands there.
      this.wanted = { ...look, window: found, direction: 0 };
      return;
    }
    this.wanted = null;
    this.show(trace);
  }

  /** What is here and good enough for a look. */
  private find({ window, plan }: Look): Trace | null {
    const fromMs = Math.max(window.fromMs, this.beginsMs ?? Number.NEGATIVE_INFINITY);
    const covers = (sheet: Window) => sheet.fromMs <= fromMs && sheet.toMs >= window.toMs;
    const held = { fromMs: (this.held.oldestMs ?? Number.POSITIVE_INFINITY) - ROUNDING_MS, toMs: this.endMs };
    if (covers(held) && fine(this.held, plan) && !lacks(this.held, window)) return this.held;
    return this.sheets.find((sheet) => covers(sheet) && fine(sheet.trace, plan))?.trace ?? null;
  }

  private async fetchSheet({ window, plan }: Look): Promise<Trace> {
    const spanMs = window.toMs - window.fromMs;
    const sheet = { fromMs: Math.floor(window.fromMs - MARGIN * spanMs), toMs: Math.ceil(window.toMs + MARGIN * spanMs) };
    const question: Question = { from: ns(sheet.fromMs), to: ns(sheet.toMs), format: "cbor" };
    if (plan.kind === "envelope") {
      const points = Math.ceil((plan.width * (sheet.toMs - sheet.fromMs)) / (plan.seconds * 1000));
      question["points"] = String(Math.min(MOST_POINTS, points));
    }
    const trace = new Trace(sheet.toMs - sheet.fromMs);
    for (const message of await this.ask(question)) trace.accept(message);
    this.sheets = [{ ...sheet, trace }, ...this.sheets].slice(0, SHEETS);
    return trace;
  }

  /** When the first frame that there is was taken. */
  private async begin(): Promise<number> {
    const first = firstBatch(await this.ask({ epoch: "0", index: "0", count: "1", format: "cbor" }));
    const held = this.held.oldestMs ?? this.window.fromMs;
    return Math.min(held, first?.utcMs ?? held);
  }

  /** Nothing is in the window, and one turns to what may be beyond it. */
  private isBlank(trace: Trace, { window, direction }: Look): boolean {
    if (direction === 0) return false;
    const spot = nearestSpot(trace.epochs, (window.fromMs + window.toMs) / 2);
    return spot === null || spot.atMs < window.fromMs || spot.atMs > window.toMs;
  }

  /** The window at the next frame beyond an empty one, in the direction that one turns to. */
  private async beyond({ window, direction }: Look): Promise<Window | null> {
    const spanMs = window.toMs - window.fromMs;
    const back = direction < 0;
    const where: Question = back ? { at: ns(window.fromMs), before: "1" } : { at: ns(window.toMs), after: "1" };
    const batch = firstBatch(await this.ask({ ...where, format: "cbor" }));
    if (!batch) return null;
    const edgeMs = batch.utcMs + (back ? INSET : 1 - INSET) * spanMs;
    return this.clamp({ fromMs: edgeMs - spanMs, toMs: edgeMs });
  }
}

/** Whether what is held is not coarser than what was planned. */
function fine(trace: Trace, plan: Plan): boolean {
  const ring = trace.current?.ring;
  if (!ring || ring.size === 1) return true;
  if (plan.kind === "samples" || ring.periodMs === null) return false;
  return ring.size * ring.periodMs <= (COARSER * plan.seconds * 1000) / plan.width;
}

/** Whether something did not come here that the history may have. */
function lacks(trace: Trace, window: Window): boolean {
  return marksIn(trace.epochs, window).some(({ kind, reason }) => kind === "missing" || reason === "slow");
}

function firstBatch(messages: readonly Message[]): Batch | undefined {
  return messages.find((message): message is Batch => message.kind === "batch");
}

function ns(ms: number): string {
  return String(BigInt(Math.round(ms)) * 1_000_000n);
}
