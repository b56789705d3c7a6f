// Attacks on the memory of the standalone server, whose heap is limited to 512 MB, each beside 100 ordinary clients: the process lives, memory returns, the clients are served.
//   ./dev heap [attack ...] [--seconds 60] [--clients 100] [--heap 0x20000000]
import { fork } from "node:child_process";
import { createHmac, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { freePorts, repository, startProgram } from "../tests/stock-clients/servers.js";

const secret = "a secret of exactly 32 bytes, ok";
const apiKey = "the key of the back end";
const aimed = 250;      // ms: the 99th percentile of the ordinary clients
const returnsWithin = 20_000;

let values, positionals;

const attacks = {
  pings: { title: "60 sockets that send pings, never read and never join", run: pings },
  attachments: { title: "60 clients that send packets whose last attachment never comes", run: attachments },
  publications: { title: "Publications of 0.95 MB, four at a time", run: publications },
  histories: { title: "Publications of 0.95 MB to a hundred channels, and six readers of their histories", run: histories },
  subscriptions: { title: "20 clients that subscribe to invented names", run: subscriptions },
  unread: { title: "200 clients that subscribe and never read, and broadcasts of 100 kB", run: unread },
  connections: { title: "4,000 connections of one address", run: connections },
};

async function attack(kind) {
  const folder = await mkdtemp(join(tmpdir(), "carillon-heap-"));
  const port = await freePorts(1);
  const server = await startProgram(`${repository}src/Carillon.Server/bin/Release/net10.0/Carillon.Server.dll`, [], {
    DOTNET_GCHeapHardLimit: values.heap,
    ASPNETCORE_URLS: `http://127.0.0.1:${port}`,
    CARILLON__Database: `sqlite:${join(folder, "carillon.db")}`,
    CARILLON__Access__SigningKey: secret,
    CARILLON__Access__UnknownUsers: "create",
    CARILLON__Access__ApiKeys__0: apiKey,
  }, /is ready/);
  const clients = [];
  let done = false, most = 0;
  try {
    for (let i = 0; i < Number(values.clients); i++) clients.push(await Ordinary.open(port, i));
    const watching = (async () => {
      for (; !done; await sleep(200)) most = Math.max(most, residentMegabytes(server.pid));
    })();
    clients.forEach((client) => client.ask());
    const attacker = fork(fileURLToPath(import.meta.url), ["--attacker", kind, String(port), values.seconds], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    const ended = new Promise((resolve) => attacker.once("exit", resolve));
    await Promise.race([ended, sleep((Number(values.seconds) + 15) * 1000)]);
    attacker.kill("SIGKILL");
    await ended;
    clients.forEach((client) => client.rest());
    const lives = residentMegabytes(server.pid) > 0;

    const [returned, buffered] = lives ? await memoryReturns(port) : [false, "-"];
    const newcomer = lives && (await comesIn(port));
    done = true;
    await watching;
    const took = clients.flatMap((client) => client.took).sort((a, b) => a - b);
    const at = (share) => (took.length === 0 ? Infinity : took[Math.min(took.length - 1, Math.floor(took.length * share))]);
    const unanswered = clients.reduce((sum, client) => sum + client.unanswered, 0);
    const cells = [lives ? (returned ? "yes" : "FULL") : "NO", at(0.5).toFixed(1), at(0.99).toFixed(1), unanswered, most, lives ? residentMegabytes(server.pid) : "-", buffered, newcomer ? "let in" : "REFUSED"];
    const widths = [5, 7, 7, 11, 8, 9, 15, 9];
    console.log(`${kind.padEnd(13)}${cells.map((cell, i) => String(cell).padStart(widths[i])).join(" ")}   ${attacks[kind].title}`);
    if (!lives) console.log(server.output().slice(-2000));
    return lives && returned && newcomer && at(0.99) < aimed && unanswered === 0;
  } finally {
    done = true;
    clients.forEach((client) => client.close());
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

// What connections held is given back, which the server's own figure tells. How soon the process gives pages back to the system is the collector's affair: that there is memory again
// shows in that twenty large publications in a row are taken.
async function memoryReturns(port) {
  let buffered = NaN;
  for (const end = Date.now() + returnsWithin; Date.now() < end; await sleep(250)) {
    const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`, { headers: { authorization: `ApiKey ${apiKey}` } })).text().catch(() => "");
    buffered = Number(/^carillon_buffered_bytes(?:\{[^}]*\})? (\d+)/m.exec(metrics)?.[1] ?? NaN);
    if (buffered < 1_000_000) return [await isUsable(port), buffered];
  }
  return [false, buffered];
}

async function isUsable(port) {
  let taken = 0;
  for (const end = Date.now() + returnsWithin; Date.now() < end && taken < 20; ) {
    if (await publish(port, `resource:updates:after-${taken}`, large).catch(() => false)) taken++;
    else {
      taken = 0;
      await sleep(250);
    }
  }
  return taken === 20;
}

async function comesIn(port) {
  for (const end = Date.now() + returnsWithin; Date.now() < end; await sleep(250)) {
    try {
      (await Ordinary.open(port, "newcomer")).close();
      return true;
    } catch {
      // Not yet.
    }
  }
  return false;
}

function residentMegabytes(pid) {
  try {
    return Math.round(Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) / 1024);
  } catch {
    return 0;
  }
}

// Frames by hand: what stock clients never send can be sent, and 4,000 connections cost little.

function frame(opcode, payload, final = true) {
  const body = Buffer.from(payload);
  const header = body.length < 126 ? Buffer.from([0, 0x80 | body.length]) : body.length < 65536 ? Buffer.from([0, 0xfe, body.length >> 8, body.length & 0xff]) : Buffer.alloc(10);
  if (body.length >= 65536) {
    header[1] = 0xff;
    header.writeBigUInt64BE(BigInt(body.length), 2);
  }
  header[0] = (final ? 0x80 : 0) | opcode;
  return Buffer.concat([header, Buffer.alloc(4), body]);      // a mask of zeros changes nothing
}

const text = (packet) => frame(1, packet);

function upgraded(port, { from = "127.0.0.2", reads = true } = {}) {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ port, host: "127.0.0.1", localAddress: from });
    socket.setNoDelay(true);
    socket.once("error", reject);
    socket.once("close", () => reject(new Error("closed")));
    socket.on("error", () => {});
    socket.write(`GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString("base64")}\r\n\r\n`);
    socket.once("data", (data) => {
      if (!data.toString("latin1").startsWith("HTTP/1.1 101")) {
        socket.destroy();
        reject(new Error(data.toString("latin1").split("\r\n")[0]));
        return;
      }
      if (reads) socket.on("data", () => {});
      else socket.pause();
      resolve(socket);
    });
  });
}

function tokenOf(sub) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const now = Math.floor(Date.now() / 1000);
  const input = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub, iat: now, exp: now + 3600 })}`;
  return `${input}.${createHmac("sha256", secret).update(input).digest("base64url")}`;
}

async function joined(port, sub, options) {
  const socket = await upgraded(port, options);
  socket.write(text(`40{"token":"${tokenOf(sub)}"}`));
  return socket;
}

// Asks once a second, whether the last question was answered or not, and notes how long an answer took from the moment at which the question was due.
class Ordinary {
  took = [];
  unanswered = 0;
  #asked = new Map();
  #id = 0;
  #rest = "";

  static async open(port, number) {
    const client = new Ordinary();
    client.socket = await upgraded(port, { from: "127.0.0.1" });
    let isIn;
    const joining = new Promise((resolve, reject) => {
      isIn = resolve;
      setTimeout(() => reject(new Error("not let in")), 5000).unref();
    });
    client.socket.on("data", (data) => client.#read(data.toString("latin1"), isIn));
    client.socket.write(text(`40{"token":"${tokenOf(`ordinary-${number}`)}"}`));
    await joining;
    return client;
  }

  ask() {
    const first = performance.now() + Math.random() * 1000;
    let asked = 0;
    this.timer = setInterval(() => {
      const due = first + asked * 1000;
      if (performance.now() < due) return;
      this.#asked.set(++this.#id, due);
      this.socket.write(text(`42${this.#id}["ping"]`));
      asked++;
    }, 20);
  }

  rest() {
    clearInterval(this.timer);
    for (const due of this.#asked.values()) if (performance.now() - due > 1000) this.unanswered++;
  }

  close() {
    clearInterval(this.timer);
    this.socket.destroy();
  }

  // Only small packets come: looking for their beginnings is enough.
  #read(data, isIn) {
    const all = this.#rest + data;
    this.#rest = all.slice(-30);
    if (/40\{"sid"/.test(all)) isIn();
    if (/\x81\x012/.test(data)) this.socket.write(text("3"));
    for (const [, id] of all.matchAll(/43(\d+)\[/g)) {
      const due = this.#asked.get(Number(id));
      if (due === undefined) continue;
      this.#asked.delete(Number(id));
      this.took.push(performance.now() - due);
    }
  }
}

// The attackers. Each goes on until its time is over; one that is closed comes back.

async function keep(count, end, once) {
  await Promise.all(Array.from({ length: count }, async (_, i) => {
    while (Date.now() < end) {
      try {
        await once(i);
      } catch {
        // Refused or closed.
      }
      await sleep(100);
    }
  }));
}

// Writes as fast as the server takes it, until it closes or the time is over.
async function flood(socket, bytes, end) {
  const gone = new Promise((resolve) => socket.once("close", resolve));
  while (Date.now() < end && !socket.destroyed) {
    if (!socket.write(bytes)) await Promise.race([gone, new Promise((resolve) => socket.once("drain", resolve)), sleep(Math.max(0, end - Date.now()))]);
    await new Promise(setImmediate);
  }
  socket.destroy();
}

async function untilClosed(socket, end) {
  await Promise.race([new Promise((resolve) => socket.once("close", resolve)), sleep(Math.max(0, end - Date.now()))]);
  socket.destroy();
}

async function pings(port, end) {
  const bytes = Buffer.concat(Array.from({ length: 500 }, () => frame(9, Buffer.alloc(125))));
  await keep(60, end, async () => flood(await upgraded(port, { reads: false }), bytes, end));
}

async function attachments(port, end) {
  const packet = Buffer.concat([text(`4510-["x"${Array.from({ length: 10 }, (_, n) => `,{"_placeholder":true,"num":${n}}`).join("")}]`), ...Array.from({ length: 9 }, () => frame(2, Buffer.alloc(950_000)))]);
  await keep(60, end, async (i) => {
    const socket = await joined(port, `attacker-${i}`);
    socket.write(packet);
    socket.write(frame(2, Buffer.alloc(900_000), false));
    await untilClosed(socket, end);
  });
}

const publish = (port, channel, data) => fetch(`http://127.0.0.1:${port}/api/publish`, {
  method: "POST", headers: { authorization: `ApiKey ${apiKey}`, "content-type": "application/json" }, body: JSON.stringify({ channel, event: "news", data }),
}).then(async (response) => {
  await response.arrayBuffer();
  return response.ok;
});

const large = { text: "x".repeat(950_000) };

async function publications(port, end) {
  let n = 0;
  await keep(4, end, async () => {
    while (Date.now() < end) await publish(port, `resource:updates:${n++ % 1000}`, large);
  });
}

async function histories(port, end) {
  let n = 0;
  await keep(8, end, async (i) => {
    while (Date.now() < end) {
      if (i < 2) await publish(port, `resource:updates:${n++ % 100}`, large);
      else await (await fetch(`http://127.0.0.1:${port}/api/channels/resource:updates:${Math.floor(Math.random() * 100)}/history?limit=500`, { headers: { authorization: `ApiKey ${apiKey}` } })).arrayBuffer();
    }
  });
}

async function subscriptions(port, end) {
  await keep(20, end, async (i) => {
    const socket = await joined(port, `attacker-${i}`);
    await sleep(500);
    while (Date.now() < end && !socket.destroyed) {
      for (let n = 0; n < 50; n++) socket.write(text(`42["subscribe","resource:updates:${randomBytes(40).toString("hex")}"]`));
      await sleep(20);
    }
    socket.destroy();
  });
}

async function unread(port, end) {
  const publishing = keep(1, end, async () => {
    while (Date.now() < end) {
      await publish(port, "resource:updates:flood", { text: "x".repeat(100_000) });
      await sleep(20);
    }
  });
  await keep(200, end, async (i) => {
    const socket = await joined(port, `attacker-${i % 20}`, { reads: false });
    await sleep(500);
    socket.write(text(`42["subscribe","resource:updates:flood"]`));
    await untilClosed(socket, end);
  });
  await publishing;
}

async function connections(port, end) {
  await keep(4000, end, async (i) => {
    await sleep(Math.random() * 5000);
    const socket = await joined(port, `attacker-${i % 200}`);
    socket.on("data", (data) => {
      if (/\x81\x012/.test(data.toString("latin1"))) socket.write(text("3"));
    });
    await untilClosed(socket, end);
  });
}

if (process.argv[2] === "--attacker") {
  await attacks[process.argv[3]].run(Number(process.argv[4]), Date.now() + Number(process.argv[5]) * 1000);
  process.exit();
}

({ values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: "string", default: "60" }, clients: { type: "string", default: "100" }, heap: { type: "string", default: "0x20000000" } },
}));
const unknown = positionals.filter((kind) => !attacks[kind]);
if (unknown.length > 0) {
  console.error(`Unknown: ${unknown.join(", ")}. There are ${Object.keys(attacks).join(", ")}.`);
  process.exit(2);
}
console.log("attack        lives  p50 ms  p99 ms  unanswered  most MB  MB after  buffered after  newcomer");
for (const kind of positionals.length > 0 ? positionals : Object.keys(attacks)) if (!(await attack(kind))) process.exitCode = 1;
process.exit();
