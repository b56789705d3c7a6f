// Socket.IO protocol 5: rules that stock clients never break, and what stock clients see, against the profiles 1, 3, 4 and 5.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { io } from "socket.io-client";
import { Polling, Socket, joined } from "./raw.js";
import { sleep, startConformance, until } from "./servers.js";

let server, plain, shop, recovery;
before(async () => {
  server = await startConformance();
  plain = `${server.url(1)}/socket.io/`;
  shop = `${server.url(4)}/socket.io/`;
  recovery = `${server.url(5)}/socket.io/`;
});
after(() => server.stop());

describe("joining a namespace", () => {
  test("the answer holds the socket's id alone, which is not the connection's", async () => {
    const socket = await Socket.open(plain);
    const { sid } = JSON.parse((await socket.next()).slice(1));
    socket.send('40{"token":"123"}');
    const answer = JSON.parse((await socket.next()).slice(2));
    assert.deepEqual(Object.keys(answer), ["sid"]);
    assert.notEqual(answer.sid, sid);
    assert.equal(await socket.next(), '42["auth",{"token":"123"}]');
    socket.ws.close();
  });

  test("custom namespaces", async () => {
    const socket = await Socket.open(plain);
    await socket.next();
    socket.send("40/custom,");
    assert.match(await socket.next(), /^40\/custom,\{"sid":"/);
    assert.equal(await socket.next(), '42/custom,["auth",{}]');
    socket.send("40/random");
    assert.equal(await socket.next(), '44/random,{"message":"Invalid namespace"}');
    socket.ws.close();
  });

  test("patterns match the whole name", async () => {
    const socket = await joined(shop, "/dyn-12");
    assert.match(await socket.next(), /^42\/dyn-12,\["welcome"/);
    socket.send("40/dyn-12\n,");
    assert.equal(await socket.next(), '44/dyn-12\n,{"message":"Invalid namespace"}');
    socket.send("40/dyn-12x,");
    assert.equal(await socket.next(), '44/dyn-12x,{"message":"Invalid namespace"}');
    socket.ws.close();
  });

  test("a refusal carries its data, and the client may try again", async () => {
    const socket = await Socket.open(shop);
    await socket.next();
    socket.send("40/secure,");
    assert.equal(await socket.next(), '44/secure,{"message":"not authorized","data":{"code":401,"hint":"token"}}');
    socket.send('40/secure,{"token":"let-me-in"}');
    assert.match(await socket.next(), /^40\/secure,\{"sid"/);
    socket.ws.close();
  });

  test("who joins nothing is closed", async () => {
    const socket = await Socket.open(plain);
    const begun = Date.now();
    await socket.closed;
    assert.ok(Date.now() - begun >= 900);
  });
});

describe("packets that the protocol forbids close this connection alone", () => {
  const eleven = Array.from({ length: 11 }, (_, i) => `{"_placeholder":true,"num":${i}}`).join();
  for (const [what, ...messages] of [
    ["an unknown type", "4abc"],
    ["no type", "4"],
    ["an event to a namespace not joined", '42/custom,["message"]'],
    ["a second CONNECT", "40"],
    ["CONNECT_ERROR from a client", '44{"message":"x"}'],
    ["an event that is no list", '42{"a":1}'],
    ["an empty event", "42[]"],
    ["an event that starts with an object", "42[{}]"],
    ["an event that starts with null", "42[null]"],
    ["an event that starts with a list", "42[[]]"],
    ["JSON cut off", '42["message"'],
    ["JSON with a tail", '42["message"]x'],
    ["DISCONNECT with data", '41{"a":1}'],
    ["an ack that is no list", '431{"a":1}'],
    ["half a surrogate pair as name", '42["\\ud800"]'],
    ...["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"].map((name) => [name, `42["${name}"]`]),
    ["binary that nobody announced", Buffer.from([1])],
    ["text while attachments are due", '451-["message",{"_placeholder":true,"num":0}]', '42["message"]'],
    ["a placeholder out of range", '451-["message",{"_placeholder":true,"num":1}]', Buffer.from([1])],
    ["a placeholder that is no number", '451-["message",{"_placeholder":true,"num":"splice"}]', Buffer.from([1])],
    ["a count that is none", '45abc-["message"]'],
    ["no count", '45-["message"]'],
    ["a count of none", '450-["message",1]'],
    ["too many attachments", `4511-["message",${eleven}]`],
    ["nesting of 10,000", `42["message",${"[".repeat(10_000)}${"]".repeat(10_000)}]`],
    ["an id beyond 2^53", '4299999999999999999["message"]'],
  ]) {
    test(what, async () => {
      const socket = await joined(plain);
      await socket.next();
      for (const message of messages) socket.send(message);
      assert.equal((await socket.closed).code, 1005);
    });
  }

  for (const payload of ["[]", '"abc"', "null"]) {
    test(`CONNECT with ${payload}`, async () => {
      const socket = await Socket.open(plain);
      await socket.next();
      socket.send(`40${payload}`);
      await socket.closed;
    });
  }

  test("the server tells these reasons", async () => {
    const watcher = await joined(shop, "/plain");
    await watcher.next();
    await reasonsOf(watcher, 0);
    const bad = await joined(shop);
    bad.send("42{}");
    await bad.closed;
    const unjoined = await pollingJoined();
    await unjoined.push('42/plain,["echo"]');
    const unreadable = await pollingJoined();
    await unreadable.push("42{}");
    await unreadable.push('42["echo",1]');   // nobody hears it any more
    assert.equal((await unreadable.poll()).text, "6\x1e1");
    const told = await reasonsOf(watcher, 3);
    assert.deepEqual(told.sort(), ["forced close", "forced close", "forced server close"]);
    watcher.ws.close();
  });
});

async function pollingJoined() {
  const session = await Polling.open(shop);
  await session.push("40");
  await session.packets(2);
  return session;
}

/** The reasons that the server has for the next `count` sockets that left. */
async function reasonsOf(watcher, count) {
  const told = [];
  await until(async () => {
    watcher.send('42/plain,1["reasons"]');
    const answer = await watcher.next();
    told.push(...JSON.parse(answer.slice(answer.indexOf("[")))[0].map(([, reason]) => reason));
    return told.length >= count;
  });
  return told;
}

describe("packets that do not close", () => {
  test("stray acks, unknown events, numeric names, large ids", async () => {
    const socket = await joined(plain);
    await socket.next();
    socket.send("43123[1]");
    socket.send('42["nobody handles this",1]');
    socket.send("42[1,2]");
    socket.send('429007199254740991["message-with-ack",9007199254740991,"\\u0000\\u2028",1.5e3]');
    assert.equal(await socket.next(), '439007199254740991[9007199254740991,"\\u0000\\u2028",1.5e3]');
    socket.send("42");
    socket.send("43[1]");
    socket.send('42["message",1]');
    assert.equal(await socket.next(), '42["message-back",1]');
    socket.ws.close();
  });

  test("a placeholder in an event without attachments is data, and 2^53 an id", async () => {
    const socket = await joined(plain);
    await socket.next();
    socket.send('429007199254740992["message-with-ack",{"_placeholder":true,"num":0}]');
    assert.equal(await socket.next(), '439007199254740992[{"_placeholder":true,"num":0}]');
    socket.ws.close();
  });

  for (const [what, leave, first] of [["the server", '42/plain,["kick"]', "41/plain,"], ["the client", "41/plain,", undefined]]) {
    test(`what was sent in one go with what made a socket leave is dropped, when ${what} ends it`, async () => {
      const session = await pollingJoined();
      await session.push("40/plain,");
      await session.packets(2);
      await session.push(`${leave}\x1e42/plain,["echo",1]\x1e421["echo",2]`);
      assert.deepEqual(await session.packets(first ? 2 : 1), [...(first ? [first] : []), "431[2]"]);
      await session.push('42/plain,["echo",1]');   // later it is an event to a namespace that the client is not in
      assert.equal((await session.poll()).text, "6\x1e1");
    });
  }

  test("binary goes both ways, with placeholders anywhere", async () => {
    const socket = await joined(plain);
    await socket.next();
    socket.send('452-["message",{"a":{"_placeholder":true,"num":1}},[{"_placeholder":true,"num":0}]]');
    socket.send(Buffer.from([1]));
    socket.send(Buffer.from([2]));
    assert.equal(await socket.next(), '452-["message-back",{"a":{"_placeholder":true,"num":0}},[{"_placeholder":true,"num":1}]]');
    assert.deepEqual(await socket.next(), Buffer.from([2]));
    assert.deepEqual(await socket.next(), Buffer.from([1]));
    socket.ws.close();
  });

  test("attachments may come in a later POST", async () => {
    const session = await Polling.open(plain);
    await session.push("40");
    await session.packets(2);
    await session.push('4511["message-with-ack"]'.replace("4511", '451-1').replace('"]', '",{"_placeholder":true,"num":0}]'));
    await session.push("bAQI=");
    assert.deepEqual(await session.packets(2), ['461-1[{"_placeholder":true,"num":0}]', "bAQI="]);
  });
});

for (const [name, transports] of [["WebSocket", ["websocket"]], ["polling", ["polling"]], ["polling upgraded", ["polling", "websocket"]]]) {
  describe(`a stock client over ${name}`, () => {
    const clients = [];
    const connect = async (nsp = "", options = {}) => {
      const client = io(server.url(4) + nsp, { transports, forceNew: true, reconnection: false, ...options });
      clients.push(client);
      client.welcome = await new Promise((resolve, reject) => {
        client.once("welcome", resolve);
        client.once("connect_error", reject);
      });
      return client;
    };
    after(() => clients.forEach((client) => client.disconnect()));

    test("is welcomed with what it passed", async () => {
      const client = await connect("/plain", { auth: { a: 1 } });
      assert.deepEqual(client.welcome, { sid: client.id, nsp: "/plain", auth: { a: 1 } });
    });

    test("gets acknowledgements, and gives them", async () => {
      const client = await connect();
      assert.deepEqual(await client.emitWithAck("echo", { a: [1, "é", null] }), { a: [1, "é", null] });
      client.on("question", (value, answer) => answer(value * 2));
      assert.equal(await client.emitWithAck("ask", 21), 42);
      client.off("question");
      client.on("question", () => {});
      assert.equal(await client.emitWithAck("ask", 21), "timeout");
    });

    test("sends and receives binary", async () => {
      const client = await connect();
      assert.deepEqual(await client.emitWithAck("reverse", Buffer.from([1, 2, 3])), { len: 3, data: Buffer.from([3, 2, 1]) });
      const back = new Promise((resolve) => client.once("nested-back", resolve));
      client.emit("nested", { deep: [Buffer.from("x")] });
      assert.deepEqual(await back, { got: { deep: [Buffer.from("x")] }, list: [Buffer.from([1, 2, 3]), "x", Buffer.alloc(0)] });
    });

    test("rooms: to some, except others, not to oneself", async () => {
      const [a, b, c] = await Promise.all([connect(), connect(), connect()]);
      const heard = { a: [], b: [], c: [] };
      for (const [key, client] of Object.entries({ a, b, c })) client.on("said", (_, value) => heard[key].push(value));
      await a.emitWithAck("join", "one");
      await b.emitWithAck("join", "one");
      await b.emitWithAck("join", "two");
      await c.emitWithAck("join", "two");
      a.emit("say", "one", 1);
      a.emit("say", ["one", "two"], 2);
      a.emit("say-others", "one", 3);
      a.emit("say-except", ["one", "two"], ["two"], 4);
      await until(() => heard.b.length >= 3 && heard.a.length >= 3 && heard.c.length >= 1);
      await a.emitWithAck("echo", 1);
      assert.deepEqual(heard, { a: [1, 2, 4], b: [1, 2, 3], c: [2] });
      await b.emitWithAck("leave", "two");
      assert.deepEqual(await a.emitWithAck("members", "two"), [c.id]);
    });

    test("a broadcast with acknowledgements", async () => {
      const [a, b] = await Promise.all([connect("/plain"), connect("/plain")]);
      for (const client of [a, b]) await client.emitWithAck("join", "voters");
      a.on("vote", (answer) => answer("yes"));
      b.on("vote", (answer) => answer("no"));
      const ballot = () => new Promise((resolve) => a.emit("ballot", "voters", (...result) => resolve(result)));
      assert.deepEqual(await ballot(), ["ok", ["no", "yes"]]);
      b.off("vote");
      assert.deepEqual(await ballot(), ["timeout", ["yes"]]);
    });

    test("is disconnected with the reasons it knows", async () => {
      for (const [event, reason] of [["kick", "io server disconnect"], ["kick-all", "io server disconnect"], ["drop", "transport close"]]) {
        const client = await connect();
        const told = new Promise((resolve) => client.once("disconnect", resolve));
        client.emit(event);
        assert.equal(await told, reason, event);
      }
    });

    test("is refused with a message and data", async () => {
      await assert.rejects(connect("", { auth: { block: true } }), (error) => error.message === "blocked" && error.data.code === 7);
    });

    test("gets large answers", async () => {
      const client = await connect();
      assert.equal((await client.emitWithAck("big", 2_000_000)).length, 2_000_000);
    });
  });
}

describe("connection state recovery", () => {
  for (const transports of [["websocket"], ["polling"]]) {
    test(`gives missed events back, once and in order, over ${transports}`, async () => {
      const options = { transports, forceNew: true, reconnectionDelay: 200, reconnectionDelayMax: 200, randomizationFactor: 0 };
      const client = io(server.url(5), options);
      const other = io(server.url(5), options);
      const welcomed = (socket) => new Promise((resolve) => socket.once("welcome", resolve));
      await Promise.all([welcomed(client), welcomed(other)]);
      await client.emitWithAck("join", "room");
      await client.emitWithAck("remember", { a: 1 });
      const { id } = client;
      const heard = [];
      client.on("said", (_, value) => heard.push(value));
      const back = new Promise((resolve) => client.io.once("reconnect", () => client.once("connect", resolve)));
      client.io.engine.close();
      for (let i = 0; i < 5; i++) other.emit("say", "room", i);
      other.emit("say", "elsewhere", 99);
      await until(() => !client.connected);
      await back;
      assert.equal(client.recovered, true);
      assert.equal(client.id, id);
      const who = await client.emitWithAck("whoami");
      assert.deepEqual([who.recovered, who.rooms.includes("room"), who.data.remembered], [true, true, { a: 1 }]);
      other.emit("say", "room", 5);
      await until(() => heard.includes(5));
      assert.deepEqual(heard, [0, 1, 2, 3, 4, 5]);
      client.disconnect();
      other.disconnect();
    });
  }

  test("who says goodbye without a poll and is back at once is recovered", async () => {
    const session = await Polling.open(recovery);
    await session.push("40");
    const [connect, welcome] = await session.packets(2);
    const { sid, pid } = JSON.parse(connect.slice(2));
    const goodbye = session.push("1");
    await sleep(15);
    const back = await joined(recovery, "/", JSON.stringify({ pid, offset: JSON.parse(welcome.slice(2)).at(-1) }));
    assert.equal(back.sid, sid);
    await goodbye;
    back.ws.close();
  });

  test("events carry an offset, acks and volatile events do not", async () => {
    const socket = await joined(recovery);
    assert.match(await socket.next(), /^42\["welcome",\{.*\},"[^"]+"\]$/);
    socket.send('421["echo",1]');
    assert.equal(await socket.next(), "431[1]");
    socket.send('42["bcast-volatile",1]');
    assert.equal(await socket.next(), '42["bcast",1]');
    socket.ws.close();
  });

  test("somebody else's or an old session is not given", async () => {
    for (const auth of ['{"pid":"x","offset":"y"}', '{"pid":1,"offset":[]}', '{"pid":"x"}']) {
      const socket = await joined(recovery, "/", auth);
      assert.match(await socket.next(), /welcome/);
      socket.ws.close();
    }
    const lost = await Socket.open(recovery);
    await lost.next();
    lost.send("40");
    const { pid } = JSON.parse((await lost.next()).slice(2));
    const offset = JSON.parse((await lost.next()).slice(2)).at(-1);
    lost.ws.close();
    await lost.closed;
    await sleep(2500);
    const late = await joined(recovery, "/", JSON.stringify({ pid, offset }));
    assert.match(await late.next(), /welcome/);
    late.ws.close();
  });
});
