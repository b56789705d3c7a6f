// The fourth document of the brief, event by event, with the client that everybody has.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { apiKey, next, Server, tokenOf } from "./server.js";

let server;
before(async () => {
  server = await Server.open();
  await server.users("alice", "bob");
});
after(() => server.close());

test("document 4, from the handshake to the last unsubscription", async () => {
  // A JWT is needed, and a user who exists.
  assert.equal(await server.refusal({}), "unauthorized");
  assert.equal(await server.refusal({ token: tokenOf("mallory") }), "unknown-user");
  const alice = await server.connect(tokenOf("alice"));
  const bob = await server.connect(tokenOf("bob"));
  const [session] = await next(alice, "session");
  assert.deepEqual(session.user, { id: "alice", name: "Alice", roles: [] });
  assert.deepEqual(session.channels, ["notifications:alice"]);
  assert.equal(session.connectionId, alice.id);
  assert.deepEqual(session.unread, { notifications: 0, messages: 0 });
  assert.ok(Math.abs(Date.parse(session.serverTime) - Date.now()) < 60_000 && session.serverTime.endsWith("Z"));

  // notification: to the user's room, which is joined without asking, and to nobody else's.
  await server.call("POST", "/api/publish", { channel: "notifications:alice", event: "notification", data: { title: "Order ready" } });
  const [notification, meta] = await next(alice, "notification");
  assert.deepEqual(notification, { title: "Order ready" });
  assert.equal(meta.channel, "notifications:alice");
  assert.ok(meta.epoch && meta.offset === 1 && meta.id && meta.at.endsWith("Z"));

  // Somebody else's channel is refused.
  const refused = await bob.emitWithAck("subscribe", "notifications:alice");
  assert.deepEqual([refused.ok, refused.error.code, refused.error.retryable], [false, "forbidden", false]);
  const [error] = await next(bob, "error");
  assert.deepEqual([error.code, error.event, error.channel], ["forbidden", "subscribe", "notifications:alice"]);
  assert.equal(bob.heard.filter((event) => event.name === "notification").length, 0);

  // subscribe:suggestions → subscribed; suggestion:vote follows the votes.
  bob.emit("subscribe:suggestions");
  const [subscribed] = await next(bob, "subscribed");
  assert.equal(subscribed.channel, "suggestions:votes");
  assert.deepEqual([typeof subscribed.position.epoch, subscribed.position.offset, subscribed.recovered], ["string", 0, false]);
  const { body: suggestion, status } = await server.call("POST", "/api/suggestions", { title: "Open on Sundays" }, { token: tokenOf("alice") });
  assert.equal(status, 201);
  await server.call("POST", `/api/suggestions/${suggestion.id}/vote`, { value: 1 }, { token: tokenOf("alice") });
  assert.deepEqual((await next(bob, "suggestion:vote"))[0], { suggestionId: suggestion.id, up: 1, down: 0, score: 1, version: 1 });
  const voted = await alice.emitWithAck("suggestion:vote", { suggestionId: suggestion.id, value: -1 });
  assert.deepEqual(voted, { ok: true, suggestionId: suggestion.id, up: 0, down: 1, score: -1, version: 2 });
  assert.equal((await next(bob, "suggestion:vote"))[0].version, 2);

  // subscribe:resource → subscribed; resource:update for this resource alone.
  const resource = await alice.emitWithAck("subscribe:resource", "7");
  assert.deepEqual([resource.ok, resource.channel, resource.recovered], [true, "resource:updates:7", false]);
  assert.equal((await next(alice, "subscribed"))[0].channel, "resource:updates:7");
  await server.call("POST", "/api/resources/8/updates", { operation: "update", data: { title: "not hers" } });
  await server.call("POST", "/api/resources/7/updates", { operation: "update", data: { title: "New title" } });
  const [update, updateMeta] = await next(alice, "resource:update");
  assert.deepEqual([update.resourceId, update.version, update.operation, update.data], ["7", 1, "update", { title: "New title" }]);

  // What was missed comes when one asks for it with one's position.
  alice.emit("unsubscribe:resource", "7");
  assert.deepEqual((await next(alice, "unsubscribed"))[0], { channel: "resource:updates:7" });
  await server.call("POST", "/api/resources/7/updates", { operation: "update", patch: { title: "Newer" } });
  const again = await alice.emitWithAck("subscribe", { channel: "resource:updates:7", since: { epoch: updateMeta.epoch, offset: updateMeta.offset } });
  assert.deepEqual([again.recovered, again.position.offset], [true, updateMeta.offset + 1]);
  assert.equal((await next(alice, "resource:update"))[0].version, 2);

  // subscribe and unsubscribe by name; after it nothing is heard.
  assert.deepEqual(await bob.emitWithAck("unsubscribe", "suggestions:votes"), { ok: true, channel: "suggestions:votes" });
  await server.call("POST", `/api/suggestions/${suggestion.id}/vote`, { value: 0 }, { token: tokenOf("alice") });
  await bob.emitWithAck("subscribe", "resource:updates:9");
  await server.call("POST", "/api/publish", { channels: ["resource:updates:9"], data: { marks: "the end" } });
  await next(bob, "resource:update");
  assert.equal(bob.heard.filter((event) => event.name === "suggestion:vote").length, 0);

  // error: what is unknown or malformed is told, and the connection lives on.
  for (const [event, argument, code] of [
    ["subscribe", "nothing:here", "unknown-channel"], ["subscribe", ["a", "b"], "invalid-payload"], ["subscribe", 7, "invalid-payload"], ["subscribe", null, "invalid-payload"],
    ["subscribe", { channel: "suggestions:votes", since: 7 }, "invalid-payload"], ["no:such:event", {}, "unknown-event"], ["subscribe", "changes:orders", "unknown-channel"],
  ]) {
    const answer = await bob.emitWithAck(event, argument);
    assert.deepEqual([answer.ok, answer.error.code], [false, code], `${event} ${JSON.stringify(argument)}`);
    assert.equal((await next(bob, "error"))[0].code, code);
  }
  assert.ok(bob.connected);
  alice.disconnect();
  bob.disconnect();
});

