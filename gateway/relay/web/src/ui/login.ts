import { make, setText } from "./dom";

/** Asks for a token, in place of the traces. */
export class Login {
  readonly root: HTMLFormElement;
  private readonly token = make("input", {
    id: "token",
    type: "password",
    name: "token",
    autocomplete: "current-password",
    autocapitalize: "off",
    spellcheck: "false",
    required: "",
    "data-testid": "token",
  });
  private readonly problem = make("p", { class: "problem", role: "alert", "data-testid": "login-problem" });

  constructor(onToken: (token: string) => void) {
    this.root = make(
      "form",
      { class: "login", "data-testid": "login", hidden: "" },
      make("label", { for: "token" }, "This relay asks for a token"),
      make("div", { class: "token-line" }, this.token, make("button", { class: "pause", type: "submit" }, "Sign in")),
      this.problem,
      make("p", { class: "where" }, "Who runs the relay makes one: ", make("code", {}, "headwater token")),
    );
    this.root.addEventListener("submit", (event) => {
      event.preventDefault();
      this.tell("");
      onToken(this.token.value.trim());
    });
  }

  /** Shown anew it is empty, and has the keyboard. */
  show(shown: boolean): void {
    if (this.root.hidden === !shown) return;
    this.root.hidden = !shown;
    this.token.value = "";
    if (shown) this.token.focus();
    else this.tell("");
  }

  /** Say why a token was not taken. */
  tell(problem: string): void {
    setText(this.problem, problem);
  }
}
