// SIGTERM while 300 clients vote, follow and are written to: nothing durable is lost, what they missed is replayed, and they come back without a storm.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { Server, tokenOf } from "./server.js";
import { sleep, until } from "./servers.js";

const run = promisify(execFile);
const clients = 300;

let server;
before(async () => {
  server = await Server.open({ CARILLON__Shutdown__Timeout: "00:00:08", CARILLON__Shutdown__ReadinessDelay: "00:00:01" });
});
after(() => server.close());

test(`a planned restart under the load of ${clients} clients`, async (t) => {
  const names = Array.from({ length: clients }, (_, i) => `user${i}`);
  await server.users(...names);
  const { body: suggestion } = await server.call("POST", "/api/suggestions", { title: "Open on Sundays" }, { token: tokenOf("user0") });

  const reconnections = [];
  let closing = 0;
  const sockets = [];
  for (const name of names) {
    // As it comes out of the box: it comes back by itself, by its own back-off.
    const socket = await server.connect(tokenOf(name), { reconnection: true });
    Object.assign(socket, { updates: [], position: null, lost: null, told: null, gaps: 0 });
    socket.on("resource:update", (update, { epoch, offset }) => {
      socket.updates.push(update.version);
      socket.position = { epoch, offset };
    });
    socket.on("server:closing", ({ reconnectInMs }) => {
      closing++;
      socket.told = reconnectInMs;
    });
    socket.on("disconnect", (reason) => { socket.lost = reason; });
    socket.on("connect", async () => {
      reconnections.push(performance.now());
      const answer = await socket.emitWithAck("subscribe", { channel: "resource:updates:7", since: socket.position });
      if (!answer.recovered) socket.gaps++;
      socket.position ??= answer.position;
    });
    const first = await socket.emitWithAck("subscribe", "resource:updates:7");
    socket.position = first.position;
    sockets.push(socket);
  }

  // The load goes on over the restart: whatever was answered with success must be there afterwards.
  const votes = new Map();
  const updates = [];
  let loading = true;
  const load = [
    ...names.slice(0, 20).map(async (name, i) => {
      for (let n = 0; loading; n++) {
        const value = (n + i) % 2 ? 1 : -1;
        try {
          const { status } = await server.call("POST", `/api/suggestions/${suggestion.id}/vote`, { value }, { token: tokenOf(name) });
          if (status === 200) votes.set(name, value);
          else votes.delete(name);
        } catch {
          votes.delete(name);       // nobody knows whether it was committed
          await sleep(50);
        }
      }
    }),
    (async () => {
      for (let n = 0; loading; n++)
        try {
          const { status, body } = await server.call("POST", "/api/resources/7/updates", { operation: "update", data: { n } });
          if (status === 201) updates.push(body.version);
          await sleep(5);
        } catch {
          await sleep(50);
        }
    })(),
  ];
  await until(() => updates.length > 100, 20_000, "the load is on");

  const readiness = [];
  const watching = (async () => {
    while (loading) {
      try {
        readiness.push((await fetch(`${server.url}/health/ready`)).status);
      } catch {
        readiness.push(0);
      }
      await sleep(20);
    }
  })();
  const began = performance.now();
  reconnections.length = 0;
  await server.stop("SIGTERM");
  const stopped = performance.now() - began;
  await server.start();
  await until(() => sockets.every((socket) => socket.connected), 30_000, "everybody is back");
  const back = performance.now() - began;
  const before = updates.length;
  await until(() => updates.length >= before + 20, 10_000, "some more load on the new process");
  loading = false;
  await Promise.all([...load, watching]);

  assert.ok(stopped < 8500, `stopped after ${stopped} ms`);
  assert.ok(readiness.includes(503), "readiness failed while it still served");
  assert.equal(closing, clients, "everybody was told");
  assert.ok(new Set(sockets.map((socket) => socket.told)).size > clients * 0.9, "each its own moment");
  assert.deepEqual([...new Set(sockets.map((socket) => socket.lost))], ["transport close"]);

  // Nothing durable is lost.
  const rows = (await run("sqlite3", ["-separator", " ", server.database, `SELECT user_id, value FROM carillon_votes WHERE suggestion_id = '${suggestion.id}'`])).stdout.trim().split("\n").map((line) => line.split(" "));
  const kept = new Map(rows.map(([user, value]) => [user, Number(value)]));
  for (const [name, value] of votes) assert.equal(kept.get(name), value, `the last vote of ${name} that was answered`);
  const { body: tally } = await server.call("GET", `/api/suggestions/${suggestion.id}`);
  assert.deepEqual([tally.up, tally.down], [1, -1].map((value) => [...kept.values()].filter((one) => one === value).length));
  assert.equal(new Set(updates).size, updates.length, "no version twice");

  // What was missed is replayed: the history was kept over the restart.
  const last = Math.max(...updates);
  await until(() => sockets.every((socket) => socket.updates.at(-1) >= last), 10_000, "everybody heard the last update");
  for (const socket of sockets) {
    assert.equal(socket.gaps, 0, "everybody recovered");
    socket.updates.forEach((version, i) => assert.ok(i === 0 || version === socket.updates[i - 1] + 1, `version ${version} after ${socket.updates[i - 1]}`));
  }

  const first = Math.min(...reconnections);
  const perTenth = [];
  for (const at of reconnections) perTenth[Math.floor((at - first) / 100)] = (perTenth[Math.floor((at - first) / 100)] ?? 0) + 1;
  t.diagnostic(`stopped after ${(stopped / 1000).toFixed(1)} s, everybody back after ${(back / 1000).toFixed(1)} s; reconnections per 100 ms: ${Array.from(perTenth, (n) => n ?? 0).join(" ")}`);
  assert.ok(Math.max(...perTenth.filter(Boolean)) < clients / 3, "no storm");
  sockets.forEach((socket) => socket.disconnect());
});
