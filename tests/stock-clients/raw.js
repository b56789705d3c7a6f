// Engine.IO spoken by hand, so that what stock clients never send can be sent too.
import { once } from "node:events";
import http from "node:http";
import WebSocket from "ws";

export class Polling {
  constructor(base, sid, open) {
    Object.assign(this, { base, sid, open });
  }

  static async open(base, query = "") {
    const response = await fetch(`${base}?EIO=4&transport=polling${query}`);
    const text = await response.text();
    if (response.status !== 200) throw Object.assign(new Error(text), { status: response.status });
    const open = JSON.parse(text.slice(1));
    return new Polling(base, open.sid, open);
  }

  get url() {
    return `${this.base}?EIO=4&transport=polling&sid=${this.sid}`;
  }

  async poll() {
    const response = await fetch(this.url);
    return { status: response.status, text: await response.text() };
  }

  async push(body, headers = { "content-type": "text/plain;charset=UTF-8" }) {
    const response = await fetch(this.url, { method: "POST", body, headers });
    return { status: response.status, text: await response.text() };
  }

  /** Polls until `count` packets have come, answering pings. */
  async packets(count) {
    const packets = [];
    while (packets.length < count) {
      const { status, text } = await this.poll();
      if (status !== 200) throw new Error(`poll: ${status} ${text}`);
      for (const packet of text.split("\x1e")) {
        if (packet === "2") await this.push("3");
        else packets.push(packet);
      }
    }
    return packets;
  }
}

/** A WebSocket that remembers what came, pings left out and answered. */
export class Socket {
  constructor(url, options) {
    this.received = [];
    this.waiting = [];
    this.ws = new WebSocket(url, options);
    this.ws.on("message", (data, isBinary) => {
      const message = isBinary ? data : data.toString();
      if (message === "2" && !this.keepPings) return this.ws.send("3");
      this.received.push(message);
      this.waiting.shift()?.();
    });
    this.closed = new Promise((resolve) => this.ws.once("close", (code, reason) => resolve({ code, reason: reason.toString() })));
    this.ws.on("error", () => {});
  }

  static async open(base, query = "", options = {}) {
    const socket = new Socket(`${base.replace("http", "ws")}?EIO=4&transport=websocket${query}`, options);
    await once(socket.ws, "open");
    return socket;
  }

  /** The next message. */
  async next(ms = 3000) {
    if (this.received.length === 0) {
      await Promise.race([
        new Promise((resolve) => this.waiting.push(resolve)),
        this.closed.then(() => { if (this.received.length === 0) throw new Error("closed while waiting"); }),
        new Promise((_, reject) => setTimeout(() => reject(new Error("nothing came")), ms).unref()),
      ]);
    }
    return this.received.shift();
  }

  send(message) {
    this.ws.send(message);
  }
}

/** Opens a Socket.IO connection by hand and joins a namespace. */
export async function joined(base, nsp = "/", auth = "") {
  const socket = await Socket.open(base);
  await socket.next();
  const prefix = nsp === "/" ? "" : `${nsp},`;
  socket.send(`40${prefix}${auth}`);
  const answer = await socket.next();
  socket.sid = JSON.parse(answer.slice(2 + prefix.length)).sid;
  return socket;
}

/** A request that may carry what fetch forbids. */
export function request(url, { method = "GET", headers = {}, body } = {}) {
  return new Promise((resolve, reject) => {
    const outgoing = http.request(url, { method, headers, agent: false }, (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) }));
    });
    outgoing.on("upgrade", (response, socket) => {
      socket.destroy();
      resolve({ status: 101, headers: response.headers, body: Buffer.alloc(0) });
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

export const upgradeHeaders = {
  connection: "Upgrade",
  upgrade: "websocket",
  "sec-websocket-version": "13",
  "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
};
