// The built @carillon/client against a server that stops responding without closing the connection: a frozen process, and a network that
// drops everything. A page that returns must not claim to be connected.
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import net from "node:net";
import { after, afterEach, before, test } from "node:test";
import { channel, createCarillon } from "@carillon/client";
import { Server, tokenOf } from "./server.js";
import { until } from "./servers.js";

let server;
const opened = [];
// What browsers have and Node.js lacks.
globalThis.window = new EventTarget();
globalThis.document = Object.assign(new EventTarget(), { visibilityState: "visible" });

before(async () => {
  server = await Server.open({
    CARILLON__Areas__0__Pattern: "class:{id}", CARILLON__Areas__0__Event: "lesson", CARILLON__Areas__0__Subscribe: "users",
    CARILLON__Areas__0__HistorySize: "100",
  });
  await server.users("alice");
});
after(() => server.close());
afterEach(() => opened.splice(0).forEach((carillon) => carillon.disconnect()));

const signs = {
  "comes online": () => window.dispatchEvent(new Event("online")),
  "becomes visible": () => document.dispatchEvent(new Event("visibilitychange")),
};

async function connect(url, transports) {
  const carillon = createCarillon({ url, auth: () => ({ token: tokenOf("alice") }), transports, retryFirstMs: 50, connectTimeoutMs: 1000 });
  opened.push(carillon);
  carillon.lessons = [];
  channel(carillon, "class:7").listen({ onPublication: ({ payload }) => carillon.lessons.push(payload.n) });
  carillon.connect();
  await until(() => channel(carillon, "class:7").getSnapshot().state === "subscribed", 10_000, "the client is subscribed");
  return carillon;
}

const teach = (n) => server.call("POST", "/api/publish", { channel: "class:7", data: { n } });

for (const transports of [["websocket"], ["polling"]]) {
  for (const [sign, give] of Object.entries(signs)) {
    test(`over ${transports}, a page that ${sign} while the server is frozen reports it within 5 seconds, and reconnects`, async () => {
      const carillon = await connect(server.url, transports);
      process.kill(server.program.pid, "SIGSTOP");
      try {
        await until(async () => / T /.test(await readFile(`/proc/${server.program.pid}/stat`, "utf8")), 5000, "the server is frozen");
        const at = Date.now();
        give();
        await until(() => carillon.state !== "connected", 5000, "the state changes");
        assert.ok(Date.now() - at <= 5000);
        assert.match(carillon.state, /^(reconnecting|offline)$/);
      } finally {
        process.kill(server.program.pid, "SIGCONT");
      }
      await until(() => carillon.state === "connected", 15_000, "it is connected again");
      await until(() => channel(carillon, "class:7").getSnapshot().state === "subscribed", 10_000, "it is subscribed again");
    });

    test(`over ${transports}, a page that ${sign} keeps a working connection`, async () => {
      const carillon = await connect(server.url, transports);
      const states = [];
      const asked = carillon.clock.errorMs;
      carillon.subscribe(() => states.push(carillon.state));
      give();
      // A request sent after the ping gets its reply after the ping's.
      assert.equal((await carillon.request("ping")).ok, true);
      assert.deepEqual([carillon.state, states.filter((state) => state !== "connected")], ["connected", []]);
      assert.ok(carillon.clock.errorMs <= asked);
    });
  }
}

test("the client detects a network that drops everything, and recovers what it missed", async () => {
  const proxy = await silentProxy(server.port);
  try {
    const carillon = await connect(proxy.url, ["websocket"]);
    await teach(1);
    await until(() => carillon.lessons.length === 1);
    proxy.swallow();
    await teach(2);
    await teach(3);
    const at = Date.now();
    signs["comes online"]();
    await until(() => carillon.lessons.length === 3, 6000, "the missed lessons arrive");
    assert.deepEqual(carillon.lessons, [1, 2, 3]);
    assert.ok(Date.now() - at <= 5000, `${Date.now() - at} ms`);
  } finally {
    await proxy.close();
  }
});

/** A TCP proxy. After `swallow` its open connections neither pass data nor close, as with a lost Wi-Fi; new connections pass. */
async function silentProxy(port) {
  const pairs = new Set();
  const listener = net.createServer((client) => {
    const upstream = net.connect(port, "127.0.0.1");
    const pair = [client, upstream];
    pairs.add(pair);
    client.pipe(upstream).pipe(client);
    const end = () => { if (!pair.swallowed) pair.forEach((one) => one.destroy()); };
    for (const socket of pair) socket.on("error", () => {}).on("close", end);
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  return {
    url: `http://127.0.0.1:${listener.address().port}`,
    swallow() {
      for (const pair of pairs) {
        pair.swallowed = true;
        for (const socket of pair) {
          socket.unpipe();
          socket.on("data", () => {});
        }
      }
    },
    async close() {
      for (const pair of pairs) pair.forEach((socket) => socket.destroy());
      listener.close();
      await once(listener, "close");
    },
  };
}
