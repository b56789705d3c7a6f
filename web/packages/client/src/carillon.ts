import { io, type ManagerOptions, type Socket, type SocketOptions } from "socket.io-client";
import { createChannel, toSubscribed, type Channel, type ChannelSnapshot, type WiredChannel } from "./channel.js";
import { listenToChanges, type Change, type ChangeListener, type ChangeMeta } from "./changes.js";
import { createClock, type ServerClock } from "./clock.js";
import {
  connectionTransitions,
  type ConnectionEvent,
  type ConnectionReason,
  type ConnectionSnapshot,
  type ConnectionState,
  type Session,
} from "./connection.js";
import { toCarillonError, unavailable, type CarillonError } from "./errors.js";
import { createRenewal, expiryOf } from "./renewal.js";
import { createPresence, type Presence, type PresenceOptions } from "./presence.js";
import { createStore } from "./store.js";
import { createVotes, type Votes } from "./votes.js";
import { clampWait, retryWait } from "./waits.js";
import { watchWaking } from "./waking.js";
import { operationOf, rolesOf, toAnswer, toMeta, toSession } from "./wire.js";

/** Named values of any kind, as they come over the wire. */
export type Fields = Readonly<Record<string, unknown>>;

/**
 * What is sent in the handshake: fixed values, or a function (the place to fetch a fresh token). It is asked before every attempt, and again a little before
 * its `token` expires, so that the connection stays open with a newer one.
 */
export type Credentials = Fields | (() => Fields | Promise<Fields>);

/** Where the story is told. `console` fits. */
export interface CarillonLogger {
  /** Life cycle. */
  readonly debug?: (message: string, details?: Fields) => void;
  /** What a person following along wants to read. */
  readonly info?: (message: string, details?: Fields) => void;
  /** Somebody may have to act. */
  readonly warn?: (message: string, details?: Fields) => void;
}

/** How to reach the server. Everything has a default that fits a page served by the server itself. */
export interface CarillonOptions {
  /** The origin of the server; the page's own by default. */
  readonly url?: string;
  /** Where Socket.IO listens; `/socket.io` by default. */
  readonly path?: string;
  /** Sent in the handshake. */
  readonly auth?: Credentials;
  /** Which transports, in order; WebSocket with long-polling to fall back on by default. */
  readonly transports?: readonly ("websocket" | "polling")[];
  /** How long an answer may take, in milliseconds; 10 seconds by default. */
  readonly answerTimeoutMs?: number;
  /**
   * How long the server may take to answer the `ping` that is sent when this page was asleep, offline or in the background, in
   * milliseconds; 3 seconds by default. Without an answer the connection counts as lost and is made again at once.
   */
  readonly pingTimeoutMs?: number;
  /** How long a connection attempt may take, in milliseconds; 10 seconds by default. */
  readonly connectTimeoutMs?: number;
  /** The first wait before trying again, in milliseconds; 300 by default, because most interruptions are a moment. */
  readonly retryFirstMs?: number;
  /** The longest wait before trying again, in milliseconds; 5 seconds by default, for a shop that opens when its server does. */
  readonly retryMaxMs?: number;
  /** After so many attempts in vain the state is `offline`; 3 by default. */
  readonly offlineAfterAttempts?: number;
  /** Told what happens. Silent by default. */
  readonly logger?: CarillonLogger;
  /** Further options of the stock client, for what is not named here. Its own reconnection stays off: this client does it. */
  readonly socket?: Partial<Omit<ManagerOptions & SocketOptions, "autoConnect" | "reconnection" | "auth" | "path" | "forceNew">>;
}

/** The answer to a request. */
export type Answer = ({ readonly ok: true } & Fields) | { readonly ok: false; readonly error: CarillonError };

