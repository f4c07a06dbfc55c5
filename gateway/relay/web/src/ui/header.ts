import { formatRate, type Zone } from "../core/format";
import type { StreamEntry } from "../wire/control";
import { icon, ICONS, make, setAttribute, setText } from "./dom";
import { SPANS, type Theme } from "./prefs";

/** How well something stands; the colour of its dot. */
export type Health = "good" | "busy" | "bad" | "unknown";

export interface HeaderEvents {
  onStream(stream: string): void;
  onTheme(): void;
  onZone(): void;
}

/** The line at the top: which stream, and how relay, broker and device stand. */
export class Header {
  readonly root: HTMLElement;
  private readonly select = make("select", { id: "stream", "data-testid": "stream", "aria-label": "Stream" });
  private readonly link = new Chip("Relay", "link-state");
  private readonly broker = new Chip("Broker", "broker-state");
  private readonly device = new Chip("Device", "device-state");
  private readonly zone = make("button", { class: "quiet", type: "button", "data-testid": "zone" });
  private readonly theme = make("button", { class: "quiet square", type: "button", "data-testid": "theme" });

  constructor(events: HeaderEvents) {
    this.select.addEventListener("change", () => events.onStream(this.select.value));
    this.zone.addEventListener("click", () => events.onZone());
    this.theme.addEventListener("click", () => events.onTheme());
    this.root = make(
      "header",
      { class: "topbar" },
      make("h1", { class: "brand" }, icon(ICONS.trace), make("span", {}, "Headwater")),
      make("div", { class: "picker" }, this.select),
      make("div", { class: "chips" }, this.link.root, this.broker.root, this.device.root),
      make("div", { class: "prefs" }, this.zone, this.theme),
    );
  }

  /** The streams to choose from; a chosen one that is not among them stays in the list. */
  showStreams(entries: readonly StreamEntry[], chosen: string | null): void {
    const keys = entries.map((entry) => entry.stream);
    const options = entries.map((entry) => option(entry.stream, describe(entry), entry.stream === chosen));
    if (chosen !== null && !keys.includes(chosen)) options.unshift(option(chosen, `${chosen} — unknown`, true));
    if (options.length === 0) options.push(option("", "no stream yet", true));
    this.select.disabled = options.length === 1 && keys.length === 0;
    if (same(options, [...this.select.options])) return;
    this.select.replaceChildren(...options);
  }

  showLink(health: Health, words: string): void {
    this.link.show(health, words);
  }

  showBroker(connected: boolean | null): void {
    if (connected === null) this.broker.show("unknown", "unknown");
    else this.broker.show(connected ? "good" : "bad", connected ? "connected" : "away");
  }

  showDevice(online: boolean | null): void {
    if (online === null) this.device.show("unknown", "unknown");
    else this.device.show(online ? "good" : "bad", online ? "online" : "offline");
  }

  showPrefs(theme: Theme, zone: Zone): void {
    setText(this.zone, zone === "utc" ? "UTC" : "Local");
    setAttribute(this.zone, "aria-label", zone === "utc" ? "Times are UTC. Show local time" : "Times are local. Show UTC");
    this.theme.replaceChildren(icon(theme === "dark" ? ICONS.sun : ICONS.moon));
    setAttribute(this.theme, "aria-label", theme === "dark" ? "Use the light theme" : "Use the dark theme");
  }
}

/** A dot, what it is about, and how that stands. */
class Chip {
  readonly root: HTMLElement;
  private readonly words = make("span", { class: "chip-words" });

  constructor(name: string, id: string) {
    this.root = make("p", { class: "chip", "data-testid": id }, make("span", { class: "dot" }), make("b", {}, name), this.words);
    this.show("unknown", "unknown");
  }

  show(health: Health, words: string): void {
    setAttribute(this.root, "data-health", health);
    setText(this.words, words);
  }
}

export interface ToolbarEvents {
  onPause(): void;
  onSpan(spanS: number): void;
  onPage(part: number): void;
}

/** The line below: pause, how many seconds, paging when paused. */
export class Toolbar {
  readonly root: HTMLElement;
  readonly metrics = make("dl", { class: "metrics" });
  private readonly pause = make("button", { class: "pause", type: "button", "data-testid": "pause" });
  private readonly spans = new Map<number, HTMLButtonElement>();
  private readonly pager: HTMLElement;

  constructor(events: ToolbarEvents) {
    this.pause.addEventListener("click", () => events.onPause());
    for (const span of SPANS) this.spans.set(span, this.spanButton(span, events));
    this.pager = make(
      "div",
      { class: "pager", hidden: "" },
      pageButton("back", "Half a screen back", () => events.onPage(-0.5)),
      pageButton("forward", "Half a screen forward", () => events.onPage(0.5)),
    );
    const group = make("div", { class: "spans", role: "group", "aria-label": "Seconds shown" }, ...this.spans.values());
    this.root = make("div", { class: "toolbar" }, this.pause, group, this.pager, this.metrics);
    // A button that was clicked with a pointer lets go of the keyboard, so that space goes on pausing.
    this.root.addEventListener("click", (event) => {
      if (event.detail > 0 && document.activeElement instanceof HTMLButtonElement) document.activeElement.blur();
    });
    this.showPaused(false);
  }

  showPaused(paused: boolean): void {
    this.pause.replaceChildren(icon(paused ? ICONS.play : ICONS.pause), paused ? "Resume" : "Pause");
    setAttribute(this.pause, "aria-pressed", String(paused));
    this.pager.hidden = !paused;
  }

  showSpan(chosen: number): void {
    for (const [span, button] of this.spans) setAttribute(button, "aria-pressed", String(span === chosen));
  }

  private spanButton(span: number, events: ToolbarEvents): HTMLButtonElement {
    const button = make("button", { type: "button", "data-testid": `span-${span}`, "aria-label": `${span} seconds` }, `${span} s`);
    button.addEventListener("click", () => events.onSpan(span));
    return button;
  }
}

function pageButton(name: "back" | "forward", label: string, act: () => void): HTMLButtonElement {
  const button = make("button", { class: "square", type: "button", "aria-label": label, "data-testid": name }, icon(ICONS[name]));
  button.addEventListener("click", act);
  return button;
}

function option(value: string, words: string, selected: boolean): HTMLOptionElement {
  return new Option(words, value, selected, selected);
}

function describe(entry: StreamEntry): string {
  if (!entry.meta) return entry.stream;
  const channels = entry.meta.channels.length;
  const parts = [`${channels} ch`, entry.meta.rate === null ? "irregular" : formatRate(entry.meta.rate)];
  if (!entry.online) parts.push("offline");
  return `${entry.stream} — ${parts.join(" · ")}`;
}

function same(a: readonly HTMLOptionElement[], b: readonly HTMLOptionElement[]): boolean {
  const text = (options: readonly HTMLOptionElement[]) => options.map((o) => `${o.value}|${o.text}|${o.selected}`).join("\n");
  return text(a) === text(b);
}
