import { formatTime, type Zone } from "./core/format";
import { RateMeter } from "./core/rate";
import { onSystemTheme, readChoice, readTheme, readZone, writeChoice, writeTheme, writeZone, type Choice, type Theme } from "./ui/prefs";
import { Header, Toolbar } from "./ui/header";
import { Metrics, Readout } from "./ui/readout";
import { Notice, type Trouble } from "./ui/notice";
import { Scope } from "./ui/scope";
import { parseServerMessage, type Meta, type ServerMessage, type StreamEntry } from "./wire/control";
import { LiveLink, type LinkState } from "./wire/live";
import { decodeMessage, DecodeError, type Batch } from "./wire/message";
import { fetchStreams, liveUrl } from "./wire/streams";

/** Figures and notices are written this often. */
const TELL_EVERY_MS = 250;
const LIST_EVERY_MS = 10_000;
const LIST_IN_NEED_EVERY_MS = 2_000;
/** No sample for so long is worth a word. */
const SILENT_AFTER_MS = 2_000;

/** The page: wires the connection to the scope and says how everything stands. */
export class App {
  private readonly base = new URL(".", document.baseURI);
  private choice: Choice = readChoice();
  private theme: Theme = readTheme();
  private zone: Zone = readZone();
  private streams: StreamEntry[] = [];
  private link: LinkState = { kind: "connecting" };
  private broker: boolean | null = null;
  private online: boolean | null = null;
  private meta: Meta | null = null;
  /** The relay said that what comes now belongs to the chosen stream. */
  private subscribed = false;
  private unknown = false;
  private listed = false;
  private meter = new RateMeter();
  private newest: Batch | null = null;
  private delayMs: number | null = null;
  private heardMs: number | null = null;
  private listTimer: ReturnType<typeof setTimeout> | undefined;

  private readonly header = new Header({
    onStream: (stream) => this.choose(stream),
    onTheme: () => this.setTheme(this.theme === "dark" ? "light" : "dark", true),
    onZone: () => this.setZone(this.zone === "utc" ? "local" : "utc"),
  });
  private readonly toolbar = new Toolbar({
    onPause: () => this.scope.togglePause(),
    onSpan: (spanS) => this.setSpan(spanS),
    onPage: (part) => this.scope.page(part),
  });
  private readonly readout = new Readout();
  private readonly metrics = new Metrics(this.toolbar.metrics);
  private readonly notice = new Notice();
  private readonly scope: Scope;
  private readonly live: LiveLink;

  constructor(private readonly root: HTMLElement) {
    document.documentElement.dataset["theme"] = this.theme;
    this.scope = new Scope(this.choice.spanS * 1000, this.zone, {
      onReading: (reading) => this.readout.show(reading, this.zone),
      onPause: (paused) => {
        this.toolbar.showPaused(paused);
        this.readout.showPaused(paused);
      },
    });
    this.live = new LiveLink(liveUrl(this.base), {
      onState: (state) => this.linkChanged(state),
      onText: (text) => this.heard(parseServerMessage(text)),
      onBinary: (payload) => this.received(payload),
    });
    const stage = document.createElement("main");
    stage.append(this.notice.root, this.scope.root);
    root.replaceChildren(this.header.root, this.toolbar.root, stage, this.readout.root);
  }

  start(): void {
    this.header.showPrefs(this.theme, this.zone);
    this.header.showStreams([], this.choice.stream);
    if (this.choice.stream) document.title = `${this.choice.stream} · Headwater`;
    this.toolbar.showSpan(this.choice.spanS);
    onSystemTheme(() => this.setTheme(readTheme(), false));
    document.addEventListener("keydown", (event) => this.key(event));
    window.addEventListener("hashchange", () => this.followAddress());
    setInterval(() => this.tell(), TELL_EVERY_MS);
    this.live.start();
    this.list();
    const draw = (nowMs: number) => {
      requestAnimationFrame(draw);
      this.scope.frame(nowMs);
    };
    requestAnimationFrame(draw);
  }

  private choose(stream: string): void {
    if (stream === "" || stream === this.choice.stream) return;
    this.choice = { ...this.choice, stream };
    writeChoice(this.choice);
    this.scope.reset();
    this.meter = new RateMeter();
    this.newest = this.meta = this.online = this.delayMs = this.heardMs = null;
    this.header.showStreams(this.streams, stream);
    document.title = `${stream} · Headwater`;
    this.subscribe();
  }

  private followAddress(): void {
    const { stream, spanS } = readChoice();
    if (spanS !== this.choice.spanS) this.setSpan(spanS);
    if (stream) this.choose(stream);
  }

  private subscribe(): void {
    this.subscribed = false;
    this.unknown = false;
    if (this.choice.stream) this.live.send({ type: "subscribe", stream: this.choice.stream });
    this.tell();
  }

  private linkChanged(state: LinkState): void {
    this.link = state;
    if (state.kind === "open") {
      this.subscribe();
      this.list();
    } else {
      this.subscribed = false;
      this.broker = this.online = null;
    }
    this.tell();
  }

  private heard(message: ServerMessage | null): void {
    if (!message) return;
    switch (message.type) {
      case "subscribed":
        if (message.stream !== this.choice.stream) return;
        this.subscribed = true;
        this.online = message.online;
        this.describe(message.meta);
        return;
      case "meta":
        if (message.stream === this.choice.stream) this.describe(message.meta);
        return;
      case "status":
        if (this.choice.stream?.startsWith(`${message.device}/`)) this.online = message.online;
        this.list();
        return;
      case "broker":
        this.broker = message.connected;
        return;
      case "error":
        if (message.code === "unknown_stream") this.unknown = true;
        return;
      default:
        return;
    }
  }

