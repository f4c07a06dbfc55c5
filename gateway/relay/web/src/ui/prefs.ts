import type { Zone } from "../core/format";

export type Theme = "dark" | "light";

/** Seconds of trace that can be chosen. */
export const SPANS = [2, 5, 10, 30] as const;
const DEFAULT_SPAN = 10;

/** What the address after `#` says. */
export interface Choice {
  stream: string | null;
  spanS: number;
}

export function readChoice(): Choice {
  const fields = new URLSearchParams(window.location.hash.slice(1));
  const spanS = Number(fields.get("span"));
  return {
    stream: fields.get("stream"),
    spanS: SPANS.some((span) => span === spanS) ? spanS : DEFAULT_SPAN,
  };
}

/** Write the choice to the address, without a new entry in the browser's history. */
export function writeChoice({ stream, spanS }: Choice): void {
  const fields = [stream ? `stream=${encodeURIComponent(stream).replaceAll("%2F", "/")}` : "", `span=${spanS}`];
  window.history.replaceState(null, "", `#${fields.filter(Boolean).join("&")}`);
}

/** The token that a link brought after `#token=`; taken out of the address, where others would see it. */
export function takeToken(): string | null {
  const token = new URLSearchParams(window.location.hash.slice(1)).get("token");
  if (token !== null) writeChoice(readChoice());
  return token;
}

/** The theme chosen on this page, else the system's. */
export function readTheme(): Theme {
  const stored = read("headwater.theme");
  if (stored === "dark" || stored === "light") return stored;
  return systemTheme().matches ? "light" : "dark";
}

/** Call back when the system's theme changes and none was chosen here. */
export function onSystemTheme(change: () => void): void {
  systemTheme().addEventListener("change", () => {
    if (read("headwater.theme") === null) change();
  });
}

export function writeTheme(theme: Theme): void {
  write("headwater.theme", theme);
}

export function readZone(): Zone {
  return read("headwater.zone") === "utc" ? "utc" : "local";
}

export function writeZone(zone: Zone): void {
  write("headwater.zone", zone);
}

function systemTheme(): MediaQueryList {
  return window.matchMedia("(prefers-color-scheme: light)");
}

/** A browser may forbid storage: the preference then lasts as long as the page. */
function read(key: string): string | null {
  try {
    return window.localStorage.getItem(key);
  } catch {
    return null;
  }
}

function write(key: string, value: string): void {
  try {
    window.localStorage.setItem(key, value);
  } catch {
    return;
  }
}
