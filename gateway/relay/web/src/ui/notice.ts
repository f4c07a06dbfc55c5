import type { Trouble } from "../core/trouble";
import { make, setAttribute, setText } from "./dom";

/** Says in the middle of an empty scope, or at the top of a full one, what is the matter. */
export class Notice {
  readonly root: HTMLElement;
  private readonly title = make("strong", {});
  private readonly words = make("span", {});

  constructor() {
    this.root = make("div", { class: "notice", role: "status", "data-testid": "notice", hidden: "" }, this.title, this.words);
  }

  /** `blank`: there is no trace at all to look at. */
  show(trouble: Trouble | null, blank: boolean): void {
    this.root.hidden = trouble === null;
    setAttribute(this.root, "data-trouble", trouble?.id ?? null);
    this.root.classList.toggle("blank", blank);
    if (!trouble) return;
    setText(this.title, trouble.title);
    setText(this.words, trouble.words);
  }
}
