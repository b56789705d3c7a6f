// Channels without listeners are unsubscribed, and the client discards them.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { channel, createCarillon, presence, type Carillon, type Publication } from "../src/index.js";
import { FakeSocket } from "./fakeSocket.js";

let socket: FakeSocket;
vi.mock("socket.io-client", () => ({ io: () => socket }));

let carillon: Carillon;
beforeEach(() => {
  vi.useFakeTimers();
  socket = new FakeSocket();
  carillon = createCarillon();
  carillon.connect();
  socket.open();
});
afterEach(() => {
  carillon.disconnect();
  vi.useRealTimers();
});

const calls = () => socket.sent.map(({ event, args }) => `${event} ${(args[0] as { channel: string }).channel}`);

async function accept(offset = 0) {
  for (const { reply, args } of socket.requests("subscribe"))
    reply({ ok: true, channel: (args[0] as { channel: string }).channel, position: { epoch: "e", offset }, recovered: false });
  await vi.advanceTimersByTimeAsync(0);
}

const publish = (name: string, offset: number) =>
  socket.receive("news", { offset }, { channel: name, epoch: "e", offset, id: `p${offset}`, at: new Date().toISOString() });

test("a channel is unsubscribed and discarded one second after its last listener left", async () => {
  const before = channel(carillon, "news:1");
  const one = before.listen({});
  const two = before.listen({});
  await accept();
  one();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(calls()).toEqual(["subscribe news:1"]);
  two();
  two();
  await vi.advanceTimersByTimeAsync(999);
  expect(calls()).toEqual(["subscribe news:1"]);
  await vi.advanceTimersByTimeAsync(1);
  expect(calls()).toEqual(["subscribe news:1", "unsubscribe news:1"]);
  expect(before.getSnapshot().state).toBe("unsubscribed");
  await vi.advanceTimersByTimeAsync(2000);
  expect(channel(carillon, "news:1")).not.toBe(before);
});

test("a component that is mounted again within the second sends no request and misses nothing", async () => {
  const heard: number[] = [];
  const gaps: unknown[] = [];
  const listener = { onPublication: ({ meta }: Publication) => heard.push(meta.offset), onGap: (gap: unknown) => gaps.push(gap) };
  const release = channel(carillon, "news:1").listen(listener);
  await accept();
  publish("news:1", 1);
  release();
  await vi.advanceTimersByTimeAsync(500);
  publish("news:1", 2);                         // nobody listens, but the position advances
  channel(carillon, "news:1").listen(listener);
  publish("news:1", 3);
  await vi.advanceTimersByTimeAsync(60_000);
  expect([heard, gaps, calls()]).toEqual([[1, 3], [], ["subscribe news:1"]]);
});

test("a channel works again after a lost connection, a revocation or a refusal within the second", async () => {
  for (const happen of [
    async () => {
      socket.close();
      await vi.advanceTimersByTimeAsync(400);
      socket.open();
    },
    () => socket.receive("unsubscribed", { channel: "news:1", code: "forbidden" }),
    () => socket.requests("subscribe").at(-1)?.reply({ ok: false, error: { code: "unavailable", message: "", retryable: true } }),
  ]) {
    const release = channel(carillon, "news:1").listen({});
    release();
    await happen();
    await vi.advanceTimersByTimeAsync(0);
    const again = channel(carillon, "news:1").listen({});
    await vi.advanceTimersByTimeAsync(500);
    await accept();
    expect(channel(carillon, "news:1").getSnapshot().state).toBe("subscribed");
    again();
    await vi.advanceTimersByTimeAsync(5000);
  }
});

test("an old object of a discarded channel works again and shares its subscription with newer ones", async () => {
  const kept = channel(carillon, "news:1");
  kept.listen({})();
  await vi.advanceTimersByTimeAsync(5000);
  const newer = channel(carillon, "news:1");
  const heard: string[] = [];
  const stop = [kept.listen({ onPublication: () => heard.push("kept") }), newer.listen({ onPublication: () => heard.push("newer") })];
  await accept();
  publish("news:1", 1);
  expect(heard).toEqual(["kept", "newer"]);
  expect(kept.getSnapshot()).toBe(newer.getSnapshot());
  expect(calls().filter((call) => call === "subscribe news:1")).toHaveLength(2);      // the first time and again
  stop.forEach((release) => release());
});

test("hundreds of channels that were used once are discarded, on the server and here", async () => {
  const first = channel(carillon, "news:0");
  for (let i = 0; i < 300; i++) {
    const release = channel(carillon, `news:${i}`).listen({});
    const unwatch = channel(carillon, `news:${i}`).subscribe(() => {});
    channel(carillon, `looked-at:${i}`).getSnapshot();
    const leave = presence(carillon, `room:${i}`).subscribe(() => {});
    release();
    unwatch();
    leave();
  }
  await accept();
  await vi.advanceTimersByTimeAsync(10_000);
  const subscribed = calls().filter((call) => call.startsWith("subscribe ")).length;
  expect(calls().filter((call) => call.startsWith("unsubscribe ")).length).toBe(subscribed);
  expect(channel(carillon, "news:0")).not.toBe(first);
  // A reconnection subscribes to none of them.
  const before = socket.sent.length;
  socket.close();
  await vi.advanceTimersByTimeAsync(1000);
  socket.open();
  await vi.advanceTimersByTimeAsync(1000);
  expect(socket.sent.length).toBe(before);
});

test("a presence list is discarded one second after it was last observed", async () => {
  const list = presence(carillon, "room:1");
  const stop = list.subscribe(() => {});
  await vi.advanceTimersByTimeAsync(60_000);
  expect(presence(carillon, "room:1")).toBe(list);
  stop();
  await vi.advanceTimersByTimeAsync(1001);
  expect(presence(carillon, "room:1")).not.toBe(list);
});

test("a channel whose snapshot is watched stays the same object and is not subscribed", async () => {
  const watched = channel(carillon, "news:1");
  const unwatch = watched.subscribe(() => {});
  await vi.advanceTimersByTimeAsync(60_000);
  expect(channel(carillon, "news:1")).toBe(watched);
  expect(calls()).toEqual([]);
  unwatch();
  await vi.advanceTimersByTimeAsync(2000);
  expect(channel(carillon, "news:1")).not.toBe(watched);
});

test("a channel whose subscription timed out is unsubscribed, because the server may have accepted it later", async () => {
  const release = channel(carillon, "news:1").listen({});
  await vi.advanceTimersByTimeAsync(9001);
  release();                                    // the second ends while the client waits for its retry
  await vi.advanceTimersByTimeAsync(1000);
  expect(calls()).toEqual(["subscribe news:1", "unsubscribe news:1"]);
});

test("a channel that was refused, or subscribed on an earlier connection, is not unsubscribed", async () => {
  const refused = channel(carillon, "news:1").listen({});
  socket.requests("subscribe")[0]?.reply({ ok: false, error: { code: "forbidden", retryable: false } });
  const earlier = channel(carillon, "news:2").listen({});
  await accept();
  socket.close();
  socket.connected = true;                      // the transport is open, the server has not accepted yet
  refused();
  earlier();
  await vi.advanceTimersByTimeAsync(1000);
  expect(calls().filter((call) => call.startsWith("unsubscribe"))).toEqual([]);
});
