// Engine.IO protocol 4, over long-polling and WebSocket, against the profiles 0, 2 and 4 of the conformance server.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { brotliDecompressSync, gunzipSync, inflateSync } from "node:zlib";
import { Polling, Socket, joined, request, upgradeHeaders } from "./raw.js";
import { sleep, startConformance, until } from "./servers.js";

let server, echo, small, shop;
before(async () => {
  server = await startConformance();
  echo = `${server.url(0)}/engine.io/`;
  small = `${server.url(2)}/engine.io/`;
  shop = `${server.url(4)}/socket.io/`;
});
after(() => server.stop());

describe("handshake", () => {
  test("polling answers with the open packet alone", async () => {
    const response = await fetch(`${echo}?EIO=4&transport=polling`);
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("content-type"), "text/plain; charset=UTF-8");
    assert.equal(response.headers.get("cache-control"), "no-store");
    const text = await response.text();
    assert.equal(Number(response.headers.get("content-length")), text.length);
    const { sid, ...rest } = JSON.parse(text.slice(1));
    assert.match(sid, /^[A-Za-z0-9_-]{20}$/);
    assert.deepEqual(rest, { upgrades: ["websocket"], pingInterval: 300, pingTimeout: 200, maxPayload: 1000000 });
  });

  test("WebSocket offers no upgrade", async () => {
    const socket = await Socket.open(echo);
    const open = JSON.parse((await socket.next()).slice(1));
    assert.deepEqual(open.upgrades, []);
    socket.ws.close();
  });

  for (const [what, query, status, body] of [
    ["an unknown transport", "EIO=4&transport=abc", 400, '{"code":0,"message":"Transport unknown"}'],
    ["a property every object has", "EIO=4&transport=constructor", 400, '{"code":0,"message":"Transport unknown"}'],
    ["no transport", "EIO=4", 400, '{"code":0,"message":"Transport unknown"}'],
    ["an unknown sid", "EIO=4&transport=polling&sid=abc", 400, '{"code":1,"message":"Session ID unknown"}'],
    ["__proto__ as sid", "EIO=4&transport=polling&sid=__proto__", 400, '{"code":1,"message":"Session ID unknown"}'],
    ["WebSocket without upgrade", "EIO=4&transport=websocket", 400, '{"code":3,"message":"Bad request"}'],
    ["an unsupported version", "EIO=3&transport=polling", 400, '{"code":5,"message":"Unsupported protocol version"}'],
    ["a version of nonsense", "EIO=abc&transport=polling", 400, '{"code":5,"message":"Unsupported protocol version"}'],
    ["no version", "transport=polling", 400, '{"code":5,"message":"Unsupported protocol version"}'],
  ]) {
    test(`refuses ${what}`, async () => {
      const response = await fetch(`${echo}?${query}`);
      assert.equal(response.status, status);
      assert.match(response.headers.get("content-type"), /application\/json/);
      assert.equal(response.headers.get("access-control-allow-origin"), "*");
      assert.equal(await response.text(), body);
    });
  }

  test("of parameters that come twice the last counts, and names count with their case", async () => {
    const { sid } = await Polling.open(shop);
    const status = async (query) => (await fetch(`${shop}?${query}`)).status;
    assert.equal(await status(`EIO=3&EIO=4&transport=x&transport=polling&sid=x&sid=${sid}`), 200);
    assert.equal(await status("eio=4&transport=polling"), 400);
  });

  test("an origin that no browser sends is a bad request", async () => {
    for (const method of ["GET", "OPTIONS"]) {
      const headers = { origin: "http://\u00c3\u00bc.example", "access-control-request-headers": "\u00c3\u00bc" };
      const response = await request(`${shop}?EIO=4&transport=polling`, { method, headers });
      assert.equal(response.status, method === "GET" ? 400 : 204);
      assert.equal(response.headers["access-control-allow-origin"], undefined);
    }
  });

  test("an empty sid asks for a new session", async () => {
    assert.equal((await fetch(`${echo}?EIO=4&transport=polling&sid=`)).status, 200);
  });

  test("a session does not change its protocol", async () => {
    const { sid } = await Polling.open(shop);
    for (const query of ["EIO=3&", ""]) {
      const response = await fetch(`${shop}?${query}transport=polling&sid=${sid}`);
      assert.deepEqual([response.status, (await response.json()).code], [400, 3]);
    }
  });

  test("refuses another method", async () => {
    for (const method of ["POST", "PUT", "DELETE"]) {
      const response = await fetch(`${echo}?EIO=4&transport=polling`, { method });
      assert.equal(response.status, 400);
      assert.equal((await response.json()).code, 2);
    }
  });

  test("without CORS settings, OPTIONS is a refused handshake and no header is sent", async () => {
    const response = await fetch(`${small}?EIO=4&transport=polling`, { method: "OPTIONS" });
    assert.equal(response.status, 400);
    assert.equal(response.headers.get("access-control-allow-origin"), null);
    assert.equal((await response.json()).code, 2);
  });

  test("refuses an upgrade with a plain text and 400", async () => {
    for (const [query, message] of [
      ["EIO=4&transport=abc", "Transport unknown"],
      ["EIO=4&transport=websocket&sid=abc", "Session ID unknown"],
      ["EIO=3&transport=websocket", "Unsupported protocol version"],
      ["transport=websocket", "Unsupported protocol version"],
    ]) {
      const response = await request(`${echo}?${query}`, { headers: upgradeHeaders });
      assert.equal(response.status, 400);
      assert.equal(response.body.toString(), message);
    }
  });

  test("the application's own refusal has its text, over both transports", async () => {
    const polling = await fetch(`${shop}?EIO=4&transport=polling&deny=1`);
    assert.equal(polling.status, 403);
    assert.deepEqual(await polling.json(), { code: 4, message: "blocked by policy" });
    const webSocket = await request(`${shop}?EIO=4&transport=websocket&deny=1`, { headers: upgradeHeaders });
    assert.equal(webSocket.status, 400);
    assert.equal(webSocket.body.toString(), "blocked by policy");
  });

  test("the path is a prefix with its slash", async () => {
    assert.equal((await fetch(`${server.url(4)}/socket.io?EIO=4&transport=polling`)).status, 404);
    assert.equal((await fetch(`${server.url(4)}/socket.io/x?EIO=4&transport=polling`)).status, 200);
  });

  test("a preflight names what is asked for", async () => {
    const response = await request(`${shop}?EIO=4&transport=polling`, {
      method: "OPTIONS",
      headers: { origin: "http://page.example", "access-control-request-headers": "x-a,x-b" },
    });
    assert.equal(response.status, 204);
    assert.equal(response.body.length, 0);   // Kestrel sends no Content-Length with 204, as RFC 9110 section 8.6 asks
    assert.equal(response.headers["access-control-allow-origin"], "http://page.example");
    assert.equal(response.headers["access-control-allow-credentials"], "true");
    assert.equal(response.headers["access-control-allow-methods"], "GET,HEAD,PUT,PATCH,POST,DELETE");
    assert.equal(response.headers["access-control-allow-headers"], "x-a,x-b");
    assert.match(response.headers.vary, /Origin.*Access-Control-Request-Headers/);
  });

  test("a page of another origin is refused where none is allowed, by both transports", async () => {
    const origin = "http://evil.example";
    const polling = await request(`${small}?EIO=4&transport=polling`, { headers: { origin } });
    assert.equal(polling.status, 403);
    const webSocket = await request(`${small}?EIO=4&transport=websocket`, { headers: { ...upgradeHeaders, origin } });
    assert.equal(webSocket.status, 400);
    const own = await request(`${small}?EIO=4&transport=polling`, { headers: { origin: server.url(2) } });
    assert.equal(own.status, 200);
  });

  test("the cookie comes with the polling handshake, and only there", async () => {
    const polling = await fetch(`${shop}?EIO=4&transport=polling`);
    const { sid } = JSON.parse((await polling.text()).slice(1));
    assert.equal(polling.headers.get("set-cookie"), `io=${sid}; Path=/; HttpOnly; SameSite=Lax`);
    const webSocket = await request(`${shop}?EIO=4&transport=websocket`, { headers: upgradeHeaders });
    assert.equal(webSocket.status, 101);
    assert.equal(webSocket.headers["set-cookie"], undefined);
  });

  test("the application adds headers to the answer of each handshake", async () => {
    assert.equal((await fetch(`${small}?EIO=4&transport=polling`)).headers.getSetCookie().length, 4);
    const webSocket = await request(`${small}?EIO=4&transport=websocket`, { headers: upgradeHeaders });
    assert.equal(webSocket.headers["set-cookie"].length, 4);
  });
});