test("document 4 over long-polling, and with the upgrade that stock clients make by themselves", async () => {
  for (const transports of [["polling"], ["polling", "websocket"]]) {
    const client = await server.connect(tokenOf("alice"), { transports });
    await next(client, "session");
    assert.equal((await client.emitWithAck("subscribe:resource", "7")).ok, true);
    await server.call("POST", "/api/resources/7/updates", { operation: "update", data: {} });
    await next(client, "resource:update");
    client.disconnect();
  }
});

test("the connection's own life is told: quality after the first measurement", async () => {
  const client = await server.connect(tokenOf("alice"));
  const [quality] = await next(client, "connection:quality", 5000);
  assert.equal(quality.level, "good");
  assert.ok(quality.rttMs >= 0 && quality.jitterMs >= 0);
  client.disconnect();
});

test("the program's own commands: a token to try with, publishing, and the documents that tools read", async () => {
  assert.ok(apiKey);
  const ready = await server.call("GET", "/health/ready", undefined, { authorization: "" });
  assert.deepEqual([ready.status, ready.body.status], [200, "healthy"]);
  const { body: api } = await server.call("GET", "/openapi/v1.json", undefined, { authorization: "" });
  for (const path of ["/api/users/{id}", "/api/tokens/revoke", "/api/tickets", "/api/audit", "/api/keys", "/api/publish", "/api/suggestions/{id}/vote", "/api/resources/{id}/updates",
    "/api/channels/{channel}/presence", "/api/channels/{channel}/history"]) assert.ok(api.paths[path], path);
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  assert.match(metrics, /^carillon_connections\{transport="websocket"\} \d+$/m);
});
