import { vi } from "vitest";

type Listener = (...args: unknown[]) => void;

/** A stock client's socket without a network, for tests that drive the time by hand: it says what the test makes it say. */
export class FakeSocket {
  connected = false;
  /** How often it was asked to connect. */
  attempts = 0;
  /** The events that were sent, the arguments after their name. */
  readonly sent: { event: string; args: unknown[]; answer: (value: unknown) => void }[] = [];
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
    if (this.connected) this.break("io client disconnect");
    return this;
  }

  timeout(ms: number) {
    return {
      emit: (event: string, ...args: unknown[]) => {
        const acknowledge = args.pop() as (error: Error | null, value?: unknown) => void;
        const timer = setTimeout(() => acknowledge(new Error("operation has timed out")), ms);
        this.sent.push({
          event, args,
          answer(value) {
            clearTimeout(timer);
            acknowledge(null, value);
          },
        });
      },
    };
  }

  /** The server lets this client in. */
  open(): void {
    this.connected = true;
    this.hear("connect");
    this.hear("session", { user: null, connectionId: "c1", channels: [], serverTime: new Date().toISOString() });
  }

  /** The connection ends. */
  break(reason = "transport close"): void {
    this.connected = false;
    this.hear("disconnect", reason);
  }

  hear(event: string, ...args: unknown[]): void {
    for (const listener of [...(this.#listeners.get(event) ?? [])]) listener(...args);
    if (!["connect", "connect_error", "disconnect"].includes(event)) for (const listener of this.#any) listener(event, ...args);
  }

  asked(event: string) {
    return this.sent.filter((one) => one.event === event);
  }
}

/** A page without a browser: a window and a document that hear events. */
export function stubPage() {
  const page = new EventTarget();
  const sheet = Object.assign(new EventTarget(), { visibilityState: "visible" as DocumentVisibilityState });
  vi.stubGlobal("window", page);
  vi.stubGlobal("document", sheet);
  return { page, sheet };
}