  private describe(meta: Meta | null): void {
    this.meta = meta ?? this.meta;
    this.scope.describe(meta);
  }

  private received(payload: ArrayBuffer): void {
    if (!this.subscribed) return;
    const nowMs = performance.now();
    try {
      const message = decodeMessage(payload);
      this.meter.arrived(nowMs, this.scope.accept(message, nowMs));
      if (message.kind === "gap") return;
      this.heardMs = nowMs;
      this.newest = message;
      this.delayMs = Date.now() - (this.scope.trace.newestMs ?? Number.NaN);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      this.scope.trace.reject();
    }
  }

  /** Ask the relay for its streams, now and then again: sooner while the wanted one is not there. */
  private list(): void {
    clearTimeout(this.listTimer);
    void fetchStreams(this.base)
      .then(
        (streams) => this.showStreams(streams),
        () => undefined,
      )
      .then(() => {
        clearTimeout(this.listTimer);
        const inNeed = this.unknown || this.streams.length === 0;
        this.listTimer = setTimeout(() => this.list(), inNeed ? LIST_IN_NEED_EVERY_MS : LIST_EVERY_MS);
      });
  }

  private showStreams(streams: StreamEntry[]): void {
    this.streams = streams;
    this.listed = true;
    const first = streams.find((entry) => entry.online) ?? streams[0];
    if (this.choice.stream === null && first) this.choose(first.stream);
    else if (this.unknown && streams.some((entry) => entry.stream === this.choice.stream)) this.subscribe();
    this.header.showStreams(streams, this.choice.stream);
  }

  private setTheme(theme: Theme, chosen: boolean): void {
    this.theme = theme;
    if (chosen) writeTheme(theme);
    document.documentElement.dataset["theme"] = theme;
    this.header.showPrefs(theme, this.zone);
    this.scope.restyle(this.zone);
  }

  private setZone(zone: Zone): void {
    this.zone = zone;
    writeZone(zone);
    this.header.showPrefs(this.theme, zone);
    this.scope.restyle(zone);
  }

  private setSpan(spanS: number): void {
    this.choice = { ...this.choice, spanS };
    writeChoice(this.choice);
    this.toolbar.showSpan(spanS);
    this.scope.setSpan(spanS * 1000);
  }

  private key(event: KeyboardEvent): void {
    const busy = event.target instanceof HTMLButtonElement || event.target instanceof HTMLSelectElement;
    if (busy || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === " ") this.scope.togglePause();
    else if (event.key === "PageUp" && this.scope.paused) this.scope.page(-0.5);
    else if (event.key === "PageDown" && this.scope.paused) this.scope.page(0.5);
    else return;
    event.preventDefault();
  }

  private tell(): void {
    const nowMs = performance.now();
    this.tellLink();
    this.header.showBroker(this.broker);
    this.header.showDevice(this.online);
    const account = this.scope.trace.account();
    this.scope.tellReceived(account.received);
    this.metrics.show({
      measured: this.meter.rate(nowMs),
      nominal: this.meta?.rate ?? null,
      delayMs: this.delayMs,
      clockErrorNs: this.newest?.clockErrorNs,
      account,
    });
    const blank = this.scope.trace.newestMs === null;
    this.notice.show(this.trouble(nowMs), blank);
    this.root.classList.toggle("blank", blank);
  }

  private tellLink(): void {
    if (this.link.kind === "open") this.header.showLink("good", "connected");
    else if (this.link.kind === "connecting") this.header.showLink("busy", "connecting");
    else this.header.showLink("bad", `retry in ${this.waitWords(this.link.retryAtMs)}`);
  }

  private waitWords(untilMs: number): string {
    return `${Math.max(1, Math.ceil((untilMs - Date.now()) / 1000))} s`;
  }

  /** The first thing that stands in the way of a live trace, or null. */
  private trouble(nowMs: number): Trouble | null {
    const { stream } = this.choice;
    if (this.link.kind === "waiting") {
      return { id: "relay", title: "Relay unreachable", words: "The page goes on trying by itself." };
    }
    if (this.link.kind === "connecting") return { id: "connecting", title: "Connecting", words: "Reaching for the relay." };
    if (this.unknown) {
      return { id: "unknown", title: "Unknown stream", words: `The relay does not know ${stream ?? ""}. Choose another, or wait for it.` };
    }
    if (stream === null) {
      const words = this.listed ? "The relay is running and waits for a device to publish." : "Asking the relay for its streams.";
      return { id: "empty", title: "No stream yet", words };
    }
    return this.silence(stream, nowMs);
  }

  private silence(stream: string, nowMs: number): Trouble | null {
    const silentMs = this.heardMs === null ? Number.POSITIVE_INFINITY : nowMs - this.heardMs;
    const usualMs = this.newest?.periodMs ? this.newest.count * this.newest.periodMs : 0;
    if (silentMs < SILENT_AFTER_MS + 2 * usualMs) return null;
    const newestMs = this.scope.trace.newestMs;
    const since = newestMs === null ? "" : ` Its newest sample is of ${formatTime(newestMs, this.zone, 0)}.`;
    if (this.broker === false) return { id: "broker", title: "Broker away", words: `The relay tries to reach it. ${stream} waits.${since}` };
    if (this.online === false) return { id: "offline", title: "Device offline", words: `${stream} will go on when it is back.${since}` };
    return { id: "silent", title: "Waiting for samples", words: `${stream} is subscribed.${since}` };
  }
}
