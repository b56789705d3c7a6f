// The live shop through stock Socket.IO clients that know nothing of Carillon.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { io } from "socket.io-client";
import { until } from "./servers.js";
import { Shop } from "./shop.js";

let shop;
before(async () => { shop = await Shop.open(); });
after(() => shop.close());

/** A client that subscribes to the sales and remembers what comes. */
async function watcher(transports, channel = "changes:ventes", since) {
  const client = io(shop.url, { transports, forceNew: true, reconnection: false });
  const changes = [];
  client.on("change", (change, meta) => changes.push({ change, meta, at: performance.now() }));
  await new Promise((resolve, reject) => {
    client.once("session", resolve);
    client.once("connect_error", reject);
  });
  const subscribed = new Promise((resolve) => client.once("subscribed", resolve));
  client.emit("subscribe", since ? { channel, since } : channel);
  return { client, changes, subscribed: await subscribed };
}

async function nextChange(changes, within, action) {
  const count = changes.length;
  const begun = performance.now();
  const result = await action();
  await until(() => changes.length > count, within, `a change within ${within} ms`);
  const { change, meta, at } = changes[count];
  assert.ok(at - begun <= within, `${Math.round(at - begun)} ms`);
  assert.ok(JSON.stringify([change, meta]).length <= 1300, "about 1 KB");
  return { change, meta, result };
}

for (const [name, transports] of [["WebSocket", ["websocket"]], ["polling", ["polling"]], ["polling upgraded", ["polling", "websocket"]]]) {
  describe(`over ${name}`, () => {
    test("a sale, a raw statement and another program are each heard once, a rollback never", async () => {
      const { client, changes, subscribed } = await watcher(transports);
      assert.deepEqual([subscribed.channel, subscribed.recovered], ["changes:ventes", false]);
      assert.equal(typeof subscribed.position.epoch, "string");

      const sale = await nextChange(changes, 250, () => shop.sell({ "x-caisse": "Caisse%201" }));
      assert.equal(sale.change.operation, "insert");
      assert.equal(sale.change.table, "ventes");
      assert.equal(sale.change.key, sale.result.id);
      assert.equal(sale.change.actor, "Caisse 1");
      assert.deepEqual(sale.meta, { channel: "changes:ventes", epoch: subscribed.position.epoch, offset: subscribed.position.offset + 1, id: sale.change.id, at: sale.change.at });

      const raw = await nextChange(changes, 250, () => shop.sql(`UPDATE ventes SET total = total + 1 WHERE id = ${sale.result.id}`));
      assert.deepEqual([raw.change.operation, raw.change.key, raw.change.columns], ["update", sale.result.id, ["total"]]);

      const external = await nextChange(changes, 1000, () =>
        shop.sqlite3("INSERT INTO ventes (clientId, total, creeLe) SELECT id, 100, strftime('%Y-%m-%dT%H:%M:%fZ','now') FROM clients LIMIT 1"));
      assert.equal(external.change.operation, "insert");

      await shop.sqlite3("BEGIN; UPDATE ventes SET total = 0; ROLLBACK;");
      const last = await nextChange(changes, 1000, () => shop.sqlite3(`DELETE FROM ventes WHERE id = ${external.change.key}`));
      assert.equal(last.change.operation, "delete");
      assert.equal(last.meta.offset, external.meta.offset + 1);
      assert.deepEqual(changes.map(({ meta }) => meta.offset), [1, 2, 3, 4].map((n) => subscribed.position.offset + n));
      client.disconnect();
    });
  });
}

