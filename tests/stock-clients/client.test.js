// The built @carillon/client against the real server: token renewal, revoked permissions, presence, votes. "npm test" in this folder
// builds it first.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { channel, createCarillon, presence, votes } from "@carillon/client";
import { inSeconds, Server, tokenOf } from "./server.js";
import { sleep, until } from "./servers.js";

let server;
const opened = [];
before(async () => {
  server = await Server.open({
    CARILLON__Access__ExpiryGrace: "00:00:02",
    CARILLON__Presence__LeaveAfter: "00:00:01",
    CARILLON__Areas__0__Pattern: "class:{id}", CARILLON__Areas__0__Event: "lesson", CARILLON__Areas__0__Subscribe: "role:teacher",
    CARILLON__Areas__0__HistorySize: "100",
  });
});
after(() => server.close());
afterEach(() => opened.splice(0).forEach((carillon) => carillon.disconnect()));

function connect(auth, options = {}) {
  const carillon = createCarillon({ url: server.url, auth, transports: ["websocket"], retryFirstMs: 50, ...options });
  carillon.states = [];
  carillon.subscribe(() => {
    if (carillon.states.at(-1) !== carillon.state) carillon.states.push(carillon.state);
  });
  carillon.connect();
  opened.push(carillon);
  return carillon;
}

const as = (user, options) => connect(async () => ({ token: tokenOf(user) }), options);

/** Listens to a channel and records what arrives. */
async function listen(carillon, name) {
  const received = { lessons: [], subscribed: 0, gaps: 0, refused: [] };
  const subscription = channel(carillon, name);
  received.stop = subscription.listen({
    onPublication: ({ payload }) => received.lessons.push(payload.n),
    onSubscribed: () => received.subscribed++,
    onGap: () => received.gaps++,
    onRefused: ({ code }) => received.refused.push(code),
  });
  await until(() => subscription.getSnapshot().state === "subscribed", 5000, `${name} is subscribed`);
  return received;
}

const teach = (n) => server.call("POST", "/api/publish", { channel: "class:7", data: { n } });

for (const late of [false, true]) {
  const when = late ? "when the server reports its expiry" : "before it expires";
  test(`a token is renewed ${when}, and the connection and its subscriptions stay`, async () => {
    await server.call("PUT", "/api/users/alice", { roles: ["teacher"] });
    let calls = 0;
    const errors = [];
    const expiry = inSeconds(late ? 3 : 6);
    const carillon = connect(async () => {
      calls++;
      // Late: the renewal before the expiry fails and is not retried before the server reports the expiry.
      if (late && calls === 2) throw new Error("not yet");
      return { token: tokenOf("alice", calls === 1 ? { exp: expiry } : {}) };
    }, late ? { retryFirstMs: 60_000, retryMaxMs: 60_000 } : {});
    carillon.on("error", (error) => errors.push(`${error.code} ${error.event}`));
    const class7 = await listen(carillon, "class:7");
    const { connectionId } = carillon.session;
    await teach(1);
    await until(() => calls >= (late ? 3 : 2), 10_000, "the function is called again");
    await until(() => Date.now() > (expiry + 2 + 1) * 1000, 15_000, "the old token, its grace period and the server's next check are over");
    await teach(2);
    await until(() => class7.lessons.length === 2);
    assert.deepEqual(class7.lessons, [1, 2]);
    assert.deepEqual([class7.subscribed, class7.gaps, class7.refused], [1, 0, []]);
    assert.deepEqual([carillon.states, carillon.session.connectionId], [["connecting", "connected"], connectionId]);
    assert.deepEqual(errors, late ? ["token-expired token:refresh"] : []);
    assert.equal(calls, late ? 3 : 2);
  });
}

