import { backoffMs } from "../core/backoff";

/** How the connection stands; `retryAtMs` on Date.now()'s clock; locked: not again before somebody signs in. */
export type LinkState = { kind: "connecting" } | { kind: "open" } | { kind: "waiting"; retryAtMs: number } | { kind: "locked" };

export interface LinkEvents {
  onState(state: LinkState): void;
  onText(text: string): void;
  onBinary(payload: ArrayBuffer): void;
}

const PING_EVERY_MS = 10_000;
/** Without a word for so long the connection is taken for dead. */
const SILENCE_MS = 25_000;
/** A connection that lived so long counts as good: the next wait is short again. */
const GOOD_AFTER_MS = 5_000;

/** A WebSocket to the relay that comes back by itself. */
export class LiveLink {
  private socket: WebSocket | null = null;
  private attempt = 0;
  private openedMs = 0;
  private heardMs = 0;
  private retryTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly url: string,
    private readonly events: LinkEvents,
  ) {
    setInterval(() => this.beat(), PING_EVERY_MS);
    window.addEventListener("online", () => this.hurry());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.hurry();
    });
  }

  /** Connect, anew if it is connected, and stay connected from now on. */
  start(): void {
    clearTimeout(this.retryTimer);
    this.leave();
    this.events.onState({ kind: "connecting" });
    const socket = new WebSocket(this.url);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    socket.onopen = () => {
      this.openedMs = this.heardMs = Date.now();
      this.events.onState({ kind: "open" });
    };
    socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => {
      this.heardMs = Date.now();
      if (typeof event.data === "string") this.events.onText(event.data);
      else this.events.onBinary(event.data);
    };
    socket.onclose = () => this.lost(socket);
  }

  /** Send a control message; false if there is no connection to send it on. */
  send(message: object): boolean {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(message));
    return true;
  }

  /** Do not come back by itself: the relay wants a token first. */
  lock(): void {
    this.leave();
    this.events.onState({ kind: "locked" });
  }

  private leave(): void {
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }

  private lost(socket: WebSocket): void {
    if (socket !== this.socket) return;
    this.socket = null;
    if (this.openedMs > 0 && Date.now() - this.openedMs > GOOD_AFTER_MS) this.attempt = 0;
    this.openedMs = 0;
    const waitMs = backoffMs(this.attempt++, Math.random());
    this.events.onState({ kind: "waiting", retryAtMs: Date.now() + waitMs });
    this.retryTimer = setTimeout(() => this.start(), waitMs);
  }

  /** Something says that the relay may be reachable again: do not wait. */
  private hurry(): void {
    if (this.socket) return;
    clearTimeout(this.retryTimer);
    this.attempt = 0;
    this.start();
  }

  private beat(): void {
    const socket = this.socket;
    if (socket?.readyState !== WebSocket.OPEN) return;
    if (Date.now() - this.heardMs < SILENCE_MS) {
      this.send({ type: "ping" });
      return;
    }
    socket.close();
    // A dead peer never answers the close; do not wait for it.
    this.lost(socket);
  }
}