test("an acknowledgement carries what the event carries; errors have codes", async () => {
  const { client } = await watcher(["websocket"]);
  const errors = [];
  client.on("error", (error) => errors.push(error));
  const ack = await client.emitWithAck("subscribe", "changes:produits");
  assert.equal(ack.ok, true);
  assert.deepEqual(Object.keys(ack).sort(), ["channel", "ok", "position", "recovered"]);
  for (const [event, argument, code] of [
    ["subscribe", "changes:sqlite_master", "unknown-channel"],
    ["subscribe", "nothing:here", "unknown-channel"],
    ["subscribe", ["changes:ventes"], "invalid-payload"],
    ["subscribe", { channel: "changes:ventes", since: { epoch: 1, offset: "x" } }, "invalid-payload"],
    ["subscribe", { channel: "changes:ventes", since: { epoch: "x", offset: -1 } }, "invalid-payload"],
    ["subscribe", "x".repeat(64_000), "invalid-payload"],
    ["subscribe", "\ud800", "invalid-payload"],
    ["subscribe", undefined, "invalid-payload"],
    ["unsubscribe", 5, "invalid-payload"],
    ["whatever", 1, "unknown-event"],
  ]) {
    const refused = await client.emitWithAck(event, argument);
    assert.equal(refused.ok, false);
    assert.equal(refused.error.code, code, `${event} ${JSON.stringify(argument)?.slice(0, 60)}`);
    assert.deepEqual(Object.keys(refused.error).sort(), ["code", "message", "retryable"]);
  }
  assert.equal(errors.length, 10);
  assert.equal(errors.at(-1).event, "whatever");
  assert.equal(errors[0].channel, "changes:sqlite_master");
  assert.deepEqual(await client.emitWithAck("unsubscribe", { channel: "changes:produits" }), { ok: true, channel: "changes:produits" });
  client.disconnect();
});

test("who comes back with a position gets what was missed, once and in order", async () => {
  const first = await watcher(["websocket"]);
  await shop.sell();
  await until(() => first.changes.length === 1);
  const { epoch, offset } = first.changes[0].meta;
  first.client.disconnect();
  for (let i = 0; i < 5; i++) await shop.sell();
  const second = await watcher(["websocket"], "changes:ventes", { epoch, offset });
  assert.equal(second.subscribed.recovered, true);
  assert.deepEqual(second.changes.map(({ meta }) => meta.offset), [1, 2, 3, 4, 5].map((n) => offset + n));
  assert.equal(second.subscribed.position.offset, offset + 5);
  second.client.disconnect();

  const ahead = await watcher(["websocket"], "changes:clients", { epoch: "another", offset: 3 });
  assert.equal(ahead.subscribed.recovered, false);
  ahead.client.disconnect();
});

test("a server killed between a commit and its announcement loses nothing", async () => {
  const client = io(shop.url, { transports: ["websocket"], forceNew: true, reconnectionDelay: 100, reconnectionDelayMax: 200 });
  const offsets = [];
  let position;
  let recovered;
  client.on("change", (_, meta) => { offsets.push(meta.offset); position = { epoch: meta.epoch, offset: meta.offset }; });
  client.on("subscribed", (answer) => {
    recovered = answer.recovered;
    position ??= answer.position;
  });
  client.on("session", () => client.emit("subscribe", { channel: "changes:ventes", since: position }));
  await until(() => position);
  const begun = position.offset;
  await shop.sell();
  await until(() => offsets.length === 1);

  // Committed while no pump looks: by another program after the server has been killed.
  await shop.program.stop("SIGKILL");
  await shop.sqlite3("INSERT INTO ventes (clientId, total, creeLe) SELECT id, 100, strftime('%Y-%m-%dT%H:%M:%fZ','now') FROM clients LIMIT 3");
  recovered = undefined;
  await shop.start();
  await until(() => recovered !== undefined, 15_000, "the client is back");
  assert.equal(recovered, true);
  await shop.sell();
  await until(() => offsets.length === 5);
  assert.deepEqual(offsets, [1, 2, 3, 4, 5].map((n) => begun + n));
  client.disconnect();
});

test("a server killed at once after a sale was answered loses nothing", async () => {
  for (let round = 0; round < 3; round++) {
    const before = await watcher(["websocket"]);
    const { position } = before.subscribed;
    const sale = await shop.sell();
    await shop.program.stop("SIGKILL");
    before.client.disconnect();
    await shop.start();
    const after = await watcher(["websocket"], "changes:ventes", position);
    assert.equal(after.subscribed.recovered, true);
    assert.deepEqual(after.changes.map(({ change }) => change.key), [sale.id]);
    after.client.disconnect();
  }
});

test("the logs tell the story", async () => {
  const { client, changes } = await watcher(["websocket"]);
  await nextChange(changes, 250, () => shop.sell());
  await until(() => /Broadcasting change to 1 clients/.test(shop.program.output()));
  await until(() => /INSERT INTO ventes/.test(shop.program.output()));
  client.disconnect();
});
