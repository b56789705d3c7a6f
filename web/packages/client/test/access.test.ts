import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createCarillon, renewalTransitions, type Carillon, type CarillonError, type CarillonOptions, type Reply } from "../src/index.js";
import { createRenewal, expiryOf, renewalDelay } from "../src/connection/renewal.js";
import { caughtUp, pause, startFakeCarillon, until, type FakeCarillon } from "./fakeCarillon.js";

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
const tokenUntil = (expiresAt: number, more: object = {}) =>
  `${part({ alg: "none" })}.${part({ sub: "alice", exp: expiresAt / 1000, ...more })}.signature`;
const expired = { code: "token-expired", message: "Over.", retryable: false };

describe("The expiry of a token", () => {
  test("is read from a JWT", () => {
    expect(expiryOf(tokenUntil(5_000_000, { name: "Zoë ☂" }))).toBe(5_000_000);
  });
  test.each([
    undefined, null, 7, "", "ticket", "a.b.c", "..",
    `x.${part("text")}.y`, `x.${part({})}.y`, `x.${part({ exp: "soon" })}.y`, `x.${part(null)}.y`,
  ])("is unknown for %o", (token) => {
    expect(expiryOf(token)).toBeUndefined();
  });
  test("is preceded by the renewal, at least a second away", () => {
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

  const accepted = (expiresAt?: number): Reply =>
    ({ ok: true, ...(expiresAt === undefined ? {} : { expiresAt: new Date(expiresAt).toISOString() }) });
  const refused = (code: CarillonError["code"]): Reply => ({ ok: false, error: { code, message: code, retryable: false } });
  const renewalOf = (fetch: () => Promise<unknown>, send: (token: string) => Promise<Reply>) => {
    const logged: string[] = [];
    const renewal = createRenewal({
      fetch, send, serverNow: () => Date.now(), retryDelays: { firstMs: 300, maxMs: 5000 },
      log: (_, message, details) => logged.push(message + JSON.stringify(details ?? {})),
    });
    return { renewal, logged };
  };

  test("ends from every state", () => {
    for (const [state, row] of Object.entries(renewalTransitions)) {
      if (state !== "idle") expect(row.ended).toBe("idle");
    }
  });

  test("happens before each expiry", async () => {
    const sent: string[] = [];
    const { renewal } = renewalOf(async () => tokenUntil(Date.now() + 60_000), async (token) => { sent.push(token); return accepted(); });
    renewal.start(Date.now() + 60_000);
    await vi.advanceTimersByTimeAsync(47_000);
    expect(sent).toHaveLength(0);
    await vi.advanceTimersByTimeAsync(4000);
    expect(sent).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(51_000);
    expect(sent).toHaveLength(2);
  });

  test("runs one at a time", async () => {
    let answer = (_: unknown) => {};
    const fetch = vi.fn(() => new Promise((resolve) => { answer = resolve; }));
    const send = vi.fn(async () => accepted());
    const { renewal } = renewalOf(fetch, send);
    renewal.start(undefined);
    expect(renewal.state()).toBe("idle");
    renewal.renewNow();
    renewal.renewNow();
    await vi.advanceTimersByTimeAsync(0);
    renewal.renewNow();
    expect(fetch).toHaveBeenCalledTimes(1);
    answer("opaque");
    await vi.advanceTimersByTimeAsync(0);
    expect(send).toHaveBeenCalledTimes(1);
    expect(renewal.state()).toBe("idle");       // the expiry is unknown: the server will report it
  });

  test("uses the expiry in the server's reply", async () => {
    const fetch = vi.fn(async () => "opaque");
    const { renewal } = renewalOf(fetch, async () => accepted(Date.now() + 10_000));
    renewal.renewNow();
    await vi.advanceTimersByTimeAsync(0);
    expect(renewal.state()).toBe("scheduled");
    await vi.advanceTimersByTimeAsync(9000);
    expect(fetch).toHaveBeenCalledTimes(2);
  });

  test("backs off while the function fails, and does not log its error", async () => {
    const fetch = vi.fn(() => Promise.reject(new Error("no cookie for secret.token.text")));
    const { renewal, logged } = renewalOf(fetch, async () => accepted());
    renewal.renewNow();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(fetch.mock.calls.length).toBeGreaterThan(10);
    expect(fetch.mock.calls.length).toBeLessThan(30);
    expect(logged.join()).not.toContain("secret");
    renewal.stop();
    const calls = fetch.mock.calls.length;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(fetch).toHaveBeenCalledTimes(calls);
  });

  test("retries an expired token, and stops after a token of another user", async () => {
    const answers = [refused("token-expired"), refused("forbidden")];
    const send = vi.fn(async () => answers.shift() ?? accepted());
    const { renewal } = renewalOf(async () => "some token", send);
    renewal.renewNow();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(send).toHaveBeenCalledTimes(2);
    expect(renewal.state()).toBe("idle");
  });

  test("does not send a token that arrives after the connection closed", async () => {
    let answer = (_: unknown) => {};
    const send = vi.fn(async () => accepted());
    const { renewal } = renewalOf(() => new Promise((resolve) => { answer = resolve; }), send);
    renewal.renewNow();
    await vi.advanceTimersByTimeAsync(0);
    renewal.stop();
    renewal.start(Date.now() + 100_000);
    answer("late");
    await vi.advanceTimersByTimeAsync(0);
    expect(send).not.toHaveBeenCalled();
    expect(renewal.state()).toBe("scheduled");
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
    const carillon = createCarillon({ url: server.url, retryFirstMs: 20, retryMaxMs: 60, requestTimeoutMs: 1000, ...options });
    opened.push(carillon);
    carillon.connect();
    return carillon;
  };
  /** Makes the server accept new tokens and returns those it receives. */
  const acceptTokens = () => {
    const sent: string[] = [];
    server.rules.requests["token:refresh"] = ({ token }: { token: string }) => {
      sent.push(token);
      return { ok: true, expiresAt: null };
    };
    return sent;
  };

  test("renews it on the open connection before it expires", async () => {
    const sent = acceptTokens();
    const tokens = [tokenUntil(Date.now() + 1500), "the new one"];
    const carillon = open({ auth: async () => ({ token: tokens.shift() }) });
    await until(() => carillon.session !== undefined);
    const id = carillon.session?.connectionId;
    await until(() => sent.length === 1);
    expect(sent).toEqual(["the new one"]);
    expect([carillon.state, carillon.session?.connectionId]).toEqual(["connected", id]);
  });

  test("renews it when the server reports its expiry, and reconnects normally afterwards", async () => {
    const sent = acceptTokens();
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

  test("reconnects with a new token after the server closed it for an expired one", async () => {
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

  test("is refused after the expiry if the token is a fixed value", async () => {
    const sent = acceptTokens();
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

  test.each(["token-revoked", "unknown-user"])("is refused after %s, even if the function could fetch a new token", async (code) => {
    let calls = 0;
    const carillon = open({ auth: () => ({ token: `opaque ${++calls}` }) });
    await until(() => carillon.session !== undefined);
    server.io.emit("error", { code, message: "No more.", retryable: false, event: "connect" });
    server.io.disconnectSockets();
    await until(() => carillon.state === "refused");
    expect(carillon.getSnapshot()).toMatchObject({ reason: "refused", error: { code } });
    await pause(150);
    expect([carillon.state, calls]).toEqual(["refused", 1]);
  });

  test("stops renewing after disconnect", async () => {
    let calls = 0;
    const carillon = open({
      auth() {
        if (++calls > 1) throw new Error("no network");
        return { token: tokenUntil(Date.now() + 1000) };
      },
    });
    await until(() => calls > 2);
    carillon.disconnect();
    const before = calls;
    await pause(200);
    expect(calls).toBe(before);
  });
});
