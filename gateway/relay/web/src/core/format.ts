/** How times are shown. */
export type Zone = "local" | "utc";

interface Civil {
  year: number;
  month: number;
  day: number;
  hour: number;
  minute: number;
  second: number;
  /** Of the second, in µs. */
  micros: number;
}

function civil(ms: number, zone: Zone): Civil {
  const micros = Math.round(ms * 1000);
  const date = new Date(Math.floor(micros / 1000));
  const below = ((micros % 1_000_000) + 1_000_000) % 1_000_000;
  if (zone === "utc") {
    return {
      year: date.getUTCFullYear(),
      month: date.getUTCMonth() + 1,
      day: date.getUTCDate(),
      hour: date.getUTCHours(),
      minute: date.getUTCMinutes(),
      second: date.getUTCSeconds(),
      micros: below,
    };
  }
  return {
    year: date.getFullYear(),
    month: date.getMonth() + 1,
    day: date.getDate(),
    hour: date.getHours(),
    minute: date.getMinutes(),
    second: date.getSeconds(),
    micros: below,
  };
}

function pad(value: number, width = 2): string {
  return String(value).padStart(width, "0");
}

/** `HH:MM:SS` with as many decimals of the second as asked for (0 to 6), cut, not rounded. */
export function formatTime(ms: number, zone: Zone, decimals: number): string {
  const { hour, minute, second, micros } = civil(ms, zone);
  const clock = `${pad(hour)}:${pad(minute)}:${pad(second)}`;
  return decimals === 0 ? clock : `${clock}.${pad(micros, 6).slice(0, decimals)}`;
}

/** `YYYY-MM-DD`. */
export function formatDate(ms: number, zone: Zone): string {
  const { year, month, day } = civil(ms, zone);
  return `${year}-${pad(month)}-${pad(day)}`;
}

/** `UTC`, or the local zone's offset as `UTC+02:00`. */
export function formatZone(ms: number, zone: Zone): string {
  const minutes = zone === "utc" ? 0 : -new Date(ms).getTimezoneOffset();
  if (minutes === 0) return "UTC";
  const ahead = Math.abs(minutes);
  return `UTC${minutes < 0 ? "−" : "+"}${pad(Math.floor(ahead / 60))}:${pad(ahead % 60)}`;
}

/** Decimals of the second that tell one frame from the next. */
export function timeDecimals(periodMs: number | null): number {
  return periodMs === null || periodMs >= 1 ? 3 : 6;
}

/** Decimals that show a step of one raw count, for a channel of this scale; floating-point samples have no such step. */
export function valueDecimals(scale: number, dtype: string): number {
  if (dtype.startsWith("float")) return 3;
  const step = Math.abs(scale);
  if (!(step > 0) || !Number.isFinite(step)) return 3;
  return Math.min(9, Math.max(0, Math.ceil(-Math.log10(step) - 1e-9)));
}

/** A physical value, with a true minus sign. */
export function formatValue(value: number, decimals: number): string {
  if (!Number.isFinite(value)) return "—";
  const text = value.toFixed(decimals);
  const zero = Number(text) === 0;
  return zero ? text.replace("-", "") : text.replace("-", "−");
}

/** A rate: `500 Hz`, `333.3 Hz`, `25 kHz`. */
export function formatRate(hertz: number): string {
  if (hertz >= 10_000) return `${trimmed(hertz / 1000, 2)} kHz`;
  return `${trimmed(hertz, hertz >= 100 ? 1 : 3)} Hz`;
}

/** A count with thin spaces between the thousands. */
export function formatCount(count: number): string {
  return String(Math.round(count)).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

/** A duration: `105 ms`, `3.2 s`, `4 min`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  return `${Math.round(ms / 60_000)} min`;
}

function trimmed(value: number, decimals: number): string {
  return String(Number(value.toFixed(decimals)));
}

/** Marks on the time axis: round steps, at least `leastPx` apart. */
export function timeTicks(fromMs: number, toMs: number, widthPx: number, leastPx: number): { stepMs: number; ticks: number[] } {
  const least = ((toMs - fromMs) / Math.max(1, widthPx)) * leastPx;
  const steps = [100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 30_000, 60_000];
  const stepMs = steps.find((step) => step >= least) ?? 60_000;
  const ticks: number[] = [];
  for (let tick = Math.ceil(fromMs / stepMs) * stepMs; tick <= toMs; tick += stepMs) ticks.push(tick);
  return { stepMs, ticks };
}
