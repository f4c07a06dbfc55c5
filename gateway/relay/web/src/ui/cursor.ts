import { make, setText } from "./dom";

/** What the cursor shows: where it stands, CSS px in the plotting area, and the trace's heights there. */
export interface CursorPlace {
  x: number;
  /** Heights of the dots in each panel, from the top: two where there are a least and a greatest value. */
  heights: readonly (readonly number[])[];
  flag: string;
}

export interface CursorEvents {
  /** The pointer stands at this part of the plotting area's width, 0 to 1. */
  onPoint(fraction: number): void;
  onLeave(): void;
  /** Arrow keys: so many frames, or buckets of them, forward or back. */
  onStep(slots: number): void;
}

const FAR = 10;

/** The line, the dots and the time over all panels, and the pointer and keys that move it. */
export class Cursor {
  readonly root = make("div", {
    class: "cursor-area",
    "data-testid": "plot-area",
    tabindex: "0",
    role: "group",
    "aria-label": "Traces. Space pauses; when paused, the left and right arrow keys step from sample to sample.",
  });
  private readonly line = make("div", { class: "cursor-line", hidden: "" });
  private readonly flag = make("div", { class: "cursor-flag", hidden: "" });
  /** Two for each channel. */
  private dots: HTMLElement[] = [];

  constructor(private readonly events: CursorEvents) {
    this.root.append(this.line, this.flag);
    this.root.addEventListener("pointerdown", (event) => this.point(event));
    this.root.addEventListener("pointermove", (event) => this.point(event));
    this.root.addEventListener("pointerleave", () => this.events.onLeave());
    this.root.addEventListener("pointercancel", () => this.events.onLeave());
    this.root.addEventListener("keydown", (event) => this.key(event));
  }

  /** Width of the plotting area, CSS px. */
  get width(): number {
    return this.root.clientWidth;
  }

  /** Dots in the channels' colours. */
  setChannels(count: number, colours: number): void {
    for (const dot of this.dots) dot.remove();
    const colour = (dot: number) => (Math.floor(dot / 2) % colours) + 1;
    this.dots = Array.from({ length: 2 * count }, (_, i) => make("div", { class: `cursor-dot trace-${colour(i)}`, hidden: "" }));
    this.root.append(...this.dots);
  }

  show({ x, heights, flag }: CursorPlace): void {
    const inside = x >= 0 && x <= this.width;
    this.line.hidden = this.flag.hidden = !inside;
    this.line.style.transform = `translateX(${x}px)`;
    setText(this.flag, flag);
    const half = this.flag.offsetWidth / 2;
    this.flag.style.transform = `translateX(${Math.min(Math.max(x - half, 0), this.width - 2 * half)}px)`;
    this.dots.forEach((dot, i) => {
      const y = heights[Math.floor(i / 2)]?.[i % 2] ?? Number.NaN;
      dot.hidden = !inside || !Number.isFinite(y);
      if (!dot.hidden) dot.style.transform = `translate(${x}px, ${y}px)`;
    });
  }

  hide(): void {
    this.line.hidden = this.flag.hidden = true;
    for (const dot of this.dots) dot.hidden = true;
  }

  private point(event: PointerEvent): void {
    const { left, width } = this.root.getBoundingClientRect();
    if (width > 0) this.events.onPoint(Math.min(1, Math.max(0, (event.clientX - left) / width)));
  }

  private key(event: KeyboardEvent): void {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    event.preventDefault();
    this.events.onStep((event.key === "ArrowLeft" ? -1 : 1) * (event.shiftKey ? FAR : 1));
  }
}
