import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createCarillon, type Carillon, type CarillonError, type CarillonOptions, type Gap, type Publication } from "../src/index.js";
import { caughtUp, pause, startFakeCarillon, until, type FakeCarillon } from "./fakeCarillon.js";

let server: FakeCarillon;
const opened: Carillon[] = [];

beforeEach(async () => { server = await startFakeCarillon(); });
afterEach(async () => {
  opened.splice(0).forEach((carillon) => carillon.disconnect());
  await server.stop();
});

function open(options: CarillonOptions = {}): Carillon {
  const carillon = createCarillon({ url: server.url, retryFirstMs: 20, retryMaxMs: 60, answerTimeoutMs: 1000, ...options });
  opened.push(carillon);
  carillon.connect();
  return carillon;
}

function listen(carillon: Carillon, name: string) {
  const heard: Publication[] = [];
  const gaps: Gap[] = [];
  const answers: { recovered: boolean; first: boolean }[] = [];
  const refusals: CarillonError[] = [];
  const release = carillon.channel(name).listen({
    onPublication: (publication) => heard.push(publication),
    onGap: (gap) => gaps.push(gap),
    onSubscribed: ({ recovered, first }) => answers.push({ recovered, first }),
    onRefused: (error) => refusals.push(error),
  });
  return { heard, gaps, answers, refusals, release, offsets: () => heard.map(({ meta }) => meta.offset) };
}

const live = (carillon: Carillon, name: string) => until(() => carillon.channel(name).getSnapshot().state === "subscribed", `${name} is subscribed`);

