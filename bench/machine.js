// The machine that a benchmark runs on: its cores, whether they are quiet, and what runs in which version.
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import os from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

export const repository = fileURLToPath(new URL("..", import.meta.url));
export const peers = fileURLToPath(new URL("peers/", import.meta.url));

const quietShare = 0.15;
const ticksPerSecond = 100;

/** Server and generator get a core each. Where there is one core only, or no `taskset`, they share what there is, and the run says so. */
export const cores = os.cpus().length > 1 && spawnSync("taskset", ["--version"]).status === 0 ? { server: 0, generator: 1 } : null;

/** A command on one core. */
export function pinned(core, command, args) {
  return cores ? ["taskset", ["-c", String(core), command, ...args]] : [command, args];
}

/** Waits, for a while, for a moment in which others leave both cores alone. */
export async function quiet(seconds = 30) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const before = busyTicks();
    await sleep(700);
    const share = Math.max(...busyTicks().map((ticks, i) => (ticks - before[i]) / ticksPerSecond / 0.7));
    if (share < quietShare) return true;
    if (Date.now() > end) return false;
  }
}

function busyTicks() {
  const wanted = cores ? [`cpu${cores.server}`, `cpu${cores.generator}`] : ["cpu"];
  return readFileSync("/proc/stat", "utf8").split("\n").map((line) => line.split(/\s+/)).filter(([name]) => wanted.includes(name)).map((fields) => {
    const [user, nice, system, , , interrupts, soft, stolen] = fields.slice(1).map(Number);
    return user + nice + system + interrupts + soft + stolen;
  });
}

/** Two lines that belong to every figure. */
export function description() {
  const versions = {
    carillon: `${output("git", "-C", repository, "rev-parse", "--short", "HEAD")}${output("git", "-C", repository, "status", "--porcelain") ? " with changes" : ""}`,
    ".NET": output("dotnet", "--version"),
    node: process.version.slice(1),
    "socket.io": packageVersion("socket.io"),
    "engine.io": packageVersion("engine.io"),
    ws: packageVersion("ws"),
    bun: packageVersion("bun"),
    "@socket.io/bun-engine": packageVersion("@socket.io/bun-engine"),
  };
  const cpu = os.cpus();
  const congestion = readText("/proc/sys/net/ipv4/tcp_congestion_control").trim();
  return [
    `Machine   ${cpu.length} × ${cpu[0]?.model.trim()}, ${Math.round(os.totalmem() / 2 ** 30)} GiB, ${os.type()} ${os.release().split("-")[0]}, loopback${congestion && ` with ${congestion}`}, ` +
      (cores ? `server on core ${cores.server}, generator on core ${cores.generator}` : "NOT pinned: server and generator share the cores"),
    `Versions  ${Object.entries(versions).filter(([, version]) => version).map((entry) => entry.join(" ")).join(", ")}`,
  ].join("\n");
}

function packageVersion(name) {
  const text = readText(`${peers}node_modules/${name}/package.json`);
  return text && JSON.parse(text).version;
}

function readText(file) {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

function output(command, ...args) {
  try {
    return execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    return "";
  }
}