/** A live connection to a Carillon server: what it can tell, and what can be asked of it. */
export interface Carillon {
  /** Where the connection stands. */
  readonly state: ConnectionState;
  /** What the server told after connecting, once it did. */
  readonly session: Session | undefined;
  /** What is known of the server's clock. */
  readonly clock: ServerClock;
  /** The picture of now; the same object until something changes. */
  readonly getSnapshot: () => ConnectionSnapshot;
  /** Calls back after every change of the picture, until the returned function is called. */
  readonly subscribe: (listener: () => void) => () => void;
  /** Connects, tries at once instead of waiting, or tries again after a refusal. Does nothing while connected. */
  readonly connect: () => void;
  /** Closes the connection. Those who listen stay, and are live again after `connect()`. */
  readonly disconnect: () => void;
  /** A channel by its name; the same object for the same name while it is used. */
  readonly channel: <T = unknown>(name: string) => Channel<T>;
  /** Listens to the changes of tables, until the returned function is called. */
  readonly changes: (tables: readonly string[], listener: ChangeListener | ((change: Change, meta: ChangeMeta) => void)) => () => void;
  /**
   * Who is in a channel; the same object for the same channel and options while it is used. It is followed while somebody is subscribed
   * to it.
   */
  readonly presence: (channel: string, options?: PresenceOptions) => Presence;
  /** The votes for suggestions; always the same object. They are followed while somebody is subscribed to them. */
  readonly votes: () => Votes;
  /** Asks the server and waits for its acknowledgement. Never rejects: no answer in time is the error `unavailable`. */
  readonly request: (event: string, argument?: unknown) => Promise<Answer>;
  /** Calls back for every event of a name, until the returned function is called. For events outside channels, such as `connection:quality`. */
  readonly on: (event: string, listener: (...args: readonly unknown[]) => void) => () => void;
  /** Writes a line of the story into the logger this client was made with. */
  readonly log: (level: "debug" | "info" | "warn", message: string, details?: Fields) => void;
}

/** After these codes the server means the whole connection, not one request. */
const finalCodes: ReadonlySet<string> = new Set([
  "unauthorized", "token-expired", "token-revoked", "token-replayed", "banned", "unknown-user",
]);

// A screen that is mounted again finds its channels as they were: frameworks unmount and mount in one breath, and routes that load
// lazily take a little longer.
const releaseAfterMs = 1000;

const unsubscribed: ChannelSnapshot = { state: "unsubscribed" };

