import type { ManagerOptions, SocketOptions } from "socket.io-client";
import type { RetryDelays } from "./backoff.js";
import type { Publication } from "./channels/publication.js";
import type { ServerClock } from "./clock.js";
import type { ConnectionSnapshot, ConnectionState } from "./connection/states.js";
import type { CarillonError } from "./errors.js";
import type { Session } from "./session.js";

/** A JSON object whose members are not known in advance. */
export type Fields = Readonly<Record<string, unknown>>;

/**
 * The payload of the handshake: fixed values, or a function that fetches them (such as a fresh token). The function is called before
 * every connection attempt, and shortly before its `token` expires so that the connection can stay open with a new one.
 */
export type Credentials = Fields | (() => Fields | Promise<Fields>);

/** Receives log messages. `console` fits. */
export interface CarillonLogger {
  /** Life cycle events. */
  readonly debug?: (message: string, details?: Fields) => void;
  /** Events of interest to a developer who follows along. */
  readonly info?: (message: string, details?: Fields) => void;
  /** Events that may require action. */
  readonly warn?: (message: string, details?: Fields) => void;
}

/** The severity of a log message. */
export type LogLevel = keyof CarillonLogger;

/** Configures a client. The defaults suit a page that the Carillon server itself serves. */
export interface CarillonOptions {
  /** The server's origin; the page's own by default. */
  readonly url?: string;
  /** The Socket.IO path; `/socket.io` by default. */
  readonly path?: string;
  /** The payload of the handshake. */
  readonly auth?: Credentials;
  /** The transports to try, in order; WebSocket first, then long-polling, by default. */
  readonly transports?: readonly ("websocket" | "polling")[];
  /** How long a request waits for its reply, in milliseconds; 10 seconds by default. */
  readonly requestTimeoutMs?: number;
  /**
   * How long the server may take to answer the `ping` that the client sends after the page was asleep, offline or in the background, in
   * milliseconds; 3 seconds by default. Without a reply the client closes the connection and reconnects at once.
   */
  readonly pingTimeoutMs?: number;
  /** How long a connection attempt may take, in milliseconds; 10 seconds by default. */
  readonly connectTimeoutMs?: number;
  /** The delay before the first retry, in milliseconds; 300 by default, because most interruptions are short. */
  readonly retryFirstMs?: number;
  /** The longest delay before a retry, in milliseconds; 5 seconds by default, so that a page is live soon after its server starts. */
  readonly retryMaxMs?: number;
  /** The number of failed attempts in a row after which the state is `offline`; 3 by default. */
  readonly offlineAfterAttempts?: number;
  /** Receives log messages. Nothing is logged by default. */
  readonly logger?: CarillonLogger;
  /** Further options of `socket.io-client`. Its own reconnection stays off, because this client reconnects by itself. */
  readonly socket?: Partial<Omit<ManagerOptions & SocketOptions, "autoConnect" | "reconnection" | "auth" | "path" | "forceNew">>;
}

/** The server's reply to a request, or the error that took its place. */
export type Reply = ({ readonly ok: true } & Fields) | { readonly ok: false; readonly error: CarillonError };

/**
 * A connection to a Carillon server that reconnects by itself. It knows no feature: `channel(client, name)`, `changes(client, tables,
 * listener)`, `presence(client, name)` and `votes(client)` are functions of a client, built on the members of this interface alone.
 */
export interface Carillon {
  /** The state of the connection. */
  readonly state: ConnectionState;
  /** The session that the server sent with the last connection, if any. */
  readonly session: Session | undefined;
  /** The estimate of the server's clock. */
  readonly clock: ServerClock;
  /** The delays between retries; features retry with the same ones as the connection. */
  readonly retryDelays: RetryDelays;
  /** The current state in detail; the same object until something changes. */
  readonly getSnapshot: () => ConnectionSnapshot;
  /** Calls `listener` after every change of the snapshot, until the returned function is called. */
  readonly subscribe: (listener: () => void) => () => void;
  /** Connects, retries at once instead of waiting, or tries again after a refusal. Does nothing while connected. */
  readonly connect: () => void;
  /** Closes the connection. Listeners stay registered and receive again after `connect()`. */
  readonly disconnect: () => void;
  /** Sends a request and waits for its reply. Never rejects: a missing reply is the error `unavailable`. */
  readonly request: (event: string, argument?: unknown) => Promise<Reply>;
  /** Listens to an event by name, until the returned function is called. For events outside channels, such as `connection:quality`. */
  readonly on: (event: string, listener: (...args: readonly unknown[]) => void) => () => void;
  /** Listens to the publications of all channels as they arrive, duplicates included, until the returned function is called. */
  readonly onPublication: (listener: (publication: Publication) => void) => () => void;
  /** Writes to the logger that this client was created with. */
  readonly log: (level: LogLevel, message: string, details?: Fields) => void;
}
