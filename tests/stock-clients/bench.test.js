// The load generator counts to the message: all of it from our server, and every lie of one that loses, doubles or swaps.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { WebSocketServer } from "ws";
import { ofFlood, ofStalled } from "../../bench/verdicts.js";
import { freePorts, repository, startProgram } from "./servers.js";

const configuration = process.env.CONFIGURATION ?? "Release";
const built = (name) => `${repository}bench/${name}/bin/${configuration}/net10.0/${name}.dll`;

const brief = ["--secs", "0.5", "--warm", "0.1", "--drain", "0.3"];

describe("our server under the load generator", () => {
  let server, port;
  before(async () => {
    port = await freePorts(1);
    server = await startProgram(built("Carillon.BenchServer"), ["--port", String(port)], {}, /^ready$/m);
  });
  after(() => server.stop());

  test("a room of many receives each message once", async () => {
    const { result } = await load(port, "fanout", "--connections", "20", "--rate", "50", "--pid", String(server.pid));
    assert.deepEqual(exact(result), { sent: 50, expected: 1000, delivered: 1000, lost: 0, doubled: 0, wrong: 0, outOfOrder: 0 });
    assert.ok(result.cost.seconds >= 0.9 && result.counts.latency.max > 0);
  });

  test("rooms of two receive each message twice", async () => {
    const { result } = await load(port, "chat", "--connections", "20", "--rate", "200");
    assert.deepEqual(exact(result), { sent: 200, expected: 400, delivered: 400, lost: 0, doubled: 0, wrong: 0, outOfOrder: 0 });
  });

  test("each question gets its own answer", async () => {
    const { result } = await load(port, "echo", "--connections", "5");
    const { sent, delivered, ...rest } = exact(result);
    assert.ok(sent > 5 && delivered === sent, `${delivered} of ${sent}`);
    assert.deepEqual(rest, { expected: sent, lost: 0, doubled: 0, wrong: 0, outOfOrder: 0 });
  });
});

describe("a server that lies", { concurrency: true }, () => {
  // What it does with the n-th of 50 messages to 4 members, and what the generator must say.
  for (const [what, lie, expected] of [
    ["loses every tenth", (n, send) => n % 10 !== 0 && send(n), { delivered: 180, lost: 20, doubled: 0, wrong: 0, outOfOrder: 0 }],
    ["sends every tenth twice", (n, send) => (send(n), n % 10 === 0 && send(n)), { delivered: 220, lost: 0, doubled: 20, wrong: 0, outOfOrder: 20 }],
    ["loses one and doubles another", (n, send) => n % 10 === 0 && n < 50 ? 0 : (send(n), n % 10 === 1 && n > 10 && send(n)), { delivered: 200, lost: 0, doubled: 0, wrong: 4, outOfOrder: 16 }],
    ["swaps two", (n, send) => n % 10 === 0 && n < 50 ? 0 : (send(n), n % 10 === 1 && n > 10 && send(n - 1)), { delivered: 200, lost: 0, doubled: 0, wrong: 0, outOfOrder: 16 }],
  ]) {
    test(`is found out when it ${what}`, async () => {
      const server = await dishonest(lie);
      try {
        const { result } = await load(server.port, "fanout", "--connections", "4", "--rate", "100", ...brief);
        assert.deepEqual(exact(result), { sent: 50, expected: 200, ...expected });
      } finally {
        server.close();
      }
    });
  }

  test("is found out when it answers with something else", async () => {
    const server = await dishonest(undefined, () => '["nothing of the kind"]');
    try {
      const { result } = await load(server.port, "echo", "--connections", "2", ...brief);
      assert.equal(result.counts.wrong, result.counts.delivered);
    } finally {
      server.close();
    }
  });
});

test("a generator that fell behind says that it was the limit", async () => {
  let generator;
  const server = await dishonest((n, send) => {
    send(n);
    if (n !== 10) return;
    generator.kill("SIGSTOP");
    setTimeout(() => generator.kill("SIGCONT"), 300);
  });
  try {
    const { result } = await load(server.port, "fanout", "--connections", "2", "--rate", "100", ...brief, (child) => (generator = child));
    assert.equal(result.cost.limitedByGenerator, true);
    assert.ok(result.cost.generatorLateMilliseconds > 200, `${result.cost.generatorLateMilliseconds} ms late`);
    assert.ok(result.counts.latency.max > 200, "what was late counts as late");
    assert.deepEqual(exact(result), { sent: 50, expected: 100, delivered: 100, lost: 0, doubled: 0, wrong: 0, outOfOrder: 0 });
  } finally {
    server.close();
  }
});

test("a flooder that is refused, banned and forgiven is seen to be", async () => {
  let [admitted, bannedUntil] = [0, Infinity];
  const server = await dishonest(undefined, undefined, (address) => {
    if (address !== "127.0.0.2" || Date.now() > bannedUntil) return true;
    if (admitted < 20) return (admitted += 1) > 0;
    bannedUntil = Math.min(bannedUntil, Date.now() + 2500);
    return false;
  });
  try {
    const { result } = await load(server.port, "flood", "--kind", "connections", "--connections", "20", "--rate", "200", "--forgive-within", "8", ...brief);
    assert.deepEqual([result.with.asked, result.with.unanswered, result.othersEnded], [100, 0, 0]);
    assert.equal(result.flood.admitted, 20);
    assert.ok(result.flood.refusedBy["429"] > 20 && result.probesRefusedBy["429"] >= 1, JSON.stringify(result));
    assert.deepEqual(ofFlood(result).slice(1).map(([passed]) => passed), [true, true, true, true]);
  } finally {
    server.close();
  }
});

