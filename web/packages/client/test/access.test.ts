import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createCarillon, renewalTransitions, type Answer, type Carillon, type CarillonError, type CarillonOptions } from "../src/index.js";
import { createRenewal, expiryOf, renewalDelay } from "../src/renewal.js";
import { caughtUp, pause, startFakeCarillon, until, type FakeCarillon } from "./fakeCarillon.js";

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
const tokenUntil = (expiresAt: number, more: object = {}) => `${part({ alg: "none" })}.${part({ sub: "alice", exp: expiresAt / 1000, ...more })}.signature`;
const expired = { code: "token-expired", message: "Over.", retryable: false };

describe("The expiry of a token", () => {
  test("is read where it is a JWT that says so", () => {
    expect(expiryOf(tokenUntil(5_000_000, { name: "Zoë ☂" }))).toBe(5_000_000);
  });
  test.each([undefined, null, 7, "", "ticket", "a.b.c", "..", `x.${part("text")}.y`, `x.${part({})}.y`, `x.${part({ exp: "soon" })}.y`, `x.${part(null)}.y`])("is unknown of %o", (token) => {
    expect(expiryOf(token)).toBeUndefined();
  });
  test("is met a little early, and never by asking faster and faster", () => {
    expect(renewalDelay(3_600_000, 1)).toBe(3_570_000);
    expect(renewalDelay(3_600_000, 0)).toBe(3_577_500);
    expect(renewalDelay(10_000, 1)).toBe(8000);
    expect(renewalDelay(300)).toBe(1000);
    expect(renewalDelay(-5000)).toBe(1000);
    expect(renewalDelay(1e13)).toBe(2 ** 31 - 1);        // a longer timer would fire at once
  });
});

describe("A renewal", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  const accepted = (expiresAt?: number): Answer => ({ ok: true, ...(expiresAt === undefined ? {} : { expiresAt: new Date(expiresAt).toISOString() }) });
  const refused = (code: CarillonError["code"]): Answer => ({ ok: false, error: { code, message: code, retryable: false } });
  const wireOf = (fetch: () => Promise<unknown>, tell: (token: string) => Promise<Answer>) => {
    const story: string[] = [];
    const renewal = createRenewal({ fetch, tell, serverNow: () => Date.now(), retryFirstMs: 300, retryMaxMs: 5000, log: (_, message, details) => story.push(message + JSON.stringify(details ?? {})) });
    return { renewal, story };
  };

  test("leads only to states that exist, and ends from everywhere", () => {
    for (const [state, row] of Object.entries(renewalTransitions)) {
      for (const target of Object.values(row)) expect(Object.keys(renewalTransitions)).toContain(target);
      if (state !== "resting") expect(row.over).toBe("resting");
    }
  });

  test("comes before the expiry, again and again", async () => {
    const told: string[] = [];
    const { renewal } = wireOf(async () => tokenUntil(Date.now() + 60_000), async (token) => { told.push(token); return accepted(); });
    renewal.begin(Date.now() + 60_000);
    await vi.advanceTimersByTimeAsync(47_000);
    expect(told).toHaveLength(0);
    await vi.advanceTimersByTimeAsync(4000);
    expect(told).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(51_000);
    expect(told).toHaveLength(2);
  });

  test("is one at a time, however often it is due", async () => {
    let answer = (_: unknown) => {};
    const fetch = vi.fn(() => new Promise((resolve) => { answer = resolve; }));
    const tell = vi.fn(async () => accepted());
    const { renewal } = wireOf(fetch, tell);
    renewal.begin(undefined);
    expect(renewal.state()).toBe("resting");
    renewal.due();
    renewal.due();
    await vi.advanceTimersByTimeAsync(0);
    renewal.due();
    expect(fetch).toHaveBeenCalledTimes(1);
    answer("opaque");
    await vi.advanceTimersByTimeAsync(0);
    expect(tell).toHaveBeenCalledTimes(1);
    expect(renewal.state()).toBe("resting");       // nobody knows when this one ends: the server will say
  });

  test("follows the expiry that the server answers", async () => {
    const fetch = vi.fn(async () => "opaque");
    const { renewal } = wireOf(fetch, async () => accepted(Date.now() + 10_000));
    renewal.due();
    await vi.advanceTimersByTimeAsync(0);
    expect(renewal.state()).toBe("waiting");
    await vi.advanceTimersByTimeAsync(9000);
    expect(fetch).toHaveBeenCalledTimes(2);
  });

  test("backs off while the function fails, and says nothing of why", async () => {
    const fetch = vi.fn(() => Promise.reject(new Error("no cookie for secret.token.text")));
    const { renewal, story } = wireOf(fetch, async () => accepted());
    renewal.due();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(fetch.mock.calls.length).toBeGreaterThan(10);
    expect(fetch.mock.calls.length).toBeLessThan(30);
    expect(story.join()).not.toContain("secret");
    renewal.end();
    const asked = fetch.mock.calls.length;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(fetch).toHaveBeenCalledTimes(asked);
  });

  test("asks again after a stale token, and rests after one of another person", async () => {
    const answers = [refused("token-expired"), refused("forbidden")];
    const tell = vi.fn(async () => answers.shift() ?? accepted());
    const { renewal } = wireOf(async () => "some token", tell);
    renewal.due();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(tell).toHaveBeenCalledTimes(2);
    expect(renewal.state()).toBe("resting");
  });

  test("that was under way when the connection ended tells nothing to the next one", async () => {
    let answer = (_: unknown) => {};
    const tell = vi.fn(async () => accepted());
    const { renewal } = wireOf(() => new Promise((resolve) => { answer = resolve; }), tell);
    renewal.due();
    await vi.advanceTimersByTimeAsync(0);
    renewal.end();
    renewal.begin(Date.now() + 100_000);
    answer("late");
    await vi.advanceTimersByTimeAsync(0);
    expect(tell).not.toHaveBeenCalled();
    expect(renewal.state()).toBe("waiting");
  });
});

