import type { RetryDelays } from "../backoff.js";
import type { CarillonOptions } from "../client.js";

/** The options with their defaults applied. */
export interface Settings {
  readonly url: string | undefined;
  readonly path: string;
  readonly transports: readonly ("websocket" | "polling")[];
  readonly requestTimeoutMs: number;
  readonly pingTimeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly offlineAfterAttempts: number;
  readonly retryDelays: RetryDelays;
  readonly socket: NonNullable<CarillonOptions["socket"]>;
}

// Destructuring and not a spread: callers without TypeScript may pass `undefined`.
export function settingsOf({
  url, path = "/socket.io", transports = ["websocket", "polling"],
  requestTimeoutMs = 10_000, pingTimeoutMs = 3_000, connectTimeoutMs = 10_000,
  offlineAfterAttempts = 3, retryFirstMs = 300, retryMaxMs = 5_000, socket = {},
}: CarillonOptions): Settings {
  return {
    url, path, transports, requestTimeoutMs, pingTimeoutMs, connectTimeoutMs, offlineAfterAttempts, socket,
    retryDelays: { firstMs: retryFirstMs, maxMs: retryMaxMs },
  };
}
