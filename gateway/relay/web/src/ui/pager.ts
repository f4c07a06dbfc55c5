import { formatDate, formatTime, type Zone } from "../core/format";
import type { Past } from "../core/past";
import { icon, ICONS, make, setAttribute, setText } from "./dom";

export interface PagerEvents {
  /** Turn by a part of the screen; negative is back. */
  onPage(part: number): void;
  /** Turn by some time; negative is back. */
  onTurn(byMs: number): void;
}

const MINUTES = [1, 10];

/** The buttons that turn a paused display, and where it stands. */
export class Pager {
  readonly root: HTMLElement;
  private readonly back: HTMLButtonElement[];
  private readonly forward: HTMLButtonElement[];
  private readonly when = make("output", { class: "when", "data-testid": "when" });

  constructor(events: PagerEvents) {
    const page = (name: "back" | "forward", label: string, part: number) =>
      button({ class: "square", "aria-label": label, "data-testid": name }, icon(ICONS[name]), () => events.onPage(part));
    const turn = (minutes: number) => {
      const [words, sign] = minutes < 0 ? ["back", "−"] : ["forward", "+"];
      const count = Math.abs(minutes);
      const attributes = { "aria-label": `${count} min ${words}`, "data-testid": `${words}-${count}min` };
      return button(attributes, `${sign}${count} min`, () => events.onTurn(minutes * 60_000));
    };
    this.back = [...MINUTES.toReversed().map((minutes) => turn(-minutes)), page("back", "Half a screen back", -0.5)];
    this.forward = [page("forward", "Half a screen forward", 0.5), ...MINUTES.map(turn)];
    const group = make("div", { class: "turns", role: "group", "aria-label": "Look back" }, ...this.back, ...this.forward);
    this.root = make("div", { class: "pager", hidden: "" }, group, this.when);
  }

  /** Nothing to turn while the display runs. */
  show(past: Past | null, zone: Zone): void {
    this.root.hidden = past === null;
    if (!past) return;
    for (const one of this.back) one.disabled = past.atBeginning;
    for (const one of this.forward) one.disabled = past.atEnd;
    const { fromMs } = past.window;
    setText(this.when, `${formatDate(fromMs, zone)} ${formatTime(fromMs, zone, 0)}`);
    setAttribute(this.when, "data-state", past.state);
    setAttribute(this.when, "data-at", past.atBeginning ? "beginning" : past.atEnd ? "end" : "within");
  }
}

function button(attributes: Record<string, string>, content: Node | string, act: () => void): HTMLButtonElement {
  const element = make("button", { type: "button", ...attributes }, content);
  element.addEventListener("click", act);
  return element;
}
