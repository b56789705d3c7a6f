// What is taken away is gone from open connections, and how fast: the time until the last affected socket has been told or closed, over 200 trials.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { next, Server, tokenOf } from "./server.js";
import { until } from "./servers.js";

let server;
before(async () => {
  server = await Server.open({ CARILLON__Areas__0__Pattern: "class:{id}", CARILLON__Areas__0__Event: "lesson", CARILLON__Areas__0__Subscribe: "role:teacher" });
});
after(() => server.close());

const trials = 200;
const devices = 3;

/** How long each of a list of promises took, in milliseconds since `began`. */
const last = async (began, promises) => {
  await Promise.all(promises);
  return performance.now() - began;
};
const closed = (socket) => new Promise((resolve) => socket.once("disconnect", resolve));

const acts = [
  ["a token is revoked", (user, n) => server.call("POST", "/api/tokens/revoke", { jti: `${user}-${n}` }), "token-revoked"],
  ["all tokens of a user are revoked", (user) => server.call("POST", "/api/tokens/revoke", { userId: user }), "token-revoked"],
  ["a user is disabled", (user) => server.call("PUT", `/api/users/${user}`, { disabled: true }), "unknown-user"],
  ["a role is taken away", (user) => server.call("PUT", `/api/users/${user}`, { roles: ["pupil"] }), null],
];

test(`p99 of ${trials} trials is under a second`, async (t) => {
  const times = [];
  for (let n = 0; n < trials; n++) {
    const [what, act, code] = acts[n % acts.length];
    const user = `user${n}`;
    await server.call("PUT", `/api/users/${user}`, { roles: ["teacher"] });
    const token = tokenOf(user, { jti: `${user}-${n}` });
    const sockets = await Promise.all(Array.from({ length: devices }, (_, i) => server.connect(token, { transports: [i === 0 ? "polling" : "websocket"] })));
    await Promise.all(sockets.map((socket) => socket.emitWithAck("subscribe", "class:7")));
    const heard = sockets.map((socket) => code ? Promise.all([closed(socket), next(socket, "error")]) : next(socket, "unsubscribed"));
    const began = performance.now();
    await act(user, n);
    times.push(await last(began, heard));
    for (const [i, promise] of heard.entries()) {
      if (code) {
        const [, [error]] = await promise;
        assert.equal(error.code, code, what);
        assert.ok(!sockets[i].connected);
      } else {
        assert.deepEqual((await promise)[0], { channel: "class:7", code: "forbidden" });
        assert.ok(sockets[i].connected, "what is left stays");
      }
    }
    sockets.forEach((socket) => socket.disconnect());
  }
  times.sort((a, b) => a - b);
  const p99 = times[Math.floor(times.length * 0.99)];
  t.diagnostic(`until the last of ${devices} sockets was told or closed: p50 ${times[times.length / 2].toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, longest ${times.at(-1).toFixed(1)} ms`);
  assert.ok(p99 < 1000, `p99 ${p99} ms`);
});

test("a newer token keeps the connection and its subscriptions", async () => {
  await server.call("PUT", "/api/users/alice", { roles: ["teacher"] });
  const socket = await server.connect(tokenOf("alice", { exp: Math.floor(Date.now() / 1000) + 2 }));
  const id = socket.id;
  await socket.emitWithAck("subscribe", "class:7");
  const [expired] = await next(socket, "error", 10_000);
  assert.deepEqual([expired.code, expired.event], ["token-expired", "token:refresh"]);
  const answer = await socket.emitWithAck("token:refresh", { token: tokenOf("alice") });
  assert.equal(answer.ok, true);
  await server.call("POST", "/api/publish", { channel: "class:7", data: { still: "heard" } });
  assert.deepEqual((await next(socket, "lesson"))[0], { still: "heard" });
  assert.deepEqual([socket.connected, socket.id], [true, id]);
  socket.disconnect();
});

test("an expired token ends its connection after the grace", async () => {
  const brief = await Server.open({ CARILLON__Access__ExpiryGrace: "00:00:01" });
  try {
    await brief.users("alice");
    const socket = await brief.connect(tokenOf("alice", { exp: Math.floor(Date.now() / 1000) + 1 }));
    assert.equal((await next(socket, "error", 10_000))[0].code, "token-expired");
    await until(() => !socket.connected, 10_000, "the connection ends");
  } finally {
    await brief.close();
  }
});
