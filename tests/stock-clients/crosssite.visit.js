// crosssite.visit.js SERVER PAGE: serves a hostile page at one host, lets Chromium visit it, which sends 5,000 requests to a server at
// another host, and then connects as a person would. Prints one line of JSON.
import { once } from "node:events";
import { Agent, createServer, get } from "node:http";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";
import { Server, tokenOf } from "./server.js";
import { freePorts } from "./servers.js";

const [host, pageHost] = process.argv.slice(2);
const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const library = createRequire(import.meta.url).resolve("socket.io-client/dist/socket.io.js");

const port = await freePorts(1);
const server = await Server.open({ ASPNETCORE_URLS: `http://*:${port}` });
server.port = port;
await server.users("alice");
const target = `http://${host}:${port}`;
const site = createServer((_, response) => response.setHeader("content-type", "text/html").end("<title>Kittens</title>"));
site.listen(0, pageHost);
await once(site, "listening");
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: flags });
try {
  const context = await browser.newContext();
  const hostile = await context.newPage();
  await hostile.goto(`http://${pageHost}:${site.address().port}/`);
  const began = Date.now();
  const sent = await hostile.evaluate(attack, `${target}/socket.io/`);
  await hostile.close();
  const ofThePage = (await server.call("GET", "/api/limits")).body.connections;
  const attackMs = Date.now() - began;
  const statuses = await flood(10_000);

  const page = await context.newPage();
  await page.goto(`${target}/health/live`);
  await page.addScriptTag({ path: library });
  const connectedIn = {};
  for (const transports of [["websocket"], ["polling", "websocket"], ["polling"]]) connectedIn[transports] = await page.evaluate(connect, { transports, token: tokenOf("alice") });
  const [bans, limits] = [(await server.call("GET", "/api/bans")).body, (await server.call("GET", "/api/limits")).body];
  console.log(JSON.stringify({ sent, attackMs, statuses, connectedIn, bans: bans.items, ofThePage, connections: limits.connections, addresses: limits.items.map((item) => item.address) }));
} finally {
  await browser.close();
  site.close();
  await server.close();
}

/** The same image from many browsers behind the visitor's address, faster than one of them could: how often each status was answered. */
async function flood(count) {
  const agent = new Agent({ keepAlive: true, maxSockets: 50 });
  const statuses = {};
  const one = async () => {
    while (count-- > 0) {
      const outgoing = get(`${target}/socket.io/?${count % 2 ? `x=${count}` : `EIO=4&transport=polling&t=${count}`}`, { agent });
      const [response] = await once(outgoing, "response");
      statuses[response.statusCode] = (statuses[response.statusCode] ?? 0) + 1;
      response.resume();
      await once(response, "end");
    }
  };
  await Promise.all(Array.from({ length: 50 }, one));
  agent.destroy();
  return statuses;
}

/** In the hostile page: everything that a page can send without asking. */
async function attack(url) {
  const handshake = `${url}?EIO=4&transport=polling`;
  let sent = 0;
  const many = async (count, send) => {
    const one = async () => {
      while (count-- > 0) {
        sent++;
        await send(sent);
      }
    };
    await Promise.all(Array.from({ length: 40 }, one));
  };
  const image = (address) => new Promise((resolve) => {
    const element = new Image();
    element.onload = element.onerror = resolve;
    element.src = address;
  });
  const form = (method, address) => new Promise((resolve) => {
    const frame = document.createElement("iframe");
    frame.name = `frame${Math.random()}`;
    document.body.append(frame);
    const element = Object.assign(document.createElement("form"), { method, action: address, target: frame.name });
    document.body.append(element);
    frame.onload = () => { frame.remove(); element.remove(); resolve(); };
    element.submit();
  });
  for (let i = 0; i < 100; i++, sent++) new WebSocket(`${url.replace("http", "ws")}?EIO=4&transport=websocket`);      // the browser itself slows them down
  await many(1000, (i) => image(`${url}?x=${i}`));
  await many(1000, (i) => image(`${handshake}&t=${i}`));
  await many(1500, (i) => fetch(`${handshake}&t=${i}`, { mode: "no-cors" }).catch(() => {}));
  await many(200, (i) => fetch(`${handshake}&t=${i}`, { mode: "no-cors", method: i % 2 ? "HEAD" : "POST" }).catch(() => {}));
  await many(1000, (i) => fetch(`${handshake}&t=${i}`).catch(() => {}));
  await many(200, (i) => form(i % 2 ? "get" : "post", `${handshake}&t=${i}`));
  return sent;
}

/** In a page of the server itself: how long the stock client takes to connect, in milliseconds. */
function connect({ transports, token }) {
  return new Promise((resolve, reject) => {
    const began = performance.now();
    const socket = io({ transports, auth: { token }, forceNew: true, reconnection: false });
    socket.on("connect", () => { resolve(Math.round(performance.now() - began)); socket.disconnect(); });
    socket.on("connect_error", (error) => reject(new Error(`${transports}: ${error.message} ${JSON.stringify(error.context?.responseText ?? "")}`)));
  });
}