describe("The connection", () => {
  test("stands, knows its session and measures the server's clock", async () => {
    const carillon = open();
    expect(carillon.state).toBe("connecting");
    await until(() => carillon.session !== undefined);
    expect(carillon.state).toBe("connected");
    expect(carillon.getSnapshot().attempts).toBe(0);
    expect(carillon.clock.errorMs).toBeLessThan(1000);
    expect(Math.abs(carillon.clock.offsetMs)).toBeLessThanOrEqual(carillon.clock.errorMs + 2);
  });

  test("gives the same picture until something changes", async () => {
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

  test("comes back by itself when the cable is pulled", async () => {
    const carillon = open();
    await until(() => carillon.state === "connected");
    server.cut();
    await until(() => carillon.state === "reconnecting");
    expect(carillon.getSnapshot().reason).toBe("connection-lost");
    await until(() => carillon.state === "connected");
  });

  test("is offline when nobody answers for a while, and comes back when the server does", async () => {
    const carillon = open({ offlineAfterAttempts: 2 });
    await until(() => carillon.state === "connected");
    await server.stop();
    await until(() => carillon.state === "offline");
    expect(carillon.getSnapshot()).toMatchObject({ reason: "server-unreachable", error: { code: "unavailable" } });
    expect(carillon.getSnapshot().attempts).toBeGreaterThanOrEqual(2);
    await server.start();
    await until(() => carillon.state === "connected");
  });

  test("tries at once when asked to, instead of waiting", async () => {
    const carillon = open({ retryFirstMs: 60_000, retryMaxMs: 60_000 });
    await until(() => carillon.state === "connected");
    server.cut();
    await until(() => carillon.state === "reconnecting");
    carillon.connect();
    await until(() => carillon.state === "connected");
  });

  test("is refused for good by a code that no retry can cure", async () => {
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

  test("keeps trying after a refusal that may pass", async () => {
    let asked = 0;
    server.rules.handshake = () => (++asked < 3 ? { code: "too-many-connections", message: "Full.", retryable: true } : undefined);
    const carillon = open();
    await until(() => carillon.state === "connected");
    expect(asked).toBe(3);
  });

  test("fetches a fresh token once when the old one ran out", async () => {
    server.rules.handshake = ({ token }) => (token === "fresh" ? undefined : { code: "token-expired", message: "Over.", retryable: false });
    const tokens = ["stale", "fresh"];
    const carillon = open({ auth: async () => ({ token: tokens.shift() }) });
    await until(() => carillon.state === "connected");

    const other = open({ auth: () => ({ token: "stale for ever" }) });
    await until(() => other.state === "refused");
  });

  test("comes back after the server closed it, unless the server said why it must not", async () => {
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

  test("waits as long as a closing server asks for", async () => {
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
    // The notice was about that end only: the next one is met by the usual waits.
    server.cut();
    await until(() => carillon.getSnapshot().reason === "connection-lost");
    await until(() => carillon.state === "connected");
  });

  test("comes back to a server that restarts after it said so", async () => {
    const carillon = open();
    await until(() => carillon.session !== undefined);
    server.io.emit("server:closing", { reconnectInMs: 0 });
    await caughtUp(carillon, server);
    await server.stop();
    await until(() => carillon.getSnapshot().attempts > 1);     // at once, in vain; then with the usual waits
    await server.start();
    await until(() => carillon.state === "connected");
  });

  test("stays closed when it was closed here", async () => {
    const carillon = open();
    await until(() => carillon.state === "connected");
    carillon.disconnect();
    expect(carillon.state).toBe("idle");
    await pause(150);
    expect(carillon.state).toBe("idle");
  });

  test("a server that accepts the transport and then says nothing is a failed attempt", async () => {
    server.rules.handshake = () => undefined;
    server.io.use(() => { /* never goes on */ });
    const carillon = open({ connectTimeoutMs: 100, offlineAfterAttempts: 2 });
    await until(() => carillon.state === "offline");
  });
});

describe("A request", () => {
  test("is answered, refused, or unavailable, and never rejects", async () => {
    const carillon = open({ answerTimeoutMs: 100 });
    expect(await carillon.request("subscribe", { channel: "a" })).toMatchObject({ ok: false, error: { code: "unavailable", retryable: true } });
    await until(() => carillon.state === "connected");
    expect(await carillon.request("subscribe", { channel: "a" })).toMatchObject({ ok: true, channel: "a", position: { offset: 0 } });
    server.rules.subscribe = () => ({ code: "unknown-channel", message: "No.", retryable: false });
    expect(await carillon.request("subscribe", { channel: "b" })).toMatchObject({ ok: false, error: { code: "unknown-channel" } });
    expect(await carillon.request("nobody-answers")).toMatchObject({ ok: false, error: { code: "unavailable" } });
  });
});

describe("A channel", () => {
  test("delivers in order, with where it stands", async () => {
    const carillon = open();
    const { heard, offsets, answers } = listen(carillon, "changes:ventes");
    await live(carillon, "changes:ventes");
    server.publish("changes:ventes", { n: 1 });
    server.publish("changes:ventes", { n: 2 });
    await until(() => heard.length === 2);
    expect(offsets()).toEqual([1, 2]);
    expect(heard[0]).toMatchObject({ event: "change", payload: { n: 1 }, meta: { channel: "changes:ventes", epoch: "e1", id: "p1" } });
    expect(answers).toEqual([{ recovered: false, first: true }]);
    expect(carillon.channel("changes:ventes")).toBe(carillon.channel("changes:ventes"));
  });

  test.each(["both", "event", "ack"] as const)("takes the answer by %s", async (answers) => {
    server.rules.answers = answers;
    const carillon = open({ answerTimeoutMs: 200 });
    const { gaps } = listen(carillon, "suggestions:votes");
    await live(carillon, "suggestions:votes");
    await pause(300);
    expect(carillon.channel("suggestions:votes").getSnapshot()).toEqual({ state: "subscribed" });
    expect(gaps).toEqual([]);
  });

  test("asks for what was missed and hears it once, in order", async () => {
    const carillon = open();
    const { offsets, gaps, answers } = listen(carillon, "changes:ventes");
    await live(carillon, "changes:ventes");
    server.change("ventes");
    await until(() => offsets().length === 1);
    server.cut();
    await until(() => carillon.state === "reconnecting");
    server.change("ventes");
    server.change("ventes");
    await until(() => offsets().length === 3);
    await until(() => answers.length === 2);
    server.change("ventes");
    await until(() => offsets().length === 4);
    expect(offsets()).toEqual([1, 2, 3, 4]);
    expect(gaps).toEqual([]);
    expect(answers.at(-1)).toEqual({ recovered: true, first: false });
    expect(server.asked).toEqual(["subscribe changes:ventes", "subscribe changes:ventes@e1:1"]);
  });

  test("recovers from a channel that had no publication yet", async () => {
    const carillon = open();
    const { offsets, gaps } = listen(carillon, "changes:ventes");
    await live(carillon, "changes:ventes");
    server.cut();
    await until(() => carillon.state === "reconnecting");
    server.change("ventes");
    await until(() => offsets().length === 1);
    expect(gaps).toEqual([]);
    expect(server.asked.at(-1)).toBe("subscribe changes:ventes@e1:0");
  });

  test("drops what comes twice", async () => {
    const carillon = open();
    const { offsets } = listen(carillon, "changes:ventes");
    await live(carillon, "changes:ventes");
    server.change("ventes");
    server.repeatLast("changes:ventes");
    server.change("ventes");
    await caughtUp(carillon, server);
    expect(offsets()).toEqual([1, 2]);
  });

  test("says a gap when a number is jumped over", async () => {
    const carillon = open();
    const { offsets, gaps } = listen(carillon, "changes:ventes");
    await live(carillon, "changes:ventes");
    server.change("ventes");
    server.publishUnheard("changes:ventes", {});
    server.change("ventes");
    await until(() => offsets().length === 2);
    expect(gaps).toEqual([{ channel: "changes:ventes", reason: "skipped", from: { epoch: "e1", offset: 1 }, to: { epoch: "e1", offset: 3 } }]);
  });

  test("says a gap when the history was gone after a reconnection", async () => {
    const carillon = open();
    const { gaps, offsets } = listen(carillon, "changes:ventes");
    await live(carillon, "changes:ventes");
    server.change("ventes");
    await until(() => offsets().length === 1);
    server.forget("changes:ventes");
    server.cut();
    await until(() => gaps.length === 1);
    expect(gaps[0]).toMatchObject({ reason: "new-epoch", from: { epoch: "e1", offset: 1 }, to: { epoch: "e2", offset: 0 } });
    server.change("ventes");
    await until(() => offsets().length === 2);
    expect(gaps).toHaveLength(1);
  });

  test("says a gap when the server says one in mid-stream", async () => {
    const carillon = open();
    const { gaps, offsets } = listen(carillon, "changes:ventes");
    await live(carillon, "changes:ventes");
    await pause(30);
    server.publishUnheard("changes:ventes", {});
    server.sayGap("changes:ventes");
    await until(() => gaps.length === 1);
    server.change("ventes");
    await until(() => offsets().length === 1);
    expect(gaps).toEqual([expect.objectContaining({ reason: "not-recovered", to: { epoch: "e1", offset: 1 } })]);
  });

  test("is subscribed once however many listen, and left when the last one leaves", async () => {
    const carillon = open();
    const one = listen(carillon, "changes:ventes");
    const two = listen(carillon, "changes:ventes");
    await live(carillon, "changes:ventes");
    one.release();
    one.release();
    await pause(20);
    server.change("ventes");
    await until(() => two.heard.length === 1);
    expect(one.heard).toEqual([]);
    two.release();
    await until(() => server.members("changes:ventes") === 0);
    expect(server.asked).toEqual(["subscribe changes:ventes", "unsubscribe changes:ventes"]);
    expect(carillon.channel("changes:ventes").getSnapshot().state).toBe("unsubscribed");
  });

  test("is not left and joined again when one screen follows another", async () => {
    const carillon = open();
    const one = listen(carillon, "changes:ventes");
    await live(carillon, "changes:ventes");
    one.release();
    const two = listen(carillon, "changes:ventes");
    await pause(30);
    server.change("ventes");
    await until(() => two.heard.length === 1);
    expect(server.asked).toEqual(["subscribe changes:ventes"]);
  });

  test("tells a refusal with its code, and asks again after the next reconnection", async () => {
    server.rules.subscribe = () => ({ code: "forbidden", message: "Not for you.", retryable: false });
    const carillon = open();
    listen(carillon, "changes:ventes");
    const channel = carillon.channel("changes:ventes");
    await until(() => channel.getSnapshot().state === "refused");
    expect(channel.getSnapshot().error?.code).toBe("forbidden");
    delete server.rules.subscribe;
    server.cut();
    await live(carillon, "changes:ventes");
  });

  test("tries a refusal again that may pass", async () => {
    let asked = 0;
    server.rules.subscribe = () => (++asked < 3 ? { code: "rate-limited", message: "Slowly.", retryable: true, retryAfter: 0.02 } : undefined);
    const carillon = open();
    listen(carillon, "changes:ventes");
    await live(carillon, "changes:ventes");
    expect(asked).toBe(3);
  });

  test("is refused when the server takes the subscription away", async () => {
    const carillon = open();
    listen(carillon, "changes:ventes");
    await live(carillon, "changes:ventes");
    server.takeAway("changes:ventes", "forbidden");
    await until(() => carillon.channel("changes:ventes").getSnapshot().state === "refused");
    expect(carillon.channel("changes:ventes").getSnapshot().error?.code).toBe("forbidden");
  });

  test("tells its listeners that it was taken away, and does not ask for it with the next connection", async () => {
    server.rules.session = () => ({ user: { id: "alice", name: "Alice", roles: ["teacher", "parent"] } });
    const carillon = open();
    const { heard, refusals } = listen(carillon, "changes:ventes");
    const other = listen(carillon, "changes:produits");
    await live(carillon, "changes:ventes");
    await live(carillon, "changes:produits");
    server.takeAway("changes:ventes", "forbidden");
    await until(() => refusals.length === 1);
    expect(refusals[0]).toMatchObject({ code: "forbidden", channel: "changes:ventes" });
    expect(other.refusals).toEqual([]);

    // The same roles in another order are the same.
    server.rules.session = () => ({ user: { id: "alice", name: "Alice", roles: ["parent", "teacher"] } });
    server.asked.length = 0;
    server.cut();
    await until(() => carillon.state === "reconnecting");
    await live(carillon, "changes:produits");
    await pause(50);
    expect(server.asked).toEqual(["subscribe changes:produits@e2:0"]);
    expect(carillon.channel("changes:ventes").getSnapshot()).toMatchObject({ state: "refused", error: { code: "forbidden" } });

    server.rules.session = () => ({ user: { id: "alice", name: "Alice", roles: ["head"] } });
    server.cut();
    await until(() => carillon.state === "reconnecting");
    await live(carillon, "changes:ventes");
    server.change("ventes");
    await until(() => heard.length === 1);
  });

  test.each([
    ["a further listener comes", (carillon: Carillon) => void listen(carillon, "changes:ventes")],
    ["somebody says so", (carillon: Carillon) => carillon.channel("changes:ventes").askAgain()],
  ])("that was taken away is asked for when %s, and nothing in between goes missing unsaid", async (_, act) => {
    const carillon = open();
    const { offsets, gaps, refusals, answers } = listen(carillon, "changes:ventes");
    await live(carillon, "changes:ventes");
    carillon.channel("changes:ventes").askAgain();             // nothing to ask
    server.takeAway("changes:ventes", "forbidden");
    await until(() => refusals.length === 1);
    server.change("ventes");
    act(carillon);
    await live(carillon, "changes:ventes");
    expect([offsets(), gaps]).toEqual([[1], []]);
    expect(answers.at(-1)).toEqual({ recovered: true, first: false });
    expect(server.asked).toEqual(["subscribe changes:ventes", "subscribe changes:ventes@e1:0"]);
  });

  test("one listener that throws does not keep the news from the others", async () => {
    const carillon = open();
    carillon.channel("changes:ventes").listen({ onPublication: () => { throw new Error("a broken screen"); } });
    const { heard } = listen(carillon, "changes:ventes");
    await live(carillon, "changes:ventes");
    server.change("ventes");
    await until(() => heard.length === 1);
  });

  test("falls back on long-polling where WebSocket does not pass", async () => {
    await server.stop();
    server = await startFakeCarillon(["polling"]);
    const carillon = open();
    const { heard } = listen(carillon, "changes:ventes");
    await live(carillon, "changes:ventes");
    server.change("ventes");
    await until(() => heard.length === 1);
    expect(carillon.getSnapshot().attempts).toBe(0);
  });

  test("works over long-polling alone", async () => {
    const carillon = open({ transports: ["polling"] });
    const { heard } = listen(carillon, "changes:ventes");
    await live(carillon, "changes:ventes");
    server.change("ventes");
    await until(() => heard.length === 1);
  });
});

describe("Changes", () => {
  test("of several tables arrive with their latency, and the log tells the story", async () => {
    const story: string[] = [];
    const carillon = open({ logger: { info: (line) => story.push(line) } });
    const seen: [string, string, number][] = [];
    carillon.changes(["ventes", "produits"], {
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
    expect(story).toContain("change received: insert");
    expect(story).toContain("1 screen notified");
  });
});
