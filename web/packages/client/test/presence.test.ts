import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createCarillon, presenceTransitions, type Carillon, type Presence } from "../src/index.js";
import { isThin } from "../src/presence.js";
import { caughtUp, pause, startFakeCarillon, until, type FakeCarillon } from "./fakeCarillon.js";

let server: FakeCarillon;
let carillon: Carillon;
let there: string[];
let reads: { limit: number; cursor?: string }[];
/** Called when a page is about to be answered. */
let beforePage: (() => void | Promise<void>) | undefined;

const person = (id: string) => ({ id, name: id.toUpperCase() });
const ids = (presence: Presence) => presence.getSnapshot().people.map(({ id }) => id);
const follow = async (most?: number) => {
  const presence = carillon.presence("room:1", most === undefined ? {} : { most });
  const stop = presence.subscribe(() => {});
  await until(() => presence.getSnapshot().state === "live");
  return { presence, stop };
};
/** People come and go, and it is told, as far as the network lets it through. */
function moves(joined: string[], left: string[] = [], tell: "heard" | "unheard" | "not told" = "heard") {
  there = [...there.filter((id) => !left.includes(id)), ...joined].sort();
  const movement = { joined: joined.map(person), left: left.map(person), count: there.length };
  if (tell === "heard") server.publish("presence:room:1", movement, "presence");
  if (tell === "unheard") server.publishUnheard("presence:room:1", movement, "presence");
}

beforeEach(async () => {
  server = await startFakeCarillon();
  there = ["alice", "bob"];
  reads = [];
  beforePage = undefined;
  server.rules.requests["presence"] = async ({ channel, limit, cursor }: { channel: string; limit: number; cursor?: string }) => {
    reads.push({ limit, ...(cursor === undefined ? {} : { cursor }) });
    const rest = there.filter((id) => cursor === undefined || id > cursor);
    const items = rest.slice(0, limit).map((id) => ({ ...person(id), state: "active", connections: 1 }));
    const count = there.length;
    await beforePage?.();
    return { ok: true, channel, count, items, ...(rest.length > limit ? { next: items.at(-1)?.id } : {}) };
  };
  carillon = createCarillon({ url: server.url, transports: ["websocket"], retryFirstMs: 20, retryMaxMs: 60, answerTimeoutMs: 1000 });
  carillon.connect();
  await until(() => carillon.state === "connected");
});
afterEach(async () => {
  carillon.disconnect();
  await server.stop();
});

