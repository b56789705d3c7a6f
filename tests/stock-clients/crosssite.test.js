// A page of another site, in Chromium, sends 5,000 requests. Its visitor's next real connection succeeds at once: over HTTPS or the
// loopback, where browsers name the site that a request is for, and over plain HTTP on a local network, where they do not. The network is a
// namespace of its own, which ends with the process in it.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { fileURLToPath } from "node:url";

const run = promisify(execFile);
const visit = fileURLToPath(new URL("crosssite.visit.js", import.meta.url));
const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };

test("on a local network, at an address that is not the loopback's", { timeout: 200_000 }, async (t) => {
  const refused = await run("unshare", ["-rn", "ip", "link", "set", "lo", "up"], { env }).then(() => null, (error) => error.stderr || error.message);
  if (refused) {
    console.error(`NOT TESTED at an address of a network: this kernel makes no network namespaces here (${refused.trim()})`);
    return t.skip("no network namespaces");
  }
  await visited("unshare", ["-rn", "sh", "-c",
    `ip link set lo up && ip addr add 192.0.2.1/24 dev lo && ip addr add 192.0.2.2/24 dev lo && exec "${process.execPath}" "${visit}" 192.0.2.1 192.0.2.2`]);
});

test("on the loopback, where browsers send Sec-Fetch-Site", { timeout: 200_000 }, () => visited(process.execPath, [visit, "localhost", "127.0.0.1"]));

async function visited(program, args) {
  const { stdout } = await run(program, args, { env, timeout: 190_000 });
  const result = JSON.parse(stdout.trim().split("\n").at(-1));
  console.log(JSON.stringify(result));
  assert.equal(result.sent, 5000);
  assert.deepEqual(Object.keys(result.statuses), ["200", "400", "429"]);      // let in, not understood, told to wait: and nobody is banned
  assert.deepEqual(result.bans, []);
  if (args.includes("localhost")) assert.equal(result.ofThePage, 0);
  for (const [transport, ms] of Object.entries(result.connectedIn)) assert.ok(ms < 1000, `${transport}: ${ms} ms`);
}
