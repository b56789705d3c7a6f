// Draws every screen in Chromium, checks each with axe, and leaves the pictures where they can be looked at.
//   node tools/screens.mjs [--url http://localhost:8080] [--out /tmp/shots]
// Without a url the shop of test/mockShop.mjs is drawn. The web pages must be built.
import { mkdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";
import { startMockShop } from "../test/mockShop.mjs";

const option = (name, otherwise) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? otherwise : process.argv[at + 1];
};
const out = option("out", "/tmp/shots");
const mock = option("url") ? undefined : await startMockShop();
const url = option("url") ?? mock.url;
const only = option("only");
await mkdir(out, { recursive: true });

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
let serious = 0;
let tooWide = 0;

async function open({ width = 1280, height = 860, scheme = "light", language = "fr", till = "Caisse 1" } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, locale: "fr-FR", timezoneId: "Europe/Paris", deviceScaleFactor: width < 500 ? 2 : 1, hasTouch: width < 900, isMobile: width < 900 });
  await context.addInitScript(([lang, name]) => {
    localStorage.setItem("magasin.langue", lang);
    localStorage.setItem("magasin.caisse", name);
  }, [language, till]);
  const page = await context.newPage();
  page.on("pageerror", (error) => console.log("page error:", error.message));
  return page;
}

/** What does not fit: the page in its window, a table in its card (one that scrolls by itself may be wider), a tile in its row. */
function misfits() {
  const told = [];
  const { scrollWidth, clientWidth } = document.documentElement;
  if (scrollWidth > clientWidth) told.push(`wider than its window: ${scrollWidth} > ${clientWidth}`);
  for (const table of document.querySelectorAll(".card table, dialog table")) {
    if (table.closest(".scroll-x, .visually-hidden")) continue;
    const [inner, outer] = [table.getBoundingClientRect(), table.closest(".card, dialog").getBoundingClientRect()];
    if (inner.right > outer.right + 1) told.push(`a table is wider than its card by ${Math.round(inner.right - outer.right)} px`);
  }
  for (const tile of document.querySelectorAll(".tile")) if (tile.offsetHeight > 220) told.push(`a tile is ${tile.offsetHeight} px high`);
  return told;
}

async function draw(page, name, { hash, act, full = false } = {}) {
  if (only && !name.includes(only)) return;
  if (hash !== undefined) {
    await page.goto(`${url}/${hash}`);
    await page.locator(".skeleton").first().waitFor({ state: "detached" });
  }
  if (act) await act(page);
  await page.waitForTimeout(350);
  await page.screenshot({ path: `${out}/${name}.png`, fullPage: full });
  await page.evaluate(axe);
  // Colours in mid-animation are no colours.
  await page.waitForTimeout(only ? 0 : 100);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  for (const what of await page.evaluate(misfits)) {
    tooWide += 1;
    console.log(`${name}: ${what}`);
  }
  for (const { id, impact, help, nodes } of violations) {
    if (impact === "serious" || impact === "critical") serious += 1;
    console.log(`${name}: ${impact} ${id}: ${help}\n   ${nodes.slice(0, 3).map((node) => `${node.html.slice(0, 110)} ${node.any?.[0]?.message ?? ""}`).join("\n   ")}`);
  }
}

const fillTicket = async (page) => {
  const tiles = page.locator(".tile:not([disabled])");
  for (const i of [0, 0, 2, 3, 3]) await tiles.nth(i).click();
};
const stir = async (page) => {
  for (const button of ["insert", "update", "update"]) {
    await page.locator(".button-grid button").nth(button === "insert" ? 0 : 1).click();
    await page.waitForTimeout(150);
  }
  await page.locator(".button-grid button").nth(3).click();
  await page.locator(".lab-actions [role=status]").getByText(/100/).waitFor();
  await page.waitForTimeout(400);
};

// The longest name that the shop takes, without a space to break it at.
await fetch(`${url}/api/produits`, {
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ nom: `Produit${"très".repeat(45)}long`, prix: 199, stock: 7 }),
});

const desk = await open();
await draw(desk, "dashboard", { hash: "#/" });
await draw(desk, "products", { hash: "#/produits" });
await draw(desk, "product-dialog", { act: async (page) => { await page.getByRole("button", { name: "Nouveau produit" }).click(); await page.getByRole("button", { name: "Enregistrer" }).click(); } });
await draw(desk, "clients", { hash: "#/clients" });
await draw(desk, "sales", { hash: "#/ventes" });
await draw(desk, "sale-detail", { act: (page) => page.locator("tbody .link").first().click() });
await draw(desk, "cancel-sale", { act: (page) => page.locator("dialog .danger-quiet").click() });
await draw(desk, "new-sale", { hash: "#/ventes/nouvelle", act: fillTicket });
const second = await open({ till: "Caisse 2" });
await second.goto(`${url}/#/ventes`);
await draw(desk, "test", { hash: "#/synchronisation", act: stir, full: true });
await draw(desk, "settings", { act: (page) => page.getByRole("button", { name: /Réglages/ }).click() });
await second.context().close();
await desk.context().close();

