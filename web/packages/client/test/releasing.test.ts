// Channels that nobody holds any more: the server is asked to forget them, and so does the client.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createCarillon, type Carillon, type Publication } from "../src/index.js";
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
  for (const { answer, args } of socket.asked("subscribe"))
    answer({ ok: true, channel: (args[0] as { channel: string }).channel, position: { epoch: "e", offset }, recovered: false });
  await vi.advanceTimersByTimeAsync(0);
}

const publish = (channel: string, offset: number) => socket.hear("news", { offset }, { channel, epoch: "e", offset, id: `p${offset}`, at: new Date().toISOString() });

test("a channel is unsubscribed and forgotten a moment after its last listener", async () => {
  const before = carillon.channel("news:1");
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
  expect(carillon.channel("news:1")).not.toBe(before);
});

test("a component that is mounted again within the moment costs the server nothing, and misses nothing", async () => {
  const heard: number[] = [];
  const gaps: unknown[] = [];
  const listener = { onPublication: ({ meta }: Publication) => heard.push(meta.offset), onGap: (gap: unknown) => gaps.push(gap) };
  const release = carillon.channel("news:1").listen(listener);
  await accept();
  publish("news:1", 1);
  release();
  await vi.advanceTimersByTimeAsync(500);
  publish("news:1", 2);                         // for nobody, but the position follows
  carillon.channel("news:1").listen(listener);
  publish("news:1", 3);
  await vi.advanceTimersByTimeAsync(60_000);
  expect([heard, gaps, calls()]).toEqual([[1, 3], [], ["subscribe news:1"]]);
});

test("within the moment a lost connection, a lost subscription and a refusal leave a channel that can be listened to again", async () => {
  for (const happen of [
    async () => {
      socket.break();
      await vi.advanceTimersByTimeAsync(400);
      socket.open();
    },
    () => socket.hear("unsubscribed", { channel: "news:1", code: "forbidden" }),
    () => socket.asked("subscribe").at(-1)?.answer({ ok: false, error: { code: "unavailable", message: "", retryable: true } }),
  ]) {
    const release = carillon.channel("news:1").listen({});
    release();
    await happen();
    await vi.advanceTimersByTimeAsync(0);
    const again = carillon.channel("news:1").listen({});
    await vi.advanceTimersByTimeAsync(500);
    await accept();
    expect(carillon.channel("news:1").getSnapshot().state).toBe("subscribed");
    again();
    await vi.advanceTimersByTimeAsync(5000);
  }
});

test("what an application kept of a forgotten channel is good for listening again, together with newer ones", async () => {
  const kept = carillon.channel("news:1");
  kept.listen({})();
  await vi.advanceTimersByTimeAsync(5000);
  const newer = carillon.channel("news:1");
  const heard: string[] = [];
  const stop = [kept.listen({ onPublication: () => heard.push("kept") }), newer.listen({ onPublication: () => heard.push("newer") })];
  await accept();
  publish("news:1", 1);
  expect(heard).toEqual(["kept", "newer"]);
  expect(kept.getSnapshot()).toBe(newer.getSnapshot());
  expect(calls().filter((call) => call === "subscribe news:1")).toHaveLength(2);      // once at first, once again
  stop.forEach((release) => release());
});

test("hundreds of channels that were used once are gone, on the server and here", async () => {
  const first = carillon.channel("news:0");
  for (let i = 0; i < 300; i++) {
    const release = carillon.channel(`news:${i}`).listen({});
    const unwatch = carillon.channel(`news:${i}`).subscribe(() => {});
    carillon.channel(`looked-at:${i}`).getSnapshot();
    const leave = carillon.presence(`room:${i}`).subscribe(() => {});
    release();
    unwatch();
    leave();
  }
  await accept();
  await vi.advanceTimersByTimeAsync(10_000);
  const subscribed = calls().filter((call) => call.startsWith("subscribe ")).length;
  expect(calls().filter((call) => call.startsWith("unsubscribe ")).length).toBe(subscribed);
  expect(carillon.channel("news:0")).not.toBe(first);
  // With the connection no channel is left to be told of it.
  const before = socket.sent.length;
  socket.break();
  await vi.advanceTimersByTimeAsync(1000);
  socket.open();
  await vi.advanceTimersByTimeAsync(1000);
  expect(socket.sent.length).toBe(before);
});

test("a channel that is only watched stays the same object and is not subscribed", async () => {
  const watched = carillon.channel("news:1");
  const unwatch = watched.subscribe(() => {});
  await vi.advanceTimersByTimeAsync(60_000);
  expect(carillon.channel("news:1")).toBe(watched);
  expect(calls()).toEqual([]);
  unwatch();
  await vi.advanceTimersByTimeAsync(2000);
  expect(carillon.channel("news:1")).not.toBe(watched);
});

test("a channel whose subscription was not answered in time is unsubscribed all the same: the server may have done it later", async () => {
  const release = carillon.channel("news:1").listen({});
  await vi.advanceTimersByTimeAsync(9001);
  release();                                    // its moment ends while the client waits before it asks again
  await vi.advanceTimersByTimeAsync(1000);
  expect(calls()).toEqual(["subscribe news:1", "unsubscribe news:1"]);
});

test("a channel that was refused is not unsubscribed, nor is one of an earlier connection", async () => {
  const refused = carillon.channel("news:1").listen({});
  socket.asked("subscribe")[0]?.answer({ ok: false, error: { code: "forbidden", retryable: false } });
  const earlier = carillon.channel("news:2").listen({});
  await accept();
  socket.break();
  socket.connected = true;                      // and before it is let in
  refused();
  earlier();
  await vi.advanceTimersByTimeAsync(1000);
  expect(calls().filter((call) => call.startsWith("unsubscribe"))).toEqual([]);
});
