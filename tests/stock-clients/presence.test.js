// 2,000 connections of 500 users join and leave one channel, open and close tabs, are cut and come back. At rest the list equals the truth.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Server, tokenOf } from "./server.js";
import { until } from "./servers.js";

const users = 500, connections = 2000;
const channel = "resource:updates:7";

let server;
before(async () => { server = await Server.open({ CARILLON__Presence__LeaveAfter: "00:00:02" }); });
after(() => server.close());

async function list() {
  const items = [];
  let count, cursor;
  do {
    const { body } = await server.call("GET", `/api/channels/${channel}/presence?limit=500${cursor ? `&cursor=${cursor}` : ""}`);
    items.push(...body.items);
    ({ count, next: cursor } = body);
  } while (cursor);
  return { count, items };
}

/** Does something to many, a few at a time. */
async function each(things, act, atOnce = 50) {
  const rest = [...things];
  await Promise.all(Array.from({ length: atOnce }, async () => {
    for (let thing = rest.pop(); thing !== undefined; thing = rest.pop()) await act(thing);
  }));
}

test(`${connections} connections of ${users} users`, async (t) => {
  const names = Array.from({ length: users }, (_, i) => `user${String(i).padStart(3, "0")}`);
  await server.users(...names);
  const tabs = [];
  const open = async (user) => {
    const socket = await server.connect(tokenOf(user));
    Object.assign(socket, { user, inside: false, follows: false, movements: 0, seen: new Set() });
    socket.offAny();
    socket.heard.length = 0;
    socket.on("presence", ({ joined, left }) => {
      socket.movements++;
      joined.forEach((person) => socket.seen.add(person.id));
      left.forEach((person) => socket.seen.delete(person.id));
    });
    tabs.push(socket);
    return socket;
  };
  const join = async (socket) => {
    assert.equal((await socket.emitWithAck("subscribe", channel)).ok, true);
    socket.inside = true;
  };
  const follow = async (socket) => {
    assert.equal((await socket.emitWithAck("subscribe", `presence:${channel}`)).ok, true);
    socket.follows = true;
    const all = [];
    let cursor;
    do {
      const answer = await socket.emitWithAck("presence", { channel, limit: 500, cursor });
      assert.equal(answer.ok, true, JSON.stringify(answer));
      all.push(...answer.items);
      cursor = answer.next;
    } while (cursor);
    all.forEach((person) => socket.seen.add(person.id));
  };

  // One connection of each user comes in and follows the others; then three more of each.
  await each(names, async (name) => { const socket = await open(name); await join(socket); await follow(socket); });
  const arrivals = tabs.map((socket) => socket.movements);
  await each(names.flatMap((name) => [name, name, name]), async (name) => join(await open(name)));
  assert.equal(tabs.length, connections);
  await until(async () => (await list()).count === users, 10_000, "everybody is there");

  // Rounds of everything that happens: leave and join, close and open, the network cut.
  const moved = tabs.reduce((sum, socket) => sum + socket.movements, 0);
  const chance = (part) => Math.random() < part;
  for (let round = 0; round < 3; round++)
    await each([...tabs], async (socket) => {
      if (socket.follows) return;                  // stays, to compare at the end
      if (chance(0.25)) {
        await socket.emitWithAck("unsubscribe", channel);
        socket.inside = false;
        if (chance(0.5)) await join(socket);
      } else if (chance(0.2)) {
        socket.io.engine.transport.ws.terminate?.();   // cut, without a word
        socket.disconnect();
        tabs.splice(tabs.indexOf(socket), 1);
        if (chance(0.7)) await join(await open(socket.user));
      } else if (chance(0.2)) {
        socket.disconnect();
        tabs.splice(tabs.indexOf(socket), 1);
      }
    });
  // Half of those who follow go for good.
  const leaving = tabs.filter((socket) => socket.follows).filter((_, i) => i % 2 === 0);
  leaving.forEach((socket) => {
    socket.disconnect();
    tabs.splice(tabs.indexOf(socket), 1);
  });

  const truth = [...new Set(tabs.filter((socket) => socket.inside).map((socket) => socket.user))].sort();
  await until(async () => (await list()).count === truth.length, 15_000, `${truth.length} are there in the end`);
  const { count, items } = await list();
  assert.equal(count, truth.length);
  assert.deepEqual(items.map((person) => person.id), truth);
  for (const person of items)
    assert.equal(person.connections, tabs.filter((socket) => socket.inside && socket.user === person.id).length, `connections of ${person.id}`);
  const followers = tabs.filter((socket) => socket.follows);
  await until(() => followers.every((socket) => socket.seen.size === truth.length), 5000, "every screen shows it");
  for (const socket of followers) assert.deepEqual([...socket.seen].sort(), truth);

  const after = followers.map((socket) => socket.movements).sort((a, b) => a - b);
  t.diagnostic(`${users} arrivals were ${Math.max(...arrivals)} messages at most to one member; in all each of ${followers.length} followers received ${after[0]} to ${after.at(-1)} messages`);
  assert.ok(moved > 0 && after.at(-1) < 400, "comings and goings are gathered");
  tabs.forEach((socket) => socket.disconnect());
});