describe("long-polling", () => {
  test("gives back several packets in one payload, text and binary", async () => {
    const session = await Polling.open(echo);
    assert.deepEqual(await session.push("4a\x1e4b\x1ebAQIDBA==\x1eb"), { status: 200, text: "ok" });
    assert.equal((await session.poll()).text, "4a\x1e4b\x1ebAQIDBA==\x1eb");
  });

  test("a payload has at most 16 packets, and nothing is lost", async () => {
    const session = await Polling.open(echo);
    const sent = Array.from({ length: 40 }, (_, i) => `4${i}`);
    await session.push(sent.join("\x1e"));
    const first = (await session.poll()).text.split("\x1e");
    assert.equal(first.length, 16);
    assert.deepEqual([...first, ...(await session.packets(24))], sent);
  });

  for (const body of ["abc", "", "4a\x1e", "2", "bAQ!D"]) {
    test(`ends a session that posts ${JSON.stringify(body)}`, async () => {
      const session = await Polling.open(echo);
      assert.equal((await session.push(body)).status, 400);
      assert.equal((await session.poll()).status, 400);
    });
  }

  test("binary bodies end the session", async () => {
    const session = await Polling.open(echo);
    assert.equal((await session.push("4a", { "content-type": "application/octet-stream" })).status, 400);
    assert.equal((await session.poll()).status, 400);
  });

  test("a body may have no type and be chunked", async () => {
    const session = await Polling.open(echo);
    const response = await request(session.url, { method: "POST", headers: { "transfer-encoding": "chunked" }, body: "4plain" });
    assert.equal(response.status, 200);
    assert.equal((await session.poll()).text, "4plain");
  });

  test("a second poll ends the session: the first gets a close packet", async () => {
    const session = await Polling.open(echo);
    // Whichever comes first is the one that waits.
    const [first, second] = (await Promise.all([session.poll(), session.poll()])).sort((one, other) => one.status - other.status);
    assert.deepEqual(first, { status: 200, text: "1" });
    assert.equal(second.status, 400);
    assert.equal((await session.poll()).status, 400);
  });

  test("a client that closes has its waiting poll answered", async () => {
    const session = await Polling.open(echo);
    const poll = session.poll();
    await sleep(20);
    assert.equal((await session.push("1")).status, 200);
    assert.deepEqual(await poll, { status: 200, text: "6" });
    assert.equal((await session.poll()).status, 400);
  });

  test("a poll that its own goodbye has overtaken is still answered", async () => {
    const session = await Polling.open(shop);
    const goodbye = session.push("1");
    await sleep(10);
    assert.deepEqual(await session.poll(), { status: 200, text: "6" });
    assert.deepEqual(await goodbye, { status: 200, text: "ok" });
    assert.equal((await session.poll()).status, 400);

    const quiet = await Polling.open(shop);
    assert.equal((await quiet.push("1")).status, 200);
    assert.equal((await quiet.poll()).status, 400);
  });

  test("a poll that meets the goodbye half way is answered", async () => {
    for (let i = 0; i < 1500; i++) {
      const session = await Polling.open(echo);
      const answers = Promise.all([session.poll(), session.push("1")]);
      const [poll] = await Promise.race([answers, sleep(3000).then(() => assert.fail(`poll ${i} was never answered`))]);
      assert.deepEqual(poll, { status: 200, text: "6" });
    }
  });

  test("a poll that the client cuts ends the session", async () => {
    const session = await Polling.open(shop);
    const cut = new AbortController();
    const poll = fetch(session.url, { signal: cut.signal }).catch(() => {});
    await sleep(50);
    cut.abort();
    await poll;
    await until(async () => (await session.push("40")).status === 400);
  });

  test("pings come by poll, and silence ends the session", async () => {
    const session = await Polling.open(echo);
    for (let i = 0; i < 3; i++) {
      assert.equal((await session.poll()).text, "2");
      await session.push("3");
    }
    await until(async () => (await session.poll()).status === 400);
  });

  test("exactly the largest body passes, one byte more does not and has no answer body", async () => {
    const session = await Polling.open(small);
    const largest = "4" + "a".repeat(99);
    assert.equal((await session.push(largest)).status, 200);
    assert.deepEqual(await session.push(largest + "a"), { status: 413, text: "" });
    const chunked = await request(session.url, { method: "POST", headers: { "transfer-encoding": "chunked" }, body: largest + "a" });
    assert.equal(chunked.status, 413);
    assert.equal(chunked.body.length, 0);
    assert.equal((await session.push("4still here")).status, 200);
  });

  test("long answers are compressed for those who take it", async () => {
    const texts = { gzip: gunzipSync, deflate: inflateSync };
    for (const [encoding, decode] of Object.entries(texts)) {
      const session = await Polling.open(echo);
      await session.push("4" + "x".repeat(5000));
      const response = await request(session.url, { headers: { "accept-encoding": encoding } });
      assert.equal(response.headers["content-encoding"], encoding);
      assert.equal(decode(response.body).toString(), "4" + "x".repeat(5000));
    }
    for (const [accepted, chosen] of [["deflate, gzip", "deflate"], ["gzip;q=0.5, deflate;q=0.9", "deflate"], ["gzip;q=0", undefined], ["*", "gzip"], ["x-gzip", undefined]]) {
      const session = await Polling.open(echo);
      await session.push("4" + "x".repeat(5000));
      assert.equal((await request(session.url, { headers: { "accept-encoding": accepted } })).headers["content-encoding"], chosen, accepted);
    }
    const session = await Polling.open(echo);
    await session.push("4" + "x".repeat(500));
    assert.equal((await request(session.url, { headers: { "accept-encoding": "gzip" } })).headers["content-encoding"], undefined);
  });

  test("the server closes: a waiting poll gets a close packet, a later one what is left and then noop and close", async () => {
    const waiting = await Polling.open(shop);
    await waiting.push("40");
    await waiting.packets(2);
    const poll = waiting.poll();
    await sleep(20);
    await waiting.push("abc");
    assert.equal((await poll).text, "1");

    const later = await Polling.open(shop);
    await later.push("40");
    await later.packets(2);
    await later.push('42["kick-all"]');
    assert.equal((await later.poll()).text, "41");
    assert.equal((await later.poll()).text, "6\x1e1");
    assert.equal((await later.poll()).status, 400);

    const dropped = await Polling.open(shop);
    await dropped.push("40");
    await dropped.packets(2);
    await dropped.push('42["drop"]');
    assert.equal((await dropped.poll()).text, "6\x1e1");
    assert.equal((await dropped.poll()).status, 400);
  });
});

