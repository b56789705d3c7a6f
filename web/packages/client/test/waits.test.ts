// The effect of a server's numbers on the client's timers.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { channel, createCarillon, presence, toCarillonError, type Carillon } from "../src/index.js";
import { clampDelay, longestDelayMs, retryDelay } from "../src/backoff.js";
import { FakeSocket } from "./fakeSocket.js";

let socket: FakeSocket;
vi.mock("socket.io-client", () => ({ io: () => socket }));

let carillon: Carillon;
beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(1);          // no jitter
  socket = new FakeSocket();
  carillon = createCarillon({ auth: () => ({ token: "t" }) });
  carillon.connect();
  socket.open();
});
afterEach(() => {
  carillon.disconnect();
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const invalid: readonly unknown[] = [-1, Number.NaN, Number.NEGATIVE_INFINITY, "5", null, undefined, {}, [], true];
const huge = [1e12, 2 ** 31, Number.MAX_VALUE, Number.POSITIVE_INFINITY];

test.each([...invalid])("%s is not a delay", (value) => expect(clampDelay(value)).toBeUndefined());
test.each(huge)("%s is clamped to ten minutes", (value) => expect(clampDelay(value)).toBe(longestDelayMs));
test.each([0, 0.5, 400, 600_000])("%s is a delay", (value) => expect(clampDelay(value)).toBe(value));

test.each([...invalid])("retryAfter %s in an error is dropped", (retryAfter) =>
  expect(toCarillonError({ code: "rate-limited", retryAfter })).not.toHaveProperty("retryAfter"));
test.each(huge)("retryAfter %s in an error is clamped to one day, which fits a timer", (retryAfter) =>
  expect(toCarillonError({ code: "rate-limited", retryAfter }).retryAfter).toBe(86_400));

test.each([
  [undefined, 300], [0, 300], [-5, 300], [Number.NaN, 300], [2, 2000], [1e9, 600_000], [Number.POSITIVE_INFINITY, 600_000],
])("retryAfter %s delays the first retry by %s ms", (retryAfter, delay) => {
  const error = { code: "rate-limited", message: "", retryable: true, ...(retryAfter === undefined ? {} : { retryAfter }) };
  expect(retryDelay(error, 1, { firstMs: 300, maxMs: 5000 }, 1)).toBe(delay);
});

describe.each([
  ...invalid.map((retryAfter) => ({ retryAfter, delay: 300 })), { retryAfter: 0, delay: 300 },
  ...huge.map((retryAfter) => ({ retryAfter, delay: 600_000 })), { retryAfter: 7, delay: 7000 },
])("retryAfter $retryAfter delays the retry", ({ retryAfter, delay }) => {
  const refusal = { code: "rate-limited", message: "Slowly.", retryable: true, retryAfter };

  test("of a refused connection", () => {
    socket.close();
    vi.advanceTimersByTime(300);
    const before = socket.attempts;
    socket.receive("connect_error", Object.assign(new Error("rate-limited"), { data: refusal }));
    vi.advanceTimersByTime(delay - 1);
    expect(socket.attempts).toBe(before);
    vi.advanceTimersByTime(1);
    expect(socket.attempts).toBe(before + 1);
  });

  test("of a refused subscription", async () => {
    channel(carillon, "news").listen({});
    await refuse("subscribe", refusal);
    await expectRepeated("subscribe", delay);
  });

  test("of a refused presence request", async () => {
    const release = presence(carillon, "news").subscribe(() => {});
    const subscribed = { ok: true, channel: "presence:news", position: { epoch: "e", offset: 0 }, recovered: false };
    socket.requests("subscribe").at(-1)?.reply(subscribed);
    await vi.advanceTimersByTimeAsync(0);
    await refuse("presence", refusal);
    await expectRepeated("presence", delay);
    release();
  });

  test("of a refused token renewal", async () => {
    socket.receive("error", { code: "token-expired", message: "Over.", retryable: false, event: "token:refresh" });
    await vi.advanceTimersByTimeAsync(0);
    await refuse("token:refresh", refusal);
    await expectRepeated("token:refresh", delay);
  });
});

describe.each([
  ...invalid.map((reconnectInMs) => ({ reconnectInMs, delay: 300 })), { reconnectInMs: 0, delay: 0 }, { reconnectInMs: 400, delay: 400 },
  ...huge.map((reconnectInMs) => ({ reconnectInMs, delay: 600_000 })),
])("reconnectInMs $reconnectInMs", ({ reconnectInMs, delay }) => {
  test(`delays the reconnection by ${delay} ms`, () => {
    socket.receive("server:closing", { reconnectInMs });
    socket.close();
    expect(carillon.getSnapshot()).toMatchObject({ state: "reconnecting", reason: "server-closing", nextAttemptAt: Date.now() + delay });
    if (delay > 0) vi.advanceTimersByTime(delay - 1);
    if (delay > 0) expect(socket.attempts).toBe(1);
    vi.advanceTimersByTime(1);
    expect(socket.attempts).toBe(2);
  });
});

test("a server that always requests a retry at once is not called in a loop", async () => {
  channel(carillon, "news").listen({});
  for (let i = 0; i < 600; i++) {
    for (const one of socket.requests("subscribe")) one.reply({ ok: false, error: { code: "rate-limited", retryAfter: 0 } });
    await vi.advanceTimersByTimeAsync(100);
  }
  expect(socket.requests("subscribe").length).toBeLessThan(20);
});

async function refuse(event: string, error: unknown) {
  socket.requests(event).at(-1)?.reply({ ok: false, error });
  await vi.advanceTimersByTimeAsync(0);
}

async function expectRepeated(event: string, afterMs: number) {
  const before = socket.requests(event).length;
  await vi.advanceTimersByTimeAsync(afterMs - 1);
  expect(socket.requests(event)).toHaveLength(before);
  await vi.advanceTimersByTimeAsync(1);
  expect(socket.requests(event)).toHaveLength(before + 1);
}
