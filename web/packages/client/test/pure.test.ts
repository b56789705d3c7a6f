import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { channelTransitions, connectionTransitions, createCoalescer, errorCodes, explain, receive, toCarillonError } from "../src/index.js";
import { createClock } from "../src/clock.js";
import { backoff } from "../src/connection.js";

describe("What a publication is, decided from the last position", () => {
  const at = (epoch: string, offset: number) => ({ epoch, offset });
  test.each([
    [undefined, at("a", 7), "deliver"],
    [at("a", 7), at("a", 8), "deliver"],
    [at("a", 7), at("a", 7), "repeat"],
    [at("a", 7), at("a", 2), "repeat"],
    [at("a", 7), at("a", 9), "skipped"],
    [at("a", 7), at("b", 8), "new-epoch"],
    [at("a", 7), at("b", 1), "new-epoch"],
  ] as const)("%o then %o is %s", (last, next, verdict) => expect(receive(last, next)).toBe(verdict));
});

describe("The tables", () => {
  test("lead only to states that exist", () => {
    for (const table of [connectionTransitions, channelTransitions])
      for (const row of Object.values(table)) for (const target of Object.values(row)) expect(Object.keys(table)).toContain(target);
  });
  test("a refused connection is left only by asking or closing", () => {
    expect(Object.keys(connectionTransitions.refused)).toEqual(["asked", "closed"]);
  });
});

describe("Errors", () => {
  test("each code of the contract has a sentence", () => {
    expect(Object.keys(errorCodes)).toHaveLength(19);
    for (const { explanation } of Object.values(errorCodes)) expect(explanation).toMatch(/^[A-Z].+\.$/);
  });
  test("what is not an error becomes unavailable, and an unknown code is final", () => {
    expect(toCarillonError("boom")).toMatchObject({ code: "unavailable", retryable: true });
    expect(toCarillonError({ code: "shop-closed" })).toEqual({ code: "shop-closed", message: "shop-closed", retryable: false });
    expect(toCarillonError({ code: "rate-limited", retryAfter: 3 })).toMatchObject({ retryable: true, retryAfter: 3 });
    expect(explain("toString")).toEqual({ explanation: "toString", retryable: false });
  });
});

test("Waits double up to the limit and are spread", () => {
  expect(backoff(1, 300, 5000, 1)).toBe(300);
  expect(backoff(3, 300, 5000, 1)).toBe(1200);
  expect(backoff(40, 300, 5000, 1)).toBe(5000);
  expect(backoff(1, 300, 5000, 0)).toBe(150);
});

describe("The clock", () => {
  test("takes the middle of a handshake", () => {
    const clock = createClock();
    expect([clock.offsetMs, clock.errorMs]).toEqual([0, Number.POSITIVE_INFINITY]);
    clock.handshake(1000, 1100, 5050);
    expect([clock.offsetMs, clock.errorMs]).toEqual([4000, 50]);
    expect(clock.since(5000, 1010)).toBe(10);
    expect(clock.since(99_999, 1010)).toBe(0);
    expect(clock.since("nonsense")).toBe(0);
  });

  test("is not spoilt by a page that was busy while it connected", () => {
    const clock = createClock();
    clock.handshake(1000, 1100, 5090);            // the way there was slow: the middle would be 40 ms wrong
    clock.roundTrip(4);
    clock.arrival(6000, 2002);
    clock.arrival(6500, 2600);                    // a slow one changes nothing
    expect([clock.offsetMs, clock.errorMs]).toEqual([4000, 2]);
  });

  test("begins anew with each handshake, because clocks are set", () => {
    const clock = createClock();
    clock.handshake(1000, 1004, 5002);
    clock.handshake(9000, 9004, 9002);
    expect(clock.offsetMs).toBe(0);
  });
});

describe("A coalescer", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  test("makes one run of a burst", async () => {
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

  test("does not starve under a burst that never ends", async () => {
    const run = vi.fn();
    const { notify } = createCoalescer({ run, quietMs: 50, maxWaitMs: 200 });
    for (let i = 0; i < 100; i++) {
      notify();
      await vi.advanceTimersByTimeAsync(10);
    }
    expect(run.mock.calls.length).toBeGreaterThanOrEqual(4);
    expect(run.mock.calls.length).toBeLessThanOrEqual(6);
  });

  test("never runs twice at a time, and once more when news came meanwhile", async () => {
    let running = 0;
    let most = 0;
    const run = vi.fn(async () => {
      most = Math.max(most, ++running);
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
    expect([run.mock.calls.length, most, state()]).toEqual([2, 1, "idle"]);
  });

  test("goes on after a run that failed", async () => {
    const errors: unknown[] = [];
    const run = vi.fn(() => Promise.reject(new Error("no network")));
    const { notify } = createCoalescer({ run, onError: (error) => errors.push(error) });
    notify();
    await vi.advanceTimersByTimeAsync(60);
    notify();
    await vi.advanceTimersByTimeAsync(60);
    expect([run.mock.calls.length, errors.length]).toEqual([2, 2]);
  });

  test("runs no more once stopped", async () => {
    const run = vi.fn();
    const { notify, stop } = createCoalescer({ run });
    notify();
    stop();
    notify();
    await vi.advanceTimersByTimeAsync(1000);
    expect(run).not.toHaveBeenCalled();
  });
});
