// Two tills in two browsers: what one sells, the other shows.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { chromium } from "playwright-core";
import { repository } from "./servers.js";
import { Shop } from "./shop.js";

const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

const run = promisify(execFile);

let shop, browser;
before(async () => {
  shop = await Shop.open();
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: flags });
});
after(async () => {
  await browser?.close();
  await shop.close();
});

test("a sale on one till appears on the other, without a reload", async () => {
  const [one, two] = await Promise.all([till("#/ventes/nouvelle"), till("#/ventes")]);
  const newest = () => two.locator("tbody tr td").first().innerText();
  const before = await newest();
  await one.locator(".tile:not([disabled])").first().click();
  const total = await one.locator(".ticket-total output").innerText();
  await one.getByRole("button", { name: "Encaisser" }).click();
  await two.waitForFunction((old) => document.querySelector("tbody tr td")?.textContent !== old, before, { timeout: 1000 });
  assert.equal(await two.locator("tbody tr").first().locator(".amount").innerText(), total);
});

test("a page of another origin is refused the connection", async () => {
  const page = await (await browser.newContext()).newPage();
  await page.goto(`http://localhost:${shop.port}/icon.svg`);   // localhost is not 127.0.0.1
  const message = await page.evaluate((url) => new Promise((resolve) => {
    const socket = new WebSocket(`${url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`);
    socket.onopen = () => resolve("opened");
    socket.onerror = () => resolve("refused");
  }), shop.url);
  assert.equal(message, "refused");
});

test("what one till does, the other shows: sales, cancellations, goods, raw SQL, bursts, a cut connection, by mouse and by keyboard", async () => {
  const { stdout } = await tool("two-tills.mjs");
  assert.match(stdout, /^\d+ passed, 0 failed$/m);
});

test("no screen has a serious barrier, in French and English, light and dark, from phone to desktop", async () => {
  const { stdout } = await tool("screens.mjs", "--out", shop.folder);
  assert.match(stdout, /^No serious violation\.$/m);
});

function tool(name, ...args) {
  return run(process.execPath, [`${repository}samples/Magasin/web/tools/${name}`, "--url", shop.url, ...args]);
}

async function till(screen) {
  const page = await (await browser.newContext({ locale: "fr-FR" })).newPage();
  await page.goto(`${shop.url}/${screen}`);
  await page.locator(".pill[data-state=connected]").waitFor();
  await page.locator(".skeleton").first().waitFor({ state: "detached" });
  return page;
}
