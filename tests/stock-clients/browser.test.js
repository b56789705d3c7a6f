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

// A space is typed, not pressed: the close button must not have the focus when a dialog opens.
for (const [screen, button] of [["#/produits", "Nouveau produit"], ["#/clients", "Nouveau client"]])
  test(`the dialog "${button}" is filled in and saved by keyboard, spaces in the name included`, async () => {
    const page = await till(screen);
    const name = `Tarte aux pommes ${Date.now() % 100_000}`;
    await page.getByRole("button", { name: button }).focus();
    await page.keyboard.press("Enter");
    await page.locator("dialog[open]").waitFor();
    await page.keyboard.type(name);
    assert.equal(await page.locator("dialog[open]").count(), 1, "the dialog is still open");
    assert.equal(await page.getByLabel("Nom").inputValue(), name);
    for (const value of button === "Nouveau produit" ? ["3,50", "4"] : ["06 12 34 56 78"]) {
      await page.keyboard.press("Tab");
      await page.keyboard.press("Control+A");
      await page.keyboard.type(value);
    }
    await page.keyboard.press("Enter");
    await page.locator("dialog[open]").waitFor({ state: "detached" });
    await page.getByText(name).waitFor();
    await page.context().close();
  });

test("no dialog opens with the focus on its close button", async () => {
  const page = await till("#/ventes");
  const openedBy = async (open, what) => {
    await open();
    await page.locator("dialog[open]").waitFor();
    const focused = await page.evaluate(() => ({ inDialog: document.activeElement?.closest("dialog") !== null, inHead: document.activeElement?.closest(".dialog-head") !== null }));
    assert.deepEqual(focused, { inDialog: true, inHead: false }, what);
    const text = await page.evaluate(() => document.activeElement?.textContent || document.activeElement?.getAttribute("type") || document.activeElement?.tagName);
    await page.keyboard.press("Escape");
    await page.locator("dialog[open]").waitFor({ state: "detached" });
    return text;
  };
  const visit = async (screen) => {
    await page.evaluate((hash) => { location.hash = hash; }, screen);
    await page.locator(".skeleton").first().waitFor({ state: "detached" });
  };
  assert.equal(await openedBy(() => page.getByRole("button", { name: /^Annuler la vente / }).first().click(), "cancel a sale"), "Conserver");
  assert.equal(await openedBy(() => page.getByRole("button", { name: /Détail de la vente/ }).first().click(), "a sale"), "Fermer");
  await visit("#/produits");
  await openedBy(() => page.getByRole("button", { name: /^Modifier / }).first().click(), "edit a product");
  assert.equal(await openedBy(() => page.getByRole("button", { name: /^Supprimer / }).first().click(), "delete a product"), "Conserver");
  await openedBy(() => page.getByRole("button", { name: /^Réglages/ }).first().click(), "settings");
  await page.context().close();
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
