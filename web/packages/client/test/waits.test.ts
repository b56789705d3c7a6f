// What a server may do to the timers of a client with the numbers it sends.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createCarillon, toCarillonError, type Carillon } from "../src/index.js";
import { clampWait, longestWaitMs, retryWait } from "../src/waits.js";
import { FakeSocket } from "./fakeSocket.js";

let socket: FakeSocket;
vi.mock("socket.io-client", () => ({ io: () => socket }));

let carillon: Carillon;
beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(1);          // the backoff is exactly its limit
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

const noWaits: readonly unknown[] = [-1, Number.NaN, Number.NEGATIVE_INFINITY, "5", null, undefined, {}, [], true];
const hugeWaits = [1e12, 2 ** 31, Number.MAX_VALUE, Number.POSITIVE_INFINITY];

test.each([...noWaits])("%s is no wait", (told) => expect(clampWait(told)).toBeUndefined());
test.each(hugeWaits)("%s is ten minutes", (told) => expect(clampWait(told)).toBe(longestWaitMs));
test.each([0, 0.5, 400, 600_000])("%s is a wait", (told) => expect(clampWait(told)).toBe(told));

test.each([...noWaits])("an error with retryAfter %s names no wait", (retryAfter) =>
  expect(toCarillonError({ code: "rate-limited", retryAfter })).not.toHaveProperty("retryAfter"));
test.each(hugeWaits)("an error with retryAfter %s names a day, which fits a timer", (retryAfter) =>
  expect(toCarillonError({ code: "rate-limited", retryAfter }).retryAfter).toBe(86_400));

test.each([
  [undefined, 300], [0, 300], [-5, 300], [Number.NaN, 300], [2, 2000], [1e9, 600_000], [Number.POSITIVE_INFINITY, 600_000],
])("an error with retryAfter %s waits %s ms at the first failure", (retryAfter, wait) => {
  const error = { code: "rate-limited", message: "", retryable: true, ...(retryAfter === undefined ? {} : { retryAfter }) };
  expect(retryWait(error, 1, { retryFirstMs: 300, retryMaxMs: 5000 }, 1)).toBe(wait);
});

describe.each([
  ...noWaits.map((told) => ({ told, first: 300 })), { told: 0, first: 300 }, ...hugeWaits.map((told) => ({ told, first: 600_000 })), { told: 7, first: 7000 },
])("retryAfter $told", ({ told: retryAfter, first }) => {
  const refusal = { code: "rate-limited", message: "Slowly.", retryable: true, retryAfter };

  test("of a refused connection", () => {
    socket.break();
    vi.advanceTimersByTime(300);
    const before = socket.attempts;
    socket.hear("connect_error", Object.assign(new Error("rate-limited"), { data: refusal }));
    vi.advanceTimersByTime(first - 1);
    expect(socket.attempts).toBe(before);
    vi.advanceTimersByTime(1);
    expect(socket.attempts).toBe(before + 1);
  });

  test("of a refused subscription", async () => {
    carillon.channel("news").listen({});
    await refuse("subscribe", refusal);
    await expectRepeated("subscribe", first);
  });

  test("of a refused reading of presence", async () => {
    const release = carillon.presence("news").subscribe(() => {});
    socket.asked("subscribe").at(-1)?.answer({ ok: true, channel: "presence:news", position: { epoch: "e", offset: 0 }, recovered: false });
    await vi.advanceTimersByTimeAsync(0);
    await refuse("presence", refusal);
    await expectRepeated("presence", first);
    release();
  });

  test("of a refused renewal of the token", async () => {
    socket.hear("error", { code: "token-expired", message: "Over.", retryable: false, event: "token:refresh" });
    await vi.advanceTimersByTimeAsync(0);
    await refuse("token:refresh", refusal);
    await expectRepeated("token:refresh", first);
  });
});

describe.each([
  ...noWaits.map((told) => ({ told, wait: 300 })), { told: 0, wait: 0 }, { told: 400, wait: 400 }, ...hugeWaits.map((told) => ({ told, wait: 600_000 })),
])("reconnectInMs $told", ({ told, wait }) => {
  test(`waits ${wait} ms`, () => {
    socket.hear("server:closing", { reconnectInMs: told });
    socket.break();
    expect(carillon.getSnapshot()).toMatchObject({ state: "reconnecting", reason: "server-closing", nextAttemptAt: Date.now() + wait });
    if (wait > 0) vi.advanceTimersByTime(wait - 1);
    if (wait > 0) expect(socket.attempts).toBe(1);
    vi.advanceTimersByTime(1);
    expect(socket.attempts).toBe(2);
  });
});

test("a server that always says at once is not asked in a loop", async () => {
  carillon.channel("news").listen({});
  for (let i = 0; i < 600; i++) {
    for (const one of socket.asked("subscribe")) one.answer({ ok: false, error: { code: "rate-limited", retryAfter: 0 } });
    await vi.advanceTimersByTimeAsync(100);
  }
  expect(socket.asked("subscribe").length).toBeLessThan(20);
});

async function refuse(event: string, error: unknown) {
  socket.asked(event).at(-1)?.answer({ ok: false, error });
  await vi.advanceTimersByTimeAsync(0);
}

async function expectRepeated(event: string, afterMs: number) {
  const before = socket.asked(event).length;
  await vi.advanceTimersByTimeAsync(afterMs - 1);
  expect(socket.asked(event)).toHaveLength(before);
  await vi.advanceTimersByTimeAsync(1);
  expect(socket.asked(event)).toHaveLength(before + 1);
}
