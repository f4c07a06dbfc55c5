import { formatRate, type Zone } from "../core/format";
import type { StreamEntry } from "../wire/control";
import type { LinkState } from "../wire/live";
import { icon, ICONS, make, setAttribute, setText } from "./dom";
import type { Theme } from "./prefs";

/** How well something stands; the colour of its dot. */
export type Health = "good" | "busy" | "bad" | "unknown";

export interface HeaderEvents {
  onStream(stream: string): void;
  onSignOut(): void;
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
  private readonly signOut = make("button", { class: "quiet", type: "button", "data-testid": "sign-out", hidden: "" }, "Sign out");
  private readonly zone = make("button", { class: "quiet", type: "button", "data-testid": "zone" });
  private readonly theme = make("button", { class: "quiet square", type: "button", "data-testid": "theme" });

  constructor(events: HeaderEvents) {
    this.select.addEventListener("change", () => events.onStream(this.select.value));
    this.signOut.addEventListener("click", () => events.onSignOut());
    this.zone.addEventListener("click", () => events.onZone());
    this.theme.addEventListener("click", () => events.onTheme());
    this.root = make(
      "header",
      { class: "topbar" },
      make("h1", { class: "brand" }, icon(ICONS.trace), make("span", {}, "Headwater")),
      make("div", { class: "picker" }, this.select),
      make("div", { class: "chips" }, this.link.root, this.broker.root, this.device.root),
      make("div", { class: "prefs" }, this.signOut, this.zone, this.theme),
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

  showConnection(link: LinkState): void {
    if (link.kind === "open") this.link.show("good", "connected");
    else if (link.kind === "connecting") this.link.show("busy", "connecting");
    else if (link.kind === "locked") this.link.show("busy", "asks for a token");
    else this.link.show("bad", `retry in ${Math.max(1, Math.ceil((link.retryAtMs - Date.now()) / 1000))} s`);
  }

  showBroker(connected: boolean | null): void {
    if (connected === null) this.broker.show("unknown", "unknown");
    else this.broker.show(connected ? "good" : "bad", connected ? "connected" : "away");
  }

  showDevice(online: boolean | null): void {
    if (online === null) this.device.show("unknown", "unknown");
    else this.device.show(online ? "good" : "bad", online ? "online" : "offline");
  }

  /** `signedIn`: with a token that one can give back. */
  showSession(signedIn: boolean): void {
    this.signOut.hidden = !signedIn;
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
