import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { channel, createCarillon, presence as presenceOf, type Carillon, type Presence } from "../src/index.js";
import { needsReload } from "../src/presence.js";
import { caughtUp, pause, startFakeCarillon, until, type FakeCarillon } from "./fakeCarillon.js";

let server: FakeCarillon;
let carillon: Carillon;
let present: string[];
let reads: { limit: number; cursor?: string }[];
/** Runs before each reply to `presence`. */
let beforePage: (() => void | Promise<void>) | undefined;

const member = (id: string) => ({ id, name: id.toUpperCase() });
const ids = (presence: Presence) => presence.getSnapshot().members.map(({ id }) => id);
const observe = async (limit?: number) => {
  const presence = presenceOf(carillon, "room:1", limit === undefined ? {} : { limit });
  const stop = presence.subscribe(() => {});
  await until(() => presence.getSnapshot().state === "live");
  return { presence, stop };
};
/** Members join and leave. The update is delivered, lost on the way, or not published at all. */
function update(joined: string[], left: string[] = [], delivery: "delivered" | "lost" | "not published" = "delivered") {
  present = [...present.filter((id) => !left.includes(id)), ...joined].sort();
  const diff = { joined: joined.map(member), left: left.map(member), count: present.length };
  if (delivery === "delivered") server.publish("presence:room:1", diff, "presence");
  if (delivery === "lost") server.publishSilently("presence:room:1", diff, "presence");
}

beforeEach(async () => {
  server = await startFakeCarillon();
  present = ["alice", "bob"];
  reads = [];
  beforePage = undefined;
  server.rules.requests["presence"] = async ({ channel, limit, cursor }: { channel: string; limit: number; cursor?: string }) => {
    reads.push({ limit, ...(cursor === undefined ? {} : { cursor }) });
    const rest = present.filter((id) => cursor === undefined || id > cursor);
    const items = rest.slice(0, limit).map((id) => ({ ...member(id), state: "active", connections: 1 }));
    const count = present.length;
    await beforePage?.();
    return { ok: true, channel, count, items, ...(rest.length > limit ? { next: items.at(-1)?.id } : {}) };
  };
  carillon = createCarillon({ url: server.url, transports: ["websocket"], retryFirstMs: 20, retryMaxMs: 60, requestTimeoutMs: 1000 });
  carillon.connect();
  await until(() => carillon.state === "connected");
});
afterEach(async () => {
  carillon.disconnect();
  await server.stop();
});