describe("WebSocket", () => {
  test("gives back text and binary", async () => {
    const socket = await Socket.open(echo);
    await socket.next();
    socket.send("4hello €");
    assert.equal(await socket.next(), "4hello €");
    socket.send(Buffer.from([1, 2, 3]));
    assert.deepEqual(await socket.next(), Buffer.from([1, 2, 3]));
    socket.send(Buffer.alloc(0));
    assert.deepEqual(await socket.next(), Buffer.alloc(0));
    socket.send(`4${"y".repeat(200_000)}`);
    assert.equal((await socket.next()).length, 200_001);
    socket.ws.close();
    assert.equal((await socket.closed).code, 1005);
  });

  test("puts fragments together, and answers pings in between", async () => {
    const socket = await Socket.open(echo);
    await socket.next();
    const pong = new Promise((resolve) => socket.ws.once("pong", resolve));
    socket.ws.send("4ab", { fin: false });
    socket.ws.ping("p");
    socket.ws.send("cd", { fin: false });
    socket.ws.send("ef", { fin: true });
    assert.equal(await socket.next(), "4abcdef");
    assert.equal((await pong).toString(), "p");
    socket.ws.close();
  });

  test("base64 instead of binary frames, where the client asks for it", async () => {
    const socket = await Socket.open(echo, "&b64=1");
    await socket.next();
    socket.send("bAQID");
    assert.equal(await socket.next(), "bAQID");
    socket.ws.close();
  });

  for (const message of ["", "abc", "2", "9"]) {
    test(`closes on ${JSON.stringify(message)}`, async () => {
      const socket = await Socket.open(shop);
      await socket.next();
      socket.send(message);
      assert.equal((await socket.closed).code, 1005);
    });
  }

  test("a message above the limit: 1009 without a reason", async () => {
    const socket = await Socket.open(small);
    await socket.next();
    socket.send("4" + "a".repeat(100));
    assert.deepEqual(await socket.closed, { code: 1009, reason: "" });
    const large = await Socket.open(small);
    await large.next();
    large.send("4" + "a".repeat(3_000_000));
    assert.equal((await large.closed).code, 1009);
  });

  test("text that is no UTF-8: 1007", async () => {
    const socket = await Socket.open(echo);
    await socket.next();
    socket.ws._socket.write(Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x34, 0xff]));
    assert.equal((await socket.closed).code, 1007);
  });

  test("frames that break the protocol: 1002", async () => {
    for (const frame of [[0x81, 0x01, 0x34], [0xc1, 0x81, 0, 0, 0, 0, 0x34], [0x83, 0x80, 0, 0, 0, 0], [0x80, 0x80, 0, 0, 0, 0], [0x09, 0x80, 0, 0, 0, 0]]) {
      const socket = await Socket.open(echo);
      await socket.next();
      socket.ws._socket.write(Buffer.from(frame));
      assert.equal((await socket.closed).code, 1002, String(frame));
    }
  });

  test("a frame that comes byte by byte is a frame", async () => {
    const socket = await Socket.open(shop);
    await socket.next();
    for (const byte of [0x81, 0x82, 1, 2, 3, 4, 0x34 ^ 1, 0x30 ^ 2]) {
      socket.ws._socket.write(Buffer.from([byte]));
      await sleep(5);
    }
    assert.match(await socket.next(), /^40\{"sid"/);
    socket.ws.close();
  });

  test("silence ends it", async () => {
    const socket = await Socket.open(echo);
    socket.keepPings = true;
    await socket.next();
    assert.equal(await socket.next(), "2");
    assert.equal((await socket.closed).code, 1005);
  });
});

