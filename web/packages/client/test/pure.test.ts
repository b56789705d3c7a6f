import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import {
  channelTransitions, checkSequence, coalescerTransitions, connectionTransitions, createCoalescer, errorCodes, explain, presenceTransitions,
  renewalTransitions, toCarillonError, type CarillonError, type Transitions,
} from "../src/index.js";
import { backoff } from "../src/backoff.js";
import { positionAfter } from "../src/channels/subscription.js";
import { createClock } from "../src/clock.js";
import { afterClose, afterFailure, isFinalError } from "../src/connection/decisions.js";

describe("The sequence check", () => {
  const at = (epoch: string, offset: number) => ({ epoch, offset });
  test.each([
    [undefined, at("a", 7), "next"],
    [at("a", 7), at("a", 8), "next"],
    [at("a", 7), at("a", 7), "duplicate"],
    [at("a", 7), at("a", 2), "duplicate"],
    [at("a", 7), at("a", 9), "skipped"],
    [at("a", 7), at("b", 8), "new-epoch"],
    [at("a", 7), at("b", 1), "new-epoch"],
  ] as const)("%o then %o is %s", (last, next, result) => expect(checkSequence(last, next)).toBe(result));
});

describe("The position after subscribing", () => {
  const at = (epoch: string, offset: number) => ({ epoch, offset });
  test.each([
    ["is the server's for the first subscription", undefined, false, at("a", 7), false, at("a", 7)],
    ["is that of a publication which arrived before the reply", at("a", 8), false, at("a", 7), false, at("a", 8)],
    ["is advanced by the replayed publications after a recovery", at("a", 3), true, at("a", 7), true, at("a", 3)],
    ["is the server's after a loss", at("a", 3), true, at("a", 7), false, at("a", 7)],
    ["does not go back after a loss", at("a", 8), true, at("a", 7), false, at("a", 8)],
    ["is the server's in a new epoch", at("a", 8), true, at("b", 0), false, at("b", 0)],
  ])("%s", (_, before, resumed, position, recovered, after) =>
    expect(positionAfter(before, resumed, { position, recovered })).toEqual(after));
});

describe("State machines", () => {
  const machines: Readonly<Record<string, Transitions<string, string>>> = {
    connectionTransitions, channelTransitions, presenceTransitions, renewalTransitions, coalescerTransitions,
  };
  test.each(Object.entries(machines))("%s leads only to its own states, and to each of them", (_, table) => {
    const states = Object.keys(table);
    const targets = Object.values(table).flatMap((row) => Object.values(row));
    expect([...new Set(targets)].sort()).toEqual([...states].sort());
  });
  test("only connect and disconnect leave a refused connection", () => {
    expect(Object.keys(connectionTransitions.refused)).toEqual(["attempted", "closed"]);
  });
});

describe("The decision after", () => {
  const error = (code: CarillonError["code"], retryable: boolean): CarillonError => ({ code, message: "", retryable });
  const expired = error("token-expired", false);
  const full = error("too-many-connections", true);
  const silent = error("unavailable", true);
  const banned = error("banned", false);

  test.each([
    ["an expired token that can be fetched", expired, true, { action: "retry", reason: "refused", error: expired, delayMs: 0 }],
    ["an expired token that cannot be fetched", expired, false, { action: "refuse", error: expired }],
    ["a refusal that may pass", full, true, { action: "retry", reason: "refused", error: full }],
    ["a server that does not answer", silent, true, { action: "retry", reason: "server-unreachable", error: silent }],
    ["a final refusal", banned, true, { action: "refuse", error: banned }],
  ])("a failed attempt: %s", (_, failure, canFetch, next) => expect(afterFailure(failure, canFetch)).toEqual(next));

  test.each([
    ["the network lost it", {}, true, { action: "retry", reason: "connection-lost" }],
    ["the server closed it", { byServer: true }, true, { action: "retry", reason: "closed-by-server" }],
    ["the server closed it after a final error", { byServer: true, finalError: banned }, true, { action: "refuse", error: banned }],
    ["the token expired", { byServer: true, finalError: expired }, true, { action: "retry", reason: "closed-by-server", error: expired }],
    ["the token expired and cannot be fetched", { byServer: true, finalError: expired }, false, { action: "refuse", error: expired }],
    ["the network lost it after a final error", { finalError: banned }, true, { action: "retry", reason: "connection-lost" }],
    [
      "the server did not answer a ping", { unresponsive: true, reconnectInMs: 9 }, true,
      { action: "retry", reason: "connection-lost", delayMs: 0 },
    ],
    ["the server is shutting down", { byServer: true, reconnectInMs: 9 }, true, { action: "retry", reason: "server-closing", delayMs: 9 }],
  ])("a closed connection: %s", (_, closing, canFetch, next) => expect(afterClose(closing, canFetch)).toEqual(next));

  test.each([
    [banned, true], [{ ...banned, event: "connect" }, true],
    [{ ...banned, event: "subscribe" }, false], [{ ...banned, channel: "news" }, false],
    [full, false], [error("forbidden", false), false],
  ])("an error decides whether %o is final: %s", (value, final) => expect(isFinalError(value)).toBe(final));
});

