import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  changes, channel, createCarillon, type Carillon, type CarillonError, type CarillonOptions, type Gap, type Publication,
} from "../src/index.js";
import { caughtUp, pause, startFakeCarillon, until, type FakeCarillon } from "./fakeCarillon.js";

let server: FakeCarillon;
const opened: Carillon[] = [];

beforeEach(async () => { server = await startFakeCarillon(); });
afterEach(async () => {
  opened.splice(0).forEach((carillon) => carillon.disconnect());
  await server.stop();
});

function open(options: CarillonOptions = {}): Carillon {
  const carillon = createCarillon({ url: server.url, retryFirstMs: 20, retryMaxMs: 60, requestTimeoutMs: 1000, ...options });
  opened.push(carillon);
  carillon.connect();
  return carillon;
}

function listen(carillon: Carillon, name: string) {
  const received: Publication[] = [];
  const gaps: Gap[] = [];
  const subscribed: { recovered: boolean; first: boolean }[] = [];
  const refusals: CarillonError[] = [];
  const release = channel(carillon, name).listen({
    onPublication: (publication) => received.push(publication),
    onGap: (gap) => gaps.push(gap),
    onSubscribed: ({ recovered, first }) => subscribed.push({ recovered, first }),
    onRefused: (error) => refusals.push(error),
  });
  return { received, gaps, subscribed, refusals, release, offsets: () => received.map(({ meta }) => meta.offset) };
}

const live = (carillon: Carillon, name: string) =>
  until(() => channel(carillon, name).getSnapshot().state === "subscribed", `${name} is subscribed`);

