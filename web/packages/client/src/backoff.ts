// Delays before a retry. The server may request one, but its numbers arrive over the wire: none becomes a timer unchecked.
import type { CarillonError } from "./errors.js";

/** The client's own limits for the delay between two attempts, in milliseconds. */
export interface RetryDelays {
  /** The delay after the first failure. */
  readonly firstMs: number;
  /** The longest delay. */
  readonly maxMs: number;
}

/**
 * The longest delay that a server can request, in milliseconds. After ten minutes the client tries again, and the server can repeat its
 * request.
 */
export const longestDelayMs = 600_000;

/**
 * Exponential backoff with jitter: the delay doubles up to a limit, and up to half of it is random so that clients do not reconnect
 * together.
 */
export function backoff(failures: number, { firstMs, maxMs }: RetryDelays, random: number = Math.random()): number {
  const full = Math.min(maxMs, firstMs * 2 ** Math.max(0, failures - 1));
  return Math.round(full * (0.5 + random / 2));
}

/** A delay requested by the server, in milliseconds, at most ten minutes; undefined for text, NaN, negative numbers and the like. */
export function clampDelay(value: unknown): number | undefined {
  return typeof value === "number" && value >= 0 ? Math.min(value, longestDelayMs) : undefined;
}

/**
 * The delay after the given number of failures: the server's `retryAfter`, but never less than the client's own backoff. Otherwise a
 * server that always answers "retry at once" would be called in a loop.
 */
export function retryDelay(error: CarillonError | undefined, failures: number, delays: RetryDelays, random?: number): number {
  const own = backoff(failures, delays, random);
  return error?.retryAfter === undefined ? own : Math.max(own, clampDelay(error.retryAfter * 1000) ?? 0);
}
