// Our own client as it is published, against the real server: tokens that are renewed, rights that are taken away, who is there, votes.
// It imports what "npm run build:packages" made; "npm test" in this folder builds it first.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { createCarillon } from "@carillon/client";
import { inSeconds, Server, tokenOf } from "./server.js";
import { sleep, until } from "./servers.js";

let server;
const opened = [];
before(async () => {
  server = await Server.open({
    CARILLON__Access__ExpiryGrace: "00:00:02",
    CARILLON__Presence__LeaveAfter: "00:00:01",
    CARILLON__Areas__0__Pattern: "class:{id}", CARILLON__Areas__0__Event: "lesson", CARILLON__Areas__0__Subscribe: "role:teacher",
    CARILLON__Areas__0__KeepCount: "100",
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

/** What a listener of a channel hears. */
async function listen(carillon, name) {
  const heard = { lessons: [], subscribed: 0, gaps: 0, refused: [] };
  const channel = carillon.channel(name);
  heard.stop = channel.listen({
    onPublication: ({ payload }) => heard.lessons.push(payload.n),
    onSubscribed: () => heard.subscribed++,
    onGap: () => heard.gaps++,
    onRefused: ({ code }) => heard.refused.push(code),
  });
  await until(() => channel.getSnapshot().state === "subscribed", 5000, `${name} is subscribed`);
  return heard;
}

const teach = (n) => server.call("POST", "/api/publish", { channel: "class:7", data: { n } });

for (const late of [false, true]) {
  test(`a token is renewed ${late ? "when the server says that it has expired" : "before it expires"}; the connection and its subscriptions stay`, async () => {
    await server.call("PUT", "/api/users/alice", { roles: ["teacher"] });
    let asked = 0;
    const errors = [];
    const expiry = inSeconds(late ? 3 : 6);
    const carillon = connect(async () => {
      asked++;
      // Late: the question before the expiry fails, and is not repeated before the server's word.
      if (late && asked === 2) throw new Error("not yet");
      return { token: tokenOf("alice", asked === 1 ? { exp: expiry } : {}) };
    }, late ? { retryFirstMs: 60_000, retryMaxMs: 60_000 } : {});
    carillon.on("error", (error) => errors.push(`${error.code} ${error.event}`));
    const class7 = await listen(carillon, "class:7");
    const { connectionId } = carillon.session;
    await teach(1);
    await until(() => asked >= (late ? 3 : 2), 10_000, "the function is asked again");
    await until(() => Date.now() > (expiry + 2 + 1) * 1000, 15_000, "the old token, its grace and the server's next look are over");
    await teach(2);
    await until(() => class7.lessons.length === 2);
    assert.deepEqual(class7.lessons, [1, 2]);
    assert.deepEqual([class7.subscribed, class7.gaps, class7.refused], [1, 0, []]);
    assert.deepEqual([carillon.states, carillon.session.connectionId], [["connecting", "connected"], connectionId]);
    assert.deepEqual(errors, late ? ["token-expired token:refresh"] : []);
    assert.equal(asked, late ? 3 : 2);
  });
}

test("a connection that ended for its token's expiry comes back with a newer one, and misses nothing", async () => {
  await server.call("PUT", "/api/users/alice", { roles: ["teacher"] });
  let ended = false;
  let first = true;
  const carillon = connect(async () => {
    if (!first && !ended) throw new Error("no way to the tokens");
    const token = tokenOf("alice", first ? { exp: inSeconds(1) } : {});
    first = false;
    return { token };
  });
  const class7 = await listen(carillon, "class:7");
  carillon.subscribe(() => { ended ||= carillon.state === "reconnecting"; });
  await until(() => ended, 10_000, "the server ends it");
  assert.deepEqual([carillon.getSnapshot().reason, carillon.getSnapshot().error.code], ["closed-by-server", "token-expired"]);
  await teach(1);
  await until(() => class7.lessons.length === 1);
  assert.deepEqual([class7.subscribed, class7.gaps], [2, 0]);
});

test("an expired token without a function is refused", async () => {
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
    test(`when ${what} its connection is refused and stays so, over ${transport}`, async () => {
      const user = `${code}-${transport}`;
      await server.users(user);
      let asked = 0;
      const carillon = connect(async () => ({ token: tokenOf(user, { jti: `jti-${user}`, n: ++asked }) }), { transports: [transport] });
      await until(() => carillon.session !== undefined);
      await act(user);
      await until(() => carillon.state === "refused", 5000, "it is refused");
      const { reason, error } = carillon.getSnapshot();
      assert.deepEqual([reason, error.code, error.retryable], ["refused", code, false]);
      await sleep(500);
      assert.deepEqual([carillon.states, asked], [["connecting", "connected", "refused"], 1]);
    });
  }
}

test("a role taken away is told to the listener, and given back it is used by whoever asks", async () => {
  await server.call("PUT", "/api/users/alice", { roles: ["teacher"] });
  const carillon = as("alice");
  const class7 = await listen(carillon, "class:7");
  const votes = await listen(carillon, "suggestions:votes");
  await server.call("PUT", "/api/users/alice", { roles: ["pupil"] });
  await until(() => class7.refused.length === 1, 5000, "the listener is told");
  const { state, error } = carillon.channel("class:7").getSnapshot();
  assert.deepEqual([state, error.code, class7.refused, votes.refused], ["refused", "forbidden", ["forbidden"], []]);
  assert.equal(carillon.state, "connected");
  await teach(1);

  await server.call("PUT", "/api/users/alice", { roles: ["teacher"] });
  carillon.channel("class:7").askAgain();
  await until(() => class7.subscribed === 2);
  await teach(2);
  await until(() => class7.lessons.at(-1) === 2);
  assert.deepEqual([class7.lessons, class7.gaps], [[1, 2], 0]);

  // Taken away once more; this time another connection, with other roles, brings it back.
  await server.call("PUT", "/api/users/alice", { roles: ["pupil"] });
  await until(() => class7.refused.length === 2);
  carillon.disconnect();
  carillon.connect();
  await until(() => votes.subscribed === 2);
  await sleep(200);
  assert.deepEqual([class7.subscribed, class7.refused.length >= 2, carillon.channel("class:7").getSnapshot().state], [2, true, "refused"]);
  await server.call("PUT", "/api/users/alice", { roles: ["teacher"] });
  carillon.disconnect();
  carillon.connect();
  await until(() => class7.subscribed === 3, 5000, "it is joined again");
});

test("two clients see each other come and go", async () => {
  await server.users("alice", "bob");
  const room = "resource:updates:7";
  const [alice, bob] = [as("alice"), as("bob")];
  const lists = [alice, bob].map((carillon) => {
    const presence = carillon.presence(room);
    presence.subscribe(() => {});                           // before being there: refused at first, and then not
    carillon.channel(room).listen({});
    return presence;
  });
  const both = [{ id: "alice", name: "Alice" }, { id: "bob", name: "Bob" }];
  for (const presence of lists)
    await until(() => presence.getSnapshot().state === "live" && presence.getSnapshot().count === 2, 5000, "both are there");
  for (const presence of lists) assert.deepEqual(presence.getSnapshot(), { people: both, count: 2, state: "live" });

  const picture = lists[0].getSnapshot();
  const second = as("bob");                                 // another page of the same person
  second.channel(room).listen({});
  await until(() => second.channel(room).getSnapshot().state === "subscribed");
  await sleep(600);
  assert.equal(lists[0].getSnapshot(), picture);

  second.disconnect();
  bob.disconnect();
  await until(() => lists[0].getSnapshot().count === 1, 5000, "one has left");
  assert.deepEqual(lists[0].getSnapshot().people, [both[0]]);
  bob.connect();
  await until(() => lists.every((presence) => presence.getSnapshot().count === 2), 5000, "both are there again");
});

test("a crowd is counted, whatever is kept of it", async () => {
  const names = Array.from({ length: 30 }, (_, i) => `guest${String(i).padStart(2, "0")}`);
  await server.users(...names);
  const guests = await Promise.all(names.map(async (name) => {
    const carillon = as(name);
    carillon.channel("resource:updates:8").listen({});
    await until(() => carillon.channel("resource:updates:8").getSnapshot().state === "subscribed");
    return carillon;
  }));
  const presence = guests.at(-1).presence("resource:updates:8", { most: 10 });
  presence.subscribe(() => {});
  const kept = () => presence.getSnapshot().people.map(({ id }) => id).join();
  await until(() => presence.getSnapshot().count === 30);
  assert.equal(kept(), names.slice(0, 10).join());
  guests.slice(0, 8).forEach((carillon) => carillon.disconnect());
  await until(() => presence.getSnapshot().count === 22, 5000, "eight have left");
  await until(() => kept() === names.slice(8, 18).join(), 5000, "others have moved up");
});

test("votes show at once and everywhere, and what is refused is taken back", async () => {
  await server.users("alice", "bob");
  const { body: suggestion } = await server.call("POST", "/api/suggestions", { title: "Open on Sundays" }, { token: tokenOf("alice") });
  const [alice, bob] = await Promise.all(["alice", "bob"].map(async (name) => {
    const votes = as(name).votes();
    votes.subscribe(() => {});
    await until(() => votes.getSnapshot().state === "subscribed");
    votes.learn((await server.call("GET", "/api/suggestions", undefined, { token: tokenOf(name) })).body.items);
    return votes;
  }));
  const tally = (votes) => votes.getSnapshot().tallies.get(suggestion.id);
  const cast = alice.vote(suggestion.id, 1);
  assert.deepEqual([tally(alice).up, tally(alice).mine], [1, 1]);
  assert.equal((await cast).ok, true);
  assert.deepEqual(tally(alice), { suggestionId: suggestion.id, up: 1, down: 0, score: 1, version: 1, mine: 1 });
  await Promise.all([bob.vote(suggestion.id, 1), bob.vote(suggestion.id, -1), alice.vote(suggestion.id, 0)]);
  for (const votes of [alice, bob]) await until(() => tally(votes).version === 4, 5000, "both see the last version");
  assert.deepEqual([tally(alice), tally(bob)].map(({ up, down, score, mine }) => [up, down, score, mine]), [[0, 1, -1, 0], [0, 1, -1, -1]]);

  alice.learn([{ id: "no such suggestion", up: 5, down: 0, version: 1, myVote: 0 }]);
  const refused = alice.vote("no such suggestion", 1);
  assert.equal(alice.getSnapshot().tallies.get("no such suggestion").up, 6);
  assert.equal((await refused).error.code, "not-found");
  assert.equal(alice.getSnapshot().tallies.get("no such suggestion").up, 5);
});
