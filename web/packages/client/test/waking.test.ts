// What a page says of its connection after a pause. The network is a fake and the time is driven by hand.
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

const pings = () => socket.asked("ping");
const sleep = (ms: number) => vi.setSystemTime(Date.now() + ms);       // no timer runs meanwhile

const signs: Record<string, () => void> = {
  "comes online": () => browser.page.dispatchEvent(new Event("online")),
  "goes offline": () => browser.page.dispatchEvent(new Event("offline")),
  "becomes visible": () => browser.sheet.dispatchEvent(new Event("visibilitychange")),
  "comes out of the back/forward cache": () => browser.page.dispatchEvent(new Event("pageshow")),
  "is thawed": () => browser.sheet.dispatchEvent(new Event("resume")),
  "wakes from sleep": () => sleep(3_600_000),
  "wakes and the clock was set back": () => sleep(-3_600_000),
};

describe.each(Object.entries(signs))("A page that %s", (_, sign) => {
  test("says within 5 seconds that a silent connection is lost, and connects again at once", () => {
    sign();
    vi.advanceTimersByTime(5000);
    expect(carillon.state).toBe("reconnecting");
    expect(carillon.getSnapshot().reason).toBe("connection-lost");
    expect(pings()).toHaveLength(1);
    expect(socket.attempts).toBe(2);
  });

  test("stays connected when the server answers", () => {
    sign();
    vi.advanceTimersByTime(1500);
    pings()[0]?.answer({ ok: true, serverTime: new Date().toISOString() });
    vi.advanceTimersByTime(20_000);
    expect(carillon.state).toBe("connected");
    expect(pings()).toHaveLength(1);
    expect(socket.attempts).toBe(1);
  });
});

test("The next attempt after a silence does not wait", () => {
  signs["comes online"]?.();
  vi.advanceTimersByTime(3000);
  expect(carillon.getSnapshot()).toMatchObject({ state: "reconnecting", nextAttemptAt: Date.now() });
  vi.advanceTimersByTime(1);
  expect(socket.attempts).toBe(2);
});

test("A refusal is an answer too: the connection works", () => {
  signs["comes online"]?.();
  pings()[0]?.answer({ ok: false, error: { code: "unknown-event" } });
  vi.advanceTimersByTime(20_000);
  expect(carillon.state).toBe("connected");
});

test("Several signs of one moment are one ping", () => {
  for (const sign of Object.values(signs)) sign();
  vi.advanceTimersByTime(1100);
  expect(pings()).toHaveLength(1);
});

test("Nothing is asked while nothing happens, however long", () => {
  vi.advanceTimersByTime(3_600_000);
  expect(pings()).toHaveLength(0);
});

test("The slow timers of a hidden page are no sleep", () => {
  browser.sheet.visibilityState = "hidden";
  browser.sheet.dispatchEvent(new Event("visibilitychange"));
  sleep(60_000);
  vi.advanceTimersByTime(1000);
  expect(pings()).toHaveLength(0);
});

test("A ping of an ended connection says nothing about the next one", () => {
  signs["comes online"]?.();
  socket.break();
  vi.advanceTimersByTime(1000);
  socket.open();
  vi.advanceTimersByTime(20_000);
  expect(carillon.state).toBe("connected");
});

test("While reconnecting, the signs of one moment start one attempt, and no wait delays it", () => {
  socket.break();
  for (let i = 0; i < 6; i++) {
    vi.advanceTimersByTime(5000);
    socket.hear("connect_error", new Error("down"));
  }
  expect(carillon.state).toBe("offline");
  const before = socket.attempts;
  for (const sign of Object.values(signs)) sign();
  expect(socket.attempts).toBe(before + 1);
  socket.open();
  expect(carillon.state).toBe("connected");
});

test.each([8000, -8000])("An attempt that hung while the machine slept is made again, wherever the clock was set (%d ms)", (ms) => {
  socket.break();
  vi.advanceTimersByTime(400);
  const before = socket.attempts;
  sleep(ms);
  vi.advanceTimersByTime(1000);
  expect(socket.attempts).toBe(before + 1);
});

test.each(["disconnected", "refused"])("A client that is %s listens to no sign and holds no timer", (state) => {
  if (state === "refused") {
    socket.hear("error", { code: "token-revoked", message: "Revoked.", retryable: false });
    socket.break("io server disconnect");
    expect(carillon.state).toBe("refused");
  } else carillon.disconnect();
  vi.advanceTimersByTime(2000);
  expect(vi.getTimerCount()).toBe(0);
  for (const sign of Object.values(signs)) sign();
  vi.advanceTimersByTime(5000);
  expect([pings().length, socket.attempts]).toEqual([0, 1]);
});

test("Where a global window is no page, nothing fails", () => {
  carillon.disconnect();
  vi.stubGlobal("window", {});                  // React Native
  vi.stubGlobal("document", undefined);
  carillon.connect();
  socket.open();
  sleep(3_600_000);
  vi.advanceTimersByTime(1000);
  expect(pings()).toHaveLength(1);
});
