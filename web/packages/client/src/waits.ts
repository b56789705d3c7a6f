// How long to wait before something is tried again. The server may name a wait, but its numbers come over the wire: none of them becomes
// a timer unchecked.
import type { CarillonError } from "./errors.js";
import { backoff } from "./connection.js";

/** The longest wait that a server can ask for, in milliseconds. After ten minutes the client asks again, and is told again. */
export const longestWaitMs = 600_000;

/** A wait that the server named, in milliseconds, at most ten minutes; undefined for text, NaN, negative numbers and the like. */
export function clampWait(told: unknown): number | undefined {
  return typeof told === "number" && told >= 0 ? Math.min(told, longestWaitMs) : undefined;
}

/**
 * How long to wait after failure number `failures`: what the server asks for, but never less than the client's own backoff. A server that
 * always says "at once" would be asked in a loop otherwise.
 */
export function retryWait(
  error: CarillonError | undefined, failures: number,
  waits: { readonly retryFirstMs: number; readonly retryMaxMs: number }, random?: number,
): number {
  const own = backoff(failures, waits.retryFirstMs, waits.retryMaxMs, random);
  return error?.retryAfter === undefined ? own : Math.max(own, clampWait(error.retryAfter * 1000) ?? 0);
}