describe("upgrade", () => {
  const upgradeTo = async (session) => {
    const socket = await Socket.open(session.base, `&sid=${session.sid}`);
    socket.send("2probe");
    assert.equal(await socket.next(), "3probe");
    return socket;
  };

  test("moves the connection, answers the waiting poll, and refuses polls from then on", async () => {
    const session = await Polling.open(echo);
    const poll = session.poll();
    const socket = await upgradeTo(session);
    const { text } = await poll;
    assert.ok(text === "6" || text === "2", text);
    socket.send("5");
    socket.send("4hello");
    assert.equal(await socket.next(), "4hello");
    const late = await fetch(session.url);
    assert.equal(late.status, 400);
    assert.equal((await late.json()).code, 3);
    socket.ws.close();
  });

  test("a poll that has overtaken the end of the upgrade is refused all the same", async () => {
    const session = await Polling.open(shop);
    const socket = await upgradeTo(session);
    const poll = session.poll();
    await sleep(20);
    socket.send("5");
    assert.equal((await poll).status, 400);
    socket.send("40");
    assert.match(await socket.next(), /^40/);
    socket.ws.close();
  });

  test("what is queued meanwhile goes to the WebSocket, in order", async () => {
    const session = await Polling.open(shop);
    await session.push("40");
    await session.packets(2);
    const socket = await upgradeTo(session);
    await session.push('42["burst",50]');
    socket.send("5");
    for (let i = 0; i < 50; i++) assert.equal(await socket.next(), `42["tick",${i}]`);
    socket.ws.close();
  });

  test("nothing is lost, doubled or reordered while a client upgrades under load", async () => {
    const { io } = await import("socket.io-client");
    const client = io(server.url(4), { forceNew: true });
    await new Promise((resolve) => client.once("connect", resolve));
    const got = [];
    client.on("tick", (i) => got.push(i));
    for (let i = 0; i < 20; i++) client.emit("burst", 100);
    await until(() => got.length >= 2000);
    assert.deepEqual(got, Array.from({ length: 2000 }, (_, i) => i % 100));
    await until(() => client.io.engine.transport.name === "websocket");
    client.disconnect();
  });

  test("a WebSocket that is probed answers pings", async () => {
    const session = await Polling.open(shop);
    const socket = await Socket.open(shop, `&sid=${session.sid}`);
    const pong = new Promise((resolve) => socket.ws.once("pong", resolve));
    socket.ws.ping("p");
    assert.equal((await pong).toString(), "p");
    socket.ws.close();
  });

  test("a session that ends takes the WebSocket with it that was to carry it", async () => {
    const session = await Polling.open(shop);
    const socket = await upgradeTo(session);
    await session.push("1");
    assert.equal((await socket.closed).code, 1005);
  });

  test("a second WebSocket is closed alone", async () => {
    const session = await Polling.open(shop);
    const first = await upgradeTo(session);
    const second = await Socket.open(shop, `&sid=${session.sid}`);
    await second.closed;
    first.send("5");
    const third = await Socket.open(shop, `&sid=${session.sid}`);
    await third.closed;
    first.send("40");
    assert.match(await first.next(), /^40/);
    first.ws.close();
  });

  test("anything but probe and upgrade closes the WebSocket alone", async () => {
    const session = await Polling.open(shop);
    const socket = await Socket.open(shop, `&sid=${session.sid}`);
    socket.send("4abc");
    await socket.closed;
    assert.equal((await session.push("40")).status, 200);
    assert.match((await session.poll()).text, /^40/);
  });
});

