// A second server on one port: one sentence instead of a stack trace, from the server and from the shop.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Server } from "./server.js";
import { repository } from "./servers.js";
import { Shop } from "./shop.js";

const configuration = process.env.CONFIGURATION ?? "Release";
let folder;
before(async () => { folder = await mkdtemp(join(tmpdir(), "carillon-port-")); });
after(() => rm(folder, { recursive: true, force: true }));

/** Runs a program to its end; its exit code and the lines that it wrote. */
async function run(project, name, args, env) {
  const dll = `${repository}${project}/bin/${configuration}/net10.0/${name}`;
  const program = spawn("dotnet", [dll, ...args], { cwd: folder, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [program.stdout, program.stderr]) stream.on("data", (chunk) => { output += chunk; });
  const [code] = await once(program, "close");
  return { code, lines: output.split("\n").filter((line) => line.trim() !== "") };
}

test("a second server says in one sentence that its port is taken", async () => {
  const first = await Server.open();
  try {
    const { code, lines } = await run("src/Carillon.Server", "Carillon.Server.dll", [], { ASPNETCORE_URLS: first.url });
    assert.deepEqual({ code, lines }, {
      code: 1,
      lines: [`Carillon cannot start: Failed to bind to address ${first.url}: address already in use. `
        + "Choose another address with --urls, or stop the program that uses this one."],
    });
  } finally {
    await first.close();
  }
});

test("a second shop says in one sentence that its port is taken", async () => {
  const first = await Shop.open();
  try {
    const { code, lines } = await run("samples/Magasin", "Magasin.dll", ["--urls", first.url],
      { Magasin__Database: join(folder, "shop.db"), Logging__LogLevel__Default: "Warning" });
    assert.deepEqual({ code, lines }, {
      code: 1,
      lines: [`The shop cannot open: Failed to bind to address ${first.url}: address already in use. `
        + "Choose another address, such as --urls http://0.0.0.0:9000."],
    });
  } finally {
    await first.close();
  }
});
