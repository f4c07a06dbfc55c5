import { planFor, reachingBack, samePlan, type Extent, type Plan, type View } from "./core/plan";
import type { Trace } from "./core/trace";
import { parseServerMessage, type Meta, type ServerMessage } from "./wire/control";
import { LiveLink, type LinkState } from "./wire/live";
import { decodeMessage, DecodeError, type Message } from "./wire/message";

/** So long an interruption is made up for; after a longer one the display begins anew, and what is missing shows. */
const RECOVER_MS = 5 * 60_000;
/** Envelopes a second. */
const REFRESHES = 30;
/** A view that changes is planned for when it has stood still for so long. */
const SETTLE_MS = 250;

export interface FeedEvents {
  onLink(state: LinkState): void;
  onSaid(message: ServerMessage): void;
  /** What comes next is the past, as fast as it can be sent. */
  onCatchUp(): void;
  onMessage(message: Message): void;
  onUndecodable(): void;
}

/**
 * The chosen stream as it comes: subscribes to the samples or to the envelope, whichever the view needs, and so that the
 * screen is full from the start and nothing is missing after an interruption.
 */
export class Feed {
  private readonly link: LiveLink;
  private stream: string | null = null;
  private meta: Meta | null = null;
  /** What was asked for last; "meta" if only that, because without it nothing can be planned. */
  private asked: Plan | "meta" | null = null;
  /** The relay said that what comes now belongs to the chosen stream. */
  private subscribed = false;
  private open = false;
  /** An envelope was asked for that reaches back over an interruption. */
  private reachingBack = false;
  /** When something of the stream came last, by Date.now(): a page that slept was away. */
  private heardMs: number | null = null;
  private settling: ReturnType<typeof setTimeout> | undefined;

  constructor(
    url: string,
    private view: View,
    private readonly trace: () => Trace,
    private readonly events: FeedEvents,
  ) {
    this.link = new LiveLink(url, {
      onState: (state) => this.linked(state),
      onText: (text) => this.heard(parseServerMessage(text)),
      onBinary: (payload) => this.received(payload),
    });
  }

  /** Connect, anew if it is connected. */
  start(): void {
    this.link.start();
  }

  /** What is wanted for the stream's present view. */
  get plan(): Plan {
    return planFor(this.extent, this.view);
  }

  /** Change to a stream; what is known of it already saves a question. */
  choose(stream: string, meta: Meta | null): void {
    this.stream = stream;
    this.meta = meta;
    this.heardMs = null;
    this.subscribed = false;
    this.begin();
  }

  /** Subscribe, now that the stream may be there. */
  begin(): void {
    if (this.meta) this.subscribe();
    else this.ask({}, "meta");
  }

  /** Look at the stream in another way. */
  setView(view: View): void {
    this.view = view;
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.replan(), SETTLE_MS);
  }

  private get extent(): Extent | null {
    return this.meta && { rate: this.meta.rate, channels: this.meta.channels.length };
  }

  private linked(state: LinkState): void {
    this.open = state.kind === "open";
    this.subscribed = false;
    if (this.open && this.stream !== null) this.begin();
    this.events.onLink(state);
  }

  private heard(message: ServerMessage | null): void {
    if (!message) return;
    if (message.type === "hello" && message.locked) this.link.lock();
    if (message.type === "subscribed") this.answered(message);
    else if (message.type === "meta" && message.stream === this.stream) {
      this.meta = message.meta ?? this.meta;
      this.replan();
    }
    this.events.onSaid(message);
  }

  private answered({ stream, meta }: { stream: string; meta: Meta | null }): void {
    this.subscribed = stream === this.stream;
    if (!this.subscribed) return;
    this.meta = meta ?? this.meta;
    if (this.asked === "meta") this.subscribe();
  }

  private received(payload: ArrayBuffer): void {
    if (!this.subscribed || this.asked === "meta") return;
    try {
      const message = decodeMessage(payload);
      this.heardMs = Date.now();
      this.events.onMessage(message);
      if (message.kind === "envelope" && this.reachingBack) this.replan();
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      this.events.onUndecodable();
    }
  }

  /** Ask for something else if the view, or what is known of the stream, calls for it. */
  private replan(): void {
    const { asked, plan } = this;
    if (!this.subscribed || asked === null || asked === "meta" || samePlan(asked, plan)) return;
    const more = plan.seconds > asked.seconds && !this.reaches(plan.seconds);
    if (plan.kind === "samples" && asked.kind === "samples" && !more) this.asked = plan;
    else this.askFor(plan);
  }

  /** Whether so much is held already. */
  private reaches(seconds: number): boolean {
    const { oldestMs, newestMs } = this.trace();
    return oldestMs !== null && newestMs !== null && newestMs - oldestMs >= seconds * 1000;
  }

  /** Begin with a full screen, or go on where it was. */
  private subscribe(): void {
    const { plan } = this;
    const awayMs = this.heardMs === null ? null : Date.now() - this.heardMs;
    const place = awayMs !== null && awayMs <= RECOVER_MS ? this.trace().place : null;
    this.events.onCatchUp();
    if (place === null) this.askFor(plan);
    else if (plan.kind === "envelope") this.askFor(reachingBack(plan, awayMs!));
    else if (place.epoch > Number.MAX_SAFE_INTEGER) this.askFor(plan);
    else this.ask({ epoch: Number(place.epoch), index: place.index }, plan);
  }

  private askFor(plan: Plan): void {
    if (plan.kind === "samples") this.ask({ last: plan.seconds }, plan);
    else this.ask({ envelope: { seconds: plan.seconds, width: plan.width, rate: REFRESHES } }, plan);
  }

  private ask(wish: object, plan: Plan | "meta"): void {
    this.asked = plan;
    this.reachingBack = plan !== "meta" && plan.seconds > this.plan.seconds;
    if (this.open) this.link.send({ type: "subscribe", stream: this.stream, ...wish });
  }
}