describe("the client library", () => {
  test("is served with its version as entity tag, compressed where asked", async () => {
    const url = `${server.url(4)}/socket.io/socket.io.min.js`;
    const plain = await request(url);
    assert.equal(plain.status, 200);
    assert.match(plain.headers["content-type"], /javascript/);
    const { etag } = plain.headers;
    assert.match(etag, /^"4\.\d+\.\d+"$/);
    assert.equal((await request(url, { headers: { "if-none-match": etag } })).status, 304);
    const br = await request(url, { headers: { "accept-encoding": "br" } });
    assert.equal(br.headers["content-encoding"], "br");
    assert.deepEqual(brotliDecompressSync(br.body), plain.body);
    const module = await request(`${server.url(4)}/socket.io/socket.io.esm.min.js`, { headers: { origin: "http://page.example" } });
    assert.equal(module.headers["access-control-allow-origin"], "http://page.example");   // import asks for it
    for (const name of ["socket.io.js", "socket.io.js.map", "socket.io.esm.min.js", "socket.io.msgpack.min.js"])
      assert.equal((await request(`${server.url(4)}/socket.io/${name}`)).status, 200, name);
  });
});

test("a raw Socket.IO client can join and leave", async () => {
  const socket = await joined(shop);
  assert.match(await socket.next(), /^42\["welcome"/);
  socket.send("41");
  socket.ws.close();
  await socket.closed;
});
