import { createServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Server, type Socket } from "socket.io";
import type { Carillon } from "../src/index.js";

/**
 * A small Carillon server on the stock socket.io server. It keeps a history per channel and follows the protocol, so that tests exercise
 * behaviour instead of canned replies. It can be stopped, started again on the same port, and made to lose its history.
 */
export interface FakeCarillon {
  readonly url: string;
  readonly io: Server;
  /** The requests received, in order: `subscribe changes:ventes@e1:3`. */
  readonly received: string[];
  readonly publish: (channel: string, payload: unknown, event?: string) => void;
  /** Publishes a change on `changes:{table}`. */
  readonly change: (table: string, key?: string, operation?: string) => void;
  /** Adds to the history without sending, as if the network lost it. */
  readonly publishSilently: (channel: string, payload: unknown, event?: string) => void;
  /** Sends the last publication again. */
  readonly repeatLast: (channel: string) => void;
  /** Discards the history and starts a new epoch. */
  readonly forgetHistory: (channel: string) => void;
  /** Announces a gap to the subscribers. */
  readonly announceGap: (channel: string) => void;
  /** Revokes all subscriptions to a channel. */
  readonly revoke: (channel: string, code: string) => void;
  /** Breaks all connections, as if the network were interrupted. */
  readonly cut: () => void;
  readonly rules: {
    handshake?: (auth: Record<string, unknown>) => Record<string, unknown> | undefined;
    subscribe?: (channel: string) => Record<string, unknown> | undefined;
    /** Further members of `session`. */
    session?: (auth: Record<string, unknown>) => Record<string, unknown>;
    /** The replies to further events by name. Other events get no reply. */
    readonly requests: Record<string, (argument: never) => unknown>;
    /** Replies to `subscribe` with the event, the acknowledgement, or both. */
    replyBy: "both" | "event" | "ack";
  };
  readonly members: (channel: string) => number;
  readonly stop: () => Promise<void>;
  readonly start: () => Promise<void>;
}

interface Log {
  epoch: string;
  readonly history: { event: string; payload: unknown; meta: Meta }[];
}

interface Meta { channel: string; epoch: string; offset: number; id: string; at: string }

