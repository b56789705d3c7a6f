import { vi } from "vitest";

type Listener = (...args: unknown[]) => void;

/** The stock client's socket without a network, for tests with fake timers. */
export class FakeSocket {
  connected = false;
  /** The number of connection attempts. */
  attempts = 0;
  /** The requests sent. */
  readonly sent: { event: string; args: unknown[]; reply: (value: unknown) => void }[] = [];
  readonly #listeners = new Map<string, Set<Listener>>();
  readonly #any = new Set<Listener>();

  on(event: string, listener: Listener): this {
    this.#listeners.set(event, (this.#listeners.get(event) ?? new Set()).add(listener));
    return this;
  }

  off(event: string, listener: Listener): this {
    this.#listeners.get(event)?.delete(listener);
    return this;
  }

  onAny(listener: Listener): this {
    this.#any.add(listener);
    return this;
  }

  connect(): this {
    this.attempts += 1;
    return this;
  }

  disconnect(): this {
    if (this.connected) this.close("io client disconnect");
    return this;
  }

  timeout(ms: number) {
    return {
      emit: (event: string, ...args: unknown[]) => {
        const acknowledge = args.pop() as (error: Error | null, value?: unknown) => void;
        const timer = setTimeout(() => acknowledge(new Error("operation has timed out")), ms);
        this.sent.push({
          event, args,
          reply(value) {
            clearTimeout(timer);
            acknowledge(null, value);
          },
        });
      },
    };
  }

  /** The server accepts the connection. */
  open(): void {
    this.connected = true;
    this.receive("connect");
    this.receive("session", { user: null, connectionId: "c1", channels: [], serverTime: new Date().toISOString() });
  }

  /** The connection closes. */
  close(reason = "transport close"): void {
    this.connected = false;
    this.receive("disconnect", reason);
  }

  receive(event: string, ...args: unknown[]): void {
    for (const listener of [...(this.#listeners.get(event) ?? [])]) listener(...args);
    if (!["connect", "connect_error", "disconnect"].includes(event)) for (const listener of this.#any) listener(event, ...args);
  }

  requests(event: string) {
    return this.sent.filter((request) => request.event === event);
  }
}

/** A page without a browser: a window and a document that dispatch events. */
export function stubPage() {
  const page = new EventTarget();
  const sheet = Object.assign(new EventTarget(), { visibilityState: "visible" as DocumentVisibilityState });
  vi.stubGlobal("window", page);
  vi.stubGlobal("document", sheet);
  return { page, sheet };
}
