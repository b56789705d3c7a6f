// A disk that fills up and empties again and again, under a server that is written to: a tmpfs of a few MB in a mount namespace of the server's own.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { closeSync, openSync, readlinkSync, unlinkSync, writeSync } from "node:fs";
import { promisify } from "node:util";
import { next, Server, tokenOf } from "./server.js";
import { sleep, until } from "./servers.js";

const voters = ["ada", "bob", "cyd", "dan"];
const readyWithinMs = 2000;
const closedWithinMs = 1000;

export async function fullDisk({ rounds, megabytes = 16, report = () => {} }) {
  const disk = new Disk(megabytes);
  const server = await Server.open({ CARILLON__MinFreeSpace: "0", CARILLON__Access__TicketsPerDay: "0" }, (folder) => disk.within(folder));
  try {
    return await run(server, disk, rounds, report);
  } finally {
    await server.close();
  }
}

async function run(server, disk, rounds, report) {
  await server.users(...voters);
  const { body: suggestion } = await server.call("POST", "/api/suggestions", { title: "Open on Sundays" }, { token: tokenOf("ada") });
  const follower = await server.connect(tokenOf("ada"));
  await follower.emitWithAck("subscribe", "resource:updates:live");
  const written = { votes: new Map(), versions: new Map(), acknowledged: 0, refused: 0, slowest: 0 };
  const slowest = { failing: 0, recovering: 0, closing: 0 };
  const load = new AbortController();
  const loading = Promise.all(voters.map((voter) => writeAgainAndAgain(server, voter, suggestion.id, written, load.signal)));
  loading.catch(() => {});      // said below, at the latest when all rounds are done
  const decided = [];

  for (let round = 1; round <= rounds; round++) {
    const victim = `victim${round}`;
    await server.users(victim);
    const token = tokenOf(victim, { jti: `jti${round}` });
    const socket = await server.connect(token);

    const before = { ...written };
    await disk.truncateLog(server.program.pid);
    disk.fill(server.program.pid);
    await until(() => written.refused > before.refused, 10_000, `round ${round}: a write is refused`);
    slowest.failing = Math.max(slowest.failing, await ready(server, 503, `round ${round}`));

    // Reads and live delivery go on.
    assert.equal((await server.call("GET", "/api/suggestions", undefined, { token: tokenOf("bob") })).status, 200);
    assert.equal((await server.call("POST", "/api/publish", { channel: "resource:updates:live", data: { round } })).status, 200);
    assert.equal((await next(follower, "resource:update"))[0].round, round);

    // A revocation or a disabled user closes the connection, whether it can be stored or not.
    const began = performance.now();
    const closed = new Promise((resolve) => socket.once("disconnect", resolve));
    const call = await decide(server, round, victim);
    assert.ok([200, 204, 503].includes(call.status), `round ${round}: ${call.status} ${JSON.stringify(call.body)}`);
    await closed;
    slowest.closing = Math.max(slowest.closing, performance.now() - began);
    const code = round % 2 ? "token-revoked" : "unknown-user";
    assert.equal(await server.refusal({ token }), code);

    const full = { ...written };
    disk.empty(server.program.pid);
    slowest.recovering = Math.max(slowest.recovering, await ready(server, 200, `round ${round}`));
    await until(() => written.acknowledged > full.acknowledged, 5000, `round ${round}: writes go on`);
    decided.push({ token, code, action: round % 2 ? "token:revoked" : "user:disabled", subject: round % 2 ? `jti:jti${round}` : victim });
    const isStored = async ({ action, subject }) => (await server.call("GET", `/api/audit?action=${action}&subject=${subject}`)).body.items?.length > 0;
    await until(() => isStored(decided.at(-1)), 5000, `round ${round}: the decision is stored`);
    report({ round, ...slowest, acknowledged: written.acknowledged, refused: written.refused });
  }
  load.abort();
  await loading;
  assert.ok(slowest.closing < closedWithinMs, `closing a revoked connection took ${slowest.closing} ms`);

  // Nothing that was acknowledged is lost, even by a kill.
  follower.disconnect();
  const kept = await afterKill(server, disk, suggestion.id, written);
  assert.deepEqual(kept.lost, []);
  for (const { token, code } of decided.slice(-20)) assert.equal(await server.refusal({ token }), code);
  return { ...slowest, answer: written.slowest, acknowledged: written.acknowledged, refused: written.refused };
}