export async function startFakeCarillon(transports: ("websocket" | "polling")[] = ["polling", "websocket"]): Promise<FakeCarillon> {
  const logs = new Map<string, Log>();
  const received: string[] = [];
  const rules: FakeCarillon["rules"] = { replyBy: "both", requests: {} };
  let epochs = 0;
  let ids = 0;
  let port = 0;
  let http: HttpServer;
  let io: Server;

  const logOf = (channel: string): Log => {
    let log = logs.get(channel);
    if (!log) logs.set(channel, (log = { epoch: `e${++epochs}`, history: [] }));
    return log;
  };
  const positionOf = (log: Log) => ({ epoch: log.epoch, offset: log.history.length });

  const add = (channel: string, event: string, payload: unknown) => {
    const log = logOf(channel);
    const meta: Meta = { channel, epoch: log.epoch, offset: log.history.length + 1, id: `p${++ids}`, at: new Date().toISOString() };
    const publication = { event, payload, meta };
    log.history.push(publication);
    return publication;
  };

  const subscribe = (socket: Socket, argument: unknown, ack?: (reply: unknown) => void) => {
    const { channel, since } = (typeof argument === "string" ? { channel: argument } : argument) as {
      channel: string; since?: { epoch: string; offset: number };
    };
    received.push(`subscribe ${channel}${since ? `@${since.epoch}:${since.offset}` : ""}`);
    const error = rules.subscribe?.(channel);
    if (error) {
      socket.emit("error", { ...error, event: "subscribe", channel });
      ack?.({ ok: false, error });
      return;
    }
    const log = logOf(channel);
    const recovered = since !== undefined && since.epoch === log.epoch && since.offset <= log.history.length;
    const position = positionOf(log);
    void socket.join(channel);
    // Replayed before the reply, as the server may do.
    if (recovered) for (const { event, payload, meta } of log.history.slice(since.offset)) socket.emit(event, payload, meta);
    const result = { channel, position, recovered };
    if (rules.replyBy !== "ack") socket.emit("subscribed", result);
    if (rules.replyBy !== "event") ack?.({ ok: true, ...result });
  };

  const start = () => new Promise<void>((resolve) => {
    http = createServer();
    io = new Server(http, { path: "/socket.io", transports, pingInterval: 500, pingTimeout: 500, cors: { origin: "*" } });
    io.use((socket, next) => {
      const refused = rules.handshake?.(socket.handshake.auth);
      next(refused ? Object.assign(new Error(String(refused["code"])), { data: refused }) : undefined);
    });
    io.on("connection", (socket) => {
      socket.emit("session", {
        user: null, connectionId: socket.id, channels: [], unread: { notifications: 0, messages: 0 }, serverTime: new Date().toISOString(),
        ...rules.session?.(socket.handshake.auth),
      });
      socket.onAny((event: string, argument: unknown, ack?: (reply: unknown) => void) => {
        const reply = rules.requests[event] ?? (event === "ping" ? () => ({ ok: true, serverTime: new Date().toISOString() }) : undefined);
        if (reply) void Promise.resolve(reply(argument as never)).then((value) => ack?.(value));
      });
      socket.on("subscribe", (argument: unknown, ack?: (reply: unknown) => void) => subscribe(socket, argument, ack));
      socket.on("unsubscribe", ({ channel }: { channel: string }, ack?: (reply: unknown) => void) => {
        received.push(`unsubscribe ${channel}`);
        void socket.leave(channel);
        socket.emit("unsubscribed", { channel });
        ack?.({ ok: true, channel });
      });
    });
    http.listen(port, "127.0.0.1", () => {
      port = (http.address() as AddressInfo).port;
      resolve();
    });
  });

  const cut = () => { for (const socket of io.sockets.sockets.values()) socket.conn.close(); };
  const stop = () => new Promise<void>((resolve) => { void io.close(() => resolve()); http.closeAllConnections(); });

  const publish: FakeCarillon["publish"] = (channel, payload, event = "change") => {
    const { meta } = add(channel, event, payload);
    io.to(channel).emit(event, payload, meta);
  };

  await start();
  return {
    url: `http://127.0.0.1:${port}`,
    get io() { return io; },
    received, rules, publish, cut, start, stop,
    change: (table, key = "1", operation = "update") => publish(`changes:${table}`, {
      id: `c${ids + 1}`, table, operation, key, columns: ["prix"], actor: "Caisse 2", at: new Date().toISOString(),
    }),
    publishSilently: (channel, payload, event = "change") => void add(channel, event, payload),
    repeatLast(channel) {
      const last = logOf(channel).history.at(-1);
      if (last) io.to(channel).emit(last.event, last.payload, last.meta);
    },
    forgetHistory: (channel) => void logs.delete(channel),
    announceGap: (channel) => void io.to(channel).emit("subscribed", { channel, position: positionOf(logOf(channel)), recovered: false }),
    revoke(channel, code) {
      io.to(channel).emit("unsubscribed", { channel, code });
      io.socketsLeave(channel);
    },
    members: (channel) => io.sockets.adapter.rooms.get(channel)?.size ?? 0,
  };
}

/** Waits until a condition holds; throws with its text when it does not in time. */
export async function until(condition: () => boolean, what = condition.toString(), timeoutMs = 4000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`Timed out waiting until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Waits until a client has received everything sent so far: packets arrive in order. */
export const caughtUp = (carillon: Carillon, server: FakeCarillon) => new Promise<void>((resolve) => {
  const stop = carillon.on("mark", () => {
    stop();
    resolve();
  });
  server.io.emit("mark");
});

export const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
