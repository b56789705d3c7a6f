// The standalone server, started as an operator starts it: configured by its environment, on a database of its own in a temporary folder.
import { createHmac } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { io } from "socket.io-client";
import { freePorts, repository, startProgram } from "./servers.js";

const configuration = process.env.CONFIGURATION ?? "Release";
const dll = `${repository}src/Carillon.Server/bin/${configuration}/net10.0/Carillon.Server.dll`;

export const secret = "a secret of exactly 32 bytes, ok";
export const apiKey = "the key of the back end";

export class Server {
  /** `within(folder)` is a command that executes the server, such as one that puts it on a disk of its own. */
  static async open(env = {}, within = () => []) {
    const server = new Server();
    server.folder = await mkdtemp(join(tmpdir(), "carillon-server-"));
    server.within = within(server.folder);
    server.database = join(server.folder, "carillon.db");
    server.port = await freePorts(1);
    server.env = env;
    await server.start();
    return server;
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  async start() {
    this.program = await startProgram(dll, [], {
      ASPNETCORE_URLS: this.url,
      CARILLON__Database: `sqlite:${this.database}`,
      CARILLON__Access__SigningKey: secret,
      CARILLON__Access__ApiKeys__0: apiKey,
      CARILLON__Shutdown__ReadinessDelay: "00:00:00",
      ...this.env,
    }, /is ready/, this.within);
  }

  stop(signal) {
    return this.program.stop(signal);
  }

  async close() {
    await this.stop();
    await rm(this.folder, { recursive: true });
  }

  /** Calls the HTTP API: as the back end, unless a token or another header is given. */
  async call(method, path, body, { token, authorization = token === undefined ? `ApiKey ${apiKey}` : `Bearer ${token}`, headers = {} } = {}) {
    const response = await fetch(this.url + path, {
      method,
      headers: { ...(authorization && { authorization }), ...(body !== undefined && { "content-type": "application/json" }), ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    return { status: response.status, body: text ? JSON.parse(text) : undefined, headers: response.headers };
  }

  async users(...ids) {
    for (const id of ids) await this.call("PUT", `/api/users/${id}`, { name: id[0].toUpperCase() + id.slice(1) });
  }

  /** A stock client that has been let in. It keeps all that it hears, so that nothing is missed between two lines of a test. */
  async connect(token, options = {}) {
    const socket = this.client(token, options);
    await new Promise((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("connect_error", reject);
    });
    return socket;
  }

  client(token, options = {}) {
    const socket = io(this.url, { auth: { token }, transports: ["websocket"], forceNew: true, reconnection: false, ...options });
    socket.heard = [];
    socket.waiting = [];
    socket.onAny((name, ...args) => {
      socket.heard.push({ name, args });
      socket.waiting = socket.waiting.filter((look) => !look());
    });
    return socket;
  }

  /** The code with which a client is refused; "let in" where it is not. */
  async refusal(auth, options = {}) {
    const socket = io(this.url, { auth, transports: ["websocket"], forceNew: true, reconnection: false, ...options });
    try {
      return await new Promise((resolve) => {
        socket.once("connect", () => resolve("let in"));
        socket.once("connect_error", (error) => resolve(error.data?.code === error.message ? error.message : `unclear: ${error.message} ${JSON.stringify(error.data)}`));
      });
    } finally {
      socket.disconnect();
    }
  }
}

/** The next event of a name that nobody has asked for yet; its arguments. */
export function next(socket, name, ms = 5000) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`No ${name} within ${ms} ms; heard ${socket.heard.map((event) => event.name)}`)), ms);
    const look = () => {
      const at = socket.heard.findIndex((event) => event.name === name);
      if (at < 0) return false;
      clearTimeout(timer);
      resolve(socket.heard.splice(at, 1)[0].args);
      return true;
    };
    if (!look()) socket.waiting.push(look);
  });
}

export const part = (value) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

export const inSeconds = (seconds) => Math.floor(Date.now() / 1000) + seconds;

/** A token of a user, with further claims; a claim that is undefined is left out. */
export function tokenOf(sub, claims = {}, { header = { alg: "HS256", typ: "JWT" }, key = secret } = {}) {
  const input = `${part(header)}.${part({ sub, iat: inSeconds(0), exp: inSeconds(3600), ...claims })}`;
  return `${input}.${createHmac("sha256", key).update(input).digest("base64url")}`;
}
