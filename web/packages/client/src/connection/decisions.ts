// The decisions about a connection that could not be opened or has closed. They are pure; the connector carries them out.
import type { CarillonError } from "../errors.js";
import type { ConnectionReason } from "./states.js";

/** What to do next: stop in the state `refused`, or retry after a delay (the backoff by default). */
export type NextStep =
  | { readonly action: "refuse"; readonly error: CarillonError }
  | { readonly action: "retry"; readonly reason: ConnectionReason; readonly error?: CarillonError; readonly delayMs?: number };

/** What is known about the end of an open connection. */
export interface Closing {
  /** The server closed it. */
  readonly byServer?: boolean;
  /** The last error about the connection as a whole that the server sent. */
  readonly finalError?: CarillonError;
  /** The server did not answer a ping. */
  readonly unresponsive?: boolean;
  /** The server announced its shutdown and requested this delay. */
  readonly reconnectInMs?: number;
}

const connectionCodes: ReadonlySet<string> = new Set([
  "unauthorized", "token-expired", "token-revoked", "token-replayed", "banned", "unknown-user",
]);

/** Whether an error concerns the whole connection (the server sends it as an error of `connect`) and not one request. */
export function isFinalError({ code, event = "connect", channel }: CarillonError): boolean {
  return channel === undefined && event === "connect" && connectionCodes.has(code);
}

/** After a failed attempt. An expired token is no verdict on the user: a new one is fetched at once where that is possible. */
export function afterFailure(error: CarillonError, canFetchToken: boolean): NextStep {
  if (error.code === "token-expired" && canFetchToken) return { action: "retry", reason: "refused", error, delayMs: 0 };
  if (!error.retryable) return { action: "refuse", error };
  return { action: "retry", reason: error.code === "unavailable" ? "server-unreachable" : "refused", error };
}

/** After an open connection has closed. */
export function afterClose({ byServer, finalError, unresponsive, reconnectInMs }: Closing, canFetchToken: boolean): NextStep {
  if (byServer && finalError) {
    return finalError.code === "token-expired" && canFetchToken
      ? { action: "retry", reason: "closed-by-server", error: finalError }
      : { action: "refuse", error: finalError };
  }
  if (unresponsive) return { action: "retry", reason: "connection-lost", delayMs: 0 };
  // The server gives each client a time of its own, so no jitter is added.
  if (reconnectInMs !== undefined) return { action: "retry", reason: "server-closing", delayMs: reconnectInMs };
  return { action: "retry", reason: byServer ? "closed-by-server" : "connection-lost" };
}
