import { retryDelay, type RetryDelays } from "../backoff.js";
import type { Carillon, Reply } from "../client.js";
import { unavailable, type CarillonError } from "../errors.js";
import type { Transitions } from "../machine.js";

/**
 * The state of the token renewal.
 *
 * - `idle`: there is no connection, or the expiry is unknown; the server reports when the token has expired.
 * - `scheduled`: a renewal is scheduled shortly before the expiry.
 * - `fetching`: the application's function is fetching a new token.
 * - `sending`: the new token was sent to the server.
 * - `backing-off`: the renewal failed and will be retried.
 */
export type RenewalState = "idle" | "scheduled" | "fetching" | "sending" | "backing-off";

/** The events of the renewal's state machine. */
export type RenewalEvent = "armed" | "due" | "fetched" | "failed" | "ended";

/** The state machine of the token renewal. One renewal runs at a time. */
export const renewalTransitions: Transitions<RenewalState, RenewalEvent> = {
  "idle": { armed: "scheduled", due: "fetching" },
  "scheduled": { armed: "scheduled", due: "fetching", ended: "idle" },
  "fetching": { fetched: "sending", failed: "backing-off", ended: "idle" },
  "sending": { armed: "scheduled", failed: "backing-off", ended: "idle" },
  "backing-off": { due: "fetching", ended: "idle" },
};

/** What a renewal needs from its connection. */
export interface RenewalOptions {
  /** Fetches a token from the application. */
  readonly fetch: () => Promise<unknown>;
  /** Sends the token to the server. */
  readonly send: (token: string) => Promise<Reply>;
  /** The server's clock in milliseconds, as estimated. */
  readonly serverNow: () => number;
  readonly retryDelays: RetryDelays;
  readonly log: Carillon["log"];
}

/** Renews the token of an open connection before it expires. */
export interface Renewal {
  /** The connection opened with a token that expires at this time, if known. */
  readonly start: (expiresAt: number | undefined) => void;
  /** The server reported that the token has expired. */
  readonly renewNow: () => void;
  /** The connection closed. */
  readonly stop: () => void;
  readonly state: () => RenewalState;
}

export function createRenewal({ fetch, send, serverNow, retryDelays, log }: RenewalOptions): Renewal {
  let state: RenewalState = "idle";
  let timer: ReturnType<typeof setTimeout> | undefined;
  let failures = 0;
  let run = 0;                                 // a result that arrives after the connection closed is discarded

  const move = (event: RenewalEvent): boolean => {
    const next = renewalTransitions[state][event];
    if (next === undefined) return false;
    clearTimeout(timer);
    state = next;
    return true;
  };

  const stop = () => {
    run += 1;
    failures = 0;
    move("ended");
  };

  const arm = (expiresAt: number | undefined) => {
    if (expiresAt === undefined) stop();
    else if (move("armed")) timer = setTimeout(() => void renew(), renewalDelay(expiresAt - serverNow()));
  };

  const renew = async () => {
    if (!move("due")) return;
    const current = ++run;
    // The error of the application's function is never logged: it may contain the token.
    const token = await fetch().catch(() => undefined);
    if (current !== run) return;
    if (typeof token !== "string") {
      fail(unavailable());
      return;
    }
    move("fetched");
    const reply = await send(token);
    if (current !== run) return;
    if (!reply.ok) {
      fail(reply.error);
      return;
    }
    failures = 0;
    log("debug", "token renewed");
    const expiresAt = typeof reply["expiresAt"] === "string" ? Date.parse(reply["expiresAt"]) : Number.NaN;
    arm(Number.isNaN(expiresAt) ? expiryOf(token) : expiresAt);
  };

  const fail = (error: CarillonError) => {
    log("warn", `token renewal failed: ${error.code}`);
    // The token belongs to another user, or this connection has none to renew. A retry would fail again.
    if (error.code === "forbidden") {
      stop();
      return;
    }
    failures += 1;
    move("failed");
    timer = setTimeout(() => void renew(), retryDelay(error, failures, retryDelays));
  };

  return {
    start(expiresAt) {
      stop();
      arm(expiresAt);
    },
    renewNow: () => void renew(),
    stop,
    state: () => state,
  };
}

const longestTimerMs = 2 ** 31 - 1;

/**
 * The delay before a token with this remaining lifetime is renewed. A fifth of the lifetime is left as a margin, 30 seconds at most, with
 * jitter so that pages opened together do not renew together.
 */
export function renewalDelay(remainingMs: number, random: number = Math.random()): number {
  const margin = Math.min(30_000, remainingMs / 5) * (0.75 + random / 4);
  // At least a second: a function that keeps returning the same token is not called faster and faster as its expiry approaches.
  return Math.round(Math.min(longestTimerMs, Math.max(1000, remainingMs - margin)));
}

/**
 * When a JWT expires, in milliseconds, if it says so. The token is not verified: the server does that, and this is a hint when to renew.
 */
export function expiryOf(token: unknown): number | undefined {
  if (typeof token !== "string") return undefined;
  const parts = token.split(".");
  if (parts.length !== 3) return undefined;
  try {
    const claims: unknown = JSON.parse(atob((parts[1] ?? "").replaceAll("-", "+").replaceAll("_", "/")));
    const exp = typeof claims === "object" && claims !== null && "exp" in claims ? claims.exp : undefined;
    return typeof exp === "number" && Number.isFinite(exp) ? exp * 1000 : undefined;
  } catch {
    return undefined;                          // not a JWT
  }
}
