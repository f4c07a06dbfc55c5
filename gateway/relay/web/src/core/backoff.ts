const FIRST_MS = 500;
const LONGEST_MS = 8000;

/** How long to wait before attempt number `attempt` (from 0) to connect again; `random` in [0, 1) spreads the viewers. */
export function backoffMs(attempt: number, random: number): number {
  const full = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(attempt, 10));
  return full * (0.5 + random / 2);
}