const phone = await open({ width: 390, height: 844 });
await draw(phone, "phone-dashboard", { hash: "#/" });
await draw(phone, "phone-products", { hash: "#/produits" });
await draw(phone, "phone-sales", { hash: "#/ventes" });
await draw(phone, "phone-new-sale", { hash: "#/ventes/nouvelle", act: fillTicket });
await draw(phone, "phone-ticket", { act: (page) => page.locator(".ticket-jump").click() });
await draw(phone, "phone-test", { hash: "#/synchronisation", full: true });
await phone.context().close();
const small = await open({ width: 360, height: 640 });
for (const hash of ["#/", "#/produits", "#/clients", "#/ventes", "#/ventes/nouvelle", "#/synchronisation"]) await draw(small, `small-${hash.slice(2).replace("/", "-") || "dashboard"}`, { hash });
await small.context().close();
const tablet = await open({ width: 820, height: 1100 });
await draw(tablet, "tablet-dashboard", { hash: "#/" });
await draw(tablet, "tablet-new-sale", { hash: "#/ventes/nouvelle", act: fillTicket });
await tablet.context().close();

const dark = await open({ scheme: "dark" });
await draw(dark, "dark-dashboard", { hash: "#/" });
await draw(dark, "dark-products", { hash: "#/produits" });
await draw(dark, "dark-new-sale", { hash: "#/ventes/nouvelle", act: fillTicket });
await draw(dark, "dark-test", { hash: "#/synchronisation", act: stir });
await dark.context().close();

const english = await open({ language: "en" });
await draw(english, "english-dashboard", { hash: "#/" });
await draw(english, "english-sales", { hash: "#/ventes" });
await english.context().close();

if (mock) {
  const slow = await open();
  await slow.route("**/api/**", () => {});
  await slow.goto(`${url}/#/`);
  await draw(slow, "loading", {});
  await slow.context().close();

  const none = await startMockShop({ empty: true });
  const bare = await open();
  await bare.goto(`${none.url}/#/ventes`);
  await bare.locator(".empty").waitFor();
  await draw(bare, "empty-sales", {});
  await bare.context().close();
  await none.stop();

  const closed = await startMockShop({ refuse: true });
  const unwanted = await open();
  await unwanted.goto(`${closed.url}/#/clients`);
  await unwanted.locator(".banner").waitFor();
  await draw(unwanted, "refused", {});
  await unwanted.context().close();
  await closed.stop();

  const cut = await open({ width: 390, height: 844 });
  await cut.goto(`${url}/#/synchronisation`);
  await cut.locator(".pill[data-state=connected]").waitFor();
  await cut.getByRole("button", { name: "Couper la connexion" }).click();
  await cut.locator(".banner").waitFor();
  await draw(cut, "cut", {});
  await cut.context().close();

  const left = await open();
  await left.goto(`${url}/#/`);
  await left.locator(".bars").waitFor();
  await left.waitForTimeout(500);
  await mock.stop();
  await left.locator(".pill[data-state=offline]").waitFor({ timeout: 15_000 });
  await draw(left, "unreachable", { act: (page) => page.waitForTimeout(600) });
  await draw(left, "unreachable-write", {
    act: async (page) => {
      await page.evaluate(() => { location.hash = "#/produits"; });
      await page.locator("main .empty").waitFor();
      await page.locator(".banner").getByRole("button", { name: "Réessayer" }).waitFor();
      if (await page.getByRole("button", { name: "Réessayer" }).count() > 1) throw new Error("one way to try again is enough");
      await page.evaluate(() => { location.hash = "#/ventes"; });
      await page.locator("a[aria-disabled=true]", { hasText: "Nouvelle vente" }).click({ force: true });
      if (!(await page.evaluate(() => location.hash)).endsWith("#/ventes")) throw new Error("a sale begins that cannot be saved");
    },
  });
  await left.context().close();
}
await browser.close();
console.log(tooWide === 0 ? "Everything fits." : `${tooWide} things do not fit.`);
console.log(serious === 0 ? "No serious violation." : `${serious} serious violations.`);
process.exit(serious + tooWide === 0 ? 0 : 1);