describe("Errors", () => {
  test("every code has an explanation", () => {
    expect(Object.keys(errorCodes)).toHaveLength(19);
    for (const { explanation } of Object.values(errorCodes)) expect(explanation).toMatch(/^[A-Z].+\.$/);
  });
  test("a value that is no error becomes unavailable, and an unknown code is not retryable", () => {
    expect(toCarillonError("boom")).toMatchObject({ code: "unavailable", retryable: true });
    expect(toCarillonError({ code: "shop-closed" })).toEqual({ code: "shop-closed", message: "shop-closed", retryable: false });
    expect(toCarillonError({ code: "rate-limited", retryAfter: 3 })).toMatchObject({ retryable: true, retryAfter: 3 });
    expect(explain("toString")).toEqual({ explanation: "toString", retryable: false });
  });
});

test("The backoff doubles up to its limit and has jitter", () => {
  const delays = { firstMs: 300, maxMs: 5000 };
  expect(backoff(1, delays, 1)).toBe(300);
  expect(backoff(3, delays, 1)).toBe(1200);
  expect(backoff(40, delays, 1)).toBe(5000);
  expect(backoff(1, delays, 0)).toBe(150);
});

describe("The clock", () => {
  test("uses the middle of a handshake", () => {
    const clock = createClock();
    expect([clock.offsetMs, clock.errorMs]).toEqual([0, Number.POSITIVE_INFINITY]);
    clock.handshake(1000, 1100, 5050);
    expect([clock.offsetMs, clock.errorMs]).toEqual([4000, 50]);
    expect(clock.since(5000, 1010)).toBe(10);
    expect(clock.since(99_999, 1010)).toBe(0);
    expect(clock.since("nonsense")).toBe(0);
  });

  test("is not affected by a page that was busy while it connected", () => {
    const clock = createClock();
    clock.handshake(1000, 1100, 5090);            // the request was slow: the middle would be 40 ms wrong
    clock.roundTrip(4);
    clock.arrival(6000, 2002);
    clock.arrival(6500, 2600);                    // a slow message changes nothing
    expect([clock.offsetMs, clock.errorMs]).toEqual([4000, 2]);
  });

  test("starts over with each handshake, because clocks may be set", () => {
    const clock = createClock();
    clock.handshake(1000, 1004, 5002);
    clock.handshake(9000, 9004, 9002);
    expect(clock.offsetMs).toBe(0);
  });
});

describe("A coalescer", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  test("runs once per burst", async () => {
    const run = vi.fn();
    const { notify } = createCoalescer({ run });
    for (let i = 0; i < 100; i++) notify();
    await vi.advanceTimersByTimeAsync(49);
    expect(run).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(run).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(1000);
    expect(run).toHaveBeenCalledTimes(1);
  });

  test("runs repeatedly during a burst that does not end", async () => {
    const run = vi.fn();
    const { notify } = createCoalescer({ run, quietMs: 50, maxWaitMs: 200 });
    for (let i = 0; i < 100; i++) {
      notify();
      await vi.advanceTimersByTimeAsync(10);
    }
    expect(run.mock.calls.length).toBeGreaterThanOrEqual(4);
    expect(run.mock.calls.length).toBeLessThanOrEqual(6);
  });

  test("never overlaps itself, and runs once more after a notification during a run", async () => {
    let running = 0;
    let maximum = 0;
    const run = vi.fn(async () => {
      maximum = Math.max(maximum, ++running);
      await new Promise((resolve) => setTimeout(resolve, 500));
      running--;
    });
    const { notify, state } = createCoalescer({ run });
    notify();
    await vi.advanceTimersByTimeAsync(60);
    notify();
    notify();
    expect(state()).toBe("running-again");
    await vi.advanceTimersByTimeAsync(5000);
    expect([run.mock.calls.length, maximum, state()]).toEqual([2, 1, "idle"]);
  });

  test("continues after a failed run", async () => {
    const errors: unknown[] = [];
    const run = vi.fn(() => Promise.reject(new Error("no network")));
    const { notify } = createCoalescer({ run, onError: (error) => errors.push(error) });
    notify();
    await vi.advanceTimersByTimeAsync(60);
    notify();
    await vi.advanceTimersByTimeAsync(60);
    expect([run.mock.calls.length, errors.length]).toEqual([2, 2]);
  });

  test("does not run after stop", async () => {
    const run = vi.fn();
    const { notify, stop } = createCoalescer({ run });
    notify();
    stop();
    notify();
    await vi.advanceTimersByTimeAsync(1000);
    expect(run).not.toHaveBeenCalled();
  });
});
