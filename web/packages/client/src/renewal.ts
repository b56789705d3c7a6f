import type { Answer } from "./carillon.js";
import { unavailable, type CarillonError } from "./errors.js";
import { retryWait } from "./waits.js";

/**
 * Where the renewal of a token stands.
 *
 * - `resting`: no connection, or nothing is known of an expiry; the server will say when it is time.
 * - `waiting`: until a little before the expiry.
 * - `asking`: the application is asked for a newer token.
 * - `telling`: the server is told it.
 * - `backing-off`: that failed and is tried again.
 */
export type RenewalState = "resting" | "waiting" | "asking" | "telling" | "backing-off";

/** What can happen to the renewal of a token. */
export type RenewalEvent = "armed" | "due" | "fetched" | "failed" | "over";

/** The whole machine: from a state, by an event, to a state. What is not listed changes nothing: there is one renewal at a time. */
export const renewalTransitions: Readonly<Record<RenewalState, Partial<Readonly<Record<RenewalEvent, RenewalState>>>>> = {
  "resting": { armed: "waiting", due: "asking" },
  "waiting": { armed: "waiting", due: "asking", over: "resting" },
  "asking": { fetched: "telling", failed: "backing-off", over: "resting" },
  "telling": { armed: "waiting", failed: "backing-off", over: "resting" },
  "backing-off": { due: "asking", over: "resting" },
};

/** What the renewal needs from the connection it serves. */
export interface RenewalWire {
  /** Asks the application for a token. */
  readonly fetch: () => Promise<unknown>;
  /** Sends it. */
  readonly tell: (token: string) => Promise<Answer>;
  /** The server's clock in milliseconds, as well as it is known. */
  readonly serverNow: () => number;
  readonly retryFirstMs: number;
  readonly retryMaxMs: number;
  readonly log: (level: "debug" | "info" | "warn", message: string, details?: Readonly<Record<string, unknown>>) => void;
}

/** Keeps the token of an open connection young. */
export interface Renewal {
  /** The connection stands with a token that ends then, where that is known. */
  readonly begin: (expiresAt: number | undefined) => void;
  /** The server says that the token has expired. */
  readonly due: () => void;
  /** The connection is over. */
  readonly end: () => void;
  readonly state: () => RenewalState;
}

export function createRenewal(wire: RenewalWire): Renewal {
  let state: RenewalState = "resting";
  let timer: ReturnType<typeof setTimeout> | undefined;
  let failures = 0;
  let turn = 0;                                // what comes back after the connection has ended belongs to nobody

  const move = (event: RenewalEvent): boolean => {
    const next = renewalTransitions[state][event];
    if (next === undefined) return false;
    clearTimeout(timer);
    state = next;
    return true;
  };

  const rest = () => {
    turn += 1;
    failures = 0;
    move("over");
  };

  const arm = (expiresAt: number | undefined) => {
    if (expiresAt === undefined) rest();
    else if (move("armed")) timer = setTimeout(() => void renew(), renewalDelay(expiresAt - wire.serverNow()));
  };

  const renew = async () => {
    if (!move("due")) return;
    const mine = ++turn;
    // Not a word of what the application's function says goes into the log: it may hold the token.
    const token = await wire.fetch().catch(() => undefined);
    if (mine !== turn) return;
    if (typeof token !== "string") {
      failed(unavailable());
      return;
    }
    move("fetched");
    const answer = await wire.tell(token);
    if (mine !== turn) return;
    if (!answer.ok) {
      failed(answer.error);
      return;
    }
    failures = 0;
    wire.log("debug", "token renewed");
    const told = typeof answer["expiresAt"] === "string" ? Date.parse(answer["expiresAt"]) : Number.NaN;
    arm(Number.isNaN(told) ? expiryOf(token) : told);
  };

  const failed = (error: CarillonError) => {
    wire.log("warn", `the token could not be renewed: ${error.code}`);
    // The token is another person's, or this connection has none to renew: the same question has the same answer.
    if (error.code === "forbidden") {
      rest();
      return;
    }
    failures += 1;
    move("failed");
    timer = setTimeout(() => void renew(), retryWait(error, failures, wire));
  };

  return {
    begin(expiresAt) {
      rest();
      arm(expiresAt);
    },
    due: () => void renew(),
    end: rest,
    state: () => state,
  };
}

const longestTimer = 2 ** 31 - 1;

/** How long to wait before a token that is good for so long is renewed: a fifth of that early, half a minute at most, spread so that pages opened together do not ask together. */
export function renewalDelay(remainingMs: number, random: number = Math.random()): number {
  const early = Math.min(30_000, remainingMs / 5) * (0.75 + random / 4);
  // A function that returns the same token again and again is not asked faster and faster as the end comes near.
  return Math.round(Math.min(longestTimer, Math.max(1000, remainingMs - early)));
}

/** When a token ends, in milliseconds, where it is a JWT that says so. Nothing is verified: the server does that, and this is a hint when to ask. */
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
