// How each server is built and started, and how the generator is run against it.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { cores, peers, pinned, repository } from "./machine.js";

const bun = `${peers}node_modules/bun/bin/bun.exe`;
const dll = (project) => `${repository}bench/${project}/bin/Release/net10.0/${project.split("/").at(-1)}.dll`;

/** `prepare` gives a sentence where the server cannot take part. */
export const contestants = {
  carillon: {
    dialect: "eio4",
    prepare: () => build("Carillon.BenchServer"),
    command: (port, options = []) => ["dotnet", [dll("Carillon.BenchServer"), "--port", port, ...options]],
  },
  "socket.io": {
    dialect: "eio4",
    prepare: () => install(),
    command: (port) => ["node", [`${peers}socketio.js`, port]],
  },
  bun: {
    dialect: "eio4",
    prepare: () => install() ?? installBun(),
    command: (port) => [bun, [`${peers}bun.js`, port]],
  },
  signalr: {
    dialect: "signalr",
    prepare: () => build("peers/Carillon.BenchSignalR"),
    command: (port) => ["dotnet", [dll("peers/Carillon.BenchSignalR"), "--port", port]],
  },
};

/** Builds the generator and what the named servers need; says who stays away, and why. */
export function prepare(names) {
  const trouble = build("Carillon.BenchLoad");
  if (trouble) throw new Error(trouble);
  return names.filter((name) => {
    const reason = contestants[name].prepare();
    if (reason) console.error(`Without ${name}: ${reason}`);
    return !reason;
  });
}

/** Starts a server on the server's core, and waits until it listens. */
export async function start(name, options) {
  const port = await freePort();
  const [command, args] = pinned(cores?.server, ...contestants[name].command(String(port), options));
  const child = spawn(command, args, { env: { ...process.env, NODE_ENV: "production" }, stdio: ["ignore", "ignore", "pipe"] });
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  let said = "";
  child.stderr.on("data", (chunk) => (said += chunk));
  child.on("error", (error) => (said += error.message));
  for (let attempt = 0; !(await listens(port)); attempt++) {
    if (child.exitCode !== null || child.pid === undefined || attempt > 200) throw new Error(`${name} did not start. ${said.trim().split("\n").at(-1) ?? ""}`);
    await sleep(50);
  }
  return {
    pid: child.pid,
    port,
    async stop() {
      process.off("exit", kill);
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, "exit");
      child.kill("SIGTERM");
      const timer = setTimeout(kill, 3000);
      await exited;
      clearTimeout(timer);
    },
  };
}

/** Runs the generator on its core against a server; the object it prints. */
export async function load(scenario, name, server, options) {
  const [command, args] = pinned(cores?.generator, "dotnet", [
    dll("Carillon.BenchLoad"), scenario, "--url", `ws://127.0.0.1:${server.port}`, "--dialect", contestants[name].dialect, "--pid", String(server.pid),
    ...(cores ? ["--server-core", String(cores.server)] : ["--wait"]),     // on one core, whoever spins takes it from the other
    ...Object.entries(options).flatMap(([key, value]) => (value === undefined || value === false ? [] : value === true ? [`--${key}`] : [`--${key}`, String(value)])),
  ]);
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  let [output, said] = ["", ""];
  child.stdout.on("data", (chunk) => (output += chunk));
  child.stderr.on("data", (chunk) => (said += chunk));
  const [code] = await once(child, "close");
  process.off("exit", kill);
  if (code !== 0) throw new Error(said.trim() || `The generator ended with ${code}.`);
  return JSON.parse(output).result;
}

function build(project) {
  const done = spawnSync("dotnet", ["build", `${repository}bench/${project}`, "-c", "Release", "-m:2", "--nologo", "-v:quiet"], { encoding: "utf8" });
  return done.status === 0 ? undefined : `bench/${project} did not build.\n${done.stdout}`;
}

let installed;
function install() {
  if (installed !== undefined) return installed || undefined;
  const lock = (file) => (existsSync(`${peers}${file}`) ? JSON.parse(readFileSync(`${peers}${file}`, "utf8")) : undefined);
  const [wanted, there] = [lock("package-lock.json"), lock("node_modules/.package-lock.json")];
  const same = there && ["node_modules/socket.io", "node_modules/bun"].every((key) => wanted.packages[key]?.version === there.packages[key]?.version);
  if (same) return (installed = "") || undefined;
  console.error("Installing the peers from npm ...");
  const done = spawnSync("npm", ["ci", "--no-audit", "--no-fund"], { cwd: peers, encoding: "utf8" });
  installed = done.status === 0 ? "" : `npm could not install bench/peers. ${done.stderr.trim().split("\n").at(-1)}`;
  return installed || undefined;
}

function installBun() {
  const works = () => spawnSync(bun, ["--version"]).status === 0;
  // Its package fetches the program in a script after the install, which npm may have been told not to run.
  if (!works() && existsSync(`${peers}node_modules/bun/install.js`)) spawnSync("node", ["install.js"], { cwd: `${peers}node_modules/bun` });
  return works() ? undefined : "the package bun could not be installed here, or its program does not start.";
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

function listens(port) {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}
