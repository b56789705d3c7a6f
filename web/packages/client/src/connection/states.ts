import type { CarillonError } from "../errors.js";
import type { Transitions } from "../machine.js";
import type { Session } from "../session.js";

/**
 * The state of the connection.
 *
 * - `disconnected`: `connect()` was not called, or `disconnect()` was.
 * - `connecting`: the first attempt is in progress.
 * - `connected`: the server accepted the connection.
 * - `reconnecting`: the connection was lost, or the first attempt failed; the client retries.
 * - `offline`: several attempts in a row failed, or the browser reports that there is no network; the client retries.
 * - `refused`: the server refused the connection and a retry would not help. Only `connect()` leaves this state.
 */
export type ConnectionState = "disconnected" | "connecting" | "connected" | "reconnecting" | "offline" | "refused";

/** The events of the connection's state machine. */
export type ConnectionEvent = "attempted" | "opened" | "failed" | "went-offline" | "lost" | "refused" | "closed";

/** The state machine of the connection. */
export const connectionTransitions: Transitions<ConnectionState, ConnectionEvent> = {
  disconnected: { attempted: "connecting" },
  connecting: { opened: "connected", failed: "reconnecting", "went-offline": "offline", refused: "refused", closed: "disconnected" },
  connected: { lost: "reconnecting", "went-offline": "offline", refused: "refused", closed: "disconnected" },
  reconnecting: {
    attempted: "reconnecting", opened: "connected",
    failed: "reconnecting", "went-offline": "offline", refused: "refused", closed: "disconnected",
  },
  offline: {
    attempted: "offline", opened: "connected",
    failed: "offline", "went-offline": "offline", refused: "refused", closed: "disconnected",
  },
  refused: { attempted: "connecting", closed: "disconnected" },
};

/** Why the connection is in its state. */
export type ConnectionReason =
  /** The application called `disconnect()`. */
  | "closed-by-client"
  /** The server closed the connection. */
  | "closed-by-server"
  /** The server announced that it is shutting down or restarting. */
  | "server-closing"
  /** The transport broke or stopped responding. */
  | "connection-lost"
  /** No server answers at the address. */
  | "server-unreachable"
  /** The browser reports that there is no network. */
  | "no-network"
  /** The server refused the connection; see the error. */
  | "refused";

/** An immutable snapshot of the connection. Every change creates a new object. */
export interface ConnectionSnapshot {
  /** The state of the connection. */
  readonly state: ConnectionState;
  /** Why it is not connected. */
  readonly reason?: ConnectionReason;
  /** The last error, until the connection opens again. */
  readonly error?: CarillonError;
  /** The number of attempts since the connection was last open. */
  readonly attempts: number;
  /** The local time of the next attempt in milliseconds, while one is scheduled. */
  readonly nextAttemptAt?: number;
  /** The local time at which this state was entered, in milliseconds. */
  readonly since: number;
  /** The last session that the server sent. It stays available while reconnecting. */
  readonly session?: Session;
}

/** Whether the client is trying to open the connection. */
export const isAttempting = (state: ConnectionState) => state === "connecting" || state === "reconnecting" || state === "offline";