describe("A presence list", () => {
  test("is loaded once and then kept up to date, ordered by id", async () => {
    const { presence, stop } = await observe();
    expect(presence.getSnapshot()).toEqual({ members: [member("alice"), member("bob")], count: 2, state: "live" });
    update(["zoe", "anna"], ["bob"]);
    await until(() => presence.getSnapshot().count === 3);
    expect(ids(presence)).toEqual(["alice", "anna", "zoe"]);
    expect(reads).toEqual([{ limit: 500 }]);
    stop();
    await until(() => server.members("presence:room:1") === 0);
    expect(presence.getSnapshot()).toEqual({ members: [], count: 0, state: "idle" });
  });

  test("is the same snapshot until something changes, and keeps the objects of members who stay", async () => {
    const { presence } = await observe();
    const before = presence.getSnapshot();
    expect(presenceOf(carillon, "room:1")).toBe(presence);
    update(["alice"], [], "not published");
    server.publish("presence:room:1", { joined: [member("alice")], left: [member("nobody")], count: 2 }, "presence");
    await caughtUp(carillon, server);
    expect(presence.getSnapshot()).toBe(before);
    update(["zoe"]);
    await until(() => presence.getSnapshot() !== before);
    expect(presence.getSnapshot().members[0]).toBe(before.members[0]);
    expect(before.members).toHaveLength(2);
  });

  test("is correct when members join and leave between two pages", async () => {
    present = Array.from({ length: 620 }, (_, i) => `user${String(i).padStart(3, "0")}`);
    beforePage = () => {
      beforePage = undefined;
      update(["user0005", "zoe"], ["user003", "user600"]);       // of the first page, which was already read, and of the second
    };
    const { presence } = await observe(1000);
    expect(reads).toEqual([{ limit: 500 }, { limit: 500, cursor: "user499" }]);
    await until(() => presence.getSnapshot().count === 620);
    expect(ids(presence)).toEqual(present);
  });

  test("lists up to its limit, counts all, and fills up when listed members leave", async () => {
    present = Array.from({ length: 30 }, (_, i) => `user${String(i).padStart(3, "0")}`);
    const { presence } = await observe(10);
    expect([ids(presence), presence.getSnapshot().count, reads]).toEqual([present.slice(0, 10), 30, [{ limit: 10 }]]);
    update(["user0005"]);
    await until(() => presence.getSnapshot().count === 31);
    expect(ids(presence)).toEqual(present.slice(0, 10));
    update([], present.slice(0, 6));
    await until(() => presence.getSnapshot().count === 25);
    expect(ids(presence)).toHaveLength(4);
    await until(() => ids(presence).length === 10);
    expect(ids(presence)).toEqual(present.slice(0, 10));
  });

  test("is loaded again after a reconnection only if updates were missed", async () => {
    const { presence } = await observe();
    const states: string[] = [];
    presence.subscribe(() => states.push(presence.getSnapshot().state));
    server.cut();
    await until(() => states.join() === "loading,live");
    expect(reads).toHaveLength(1);
    expect(ids(presence)).toEqual(["alice", "bob"]);

    update(["zoe"], ["bob"], "not published");
    server.forgetHistory("presence:room:1");
    server.cut();
    await until(() => ids(presence).join() === "alice,zoe");
    expect(reads).toHaveLength(2);
    expect(states.join()).toBe("loading,live,loading,live");
  });

  test("is loaded again after a lost update", async () => {
    const { presence } = await observe();
    update(["zoe"], [], "lost");
    update(["yann"]);
    await until(() => ids(presence).join() === "alice,bob,yann,zoe");
    expect(reads).toHaveLength(2);
  });

  test("is loaded again when the connection was lost while loading", async () => {
    beforePage = () => { if (reads.length === 1) server.cut(); };
    const { presence } = await observe();
    expect(ids(presence)).toEqual(["alice", "bob"]);
    expect(reads).toHaveLength(2);
  });

  test("retries a temporary error", async () => {
    const read = server.rules.requests["presence"];
    const error = { code: "rate-limited", message: "Slowly.", retryable: true, retryAfter: 0.02 };
    let requests = 0;
    server.rules.requests["presence"] = (argument: never) => (++requests < 3 ? { ok: false, error } : read?.(argument));
    const { presence } = await observe();
    expect([requests, presence.getSnapshot().count]).toEqual([3, 2]);
  });

  test("is refused before the user has joined the channel, and live afterwards", async () => {
    const forbidden = { code: "forbidden", message: "Not for you.", retryable: false };
    server.rules.subscribe = (name) => (name === "presence:room:1" && server.members("room:1") === 0 ? forbidden : undefined);
    const presence = presenceOf(carillon, "room:1");
    presence.subscribe(() => {});
    await until(() => presence.getSnapshot().state === "refused");
    expect(presence.getSnapshot().error?.code).toBe("forbidden");
    channel(carillon, "room:1").listen({});
    await until(() => presence.getSnapshot().state === "live");
    expect(presence.getSnapshot().error).toBeUndefined();

    server.revoke("presence:room:1", "forbidden");
    await until(() => presence.getSnapshot().state === "refused");
    expect(presence.getSnapshot()).toMatchObject({ members: [], count: 0 });
  });

  test("shares its subscription with lists of other limits", async () => {
    const { presence } = await observe();
    const { presence: two } = await observe(1);
    expect([ids(presence), ids(two), two.getSnapshot().count]).toEqual([["alice", "bob"], ["alice"], 2]);
    expect(server.received).toEqual(["subscribe presence:room:1"]);
  });

  test("stays subscribed when one screen replaces another", async () => {
    const { presence, stop } = await observe();
    stop();
    stop();
    presence.subscribe(() => {});
    await pause(30);
    expect([server.received, reads.length, presence.getSnapshot().state]).toEqual([["subscribe presence:room:1"], 1, "live"]);
  });
});

describe("The decision to reload", () => {
  test.each([
    [10, 10, 500, false], [9, 10, 500, true], [500, 900, 500, false], [250, 900, 500, false], [249, 900, 500, true], [0, 7, 0, false],
  ])("%i of %i listed with limit %i: %s", (listed, count, limit, reload) => expect(needsReload(listed, count, limit)).toBe(reload));
});
