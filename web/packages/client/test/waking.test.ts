// The connection after the page was away. The network is a fake, and the test advances the time.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createCarillon, type Carillon } from "../src/index.js";
import { FakeSocket, stubPage } from "./fakeSocket.js";

let socket: FakeSocket;
vi.mock("socket.io-client", () => ({ io: () => socket }));

let browser: ReturnType<typeof stubPage>;
let carillon: Carillon;

beforeEach(() => {
  vi.useFakeTimers();
  socket = new FakeSocket();
  browser = stubPage();
  carillon = createCarillon();
  carillon.connect();
  socket.open();
});
afterEach(() => {
  carillon.disconnect();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

const pings = () => socket.requests("ping");
const sleep = (ms: number) => vi.setSystemTime(Date.now() + ms);       // timers do not run

const signals: Record<string, () => void> = {
  "comes online": () => browser.page.dispatchEvent(new Event("online")),
  "goes offline": () => browser.page.dispatchEvent(new Event("offline")),
  "becomes visible": () => browser.sheet.dispatchEvent(new Event("visibilitychange")),
  "comes out of the back/forward cache": () => browser.page.dispatchEvent(new Event("pageshow")),
  "is thawed": () => browser.sheet.dispatchEvent(new Event("resume")),
  "wakes from sleep": () => sleep(3_600_000),
  "wakes and the clock was set back": () => sleep(-3_600_000),
};

describe.each(Object.entries(signals))("A page that %s", (_, signal) => {
  test("reports a silent connection as lost within 5 seconds and reconnects at once", () => {
    signal();
    vi.advanceTimersByTime(5000);
    expect(carillon.state).toBe("reconnecting");
    expect(carillon.getSnapshot().reason).toBe("connection-lost");
    expect(pings()).toHaveLength(1);
    expect(socket.attempts).toBe(2);
  });

  test("stays connected when the server answers", () => {
    signal();
    vi.advanceTimersByTime(1500);
    pings()[0]?.reply({ ok: true, serverTime: new Date().toISOString() });
    vi.advanceTimersByTime(20_000);
    expect(carillon.state).toBe("connected");
    expect(pings()).toHaveLength(1);
    expect(socket.attempts).toBe(1);
  });
});

test("Reconnects without delay after an unanswered ping", () => {
  signals["comes online"]?.();
  vi.advanceTimersByTime(3000);
  expect(carillon.getSnapshot()).toMatchObject({ state: "reconnecting", nextAttemptAt: Date.now() });
  vi.advanceTimersByTime(1);
  expect(socket.attempts).toBe(2);
});

test("Accepts a refusal as proof that the connection works", () => {
  signals["comes online"]?.();
  pings()[0]?.reply({ ok: false, error: { code: "unknown-event" } });
  vi.advanceTimersByTime(20_000);
  expect(carillon.state).toBe("connected");
});

test("Sends one ping for several signals at the same time", () => {
  for (const signal of Object.values(signals)) signal();
  vi.advanceTimersByTime(1100);
  expect(pings()).toHaveLength(1);
});

test("Sends no ping without a signal", () => {
  vi.advanceTimersByTime(3_600_000);
  expect(pings()).toHaveLength(0);
});

test("Does not take the slow timers of a hidden page for sleep", () => {
  browser.sheet.visibilityState = "hidden";
  browser.sheet.dispatchEvent(new Event("visibilitychange"));
  sleep(60_000);
  vi.advanceTimersByTime(1000);
  expect(pings()).toHaveLength(0);
});

test("Ignores the ping of an earlier connection", () => {
  signals["comes online"]?.();
  socket.close();
  vi.advanceTimersByTime(1000);
  socket.open();
  vi.advanceTimersByTime(20_000);
  expect(carillon.state).toBe("connected");
});

test("Starts one attempt at once for several signals while reconnecting", () => {
  socket.close();
  for (let i = 0; i < 6; i++) {
    vi.advanceTimersByTime(5000);
    socket.receive("connect_error", new Error("down"));
  }
  expect(carillon.state).toBe("offline");
  const before = socket.attempts;
  for (const signal of Object.values(signals)) signal();
  expect(socket.attempts).toBe(before + 1);
  socket.open();
  expect(carillon.state).toBe("connected");
});

test.each([8000, -8000])("Repeats an attempt that hung while the machine slept, even if the clock jumped (%d ms)", (ms) => {
  socket.close();
  vi.advanceTimersByTime(400);
  const before = socket.attempts;
  sleep(ms);
  vi.advanceTimersByTime(1000);
  expect(socket.attempts).toBe(before + 1);
});

test.each(["disconnected", "refused"])("A client that is %s ignores signals and holds no timer", (state) => {
  if (state === "refused") {
    socket.receive("error", { code: "token-revoked", message: "Revoked.", retryable: false });
    socket.close("io server disconnect");
    expect(carillon.state).toBe("refused");
  } else carillon.disconnect();
  vi.advanceTimersByTime(2000);
  expect(vi.getTimerCount()).toBe(0);
  for (const signal of Object.values(signals)) signal();
  vi.advanceTimersByTime(5000);
  expect([pings().length, socket.attempts]).toEqual([0, 1]);
});

test("Works where the global window has no events", () => {
  carillon.disconnect();
  vi.stubGlobal("window", {});                  // React Native
  vi.stubGlobal("document", undefined);
  carillon.connect();
  socket.open();
  sleep(3_600_000);
  vi.advanceTimersByTime(1000);
  expect(pings()).toHaveLength(1);
});