test("a connection closed for an expired token reconnects with a new one and misses nothing", async () => {
  await server.call("PUT", "/api/users/alice", { roles: ["teacher"] });
  let ended = false;
  let first = true;
  const carillon = connect(async () => {
    if (!first && !ended) throw new Error("token service unreachable");
    const token = tokenOf("alice", first ? { exp: inSeconds(1) } : {});
    first = false;
    return { token };
  });
  const class7 = await listen(carillon, "class:7");
  carillon.subscribe(() => { ended ||= carillon.state === "reconnecting"; });
  await until(() => ended, 10_000, "the server closes it");
  assert.deepEqual([carillon.getSnapshot().reason, carillon.getSnapshot().error.code], ["closed-by-server", "token-expired"]);
  await teach(1);
  await until(() => class7.lessons.length === 1);
  assert.deepEqual([class7.subscribed, class7.gaps], [2, 0]);
});

test("a connection with a fixed token is refused after its expiry", async () => {
  await server.users("bob");
  const carillon = connect({ token: tokenOf("bob", { exp: inSeconds(1) }) });
  await until(() => carillon.state === "refused", 10_000, "it is refused");
  assert.deepEqual(carillon.states, ["connecting", "connected", "refused"]);
  assert.equal(carillon.getSnapshot().error.code, "token-expired");
});

for (const transport of ["websocket", "polling"]) {
  for (const [what, act, code] of [
    ["a token is revoked", (user) => server.call("POST", "/api/tokens/revoke", { jti: `jti-${user}` }), "token-revoked"],
    ["a user is disabled", (user) => server.call("PUT", `/api/users/${user}`, { disabled: true }), "unknown-user"],
  ]) {
    test(`when ${what} its connection is refused for good, over ${transport}`, async () => {
      const user = `${code}-${transport}`;
      await server.users(user);
      let calls = 0;
      const carillon = connect(async () => ({ token: tokenOf(user, { jti: `jti-${user}`, n: ++calls }) }), { transports: [transport] });
      await until(() => carillon.session !== undefined);
      await act(user);
      await until(() => carillon.state === "refused", 5000, "it is refused");
      const { reason, error } = carillon.getSnapshot();
      assert.deepEqual([reason, error.code, error.retryable], ["refused", code, false]);
      await sleep(500);
      assert.deepEqual([carillon.states, calls], [["connecting", "connected", "refused"], 1]);
    });
  }
}

test("a revoked permission is reported to the listener, and after it is granted again retry() subscribes", async () => {
  await server.call("PUT", "/api/users/alice", { roles: ["teacher"] });
  const carillon = as("alice");
  const class7 = await listen(carillon, "class:7");
  const suggestions = await listen(carillon, "suggestions:votes");
  await server.call("PUT", "/api/users/alice", { roles: ["pupil"] });
  await until(() => class7.refused.length === 1, 5000, "the listener is called");
  const { state, error } = channel(carillon, "class:7").getSnapshot();
  assert.deepEqual([state, error.code, class7.refused, suggestions.refused], ["refused", "forbidden", ["forbidden"], []]);
  assert.equal(carillon.state, "connected");
  await teach(1);

  await server.call("PUT", "/api/users/alice", { roles: ["teacher"] });
  channel(carillon, "class:7").retry();
  await until(() => class7.subscribed === 2);
  await teach(2);
  await until(() => class7.lessons.at(-1) === 2);
  assert.deepEqual([class7.lessons, class7.gaps], [[1, 2], 0]);

  // Revoked again. This time a new connection with other roles subscribes.
  await server.call("PUT", "/api/users/alice", { roles: ["pupil"] });
  await until(() => class7.refused.length === 2);
  carillon.disconnect();
  carillon.connect();
  await until(() => suggestions.subscribed === 2);
  await sleep(200);
  assert.deepEqual([class7.subscribed, class7.refused.length >= 2, channel(carillon, "class:7").getSnapshot().state], [2, true, "refused"]);
  await server.call("PUT", "/api/users/alice", { roles: ["teacher"] });
  carillon.disconnect();
  carillon.connect();
  await until(() => class7.subscribed === 3, 5000, "it is joined again");
});