// Votes and resource updates of one person, one after the other. What was answered with success is noted, and nothing else.
async function writeAgainAndAgain(server, voter, suggestionId, written, signal) {
  for (let n = 0; !signal.aborted; n++) {
    const began = performance.now();
    const value = n % 2 ? 1 : -1;
    const vote = await server.call("POST", `/api/suggestions/${suggestionId}/vote`, { value }, { token: tokenOf(voter) });
    const update = await server.call("POST", `/api/resources/${voter}${n % 20}/updates`, { operation: "update", data: { filler: "x".repeat(2000) } });
    written.slowest = Math.max(written.slowest, performance.now() - began);
    for (const { status, body } of [vote, update]) {
      if (status < 300) written.acknowledged++;
      else written.refused++;
      if (status >= 300) assert.deepEqual([status, body.code, body.retryable], [503, "unavailable", true]);
    }
    if (vote.status === 200) written.votes.set(voter, value);
    if (update.status === 201) written.versions.set(update.body.resourceId, update.body.version);
    await sleep(5);
  }
}

function decide(server, round, victim) {
  return round % 2
    ? server.call("POST", "/api/tokens/revoke", { jti: `jti${round}` }, { headers: { "Idempotency-Key": `revoke-${round}` } })
    : server.call("PUT", `/api/users/${victim}`, { name: victim, disabled: true });
}

async function ready(server, status, what) {
  const began = performance.now();
  await until(async () => (await fetch(`${server.url}/health/ready`)).status === status, readyWithinMs, `${what}: ready answers ${status}`);
  return performance.now() - began;
}

// The tmpfs ends with the last process in its namespace: one that does nothing stays there while the server is killed and started again.
async function afterKill(server, disk, suggestionId, written) {
  const keeper = await disk.keep(server.program.pid);
  try {
    await server.stop("SIGKILL");
    server.within = disk.enter(keeper.pid);
    await server.start();
  } finally {
    keeper.kill();
  }
  const lost = [];
  for (const [id, version] of written.versions) {
    const { body } = await server.call("POST", `/api/resources/${id}/updates`, { operation: "look" });
    if (body.version <= version) lost.push(`${id} at version ${version}`);
  }
  for (const [voter, value] of written.votes) {
    const { body } = await server.call("GET", `/api/suggestions/${suggestionId}`, undefined, { token: tokenOf(voter) });
    if (body.myVote !== value) lost.push(`the vote of ${voter}`);
  }
  return { lost };
}

/** A tmpfs over the server's folder, seen from here through the server's process. */
class Disk {
  constructor(megabytes) {
    this.megabytes = megabytes;
  }

  within(folder) {
    this.folder = folder;
    const namespace = process.getuid() === 0 ? "-m" : "-rm";
    return ["unshare", namespace, "sh", "-c", `mount -t tmpfs -o size=${this.megabytes}m tmpfs "${folder}" && exec "$@"`, "sh"];
  }

  enter(pid) {
    return ["nsenter", "-t", String(pid), ...(process.getuid() === 0 ? ["-m"] : ["-U", "--preserve-credentials", "-m"]), "--"];
  }

  /** A process on the disk beside the server. */
  async keep(pid) {
    const [command, ...args] = this.enter(pid);
    const keeper = spawn(command, [...args, "sleep", "60"], { stdio: "ignore" });
    await until(() => readlinkSync(`/proc/${keeper.pid}/ns/mnt`) === readlinkSync(`/proc/${pid}/ns/mnt`), 5000, "a process enters the server's disk");
    return keeper;
  }

  filler(pid) {
    return `/proc/${pid}/root${this.folder}/filler`;
  }

  fill(pid) {
    const file = openSync(this.filler(pid), "a");
    try {
      for (const chunk of [65_536, 4096, 512, 1])
        for (;;)
          try {
            writeSync(file, Buffer.alloc(chunk, 1));
          } catch (error) {
            if (error.code !== "ENOSPC") throw error;
            break;
          }
    } finally {
      closeSync(file);
    }
  }

  // What the write-ahead log has room for can be written on a full disk: as after a backup tool's checkpoint, it has none.
  async truncateLog(pid) {
    const [command, ...args] = this.enter(pid);
    const { stdout } = await promisify(execFile)(command, [...args, "sqlite3", `${this.folder}/carillon.db`, ".timeout 10000", "SELECT count(*) FROM sqlite_master; PRAGMA wal_checkpoint(TRUNCATE)"]);
    assert.match(stdout, /^0\|0\|0$/m);
  }

  empty(pid) {
    unlinkSync(this.filler(pid));
  }
}
