// Two tills in two browsers: what one does, the other shows. Against a running shop, or against the one of test/mockShop.mjs.
//   node tools/two-tills.mjs [--url http://localhost:8080]
import assert from "node:assert/strict";
import { chromium } from "playwright-core";
import { startMockShop } from "../test/mockShop.mjs";

const at = process.argv.indexOf("--url");
const mock = at < 0 ? await startMockShop() : undefined;
const url = at < 0 ? mock.url : process.argv[at + 1];
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
let passed = 0;
let failed = 0;

async function till(name, screen) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, locale: "fr-FR" });
  await context.addInitScript((caisse) => {
    localStorage.setItem("magasin.langue", "fr");
    localStorage.setItem("magasin.caisse", caisse);
  }, name);
  const page = await context.newPage();
  await page.goto(`${url}/${screen}`);
  await page.locator(".pill[data-state=connected]").waitFor();
  await page.locator(".skeleton").first().waitFor({ state: "detached" });
  return page;
}
const visit = async (page, screen) => {
  await page.evaluate((hash) => { location.hash = hash; }, screen);
  await page.locator(".skeleton").first().waitFor({ state: "detached" });
};
async function check(sentence, run) {
  try {
    await run();
    passed += 1;
    console.log(`✓ ${sentence}`);
  } catch (error) {
    failed += 1;
    console.log(`✗ ${sentence}\n  ${String(error).split("\n").slice(0, 6).join("\n  ")}`);
  }
}
const within = 1000;

const one = await till("Caisse 1", "#/ventes/nouvelle");
const two = await till("Caisse 2", "#/ventes");

await check("a sale on one till appears on the other within a second, and glows", async () => {
  const before = await two.locator("tbody tr").first().locator("td").first().innerText();
  await one.locator(".tile:not([disabled])").nth(0).click();
  await one.locator(".tile:not([disabled])").nth(2).click();
  const total = await one.locator(".ticket-total output").innerText();
  await one.getByRole("button", { name: "Encaisser" }).click();
  const first = two.locator("tbody tr").first();
  await two.waitForFunction((old) => document.querySelector("tbody tr td")?.textContent !== old, before, { timeout: within });
  assert.equal(await first.locator(".amount").innerText(), total);
  assert.match(await first.getAttribute("class"), /glow/);
});

await check("the stock and the turnover follow", async () => {
  await visit(two, "#/");
  const turnover = two.locator(".figure.lead .figure-value");
  const before = await turnover.innerText();
  await visit(one, "#/ventes/nouvelle");
  await one.locator(".tile:not([disabled])").nth(1).click();
  await one.getByRole("button", { name: "Encaisser" }).click();
  await two.waitForFunction((old) => document.querySelector(".figure.lead .figure-value")?.textContent !== old, before, { timeout: within });
});

await check("a sale that is cancelled leaves the other till", async () => {
  await visit(one, "#/ventes");
  await visit(two, "#/ventes");
  const number = await two.locator("tbody tr td").first().innerText();
  await one.getByRole("button", { name: `Annuler la vente ${number}`, exact: true }).click();
  await one.locator("dialog").getByRole("button", { name: "Annuler la vente" }).click();
  await two.waitForFunction((gone) => document.querySelector("tbody tr td")?.textContent !== gone, number, { timeout: within });
});

await check("a product made on one till is on the other, edited there, and deleted again", async () => {
  const name = `Produit d’essai ${Date.now() % 100_000}`;
  await visit(one, "#/produits");
  await visit(two, "#/produits");
  await one.getByRole("button", { name: "Nouveau produit" }).click();
  await one.getByLabel("Nom").fill(name);
  await one.getByLabel("Prix").fill("12,50");
  await one.getByLabel("Stock").fill("7");
  await one.getByRole("button", { name: "Enregistrer" }).click();
  await two.getByText(name).waitFor({ timeout: within });
  await two.getByRole("button", { name: `Modifier ${name}` }).click();
  await two.getByLabel("Stock").fill("8");
  await two.getByRole("button", { name: "Enregistrer" }).click();
  await one.locator("tr", { hasText: name }).locator(".badge", { hasText: "8" }).waitFor({ timeout: within });
  await one.getByRole("button", { name: `Supprimer ${name}` }).click();
  await one.getByRole("button", { name: "Supprimer le produit" }).click();
  await two.getByText(name).waitFor({ state: "detached", timeout: within });
});

