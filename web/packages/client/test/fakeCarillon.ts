import { createServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Server, type Socket } from "socket.io";
import type { Carillon } from "../src/index.js";

/**
 * A small Carillon on the stock socket.io server: it keeps a history per channel and answers as the contract says, so that the client is
 * tested against behaviour and not against canned answers. It can be stopped, started again on its port, and made to forget.
 */
export interface FakeCarillon {
  readonly url: string;
  readonly io: Server;
  /** What clients asked, in order: `subscribe changes:ventes@e1:3`. */
  readonly asked: string[];
  readonly publish: (channel: string, payload: unknown, event?: string) => void;
  /** A change on `changes:{table}`. */
  readonly change: (table: string, key?: string, operation?: string) => void;
  /** Adds to the history without telling anybody, as when the network loses it. */
  readonly publishUnheard: (channel: string, payload: unknown, event?: string) => void;
  /** Sends the last publication once more. */
  readonly repeatLast: (channel: string) => void;
  /** The history is gone and a new life of the channel begins. */
  readonly forget: (channel: string) => void;
  readonly sayGap: (channel: string) => void;
  readonly takeAway: (channel: string, code: string) => void;
  /** Every connection breaks, as when a cable is pulled. */
  readonly cut: () => void;
  readonly rules: {
    handshake?: (auth: Record<string, unknown>) => Record<string, unknown> | undefined;
    subscribe?: (channel: string) => Record<string, unknown> | undefined;
    /** What `session` tells beyond the usual. */
    session?: (auth: Record<string, unknown>) => Record<string, unknown>;
    /** The acknowledgements of further events, by name. What is not listed is never answered. */
    readonly requests: Record<string, (argument: never) => unknown>;
    /** Answers only by event, only by acknowledgement, or by both. */
    answers: "both" | "event" | "ack";
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
  const asked: string[] = [];
  const rules: FakeCarillon["rules"] = { answers: "both", requests: {} };
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

  const subscribe = (socket: Socket, argument: unknown, ack?: (answer: unknown) => void) => {
    const { channel, since } = (typeof argument === "string" ? { channel: argument } : argument) as {
      channel: string; since?: { epoch: string; offset: number };
    };
    asked.push(`subscribe ${channel}${since ? `@${since.epoch}:${since.offset}` : ""}`);
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
    // Replayed before the answer, as the server may.
    if (recovered) for (const { event, payload, meta } of log.history.slice(since.offset)) socket.emit(event, payload, meta);
    const answer = { channel, position, recovered };
    if (rules.answers !== "ack") socket.emit("subscribed", answer);
    if (rules.answers !== "event") ack?.({ ok: true, ...answer });
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
      socket.onAny((event: string, argument: unknown, ack?: (answer: unknown) => void) => {
        const answer = rules.requests[event] ?? (event === "ping" ? () => ({ ok: true, serverTime: new Date().toISOString() }) : undefined);
        if (answer) void Promise.resolve(answer(argument as never)).then((told) => ack?.(told));
      });
      socket.on("subscribe", (argument: unknown, ack?: (answer: unknown) => void) => subscribe(socket, argument, ack));
      socket.on("unsubscribe", ({ channel }: { channel: string }, ack?: (answer: unknown) => void) => {
        asked.push(`unsubscribe ${channel}`);
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
    asked, rules, publish, cut, start, stop,
    change: (table, key = "1", operation = "update") => publish(`changes:${table}`, {
      id: `c${ids + 1}`, table, operation, key, columns: ["prix"], actor: "Caisse 2", at: new Date().toISOString(),
    }),
    publishUnheard: (channel, payload, event = "change") => void add(channel, event, payload),
    repeatLast(channel) {
      const last = logOf(channel).history.at(-1);
      if (last) io.to(channel).emit(last.event, last.payload, last.meta);
    },
    forget: (channel) => void logs.delete(channel),
    sayGap: (channel) => void io.to(channel).emit("subscribed", { channel, position: positionOf(logOf(channel)), recovered: false }),
    takeAway(channel, code) {
      io.to(channel).emit("unsubscribed", { channel, code });
      io.socketsLeave(channel);
    },
    members: (channel) => io.sockets.adapter.rooms.get(channel)?.size ?? 0,
  };
}

/** Waits until a statement holds; says what it waited for when it never does. */
export async function until(statement: () => boolean, what = statement.toString(), withinMs = 4000): Promise<void> {
  const deadline = Date.now() + withinMs;
  while (!statement()) {
    if (Date.now() > deadline) throw new Error(`It never came to be that ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Waits until a client has received everything that the server has sent it: packets keep their order. */
export const caughtUp = (carillon: Carillon, server: FakeCarillon) => new Promise<void>((resolve) => {
  const stop = carillon.on("mark", () => {
    stop();
    resolve();
  });
  server.io.emit("mark");
});

export const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
