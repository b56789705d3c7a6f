// 60 voters with 3 connections each race for 10,000 votes, with changes of mind. Every tally that any screen sees is the true one of its version.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { next, Server, tokenOf } from "./server.js";
import { until } from "./servers.js";

const run = promisify(execFile);
const voters = 60, screens = 3, votes = 10_000;

let server;
before(async () => { server = await Server.open(); });
after(() => server.close());

test(`${voters} voters on ${screens} connections each, ${votes} votes`, async (t) => {
  const names = Array.from({ length: voters }, (_, i) => `voter${i}`);
  await server.users(...names);
  const { body: suggestion } = await server.call("POST", "/api/suggestions", { title: "Open on Sundays" }, { token: tokenOf("voter0") });
  // Every announcement is kept by the database too: the truth of each version, as it was committed.
  await run("sqlite3", ["-cmd", ".timeout 5000", server.database, `
    CREATE TABLE truth (version INTEGER PRIMARY KEY, up INTEGER, down INTEGER);
    CREATE TRIGGER note AFTER UPDATE ON carillon_suggestions BEGIN
      INSERT INTO truth SELECT NEW.version, COALESCE(SUM(value = 1), 0), COALESCE(SUM(value = -1), 0) FROM carillon_votes WHERE suggestion_id = NEW.id;
    END;`]);

  const sockets = [];
  for (const name of names)
    for (let i = 0; i < screens; i++) {
      const socket = await server.connect(tokenOf(name), { transports: [i === 2 ? "polling" : "websocket"] });
      socket.seen = [];
      socket.on("suggestion:vote", (tally) => socket.seen.push(tally));
      await socket.emitWithAck("subscribe:suggestions");
      sockets.push(socket);
    }

  let cast = 0;
  const began = performance.now();
  await Promise.all(sockets.map(async (socket) => {
    while (cast < votes) {
      cast++;
      const answer = await socket.emitWithAck("suggestion:vote", { suggestionId: suggestion.id, value: [1, -1, 0][Math.floor(Math.random() * 3)] });
      assert.equal(answer.ok, true, JSON.stringify(answer));
    }
  }));
  const seconds = (performance.now() - began) / 1000;

  const { body: end } = await server.call("GET", `/api/suggestions/${suggestion.id}`);
  await until(() => sockets.every((socket) => socket.seen.at(-1)?.version === end.version), 20_000, "every screen shows the last version");
  const { stdout } = await run("sqlite3", ["-separator", " ", server.database, "SELECT version, up, down FROM truth"]);
  const truth = new Map(stdout.trim().split("\n").map((line) => line.split(" ").map(Number)).map(([version, up, down]) => [version, { up, down }]));
  const rows = (await run("sqlite3", [server.database, "SELECT COALESCE(SUM(value = 1), 0) || ' ' || COALESCE(SUM(value = -1), 0) || ' ' || COUNT(*) || ' ' || COUNT(DISTINCT user_id) FROM carillon_votes"]))
    .stdout.trim().split(" ").map(Number);
  assert.deepEqual([end.up, end.down, end.score], [rows[0], rows[1], rows[0] - rows[1]]);
  assert.equal(rows[2], rows[3], "one vote a person");
  assert.equal(truth.size, end.version);

  let told = 0;
  for (const socket of sockets) {
    let before = 0;
    for (const { suggestionId, up, down, score, version } of socket.seen) {
      told++;
      assert.equal(suggestionId, suggestion.id);
      assert.ok(version > before, `version ${version} came after ${before}`);
      before = version;
      assert.deepEqual({ up, down }, truth.get(version), `the tally at version ${version}`);
      assert.equal(score, up - down);
    }
    socket.disconnect();
  }
  t.diagnostic(`${cast} votes in ${seconds.toFixed(1)} s (${(cast / seconds).toFixed(0)}/s), ${end.version} versions, ${(told / sockets.length).toFixed(0)} announcements on each of ${sockets.length} screens`);
});
