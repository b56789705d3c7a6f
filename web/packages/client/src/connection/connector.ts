import type { Socket } from "socket.io-client";
import { clampDelay, retryDelay } from "../backoff.js";
import type { Carillon } from "../client.js";
import { toCarillonError, unavailable, type CarillonError } from "../errors.js";
import type { Session } from "../session.js";
import { createStore } from "../store.js";
import { afterClose, afterFailure, isFinalError, type Closing, type NextStep } from "./decisions.js";
import type { Settings } from "./settings.js";
import { connectionTransitions, isAttempting, type ConnectionEvent, type ConnectionSnapshot } from "./states.js";

/** Opens the connection and keeps it open: attempts, the delays between them, and when to stop. */
export interface Connector extends Pick<Carillon, "getSnapshot" | "subscribe" | "connect" | "disconnect"> {
  /** The current attempt failed for a reason other than the server's. */
  readonly fail: (error: CarillonError) => void;
  /** Retries at once instead of waiting. Calls within a second of an attempt do nothing: wake signals arrive in groups. */
  readonly retryNow: () => void;
  /** The browser reports that there is no network. */
  readonly reportOffline: () => void;
  /** Closes a connection on which the server no longer responds, and reconnects. */
  readonly dropUnresponsive: () => void;
  readonly setSession: (session: Session) => void;
}

const attemptGroupMs = 1000;

export function createConnector(socket: Socket, settings: Settings, canFetchToken: boolean, log: Carillon["log"]): Connector {
  const { connectTimeoutMs, offlineAfterAttempts, retryDelays } = settings;
  const store = createStore<ConnectionSnapshot>({ state: "disconnected", attempts: 0, since: Date.now() });
  let attemptTimer: ReturnType<typeof setTimeout> | undefined;
  let handshakeTimer: ReturnType<typeof setTimeout> | undefined;
  let attemptStartedAt: number | undefined;
  let tokenRefetched = false;
  let closing: Closing = {};

  const move = (event: ConnectionEvent, changes: Omit<Partial<ConnectionSnapshot>, "state" | "since"> = {}): boolean => {
    const before = store.get();
    const state = connectionTransitions[before.state][event];
    if (state === undefined) return false;
    const session = changes.session ?? before.session;
    store.set({
      attempts: before.attempts,
      ...changes,
      state,
      since: state === before.state ? before.since : Date.now(),
      ...(session ? { session } : {}),
    });
    if (state !== before.state) log("debug", `connection: ${state}`, changes.reason ? { reason: changes.reason } : undefined);
    return true;
  };

  const stopTimers = () => {
    clearTimeout(attemptTimer);
    clearTimeout(handshakeTimer);
    attemptStartedAt = undefined;
  };

  const attempt = () => {
    stopTimers();
    attemptStartedAt = Date.now();
    const { attempts, state, reason, error } = store.get();
    const previous = state === "refused" ? {} : { ...(reason ? { reason } : {}), ...(error ? { error } : {}) };
    move("attempted", { attempts: attempts + 1, ...previous });
    // The stock client waits forever for a server that opens the transport and then sends nothing.
    handshakeTimer = setTimeout(() => {
      socket.disconnect();
      fail(unavailable("The server did not answer the handshake in time."));
    }, connectTimeoutMs);
    socket.connect();
  };

  const fail = (error: CarillonError) => {
    if (!isAttempting(store.get().state)) return;
    const next = afterFailure(error, canFetchToken && !tokenRefetched);
    tokenRefetched ||= error.code === "token-expired";
    proceed("failed", next);
  };

  const proceed = (event: "failed" | "lost", next: NextStep) => {
    stopTimers();
    if (next.action === "refuse") {
      log("warn", `connection refused: ${next.error.code}`);
      socket.disconnect();
      move("refused", { attempts: 0, reason: "refused", error: next.error });
      return;
    }
    const { attempts } = store.get();
    const offline = networkIsDown();
    const delayMs = next.delayMs ?? retryDelay(next.error, attempts, retryDelays);
    attemptTimer = setTimeout(attempt, delayMs);
    move(offline || attempts >= offlineAfterAttempts ? "went-offline" : event, {
      reason: offline ? "no-network" : next.reason,
      nextAttemptAt: Date.now() + delayMs,
      ...(next.error ? { error: next.error } : {}),
    });
  };

  const connect = () => {
    const { state } = store.get();
    if (state === "connected" || state === "connecting") return;
    if (isAttempting(state)) socket.disconnect();          // an attempt in progress may hang
    attempt();
  };

  socket.on("connect", () => {
    stopTimers();
    tokenRefetched = false;
    closing = {};
    move("opened", { attempts: 0 });
  });

  socket.on("connect_error", (error: Error & { data?: unknown }) => {
    fail(error.data === undefined ? unavailable(error.message) : toCarillonError(error.data, error.message));
  });

  socket.on("disconnect", (reason) => {
    const { state } = store.get();
    // A transport that closes before the server accepted the connection is a failed attempt.
    if (isAttempting(state)) fail(unavailable("The connection closed before the server replied."));
    else if (state === "connected") proceed("lost", afterClose({ ...closing, byServer: reason === "io server disconnect" }, canFetchToken));
  });

  socket.on("server:closing", (value: unknown) => {
    const requested = typeof value === "object" && value !== null && "reconnectInMs" in value ? clampDelay(value.reconnectInMs) : undefined;
    closing = { ...closing, reconnectInMs: requested ?? retryDelays.firstMs };
    log("info", "the server is closing");
  });

  socket.on("error", (value: unknown) => {
    const error = toCarillonError(value);
    if (isFinalError(error)) closing = { ...closing, finalError: error };
  });

  return {
    getSnapshot: store.get,
    subscribe: store.subscribe,
    connect,
    disconnect() {
      stopTimers();
      if (move("closed", { attempts: 0, reason: "closed-by-client" })) socket.disconnect();
    },
    fail,
    retryNow() {
      const { state } = store.get();
      if (state !== "reconnecting" && state !== "offline") return;
      // The distance and not the age: the clock may have been set back.
      if (attemptStartedAt === undefined || Math.abs(Date.now() - attemptStartedAt) >= attemptGroupMs) connect();
    },
    reportOffline() {
      const { state, ...rest } = store.get();
      if (state === "reconnecting") move("went-offline", { ...rest, reason: "no-network" });
    },
    dropUnresponsive() {
      closing = { ...closing, unresponsive: true };
      socket.disconnect();
    },
    setSession: (session) => store.set({ ...store.get(), session }),
  };
}

// A hint, no proof: a page reaches a server on its own machine without any network.
const networkIsDown = () =>
  typeof navigator !== "undefined" && navigator.onLine === false
  && !(typeof location !== "undefined" && ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname));