test("handshakes that never end are counted while they are held, and as refused when they are not", async () => {
  const held = new Set();
  let bannedUntil = Infinity;
  const server = await dishonest(undefined, undefined, undefined, (socket) => {
    if (socket.remoteAddress !== "127.0.0.2" || Date.now() > bannedUntil) return;
    socket.on("error", () => {});
    socket.on("close", () => held.delete(socket));
    if (held.size < 10 && bannedUntil === Infinity) return held.add(socket);
    bannedUntil = Math.min(bannedUntil, Date.now() + 2500);
    socket.resetAndDestroy();
  });
  try {
    const { result } = await load(server.port, "flood", "--kind", "handshakes", "--slow", "20", "--connections", "20", "--rate", "200", "--forgive-within", "8", ...brief);
    assert.deepEqual([result.with.asked, result.with.unanswered, result.othersEnded, result.flood.admitted], [100, 0, 0, 0]);
    assert.ok(result.flood.heldMost >= 10 && result.flood.refused > 10 && result.probesRefused >= 1, JSON.stringify(result));
    assert.deepEqual(ofFlood(result).slice(1).map(([passed]) => passed), [true, true, true, true]);
  } finally {
    server.close();
  }
});

describe("a verdict", () => {
  const counts = { lost: 0, doubled: 0, wrong: 0, outOfOrder: 0, latency: { p99: 10 } };
  const round = { without: { counts }, with: { counts }, othersEnded: 0, gone: 50, cut: 50, upToDate: 0 };
  const stalled = { connections: 1000, stalled: 50, queueBytes: 1 << 20, rounds: [round], p99Ratio: 1.1, growthKiB: 50 * 1024, cost: { limitedByGenerator: false } };
  const lost = { ...round, with: { counts: { ...counts, lost: 1 } } };
  for (const [what, change, expected] of [
    ["passes at the limits", {}, [true, true, true, true, true]],
    ["fails where the others are slowed down", { p99Ratio: 1.3 }, [false, true, true, true, true]],
    ["does not blame the server for the generator", { p99Ratio: 1.3, cost: { limitedByGenerator: true } }, [undefined, true, true, true, true]],
    ["fails for a single message", { rounds: [lost] }, [true, false, true, true, true]],
    ["fails where one of the others is gone", { rounds: [{ ...round, othersEnded: 1 }] }, [true, true, false, true, true]],
    ["fails for memory", { growthKiB: 50 * 1024 + 1 }, [true, true, true, false, true]],
    ["fails where one that stalls is kept", { rounds: [{ ...round, gone: 49 }] }, [true, true, true, true, false]],
  ]) {
    test(what, () => assert.deepEqual(ofStalled({ ...stalled, ...change }, "disconnect").map(([passed]) => passed), expected));
  }
  for (const policy of ["drop", "conflate"]) {
    test(`asks of the policy ${policy} that the stalled are up to date`, () => {
      assert.equal(ofStalled({ ...stalled, rounds: [{ ...round, gone: 0, upToDate: 50 }] }, policy).at(-1)[0], true);
      assert.equal(ofStalled(stalled, policy).at(-1)[0], false);
    });
  }
});

test("an option that does not exist is refused, and so is a server elsewhere", async () => {
  await assert.rejects(load(9, "fanout", "--conections", "20"), /--conections is no option/);
  await assert.rejects(run("fanout", "--url", "ws://192.0.2.1:80"), /loopback/);
});

function load(port, scenario, ...options) {
  return run(scenario, "--url", `ws://127.0.0.1:${port}`, "--secs", "1", "--warm", "0.2", "--wait", ...options);
}

async function run(...options) {
  const started = typeof options.at(-1) === "function" ? options.pop() : () => {};
  const child = spawn("dotnet", [built("Carillon.BenchLoad"), ...options], { stdio: ["ignore", "pipe", "pipe"] });
  started(child);
  let [output, said] = ["", ""];
  child.stdout.on("data", (chunk) => (output += chunk));
  child.stderr.on("data", (chunk) => (said += chunk));
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(said);
  return JSON.parse(output);
}

function exact({ counts: { latency, ...counts } }) {
  return counts;
}

/** Speaks just enough Socket.IO; `lie` decides what becomes of the n-th message after the warm-up, `answer` what is said to a question, `arrive` about connections. */
async function dishonest(lie, answer = (question) => question, letIn = () => true, arrive = () => {}) {
  const verifyClient = ({ req }, decide) => decide(letIn(req.socket.remoteAddress), 429);
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1", verifyClient });
  const room = new Set();
  const sent = new Map();
  let first;
  server.on("connection", (socket) => {
    socket.send('0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}');
    socket.on("close", () => room.delete(socket));
    socket.on("message", (data) => {
      const text = String(data);
      if (text === "40") return socket.send('40{"sid":"x"}');
      if (text.startsWith('420["join"')) return room.add(socket), socket.send("430[]");
      if (text.startsWith('421["echo",')) return socket.send(`431${answer(`[${text.slice(11)}`)}`);
      const number = Number(/~\d{19}(\d{10})/.exec(text)[1]);
      sent.set(number, text.replace(/"pub","[^"]*"/, '"msg"'));
      const send = (n) => room.forEach((member) => member.send(sent.get(n)));
      // The warm-up's numbers come first, at twice the rate: 0.1 s of 200 a second.
      first ??= number;
      const n = number - first + 1 - 20;
      if (n < 1 || !lie) send(number);
      else lie(n, (which) => send(number - n + which));
    });
  });
  server._server.on("connection", arrive);
  await once(server, "listening");
  return { port: server.address().port, close: () => (room.forEach((s) => s.terminate()), server.close()) };
}
