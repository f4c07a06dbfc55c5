import { icon, ICONS, make, setAttribute } from "./dom";
import { Pager, type PagerEvents } from "./pager";
import { SPANS } from "./prefs";

export interface ToolbarEvents extends PagerEvents {
  onPause(): void;
  onSpan(spanS: number): void;
}

/** The line below the top: pause, how many seconds, turning when paused, and the figures. */
export class Toolbar {
  readonly root: HTMLElement;
  readonly metrics = make("dl", { class: "metrics" });
  readonly pager: Pager;
  private readonly pause = make("button", { class: "pause", type: "button", "data-testid": "pause" });
  private readonly spans = new Map<number, HTMLButtonElement>();

  constructor(events: ToolbarEvents) {
    this.pager = new Pager(events);
    this.pause.addEventListener("click", () => events.onPause());
    for (const span of SPANS) this.spans.set(span, this.spanButton(span, events));
    const group = make("div", { class: "spans", role: "group", "aria-label": "Seconds shown" }, ...this.spans.values());
    this.root = make("div", { class: "toolbar" }, this.pause, group, this.pager.root, this.metrics);
    // A button that was clicked with a pointer lets go of the keyboard, so that space goes on pausing.
    this.root.addEventListener("click", (event) => {
      if (event.detail > 0 && document.activeElement instanceof HTMLButtonElement) document.activeElement.blur();
    });
    this.showPaused(false);
  }

  showPaused(paused: boolean): void {
    this.pause.replaceChildren(icon(paused ? ICONS.play : ICONS.pause), paused ? "Resume" : "Pause");
    setAttribute(this.pause, "aria-pressed", String(paused));
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
