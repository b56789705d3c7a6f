// Starts our programs the way a user would: as processes on free ports of the loopback, ended by their own id.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";

export const repository = fileURLToPath(new URL("../../", import.meta.url));
const configuration = process.env.CONFIGURATION ?? "Release";

/** The conformance server, with `count` profiles on ports in a row. */
export async function startConformance() {
  const base = await freePorts(6);
  const dll = `${repository}tests/Carillon.SocketIO.Conformance/bin/${configuration}/net10.0/Carillon.SocketIO.Conformance.dll`;
  const server = await startProgram(dll, ["--base-port", String(base), ...(process.env.CONFORMANCE_ARGS?.split(" ") ?? [])], {}, /^ready$/m);
  return { ...server, url: (profile) => `http://127.0.0.1:${base + profile}` };
}

/** Starts a built program and waits for a line of its output; `within` is a command that executes it, such as `unshare`. */
export async function startProgram(dll, args, env, ready, within = []) {
  const [command, ...before] = [...within, "dotnet"];
  const child = spawn(command, [...before, dll, ...args], { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  process.once("exit", () => child.kill("SIGKILL"));   // a test that timed out leaves no server behind
  let output = "";
  const isReady = new Promise((resolve, reject) => {
    const read = (chunk) => {
      output += chunk;
      if (ready.test(output)) resolve();
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    child.once("exit", (code) => reject(new Error(`The program ended with ${code} before it was ready:\n${output}`)));
  });
  await isReady;
  return {
    pid: child.pid,
    output: () => output,
    async stop(signal = "SIGTERM") {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, "exit");
      child.kill(signal);
      await exited;
    },
  };
}

/** The first of `count` free ports in a row. */
export async function freePorts(count) {
  for (let attempt = 0; attempt < 50; attempt++) {
    const first = await listenOnce(0);
    if (first + count > 65535) continue;
    const rest = await Promise.all(Array.from({ length: count - 1 }, (_, i) => listenOnce(first + 1 + i).catch(() => null)));
    if (rest.every((port) => port !== null)) return first;
  }
  throw new Error(`No ${count} free ports in a row.`);
}

async function listenOnce(port) {
  const server = createServer();
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const { port: bound } = server.address();
  server.close();
  await once(server, "close");
  return bound;
}

/** Waits until a condition holds; fails after `ms`. */
export async function until(condition, ms = 5000, what = condition) {
  const end = Date.now() + ms;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`Not within ${ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