describe("The connection", () => {
  test("opens, receives its session and measures the server's clock", async () => {
    const carillon = open();
    expect(carillon.state).toBe("connecting");
    await until(() => carillon.session !== undefined);
    expect(carillon.state).toBe("connected");
    expect(carillon.getSnapshot().attempts).toBe(0);
    expect(carillon.clock.errorMs).toBeLessThan(1000);
    expect(Math.abs(carillon.clock.offsetMs)).toBeLessThanOrEqual(carillon.clock.errorMs + 2);
  });

  test("has the same snapshot until something changes", async () => {
    const carillon = open();
    await until(() => carillon.session !== undefined);
    expect(carillon.getSnapshot()).toBe(carillon.getSnapshot());
    let calls = 0;
    const stop = carillon.subscribe(() => calls++);
    carillon.disconnect();
    expect(calls).toBe(1);
    stop();
    carillon.connect();
    expect(calls).toBe(1);
  });

  test("reconnects after the network was interrupted", async () => {
    const carillon = open();
    await until(() => carillon.state === "connected");
    server.cut();
    await until(() => carillon.state === "reconnecting");
    expect(carillon.getSnapshot().reason).toBe("connection-lost");
    await until(() => carillon.state === "connected");
  });

  test("is offline while the server is down, and reconnects when it is back", async () => {
    const carillon = open({ offlineAfterAttempts: 2 });
    await until(() => carillon.state === "connected");
    await server.stop();
    await until(() => carillon.state === "offline");
    expect(carillon.getSnapshot()).toMatchObject({ reason: "server-unreachable", error: { code: "unavailable" } });
    expect(carillon.getSnapshot().attempts).toBeGreaterThanOrEqual(2);
    await server.start();
    await until(() => carillon.state === "connected");
  });

  test("connects at once on connect() instead of waiting", async () => {
    const carillon = open({ retryFirstMs: 60_000, retryMaxMs: 60_000 });
    await until(() => carillon.state === "connected");
    server.cut();
    await until(() => carillon.state === "reconnecting");
    carillon.connect();
    await until(() => carillon.state === "connected");
  });

  test("is refused after a code that is not retryable, until connect()", async () => {
    server.rules.handshake = () => ({ code: "banned", message: "Come back tomorrow.", retryable: false });
    const carillon = open();
    await until(() => carillon.state === "refused");
    expect(carillon.getSnapshot().error).toEqual({ code: "banned", message: "Come back tomorrow.", retryable: false });
    await pause(150);
    expect(carillon.state).toBe("refused");

    delete server.rules.handshake;
    carillon.connect();
    await until(() => carillon.state === "connected");
    expect(carillon.getSnapshot().error).toBeUndefined();
  });

  test("retries after a retryable refusal", async () => {
    let requests = 0;
    server.rules.handshake = () => (++requests < 3 ? { code: "too-many-connections", message: "Full.", retryable: true } : undefined);
    const carillon = open();
    await until(() => carillon.state === "connected");
    expect(requests).toBe(3);
  });

  test("fetches a new token once when the old one has expired", async () => {
    server.rules.handshake = ({ token }) => (token === "fresh" ? undefined : { code: "token-expired", message: "Over.", retryable: false });
    const tokens = ["stale", "fresh"];
    const carillon = open({ auth: async () => ({ token: tokens.shift() }) });
    await until(() => carillon.state === "connected");

    const other = open({ auth: () => ({ token: "stale for ever" }) });
    await until(() => other.state === "refused");
  });

  test("reconnects after the server closed it, unless the server sent a final error", async () => {
    const carillon = open();
    await until(() => carillon.state === "connected");
    server.io.disconnectSockets();
    await until(() => carillon.getSnapshot().reason === "closed-by-server");
    await until(() => carillon.state === "connected");

    server.io.emit("error", { code: "token-revoked", message: "Withdrawn.", retryable: false });
    server.io.disconnectSockets();
    await until(() => carillon.state === "refused");
    expect(carillon.getSnapshot().error?.code).toBe("token-revoked");
  });

  test("waits as long as a closing server requests", async () => {
    const carillon = open();
    await until(() => carillon.session !== undefined);
    server.io.emit("server:closing", { reconnectInMs: 400 });
    await caughtUp(carillon, server);
    server.cut();
    await until(() => carillon.getSnapshot().reason === "server-closing");
    const { nextAttemptAt, since } = carillon.getSnapshot();
    expect((nextAttemptAt ?? 0) - since).toBeGreaterThanOrEqual(390);
    expect((nextAttemptAt ?? 0) - since).toBeLessThanOrEqual(400);
    await until(() => carillon.state === "connected");
    // The notice applied to that interruption only: the next one uses the usual delays.
    server.cut();
    await until(() => carillon.getSnapshot().reason === "connection-lost");
    await until(() => carillon.state === "connected");
  });

  test("reconnects to a server that announced its restart", async () => {
    const carillon = open();
    await until(() => carillon.session !== undefined);
    server.io.emit("server:closing", { reconnectInMs: 0 });
    await caughtUp(carillon, server);
    await server.stop();
    await until(() => carillon.getSnapshot().attempts > 1);     // the first attempt at once, then with the usual delays
    await server.start();
    await until(() => carillon.state === "connected");
  });

  test("stays closed after disconnect()", async () => {
    const carillon = open();
    await until(() => carillon.state === "connected");
    carillon.disconnect();
    expect(carillon.state).toBe("disconnected");
    await pause(150);
    expect(carillon.state).toBe("disconnected");
  });

  test("counts a server that accepts the transport and then sends nothing as a failed attempt", async () => {
    server.rules.handshake = () => undefined;
    server.io.use(() => { /* never continues */ });
    const carillon = open({ connectTimeoutMs: 100, offlineAfterAttempts: 2 });
    await until(() => carillon.state === "offline");
  });
});

describe("A request", () => {
  test("receives a reply, a refusal or unavailable, and never rejects", async () => {
    const carillon = open({ requestTimeoutMs: 100 });
    expect(await carillon.request("subscribe", { channel: "a" }))
      .toMatchObject({ ok: false, error: { code: "unavailable", retryable: true } });
    await until(() => carillon.state === "connected");
    expect(await carillon.request("subscribe", { channel: "a" })).toMatchObject({ ok: true, channel: "a", position: { offset: 0 } });
    server.rules.subscribe = () => ({ code: "unknown-channel", message: "No.", retryable: false });
    expect(await carillon.request("subscribe", { channel: "b" })).toMatchObject({ ok: false, error: { code: "unknown-channel" } });
    expect(await carillon.request("no-reply")).toMatchObject({ ok: false, error: { code: "unavailable" } });
  });
});

