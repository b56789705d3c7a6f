import type { CarillonError } from "./errors.js";

/**
 * Where the connection stands.
 *
 * - `idle`: nobody asked for a connection, or it was closed on request.
 * - `connecting`: the first attempt is under way.
 * - `connected`: the server answered and everything is live.
 * - `reconnecting`: the connection was lost, or could not be made at first, and is being tried again.
 * - `offline`: several attempts in a row found nobody, or the browser says there is no network. Attempts go on, more slowly.
 * - `refused`: the server said no, and trying again would not help. Only `connect()` leaves this state.
 */
export type ConnectionState = "idle" | "connecting" | "connected" | "reconnecting" | "offline" | "refused";

/** What can happen to a connection. */
export type ConnectionEvent = "asked" | "opened" | "failed" | "given-up" | "lost" | "denied" | "closed";

/** The whole machine: from a state, by an event, to a state. What is not listed cannot happen and changes nothing. */
export const connectionTransitions: Readonly<Record<ConnectionState, Partial<Readonly<Record<ConnectionEvent, ConnectionState>>>>> = {
  idle: { asked: "connecting" },
  connecting: { opened: "connected", failed: "reconnecting", "given-up": "offline", denied: "refused", closed: "idle" },
  connected: { lost: "reconnecting", "given-up": "offline", denied: "refused", closed: "idle" },
  reconnecting: { asked: "reconnecting", opened: "connected", failed: "reconnecting", "given-up": "offline", denied: "refused", closed: "idle" },
  offline: { asked: "offline", opened: "connected", failed: "offline", "given-up": "offline", denied: "refused", closed: "idle" },
  refused: { asked: "connecting", closed: "idle" },
};

/** Why the connection is where it is. */
export type ConnectionReason =
  /** It was closed on request of this application. */
  | "closed-here"
  /** The server closed it. */
  | "closed-by-server"
  /** The server announced that it is restarting. */
  | "server-closing"
  /** The transport broke or fell silent. */
  | "connection-lost"
  /** Nobody answers at the address. */
  | "server-unreachable"
  /** The browser says that there is no network. */
  | "no-network"
  /** The server said no; the error says why. */
  | "refused";

/** The person, or the till, that the connection belongs to. */
export interface SessionUser {
  /** The stable identifier. */
  readonly id: string;
  /** The name to show. */
  readonly name: string;
  /** What the person may do. */
  readonly roles: readonly string[];
}

/** What the server tells once after every connect. */
export interface Session {
  /** Who this is, or `null` where the host lets clients in without a token. */
  readonly user: SessionUser | null;
  /** The identifier of this connection in the server's logs. */
  readonly connectionId: string;
  /** Channels that were joined without asking. */
  readonly channels: readonly string[];
  /** Counters to begin with. */
  readonly unread: { readonly notifications: number; readonly messages: number };
  /** The server's clock, ISO-8601 in UTC. */
  readonly serverTime: string;
}

/** An immutable picture of the connection; a new object for every change and the same one in between. */
export interface ConnectionSnapshot {
  /** Where the connection stands. */
  readonly state: ConnectionState;
  /** Why, when it is not connected. */
  readonly reason?: ConnectionReason;
  /** The last error, until the connection stands again. */
  readonly error?: CarillonError;
  /** Attempts made since the connection last stood. */
  readonly attempts: number;
  /** When the next attempt is due, in local milliseconds, while one is waiting. */
  readonly nextAttemptAt?: number;
  /** When this state was entered, in local milliseconds. */
  readonly since: number;
  /** What the server told after connecting. It stays readable while reconnecting. */
  readonly session?: Session;
}

/** How long to wait before an attempt: doubled each time up to a limit, and spread so that a thousand tills do not knock together. */
export function backoff(attempt: number, firstMs: number, maxMs: number, random: number = Math.random()): number {
  const full = Math.min(maxMs, firstMs * 2 ** Math.max(0, attempt - 1));
  return Math.round(full * (0.5 + random / 2));
}