await check("everything works from the keyboard, and a closed dialog gives the focus back", async () => {
  await visit(one, "#/produits");
  const edit = one.getByRole("button", { name: /^Modifier / }).first();
  await edit.focus();
  await one.keyboard.press("Enter");
  await one.locator("dialog[open]").waitFor();
  assert.equal(await one.evaluate(() => document.activeElement?.closest("dialog") !== null), true);
  await one.keyboard.press("Escape");
  await one.locator("dialog[open]").waitFor({ state: "detached" });
  assert.equal(await edit.evaluate((element) => element === document.activeElement), true, "the focus is where it was");
  await visit(one, "#/ventes/nouvelle");
  await one.locator(".tile:not([disabled])").first().focus();
  await one.keyboard.press("Enter");
  await one.keyboard.press("Space");
  assert.equal(await one.locator(".stepper input").inputValue(), "2");
  await one.getByRole("button", { name: "Vider le ticket" }).press("Enter");
  assert.equal(await one.locator(".ticket-lines li").count(), 0);
});

await check("the test screen shows both tills, each change with its author and its latency", async () => {
  await visit(two, "#/synchronisation");
  for (const name of ["Caisse 1", "Caisse 2"]) await two.locator(".lab-tills").getByText(name).first().waitFor({ timeout: within });
  await visit(one, "#/synchronisation");
  await one.getByRole("button", { name: "Ajouter", exact: true }).click();
  const row = two.locator(".feed tbody tr").first();
  await two.waitForFunction(() => /ajout/.test(document.querySelector(".feed tbody tr")?.textContent ?? ""), undefined, { timeout: within });
  assert.match(await row.innerText(), /Caisse 1/);
  assert.match(await row.innerText(), /ms/);
});

await check("raw SQL is announced like everything else", async () => {
  const before = await two.locator(".lab-changes .count").innerText();
  await one.locator("textarea").fill("UPDATE produits SET stock = stock + 1 WHERE id = (SELECT min(id) FROM produits)");
  await one.getByRole("button", { name: "Exécuter" }).click();
  await two.waitForFunction((old) => document.querySelector(".lab-changes .count")?.textContent !== old, before, { timeout: within });
});

await check("a burst of 100 changes arrives whole, and the screens load a few times instead of a hundred", async () => {
  const before = Number(await two.locator(".lab-changes .count").innerText());
  await one.getByRole("button", { name: "Rafale de 100" }).click();
  await two.waitForFunction((count) => Number(document.querySelector(".lab-changes .count")?.textContent) >= Math.min(300, count + 100), before, { timeout: 15_000 });
  const reloads = Number(/(\d+) rechargement/.exec(await two.locator(".lab-latency").innerText())?.[1]);
  assert.ok(reloads < 60, `${reloads} reloads`);
});

await check("what was missed while the connection was cut is caught up", async () => {
  await two.getByRole("button", { name: "Couper la connexion" }).click();
  await two.locator(".pill[data-state=disconnected]").waitFor();
  await two.getByRole("button", { name: "Vider la liste" }).click();
  await one.getByRole("button", { name: "Modifier", exact: true }).click();
  await one.waitForTimeout(300);
  await two.getByRole("button", { name: "Rétablir la connexion" }).click();
  await two.locator(".feed").getByText("rattrapé").first().waitFor({ timeout: 3000 });
  assert.equal(await two.locator(".lab-changes .count").innerText(), "1");
});

await check("the test product can be deleted again", async () => {
  await one.getByRole("button", { name: "Supprimer", exact: true }).click();
  await two.locator(".feed").getByText("suppression").first().waitFor({ timeout: within });
});

if (mock)
  await check("when the server is gone the pages keep their data, say so, and refuse to pretend", async () => {
    await visit(two, "#/produits");
    await mock.stop();
    await two.locator(".pill[data-state=offline]").waitFor({ timeout: 15_000 });
    assert.ok((await two.locator("tbody tr").count()) > 5);
    await two.getByRole("button", { name: "Nouveau produit" }).click();
    await two.getByLabel("Nom").fill("Perdu");
    await two.getByLabel("Prix").fill("1");
    await two.getByLabel("Stock").fill("1");
    await two.getByRole("button", { name: "Enregistrer" }).click();
    await two.locator("dialog [role=alert]").getByText(/injoignable/).waitFor({ timeout: 3000 });
  });

await browser.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