describe("A channel", () => {
  test("delivers publications in order, with their positions", async () => {
    const carillon = open();
    const { received, offsets, subscribed } = listen(carillon, "changes:ventes");
    await live(carillon, "changes:ventes");
    server.publish("changes:ventes", { n: 1 });
    server.publish("changes:ventes", { n: 2 });
    await until(() => received.length === 2);
    expect(offsets()).toEqual([1, 2]);
    expect(received[0]).toMatchObject({ event: "change", payload: { n: 1 }, meta: { channel: "changes:ventes", epoch: "e1", id: "p1" } });
    expect(subscribed).toEqual([{ recovered: false, first: true }]);
    expect(channel(carillon, "changes:ventes")).toBe(channel(carillon, "changes:ventes"));
  });

  test.each(["both", "event", "ack"] as const)("accepts the reply by %s", async (replyBy) => {
    server.rules.replyBy = replyBy;
    const carillon = open({ requestTimeoutMs: 200 });
    const { gaps } = listen(carillon, "suggestions:votes");
    await live(carillon, "suggestions:votes");
    await pause(300);
    expect(channel(carillon, "suggestions:votes").getSnapshot()).toEqual({ state: "subscribed" });
    expect(gaps).toEqual([]);
  });

  test("recovers missed publications once and in order", async () => {
    const carillon = open();
    const { offsets, gaps, subscribed } = listen(carillon, "changes:ventes");
    await live(carillon, "changes:ventes");
    server.change("ventes");
    await until(() => offsets().length === 1);
    server.cut();
    await until(() => carillon.state === "reconnecting");
    expect(channel(carillon, "changes:ventes").getSnapshot()).toEqual({ state: "subscribing" });
    server.change("ventes");
    server.change("ventes");
    await until(() => offsets().length === 3);
    await until(() => subscribed.length === 2);
    server.change("ventes");
    await until(() => offsets().length === 4);
    expect(offsets()).toEqual([1, 2, 3, 4]);
    expect(gaps).toEqual([]);
    expect(subscribed.at(-1)).toEqual({ recovered: true, first: false });
    expect(server.received).toEqual(["subscribe changes:ventes", "subscribe changes:ventes@e1:1"]);
  });

  test("recovers in a channel that had no publication before", async () => {
    const carillon = open();
    const { offsets, gaps } = listen(carillon, "changes:ventes");
    await live(carillon, "changes:ventes");
    server.cut();
    await until(() => carillon.state === "reconnecting");
    server.change("ventes");
    await until(() => offsets().length === 1);
    expect(gaps).toEqual([]);
    expect(server.received.at(-1)).toBe("subscribe changes:ventes@e1:0");
  });

  test("drops duplicates", async () => {
    const carillon = open();
    const { offsets } = listen(carillon, "changes:ventes");
    await live(carillon, "changes:ventes");
    server.change("ventes");
    server.repeatLast("changes:ventes");
    server.change("ventes");
    await caughtUp(carillon, server);
    expect(offsets()).toEqual([1, 2]);
  });

  test("reports a gap after a skipped offset", async () => {
    const carillon = open();
    const { offsets, gaps } = listen(carillon, "changes:ventes");
    await live(carillon, "changes:ventes");
    server.change("ventes");
    server.publishSilently("changes:ventes", {});
    server.change("ventes");
    await until(() => offsets().length === 2);
    expect(gaps).toEqual([
      { channel: "changes:ventes", reason: "skipped", from: { epoch: "e1", offset: 1 }, to: { epoch: "e1", offset: 3 } },
    ]);
  });

  test("reports a gap when the history was gone after a reconnection", async () => {
    const carillon = open();
    const { gaps, offsets } = listen(carillon, "changes:ventes");
    await live(carillon, "changes:ventes");
    server.change("ventes");
    await until(() => offsets().length === 1);
    server.forgetHistory("changes:ventes");
    server.cut();
    await until(() => gaps.length === 1);
    expect(gaps[0]).toMatchObject({ reason: "new-epoch", from: { epoch: "e1", offset: 1 }, to: { epoch: "e2", offset: 0 } });
    server.change("ventes");
    await until(() => offsets().length === 2);
    expect(gaps).toHaveLength(1);
  });

  test("reports a gap that the server announces while subscribed", async () => {
    const carillon = open();
    const { gaps, offsets } = listen(carillon, "changes:ventes");
    await live(carillon, "changes:ventes");
    await pause(30);
    server.publishSilently("changes:ventes", {});
    server.announceGap("changes:ventes");
    await until(() => gaps.length === 1);
    server.change("ventes");
    await until(() => offsets().length === 1);
    expect(gaps).toEqual([expect.objectContaining({ reason: "not-recovered", to: { epoch: "e1", offset: 1 } })]);
  });

  test("is subscribed once for all listeners, and unsubscribed after the last one", async () => {
    const carillon = open();
    const one = listen(carillon, "changes:ventes");
    const two = listen(carillon, "changes:ventes");
    await live(carillon, "changes:ventes");
    one.release();
    one.release();
    await pause(20);
    server.change("ventes");
    await until(() => two.received.length === 1);
    expect(one.received).toEqual([]);
    two.release();
    await until(() => server.members("changes:ventes") === 0);
    expect(server.received).toEqual(["subscribe changes:ventes", "unsubscribe changes:ventes"]);
    expect(channel(carillon, "changes:ventes").getSnapshot().state).toBe("unsubscribed");
  });

  test("stays subscribed when one screen replaces another", async () => {
    const carillon = open();
    const one = listen(carillon, "changes:ventes");
    await live(carillon, "changes:ventes");
    one.release();
    const two = listen(carillon, "changes:ventes");
    await pause(30);
    server.change("ventes");
    await until(() => two.received.length === 1);
    expect(server.received).toEqual(["subscribe changes:ventes"]);
  });

  test("reports a refusal with its code, and subscribes again after the next reconnection", async () => {
    server.rules.subscribe = () => ({ code: "forbidden", message: "Not for you.", retryable: false });
    const carillon = open();
    listen(carillon, "changes:ventes");
    const ventes = channel(carillon, "changes:ventes");
    await until(() => ventes.getSnapshot().state === "refused");
    expect(ventes.getSnapshot().error?.code).toBe("forbidden");
    delete server.rules.subscribe;
    server.cut();
    await live(carillon, "changes:ventes");
  });

  test("retries a retryable refusal", async () => {
    let requests = 0;
    const refusal = { code: "rate-limited", message: "Slowly.", retryable: true, retryAfter: 0.02 };
    server.rules.subscribe = () => (++requests < 3 ? refusal : undefined);
    const carillon = open();
    listen(carillon, "changes:ventes");
    await live(carillon, "changes:ventes");
    expect(requests).toBe(3);
  });

  test("is refused when the server revokes the subscription", async () => {
    const carillon = open();
    listen(carillon, "changes:ventes");
    await live(carillon, "changes:ventes");
    server.revoke("changes:ventes", "forbidden");
    await until(() => channel(carillon, "changes:ventes").getSnapshot().state === "refused");
    expect(channel(carillon, "changes:ventes").getSnapshot().error?.code).toBe("forbidden");
  });

  test("reports a revocation to its listeners, and subscribes again only when the roles have changed", async () => {
    server.rules.session = () => ({ user: { id: "alice", name: "Alice", roles: ["teacher", "parent"] } });
    const carillon = open();
    const { received, refusals } = listen(carillon, "changes:ventes");
    const other = listen(carillon, "changes:produits");
    await live(carillon, "changes:ventes");
    await live(carillon, "changes:produits");
    server.revoke("changes:ventes", "forbidden");
    await until(() => refusals.length === 1);
    expect(refusals[0]).toMatchObject({ code: "forbidden", channel: "changes:ventes" });
    expect(other.refusals).toEqual([]);

    // The same roles in another order are the same.
    server.rules.session = () => ({ user: { id: "alice", name: "Alice", roles: ["parent", "teacher"] } });
    server.received.length = 0;
    server.cut();
    await until(() => carillon.state === "reconnecting");
    await live(carillon, "changes:produits");
    await pause(50);
    expect(server.received).toEqual(["subscribe changes:produits@e2:0"]);
    expect(channel(carillon, "changes:ventes").getSnapshot()).toMatchObject({ state: "refused", error: { code: "forbidden" } });

    server.rules.session = () => ({ user: { id: "alice", name: "Alice", roles: ["head"] } });
    server.cut();
    await until(() => carillon.state === "reconnecting");
    await live(carillon, "changes:ventes");
    server.change("ventes");
    await until(() => received.length === 1);
  });

  test.each([
    ["a further listener comes", (carillon: Carillon) => void listen(carillon, "changes:ventes")],
    ["retry() is called", (carillon: Carillon) => channel(carillon, "changes:ventes").retry()],
  ])("subscribes again after a revocation when %s, and recovers what was missed", async (_, act) => {
    const carillon = open();
    const { offsets, gaps, refusals, subscribed } = listen(carillon, "changes:ventes");
    await live(carillon, "changes:ventes");
    channel(carillon, "changes:ventes").retry();             // does nothing while subscribed
    server.revoke("changes:ventes", "forbidden");
    await until(() => refusals.length === 1);
    server.change("ventes");
    act(carillon);
    await live(carillon, "changes:ventes");
    expect([offsets(), gaps]).toEqual([[1], []]);
    expect(subscribed.at(-1)).toEqual({ recovered: true, first: false });
    expect(server.received).toEqual(["subscribe changes:ventes", "subscribe changes:ventes@e1:0"]);
  });

  test("delivers to the other listeners when one throws", async () => {
    const carillon = open();
    channel(carillon, "changes:ventes").listen({ onPublication: () => { throw new Error("a broken screen"); } });
    const { received } = listen(carillon, "changes:ventes");
    await live(carillon, "changes:ventes");
    server.change("ventes");
    await until(() => received.length === 1);
  });

  test("falls back to long-polling where WebSocket is blocked", async () => {
    await server.stop();
    server = await startFakeCarillon(["polling"]);
    const carillon = open();
    const { received } = listen(carillon, "changes:ventes");
    await live(carillon, "changes:ventes");
    server.change("ventes");
    await until(() => received.length === 1);
    expect(carillon.getSnapshot().attempts).toBe(0);
  });

  test("works over long-polling alone", async () => {
    const carillon = open({ transports: ["polling"] });
    const { received } = listen(carillon, "changes:ventes");
    await live(carillon, "changes:ventes");
    server.change("ventes");
    await until(() => received.length === 1);
  });
});

describe("Changes", () => {
  test("of several tables arrive with their latency, and are logged once", async () => {
    const logged: string[] = [];
    const carillon = open({ logger: { info: (line) => logged.push(line) } });
    const seen: [string, string, number][] = [];
    changes(carillon, ["ventes"], {});           // a second listener must not log the change again
    changes(carillon, ["ventes", "produits"], {
      screen: true,
      onChange: (change, meta) => seen.push([change.table, change.operation, meta.latencyMs]),
    });
    await live(carillon, "changes:ventes");
    await live(carillon, "changes:produits");
    server.change("ventes", "12", "insert");
    server.change("produits", "3");
    await until(() => seen.length === 2);
    expect(seen.map(([table, operation]) => `${table} ${operation}`)).toEqual(["ventes insert", "produits update"]);
    for (const [, , latency] of seen) expect(latency).toBeLessThan(250);
    expect(logged).toEqual(["change received: insert", "1 screen notified", "change received: update", "1 screen notified"]);
  });
});
