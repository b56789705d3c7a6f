// nginx and HAProxy, the real programs, configured as docs/server.md says: stock clients pass, the page's own origin is let in, and a ban
// hits the client, not the proxy.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import http from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { io } from "socket.io-client";
import { request } from "./raw.js";
import { Server, tokenOf } from "./server.js";
import { freePorts, repository, until } from "./servers.js";

const page = await readFile(`${repository}docs/server.md`, "utf8");

for (const [name, start] of [["nginx", startNginx], ["HAProxy", startHaproxy]]) {
  for (const trusted of [true, false]) {
    describe(`${name}, ${trusted ? "named in TrustedProxies" : "which nobody has named"}`, () => {
      let server, proxy;
      before(async () => {
        server = await Server.open({ CARILLON__Limits__RefusedHandshakesPerMinute: "3", ...(trusted && { CARILLON__Limits__TrustedProxies__0: "127.0.0.1" }) });
        await server.users("alice");
        proxy = await start(server.port);
      });
      after(async () => {
        await proxy?.stop();
        await server?.close();
      });

      for (const transports of [["websocket"], ["polling"], ["polling", "websocket"]]) {
        test(`a page connects by ${transports.join(", then ")} and hears what is published`, async () => {
          const socket = await joined(client(proxy, "127.0.0.9", { transports, extraHeaders: { origin: proxy.url } }));
          try {
            if (transports.length > 1) await until(() => socket.io.engine.transport.name === "websocket");
            const heard = new Promise((resolve) => socket.once("resource:update", resolve));
            socket.emit("subscribe:resource", "7");
            await new Promise((resolve) => socket.once("subscribed", resolve));
            const large = "x".repeat(100_000);
            const { status } = await server.call("POST", "/api/resources/7/updates", { operation: "update", data: { large } });
            assert.ok(status < 300, String(status));
            assert.equal((await heard).data.large, large);
            assert.equal(socket.io.engine.transport.name, transports.at(-1));
          } finally {
            socket.disconnect();
          }
        });

        test(`a page of another origin is refused by ${transports[0]}`, async () => {
          const socket = client(proxy, "127.0.0.9", { transports, extraHeaders: { origin: "https://evil.example" } });
          try {
            await assert.rejects(joined(socket));
          } finally {
            socket.disconnect();
          }
          await until(() => /https:\/\/evil\.example.*AllowedOrigins/.test(server.program.output()));
        });
      }

      if (trusted) test("the server sees the address of the client, whatever the client writes itself", async () => {
        const socket = await joined(client(proxy, "127.0.0.8", { extraHeaders: { "x-forwarded-for": "203.0.113.5", "x-forwarded-host": "evil.example" } }));
        const { body } = await server.call("GET", "/api/limits");
        socket.disconnect();
        const addresses = body.items.map((item) => item.address);
        assert.ok(addresses.includes("127.0.0.8") && !addresses.includes("203.0.113.5") && !addresses.includes("127.0.0.1"), JSON.stringify(addresses));
      });

      test(trusted ? "a ban hits the client, and nobody else behind the proxy" : "the proxy is not banned for what its clients do, and is named in the log", async () => {
        for (let i = 0; i < 6; i++) {
          const socket = client(proxy, "127.0.0.7", { auth: { token: "wrong" } });
          await assert.rejects(joined(socket));
          socket.disconnect();
        }
        const { body } = await server.call("GET", "/api/bans");
        assert.deepEqual(body.items.map((ban) => ban.address), trusted ? ["127.0.0.7"] : []);
        (await joined(client(proxy, "127.0.0.6"))).disconnect();
        if (!trusted) await until(() => /sends the headers of a proxy/.test(server.program.output()));
        const named = server.program.output().match(/127\.0\.0\.1 of this machine sends the headers of a proxy/g)?.length ?? 0;
        assert.equal(named, trusted ? 0 : 1);
      });
    });
  }
}

test("what is wrong with a proxy that passes neither Host nor X-Forwarded-Host on stands in the log", async () => {
  const server = await Server.open();
  try {
    const { status } = await request(`${server.url}/socket.io/?EIO=4&transport=polling`, { headers: { origin: "https://shop.example", host: "backend:8080" } });
    assert.equal(status, 403);
    await until(() => /https:\/\/shop\.example.*backend:8080.*AllowedOrigins.*X-Forwarded-Host.*TrustedProxies/.test(server.program.output()));
  } finally {
    await server.close();
  }
});

/** A stock client at an address of its own. */
function client(proxy, address, options = {}) {
  const agent = new http.Agent({ localAddress: address, keepAlive: true });
  return io(proxy.url, { auth: { token: tokenOf("alice") }, transports: ["websocket"], forceNew: true, reconnection: false, agent, ...options });
}

function joined(socket) {
  return new Promise((resolve, reject) => {
    socket.once("connect", () => resolve(socket));
    socket.once("connect_error", reject);
  });
}

/** What the page says about a program, in a block of its own. */
function block(language) {
  const found = page.match(new RegExp(`\`\`\`${language}\n([^]*?)\`\`\``));
  assert.ok(found, `docs/server.md has no block of ${language}`);
  return found[1];
}

async function startNginx(backend) {
  const [folder, port] = [await mkdtemp(join(tmpdir(), "carillon-nginx-")), await freePorts(1)];
  const site = place(block("nginx"), "listen 80;", `listen 127.0.0.1:${port};`, backend);
  const temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${folder}/${name};`).join(" ");
  await writeFile(join(folder, "nginx.conf"), `daemon off; ${process.getuid() === 0 ? "user root;" : ""} pid ${folder}/pid; error_log ${folder}/error.log;
    events {} http { access_log off; ${temp} ${site} }`);
  return run("nginx", ["-c", join(folder, "nginx.conf"), "-e", join(folder, "error.log")], folder, port);
}

async function startHaproxy(backend) {
  const [folder, port] = [await mkdtemp(join(tmpdir(), "carillon-haproxy-")), await freePorts(1)];
  await writeFile(join(folder, "haproxy.cfg"), place(block("haproxy"), "bind :80", `bind 127.0.0.1:${port}`, backend));
  return run("haproxy", ["-db", "-f", join(folder, "haproxy.cfg")], folder, port);
}

function place(configuration, listen, here, backend) {
  assert.ok(configuration.includes(listen) && configuration.includes("127.0.0.1:8080"), configuration);
  return configuration.replace(listen, here).replaceAll("127.0.0.1:8080", `127.0.0.1:${backend}`);
}

async function run(program, args, folder, port) {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/usr/local/sbin` } });
  process.once("exit", () => child.kill("SIGKILL"));
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => { output += chunk; });
  const failed = Promise.race([once(child, "error").then(([error]) => error.message), once(child, "exit").then(([code]) => `it ended with ${code}`)])
    .then((reason) => { throw new Error(`${program} does not run: ${reason}\n${output}`); });
  failed.catch(() => {});
  await Promise.race([failed, until(() => listens(port), 10_000, `${program} listens`)]);
  return {
    url: `http://127.0.0.1:${port}`,
    async stop() {
      const exited = once(child, "exit");
      child.kill("SIGTERM");
      await exited;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function listens(port) {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => { socket.destroy(); resolve(true); });
    socket.once("error", () => resolve(false));
  });
}