/** Makes a client. Nothing is opened before `connect()`. */
export function createCarillon(options: CarillonOptions = {}): Carillon {
  const {
    answerTimeoutMs = 10_000, pingTimeoutMs = 3_000, connectTimeoutMs = 10_000,
    retryFirstMs = 300, retryMaxMs = 5_000, offlineAfterAttempts = 3, logger,
  } = options;
  const store = createStore<ConnectionSnapshot>({ state: "idle", attempts: 0, since: Date.now() });
  const clock = createClock();
  const channels = new Map<string, WiredChannel>();
  const handles = new Map<string, Channel>();
  const presences = new Map<string, Presence>();
  let attemptTimer: ReturnType<typeof setTimeout> | undefined;
  let handshakeTimer: ReturnType<typeof setTimeout> | undefined;
  let sweepTimer: ReturnType<typeof setTimeout> | undefined;
  let attemptingSince: number | undefined;
  let checking: object | undefined;            // a ping is on its way
  let wasSilent = false;
  let stopWatching: (() => void) | undefined;
  let handshakeSentAt = 0;
  let closingNotice: { readonly reconnectInMs: number } | undefined;
  let lastFinalError: CarillonError | undefined;
  let renewed = false;
  let tokenExpiresAt: number | undefined;

  const log: Carillon["log"] = (level, message, details) => logger?.[level]?.(message, ...(details ? [details] : []));

  const socketOptions: Partial<ManagerOptions & SocketOptions> = {
    transports: [...(options.transports ?? ["websocket", "polling"])],
    // A network that swallows WebSocket is met by polling instead of by silence.
    tryAllTransports: true,
    timeout: connectTimeoutMs,
    ...options.socket,
    path: options.path ?? "/socket.io",
    forceNew: true,
    autoConnect: false,
    // Attempts are made here: refusals, restarts announced by the server and «try now» need one owner.
    reconnection: false,
    auth(send: (credentials: object) => void) {
      void credentials(options.auth).then((fields) => {
        handshakeSentAt = Date.now();
        tokenExpiresAt = expiryOf(fields["token"]);
        send(fields);
      }, (error: unknown) => failed(unavailable(`The credentials could not be had: ${String(error)}`)));
    },
  };
  const socket: Socket = options.url === undefined ? io(socketOptions) : io(options.url, socketOptions);

  // --- the machine -----------------------------------------------------------------------------------------------------------------

  const move = (event: ConnectionEvent, picture: Omit<Partial<ConnectionSnapshot>, "state" | "since"> = {}): boolean => {
    const before = store.get();
    const state = connectionTransitions[before.state][event];
    if (state === undefined) return false;
    const session = picture.session ?? before.session;
    store.set({
      attempts: before.attempts,
      ...picture,
      state,
      since: state === before.state ? before.since : Date.now(),
      ...(session ? { session } : {}),
    });
    if (state !== before.state) log("debug", `connection: ${state}`, picture.reason ? { reason: picture.reason } : undefined);
    return true;
  };

  const attempt = () => {
    clearTimeout(attemptTimer);
    attemptingSince = Date.now();
    const { attempts, state, reason, error } = store.get();
    move("asked", { attempts: attempts + 1, ...(state === "refused" || !reason ? {} : { reason }), ...(state === "refused" || !error ? {} : { error }) });
    // The stock client waits for ever for a server that opens the transport and then says nothing.
    clearTimeout(handshakeTimer);
    handshakeTimer = setTimeout(() => {
      socket.disconnect();
      failed(unavailable("The server did not answer the handshake in time."));
    }, connectTimeoutMs);
    socket.connect();
  };

  const tryLater = (event: "failed" | "lost", reason: ConnectionReason, error?: CarillonError, waitMs?: number) => {
    const { attempts } = store.get();
    const noNetwork = networkIsDown();
    const hopeless = noNetwork || attempts >= offlineAfterAttempts;
    clearTimeout(handshakeTimer);
    attemptingSince = undefined;
    const wait = waitMs ?? retryWait(error, attempts, { retryFirstMs, retryMaxMs });
    clearTimeout(attemptTimer);
    attemptTimer = setTimeout(attempt, wait);
    move(hopeless ? "given-up" : event, {
      reason: noNetwork ? "no-network" : reason,
      nextAttemptAt: Date.now() + wait,
      ...(error ? { error } : {}),
    });
  };

  const denied = (error: CarillonError) => {
    clearTimeout(attemptTimer);
    clearTimeout(handshakeTimer);
    attemptingSince = undefined;
    watchNetwork(false);                       // only connect() leads out of here
    log("warn", `connection refused: ${error.code}`);
    socket.disconnect();
    move("denied", { attempts: 0, reason: "refused", error });
  };

  const failed = (error: CarillonError) => {
    if (!isTrying(store.get().state)) return;
    // A token that ran out is no verdict on the person: one that can be fetched is fetched, once.
    if (error.code === "token-expired" && typeof options.auth === "function" && !renewed) {
      renewed = true;
      tryLater("failed", "refused", error, 0);
    } else if (error.retryable) tryLater("failed", error.code === "unavailable" ? "server-unreachable" : "refused", error);
    else denied(error);
  };

  const renewal = createRenewal({
    fetch: async () => (await credentials(options.auth))["token"],
    tell: (token) => request("token:refresh", { token }),
    serverNow: () => Date.now() + clock.offsetMs,
    retryFirstMs, retryMaxMs, log,
  });

  // --- what the socket says ----------------------------------------------------------------------------------------------------------

  socket.on("connect", () => {
    clearTimeout(handshakeTimer);
    attemptingSince = undefined;
    renewed = false;
    lastFinalError = undefined;
    closingNotice = undefined;
    move("opened", { attempts: 0 });
    for (const channel of channels.values()) channel.connected();
  });

  socket.on("connect_error", (error: Error & { data?: unknown }) => {
    failed(error.data === undefined ? unavailable(error.message) : toCarillonError(error.data, error.message));
  });

  socket.on("disconnect", (reason) => {
    renewal.end();
    checking = undefined;
    const fellSilent = wasSilent;
    wasSilent = false;
    for (const channel of channels.values()) channel.disconnected();
    // A transport that closes between opening and the server's answer is a failed attempt like any other.
    if (isTrying(store.get().state)) failed(unavailable("The connection closed before the server answered."));
    if (store.get().state !== "connected") return;
    if (reason === "io server disconnect" && lastFinalError) {
      if (lastFinalError.code === "token-expired" && typeof options.auth === "function") tryLater("lost", "closed-by-server", lastFinalError);
      else denied(lastFinalError);
    }
    else if (fellSilent) tryLater("lost", "connection-lost", undefined, 0);
    // Each client is told its own moment: chance would only spoil how the server has spread them.
    else if (closingNotice) tryLater("lost", "server-closing", undefined, closingNotice.reconnectInMs);
    else tryLater("lost", reason === "io server disconnect" ? "closed-by-server" : "connection-lost");
  });

  socket.on("session", (told: unknown) => {
    const session = toSession(told);
    if (!session) return;
    clock.handshake(handshakeSentAt, Date.now(), session.serverTime);
    const before = store.get().session;
    store.set({ ...store.get(), session });
    if (before && rolesOf(before) !== rolesOf(session)) for (const channel of channels.values()) channel.rolesChanged();
    // Not before the session: only now the server's clock is known, by which the token ends.
    if (typeof options.auth === "function") renewal.begin(tokenExpiresAt);
  });

  socket.on("server:closing", (told: unknown) => {
    const wait = typeof told === "object" && told !== null && "reconnectInMs" in told ? clampWait(told.reconnectInMs) : undefined;
    closingNotice = { reconnectInMs: wait ?? retryFirstMs };
    log("info", "the server is closing");
  });

  socket.on("error", (told: unknown) => {
    const error = toCarillonError(told);
    // Of the connection itself the server speaks as of «connect»; what it says of one request is the answer to that.
    if (error.channel === undefined && (error.event ?? "connect") === "connect" && finalCodes.has(error.code)) lastFinalError = error;
    if (error.event === "token:refresh" && error.code === "token-expired" && typeof options.auth === "function") renewal.due();
    log("warn", `the server answered ${error.code}`, { ...(error.event ? { event: error.event } : {}), ...(error.channel ? { channel: error.channel } : {}) });
  });

  socket.on("subscribed", (told: unknown) => {
    const answer = toSubscribed(told);
    if (answer) channelOf(told)?.subscribedEvent(answer);
  });

  socket.on("unsubscribed", (told: unknown) => {
    // Without a code it is the echo of our own wish.
    if (typeof told === "object" && told !== null && "code" in told) channelOf(told)?.takenAway(toCarillonError(told));
  });

  socket.onAny((event: string, payload: unknown, about: unknown) => {
    const meta = toMeta(about);
    if (!meta) return;
    clock.arrival(meta.at, Date.now());
    if (event === "change") log("info", `change received: ${operationOf(payload)}`, { channel: meta.channel, offset: meta.offset });
    channels.get(meta.channel)?.publication({ event, payload, meta });
  });

  const channelOf = (told: unknown): WiredChannel | undefined =>
    typeof told === "object" && told !== null && "channel" in told && typeof told.channel === "string" ? channels.get(told.channel) : undefined;

  // --- what the browser says: hints, never verdicts. A shop's server may be this very machine. -----------------------------------------

  // A ping costs the server nothing, and its answer is the truth: any answer, a refusal too.
  const check = () => {
    if (checking) return;
    const mine = {};
    checking = mine;
    const askedAt = Date.now();
    socket.timeout(pingTimeoutMs).emit("ping", (late: Error | null, answer: unknown) => {
      if (checking !== mine) return;           // that connection has ended already
      checking = undefined;
      if (!late) {
        // The clocks may have been set meanwhile.
        const told = toAnswer(answer);
        if (told.ok) clock.handshake(askedAt, Date.now(), String(told["serverTime"]));
        return;
      }
      log("info", "the server did not answer after a pause: connecting again");
      wasSilent = true;
      socket.disconnect();
    });
  };

  // The signs of one moment (online, visible, a timer that is late) start one attempt, not three.
  const onWake = () => {
    const { state } = store.get();
    if (state === "connected") check();
    else if ((state === "reconnecting" || state === "offline") && Math.abs(Date.now() - (attemptingSince ?? 0)) >= 1000) connect();      // the clock may have been set back
  };
  const onOffline = () => {
    const { state, ...rest } = store.get();
    if (state === "reconnecting") move("given-up", { ...rest, reason: "no-network" });
    else if (state === "connected") check();
  };
  const watchNetwork = (watch: boolean) => {
    stopWatching?.();
    stopWatching = watch ? watchWaking(onWake, onOffline) : undefined;
  };

  // --- what the application asks -------------------------------------------------------------------------------------------------------

  const request = (event: string, argument?: unknown): Promise<Answer> =>
    new Promise((resolve) => {
      if (!socket.connected) {
        resolve({ ok: false, error: unavailable("There is no connection.") });
        return;
      }
      const args = argument === undefined ? [] : [argument];
      const askedAt = Date.now();
      socket.timeout(answerTimeoutMs).emit(event, ...args, (late: Error | null, answer: unknown) => {
        if (!late) clock.roundTrip(Date.now() - askedAt);
        resolve(late ? { ok: false, error: unavailable(`No answer to ${event} came in time.`) } : toAnswer(answer));
      });
    });

  const connect = () => {
    const { state } = store.get();
    if (state === "connected" || state === "connecting") return;
    watchNetwork(true);
    // An attempt that hangs is given up for the new one.
    if (isTrying(state)) socket.disconnect();
    attempt();
  };

  const disconnect = () => {
    clearTimeout(attemptTimer);
    clearTimeout(handshakeTimer);
    watchNetwork(false);
    if (!move("closed", { attempts: 0, reason: "closed-here" })) return;
    socket.disconnect();
  };

  // Channels that nobody uses are forgotten all together, a moment later.
  const sweepSoon = () => {
    sweepTimer ??= setTimeout(() => {
      sweepTimer = undefined;
      for (const [name, wired] of channels) if (!wired.isUsed()) channels.delete(name);
      for (const name of handles.keys()) if (!channels.has(name)) handles.delete(name);
      for (const [key, { getSnapshot }] of presences) if (getSnapshot().state === "idle") presences.delete(key);
    }, releaseAfterMs);
  };

  const wiredChannel = (name: string): WiredChannel => {
    let found = channels.get(name);
    if (!found) {
      found = createChannel(name, {
        isConnected: () => socket.connected, request, retryFirstMs, retryMaxMs, graceMs: releaseAfterMs, unused: sweepSoon, log,
      });
      channels.set(name, found);
    }
    return found;
  };

  // What the application holds names the channel and nothing more: it stays good after the channel was forgotten.
  const channel = <T>(name: string): Channel<T> => {
    let found = handles.get(name);
    if (!found) {
      found = {
        name,
        getSnapshot: () => channels.get(name)?.getSnapshot() ?? unsubscribed,
        subscribe: (listener) => wiredChannel(name).subscribe(listener),
        position: () => channels.get(name)?.position(),
        listen: (listener) => wiredChannel(name).listen(listener),
        askAgain: () => channels.get(name)?.askAgain(),
      };
      handles.set(name, found);
      sweepSoon();
    }
    // The wire is not typed: what the application expects on a channel is its own promise.
    return found as unknown as Channel<T>;
  };

  const presence: Carillon["presence"] = (name, { most = 500 } = {}) => {
    const key = `${most} ${name}`;
    let found = presences.get(key);
    if (!found) {
      found = createPresence({ channel, request }, name, most, { retryFirstMs, retryMaxMs }, sweepSoon);
      presences.set(key, found);
      sweepSoon();
    }
    return found;
  };

  let votes: Votes | undefined;

  return {
    get state() { return store.get().state; },
    get session() { return store.get().session; },
    clock,
    getSnapshot: store.get,
    subscribe: store.subscribe,
    connect,
    disconnect,
    channel,
    changes: (tables, listener) => listenToChanges({ channel, clock }, tables, listener),
    presence,
    votes: () => (votes ??= createVotes({ channel, request })),
    request,
    on(event, listener) {
      const mine = (...args: unknown[]) => listener(...args);
      socket.on(event, mine);
      return () => void socket.off(event, mine);
    },
    log,
  };
}

const isTrying = (state: ConnectionState) => state === "connecting" || state === "reconnecting" || state === "offline";

const networkIsDown = () =>
  typeof navigator !== "undefined" && navigator.onLine === false
  && !(typeof location !== "undefined" && ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname));

async function credentials(auth: Credentials | undefined): Promise<Fields> {
  return typeof auth === "function" ? auth() : auth ?? {};
}