test("two clients see each other join and leave", async () => {
  await server.users("alice", "bob");
  const room = "resource:updates:7";
  const [alice, bob] = [as("alice"), as("bob")];
  const lists = [alice, bob].map((carillon) => {
    const list = presence(carillon, room);
    list.subscribe(() => {});                               // refused at first, because the room is not joined yet
    channel(carillon, room).listen({});
    return list;
  });
  const both = [{ id: "alice", name: "Alice" }, { id: "bob", name: "Bob" }];
  for (const list of lists)
    await until(() => list.getSnapshot().state === "live" && list.getSnapshot().count === 2, 5000, "both are present");
  for (const list of lists) assert.deepEqual(list.getSnapshot(), { members: both, count: 2, state: "live" });

  const snapshot = lists[0].getSnapshot();
  const second = as("bob");                                 // another page of the same user
  channel(second, room).listen({});
  await until(() => channel(second, room).getSnapshot().state === "subscribed");
  await sleep(600);
  assert.equal(lists[0].getSnapshot(), snapshot);

  second.disconnect();
  bob.disconnect();
  await until(() => lists[0].getSnapshot().count === 1, 5000, "one has left");
  assert.deepEqual(lists[0].getSnapshot().members, [both[0]]);
  bob.connect();
  await until(() => lists.every((list) => list.getSnapshot().count === 2), 5000, "both are present again");
});

test("a crowd is counted exactly, whatever the limit of the list", async () => {
  const names = Array.from({ length: 30 }, (_, i) => `guest${String(i).padStart(2, "0")}`);
  await server.users(...names);
  const guests = await Promise.all(names.map(async (name) => {
    const carillon = as(name);
    channel(carillon, "resource:updates:8").listen({});
    await until(() => channel(carillon, "resource:updates:8").getSnapshot().state === "subscribed");
    return carillon;
  }));
  const list = presence(guests.at(-1), "resource:updates:8", { limit: 10 });
  list.subscribe(() => {});
  const listed = () => list.getSnapshot().members.map(({ id }) => id).join();
  await until(() => list.getSnapshot().count === 30);
  assert.equal(listed(), names.slice(0, 10).join());
  guests.slice(0, 8).forEach((carillon) => carillon.disconnect());
  await until(() => list.getSnapshot().count === 22, 5000, "eight have left");
  await until(() => listed() === names.slice(8, 18).join(), 5000, "others have moved up");
});

test("a vote shows at once and on all clients, and a refused one is rolled back", async () => {
  await server.users("alice", "bob");
  const { body: suggestion } = await server.call("POST", "/api/suggestions", { title: "Open on Sundays" }, { token: tokenOf("alice") });
  const [alice, bob] = await Promise.all(["alice", "bob"].map(async (name) => {
    const suggestions = votes(as(name));
    suggestions.subscribe(() => {});
    await until(() => suggestions.getSnapshot().state === "subscribed");
    suggestions.seed((await server.call("GET", "/api/suggestions", undefined, { token: tokenOf(name) })).body.items);
    return suggestions;
  }));
  const tally = (suggestions) => suggestions.getSnapshot().tallies.get(suggestion.id);
  const cast = alice.vote(suggestion.id, 1);
  assert.deepEqual([tally(alice).up, tally(alice).mine], [1, 1]);
  assert.equal((await cast).ok, true);
  assert.deepEqual(tally(alice), { suggestionId: suggestion.id, up: 1, down: 0, score: 1, version: 1, mine: 1 });
  await Promise.all([bob.vote(suggestion.id, 1), bob.vote(suggestion.id, -1), alice.vote(suggestion.id, 0)]);
  for (const suggestions of [alice, bob]) await until(() => tally(suggestions).version === 4, 5000, "both see the last version");
  assert.deepEqual([tally(alice), tally(bob)].map(({ up, down, score, mine }) => [up, down, score, mine]), [[0, 1, -1, 0], [0, 1, -1, -1]]);

  alice.seed([{ id: "no such suggestion", up: 5, down: 0, version: 1, myVote: 0 }]);
  const refused = alice.vote("no such suggestion", 1);
  assert.equal(alice.getSnapshot().tallies.get("no such suggestion").up, 6);
  assert.equal((await refused).error.code, "not-found");
  assert.equal(alice.getSnapshot().tallies.get("no such suggestion").up, 5);
});
