import { RateMeter } from "./core/rate";
import { troubleOf } from "./core/trouble";
import { Feed } from "./feed";
import { Header } from "./ui/header";
import { Login } from "./ui/login";
import { Notice } from "./ui/notice";
import { onSystemTheme, readChoice, readTheme, readZone, takeToken, writeChoice, writeTheme, writeZone, type Choice, type Theme } from "./ui/prefs";
import { Metrics, Readout } from "./ui/readout";
import { Scope } from "./ui/scope";
import { Toolbar } from "./ui/toolbar";
import type { Zone } from "./core/format";
import type { Meta, ServerMessage, StreamEntry } from "./wire/control";
import type { LinkState } from "./wire/live";
import type { Batch, Envelope, Message } from "./wire/message";
import { fetchSamples } from "./wire/samples";
import { fetchSession, signIn, signOut } from "./wire/session";
import { fetchStreams, liveUrl } from "./wire/streams";

/** Figures and notices are written this often. */
const TELL_EVERY_MS = 250;
const LIST_EVERY_MS = 10_000;
const LIST_IN_NEED_EVERY_MS = 2_000;

/** The page: wires the stream to the scope and says how everything stands. */
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
  private unknown = false;
  private forbidden = false;
  private listed = false;
  private meter = new RateMeter();
  private newest: Batch | Envelope | null = null;
  private clockErrorNs: number | null | undefined;
  private delayMs: number | null = null;
  private heardMs: number | null = null;
  private listTimer: ReturnType<typeof setTimeout> | undefined;

  private readonly header = new Header({
    onStream: (stream) => this.choose(stream),
    onSignOut: () => this.signOut(),
    onTheme: () => this.setTheme(this.theme === "dark" ? "light" : "dark", true),
    onZone: () => this.setZone(this.zone === "utc" ? "local" : "utc"),
  });
  private readonly toolbar = new Toolbar({
    onPause: () => this.scope.togglePause(),
    onSpan: (spanS) => this.setSpan(spanS),
    onPage: (part) => this.scope.page(part),
    onTurn: (byMs) => this.scope.turn(byMs),
  });
  private readonly readout = new Readout();
  private readonly metrics = new Metrics(this.toolbar.metrics);
  private readonly notice = new Notice();
  private readonly login = new Login((token) => this.signIn(token));
  private readonly scope: Scope;
  private readonly feed: Feed;

  constructor(private readonly root: HTMLElement) {
    document.documentElement.dataset["theme"] = this.theme;
    const ask = (question: Record<string, string>) => fetchSamples(this.base, this.choice.stream ?? "", question);
    this.scope = new Scope(this.choice.spanS * 1000, this.zone, () => this.feed.plan, ask, {
      onReading: (reading) => this.readout.show(reading, this.zone),
      onTurn: () => this.turned(),
      onColumns: () => this.look(),
    });
    const stage = document.createElement("main");
    stage.append(this.notice.root, this.login.root, this.scope.root);
    root.replaceChildren(this.header.root, this.toolbar.root, stage, this.readout.root);
    this.feed = new Feed(liveUrl(this.base), this.view, () => this.scope.trace, {
      onLink: (state) => this.linkChanged(state),
      onSaid: (message) => this.heard(message),
      onCatchUp: () => this.scope.catchUp(),
      onMessage: (message) => this.received(message),
      onUndecodable: () => this.scope.trace.reject(),
    });
  }

  start(): void {
    this.header.showPrefs(this.theme, this.zone);
    this.header.showStreams([], this.choice.stream);
    this.toolbar.showSpan(this.choice.spanS);
    onSystemTheme(() => this.setTheme(readTheme(), false));
    document.addEventListener("keydown", (event) => this.key(event));
    window.addEventListener("hashchange", () => this.followAddress());
    setInterval(() => this.tell(), TELL_EVERY_MS);
    if (this.choice.stream) this.begin(this.choice.stream);
    const token = takeToken();
    if (token === null) this.feed.start();
    else this.signIn(token);
    this.list();
    const draw = (nowMs: number) => {
      requestAnimationFrame(draw);
      this.scope.frame(nowMs);
    };
    requestAnimationFrame(draw);
  }

  private get view(): { spanMs: number; columns: number } {
    return { spanMs: this.choice.spanS * 1000, columns: this.scope.columns };
  }

  private look(): void {
    this.feed.setView(this.view);
  }

  private choose(stream: string): void {
    if (stream === "" || stream === this.choice.stream) return;
    this.choice = { ...this.choice, stream };
    writeChoice(this.choice);
    this.scope.reset();
    this.meter = new RateMeter();
    this.newest = this.meta = this.online = this.delayMs = this.heardMs = null;
    this.clockErrorNs = undefined;
    this.header.showStreams(this.streams, stream);
    this.begin(stream);
  }

  private begin(stream: string): void {
    document.title = `${stream} · Headwater`;
    this.unknown = this.forbidden = false;
    const meta = this.streams.find((entry) => entry.stream === stream)?.meta ?? null;
    this.feed.choose(stream, meta);
    this.tell();
  }

  private followAddress(): void {
    const token = takeToken();
    if (token !== null) this.signIn(token);
    const { stream, spanS } = readChoice();
    if (spanS !== this.choice.spanS) this.setSpan(spanS);
    if (stream) this.choose(stream);
  }

  private linkChanged(state: LinkState): void {
    this.link = state;
    if (state.kind === "open") {
      this.unknown = this.forbidden = false;
      this.list();
    } else {
      this.broker = this.online = null;
    }
    this.tell();
  }

  private heard(message: ServerMessage): void {
    switch (message.type) {
      case "hello":
        this.login.show(message.locked);
        void fetchSession(this.base).then(
          ({ required, authorized }) => this.header.showSession(required && authorized),
          () => undefined,
        );
        return;
      case "subscribed":
        if (message.stream !== this.choice.stream) return;
        this.online = message.online;
        this.scope.tellRecovered(message.recovered);
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
        if (message.code === "unauthorized") this.forbidden = true;
        return;
      default:
        return;
    }
  }

  /** Connect with the token; if it is not taken, the relay asks for another one. */
  private signIn(token: string): void {
    void signIn(this.base, token)
      .catch((problem: unknown) => this.login.tell(problem instanceof Error ? problem.message : String(problem)))
      .then(() => this.feed.start());
  }

  /** Leave nothing on the screen that the next one may not see. */
  private signOut(): void {
    void signOut(this.base).then(
      () => window.location.reload(),
      () => undefined,
    );
  }

  private describe(meta: Meta | null): void {
    this.meta = meta ?? this.meta;
    this.scope.describe(meta);
  }

  private received(message: Message): void {
    const nowMs = performance.now();
    const frames = this.scope.accept(message, nowMs);
    if (message.kind === "gap") return;
    this.heardMs = nowMs;
    this.newest = message;
    if (message.kind === "batch") this.clockErrorNs = message.clockErrorNs;
    if (this.scope.catchingUp) return;
    this.meter.arrived(nowMs, frames);
    this.delayMs = Date.now() - (this.scope.trace.newestMs ?? Number.NaN);
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
    else if (this.unknown && streams.some((entry) => entry.stream === this.choice.stream)) this.begin(this.choice.stream!);
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
    this.turned();
  }

  private setSpan(spanS: number): void {
    this.choice = { ...this.choice, spanS };
    writeChoice(this.choice);
    this.toolbar.showSpan(spanS);
    this.look();
    this.scope.setSpan(spanS * 1000);
  }

  private key(event: KeyboardEvent): void {
    const busy = [HTMLButtonElement, HTMLInputElement, HTMLSelectElement].some((kind) => event.target instanceof kind);
    if (busy || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === " ") this.scope.togglePause();
    else if (!this.scope.paused) return;
    else if (event.key === "PageUp") this.scope.page(-0.5);
    else if (event.key === "PageDown") this.scope.page(0.5);
    else if (event.key === "Home") this.scope.turnToEnd("first");
    else if (event.key === "End") this.scope.turnToEnd("last");
    else return;
    event.preventDefault();
  }

  private turned(): void {
    const { past } = this.scope;
    this.toolbar.showPaused(past !== null);
    this.toolbar.pager.show(past, this.zone);
    this.readout.showPaused(past !== null);
    this.tell();
  }

  private tell(): void {
    const nowMs = performance.now();
    this.header.showConnection(this.link);
    this.header.showBroker(this.broker);
    this.header.showDevice(this.online);
    const { trace, past } = this.scope;
    const account = trace.account();
    this.scope.tellReceived(account.received);
    this.metrics.show({
      measured: this.meter.rate(nowMs),
      nominal: this.meta?.rate ?? null,
      delayMs: this.delayMs,
      clockErrorNs: this.clockErrorNs,
      account,
    });
    const blank = trace.newestMs === null;
    const { link, unknown, forbidden, listed, broker, online, newest, zone } = this;
    const silentMs = this.heardMs === null ? Number.POSITIVE_INFINITY : nowMs - this.heardMs;
    const { stream } = this.choice;
    const trouble = troubleOf({ past, link, stream, unknown, forbidden, listed, broker, online, newest, silentMs, newestMs: trace.newestMs, zone });
    this.notice.show(trouble, blank);
    this.root.classList.toggle("blank", blank);
  }
}