describe("A connection with a token", () => {
  let server: FakeCarillon;
  const opened: Carillon[] = [];
  beforeEach(async () => { server = await startFakeCarillon(); });
  afterEach(async () => {
    opened.splice(0).forEach((carillon) => carillon.disconnect());
    await server.stop();
  });
  const open = (options: CarillonOptions = {}) => {
    const carillon = createCarillon({ url: server.url, retryFirstMs: 20, retryMaxMs: 60, answerTimeoutMs: 1000, ...options });
    opened.push(carillon);
    carillon.connect();
    return carillon;
  };
  /** A server that takes newer tokens, and what it was sent. */
  const takesTokens = () => {
    const sent: string[] = [];
    server.rules.requests["token:refresh"] = ({ token }: { token: string }) => {
      sent.push(token);
      return { ok: true, expiresAt: null };
    };
    return sent;
  };

  test("renews it before it expires, on the open connection", async () => {
    const sent = takesTokens();
    const tokens = [tokenUntil(Date.now() + 1500), "the newer one"];
    const carillon = open({ auth: async () => ({ token: tokens.shift() }) });
    await until(() => carillon.session !== undefined);
    const id = carillon.session?.connectionId;
    await until(() => sent.length === 1);
    expect(sent).toEqual(["the newer one"]);
    expect([carillon.state, carillon.session?.connectionId]).toEqual(["connected", id]);
  });

  test("renews it when the server says that it has expired, and its end later is an end like any other", async () => {
    const sent = takesTokens();
    let n = 0;
    const carillon = open({ auth: () => ({ token: `opaque ${++n}` }) });
    await until(() => carillon.session !== undefined);
    server.io.emit("error", { ...expired, event: "token:refresh" });
    await until(() => sent.length === 1);
    expect(sent).toEqual(["opaque 2"]);
    server.io.disconnectSockets();
    await until(() => carillon.getSnapshot().reason === "closed-by-server");
    await until(() => carillon.state === "connected");
  });

  test("comes back with a newer one after the server ended it for its expiry", async () => {
    let n = 0;
    const carillon = open({ auth: () => ({ token: `opaque ${++n}` }) });
    await until(() => carillon.session !== undefined);
    server.io.emit("error", { ...expired, event: "connect" });
    server.io.disconnectSockets();
    await until(() => carillon.state === "reconnecting");
    expect(carillon.getSnapshot()).toMatchObject({ reason: "closed-by-server", error: { code: "token-expired" } });
    await until(() => carillon.state === "connected");
    expect(n).toBe(2);
  });

  test("is refused after its expiry where there is no function to ask", async () => {
    const sent = takesTokens();
    const carillon = open({ auth: { token: tokenUntil(Date.now() + 1100) } });
    await until(() => carillon.session !== undefined);
    server.io.emit("error", { ...expired, event: "token:refresh" });
    await caughtUp(carillon, server);
    expect([carillon.state, sent]).toEqual(["connected", []]);
    server.io.emit("error", { ...expired, event: "connect" });
    server.io.disconnectSockets();
    await until(() => carillon.state === "refused");
    expect(carillon.getSnapshot()).toMatchObject({ reason: "refused", error: { code: "token-expired" } });
  });

  test.each(["token-revoked", "unknown-user"])("is refused after %s, whatever the function could fetch", async (code) => {
    let asked = 0;
    const carillon = open({ auth: () => ({ token: `opaque ${++asked}` }) });
    await until(() => carillon.session !== undefined);
    server.io.emit("error", { code, message: "No more.", retryable: false, event: "connect" });
    server.io.disconnectSockets();
    await until(() => carillon.state === "refused");
    expect(carillon.getSnapshot()).toMatchObject({ reason: "refused", error: { code } });
    await pause(150);
    expect([carillon.state, asked]).toEqual(["refused", 1]);
  });

  test("asks no more once it is closed", async () => {
    let asked = 0;
    const carillon = open({ auth: () => { if (++asked > 1) throw new Error("no network"); return { token: tokenUntil(Date.now() + 1000) }; } });
    await until(() => asked > 2);
    carillon.disconnect();
    const then = asked;
    await pause(200);
    expect(asked).toBe(then);
  });
});