describe("Who is in a channel", () => {
  test("is read once and followed from then on, in the order of the ids", async () => {
    const { presence, stop } = await follow();
    expect(presence.getSnapshot()).toEqual({ people: [person("alice"), person("bob")], count: 2, state: "live" });
    moves(["zoe", "anna"], ["bob"]);
    await until(() => presence.getSnapshot().count === 3);
    expect(ids(presence)).toEqual(["alice", "anna", "zoe"]);
    expect(reads).toEqual([{ limit: 500 }]);
    stop();
    await until(() => server.members("presence:room:1") === 0);
    expect(presence.getSnapshot()).toEqual({ people: [], count: 0, state: "idle" });
  });

  test("is the same picture until something changes, and people who stay are the same people", async () => {
    const { presence } = await follow();
    const before = presence.getSnapshot();
    expect(carillon.presence("room:1")).toBe(presence);
    moves(["alice"], [], "not told");
    server.publish("presence:room:1", { joined: [person("alice")], left: [person("nobody")], count: 2 }, "presence");
    await caughtUp(carillon, server);
    expect(presence.getSnapshot()).toBe(before);
    moves(["zoe"]);
    await until(() => presence.getSnapshot() !== before);
    expect(presence.getSnapshot().people[0]).toBe(before.people[0]);
    expect(before.people).toHaveLength(2);
  });

  test("is right though people come and go between two pages", async () => {
    there = Array.from({ length: 620 }, (_, i) => `user${String(i).padStart(3, "0")}`);
    beforePage = () => {
      beforePage = undefined;
      moves(["user0005", "zoe"], ["user003", "user600"]);       // of the first page, which is on its way, and of the second
    };
    const { presence } = await follow(1000);
    expect(reads).toEqual([{ limit: 500 }, { limit: 500, cursor: "user499" }]);
    await until(() => presence.getSnapshot().count === 620);
    expect(ids(presence)).toEqual(there);
  });

  test("keeps as many as it is told to, counts all, and fills up when those it kept have left", async () => {
    there = Array.from({ length: 30 }, (_, i) => `user${String(i).padStart(3, "0")}`);
    const { presence } = await follow(10);
    expect([ids(presence), presence.getSnapshot().count, reads]).toEqual([there.slice(0, 10), 30, [{ limit: 10 }]]);
    moves(["user0005"]);
    await until(() => presence.getSnapshot().count === 31);
    expect(ids(presence)).toEqual(there.slice(0, 10));
    moves([], there.slice(0, 6));
    await until(() => presence.getSnapshot().count === 25);
    expect(ids(presence)).toHaveLength(4);
    await until(() => ids(presence).length === 10);
    expect(ids(presence)).toEqual(there.slice(0, 10));
  });

  test("is not read again after a reconnection that missed nothing, and is after one that did", async () => {
    const { presence } = await follow();
    const states: string[] = [];
    presence.subscribe(() => states.push(presence.getSnapshot().state));
    server.cut();
    await until(() => states.join() === "loading,live");
    expect(reads).toHaveLength(1);
    expect(ids(presence)).toEqual(["alice", "bob"]);

    moves(["zoe"], ["bob"], "not told");
    server.forget("presence:room:1");
    server.cut();
    await until(() => ids(presence).join() === "alice,zoe");
    expect(reads).toHaveLength(2);
    expect(states.join()).toBe("loading,live,loading,live");
  });

  test("is read again when a telling went missing", async () => {
    const { presence } = await follow();
    moves(["zoe"], [], "unheard");
    moves(["yann"]);
    await until(() => ids(presence).join() === "alice,bob,yann,zoe");
    expect(reads).toHaveLength(2);
  });

  test("is read again where the first reading was cut off", async () => {
    beforePage = () => { if (reads.length === 1) server.cut(); };
    const { presence } = await follow();
    expect(ids(presence)).toEqual(["alice", "bob"]);
    expect(reads).toHaveLength(2);
  });

  test("is tried again when it cannot be read for the moment", async () => {
    const read = server.rules.requests["presence"];
    let asked = 0;
    server.rules.requests["presence"] = (argument: never) =>
      ++asked < 3 ? { ok: false, error: { code: "rate-limited", message: "Slowly.", retryable: true, retryAfter: 0.02 } } : read?.(argument);
    const { presence } = await follow();
    expect([asked, presence.getSnapshot().count]).toEqual([3, 2]);
  });

  test("is refused to who is not there, and shown once they are", async () => {
    server.rules.subscribe = (channel) =>
      channel === "presence:room:1" && server.members("room:1") === 0 ? { code: "forbidden", message: "Not for you.", retryable: false } : undefined;
    const presence = carillon.presence("room:1");
    presence.subscribe(() => {});
    await until(() => presence.getSnapshot().state === "refused");
    expect(presence.getSnapshot().error?.code).toBe("forbidden");
    carillon.channel("room:1").listen({});
    await until(() => presence.getSnapshot().state === "live");
    expect(presence.getSnapshot().error).toBeUndefined();

    server.takeAway("presence:room:1", "forbidden");
    await until(() => presence.getSnapshot().state === "refused");
    expect(presence.getSnapshot()).toMatchObject({ people: [], count: 0 });
  });

  test("is shared by several that look, whatever their limits", async () => {
    const { presence } = await follow();
    const { presence: two } = await follow(1);
    expect([ids(presence), ids(two), two.getSnapshot().count]).toEqual([["alice", "bob"], ["alice"], 2]);
    expect(server.asked).toEqual(["subscribe presence:room:1"]);
  });

  test("is not left and joined again when one screen follows another", async () => {
    const { presence, stop } = await follow();
    stop();
    stop();
    presence.subscribe(() => {});
    await pause(30);
    expect([server.asked, reads.length, presence.getSnapshot().state]).toEqual([["subscribe presence:room:1"], 1, "live"]);
  });
});

describe("The table of presence", () => {
  test("leads only to states that exist", () => {
    for (const row of Object.values(presenceTransitions)) for (const target of Object.values(row)) expect(Object.keys(presenceTransitions)).toContain(target);
  });
  test.each([
    [10, 10, 500, false], [9, 10, 500, true], [500, 900, 500, false], [250, 900, 500, false], [249, 900, 500, true], [0, 7, 0, false],
  ])("%i of %i kept, %i at most: thin is %s", (kept, count, most, thin) => expect(isThin(kept, count, most)).toBe(thin));
});
