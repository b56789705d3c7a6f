import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Change } from "@carillon/client";
import { createFormat, parseCount, parsePrice, priceText, searchable } from "../src/format";
import { latenciesOf } from "../src/live/latency";
import { createFeed } from "../src/live/recentChanges";
import { api } from "../src/api";
import { routeOf } from "../src/route";
import { articlesOf, byNewest, changeQuantity, clientName, priceDraft, setQuantity } from "../src/screens/saleRules";
import { texts } from "../src/texts";
import { till } from "../src/till";

const tea = { id: "1", nom: "Thé", prix: 720, stock: 3 };
const soap = { id: "2", nom: "Savon", prix: 420, stock: 0 };
const goods = new Map([[tea.id, tea], [soap.id, soap]]);

describe("A price that is typed", () => {
  test.each([["12,50", 1250], ["12.5", 1250], ["3", 300], ["1 200,05 €", 120_005], ["0", 0], ["0,29", 29], ["19,99", 1999]] as const)("%s is %i cents", (text, cents) => {
    expect(parsePrice(text)).toBe(cents);
  });
  test.each(["", "abc", "-1", "1,234", "1.2.3", "12345678", "1e3"])("%j is no price", (text) => expect(parsePrice(text)).toBeUndefined());
  test("is written back as it is typed in each language", () => {
    expect([priceText(1250, "fr"), priceText(1250, "en")]).toEqual(["12,50", "12.50"]);
    expect(parsePrice(priceText(1999, "fr"))).toBe(1999);
  });
});

test("A count is a whole number from zero up", () => {
  expect(["0", " 12 ", "-1", "1,5", ""].map(parseCount)).toEqual([0, 12, undefined, undefined, undefined]);
});

test("A search looks past case and accents", () => expect(searchable("Café ÉPICÉ")).toBe("cafe epice"));

describe("Money and days", () => {
  test("are written as each language writes them", () => {
    expect(createFormat("fr").money(123_456).replace(/\s/g, " ")).toBe("1 234,56 €");
    expect(createFormat("en").money(123_456)).toBe("€1,234.56");
  });
  test("a day of the shop is shifted by no time zone", () => {
    expect(createFormat("en").dayLong("2026-11-21")).toMatch(/^Saturday,? 21 November$/);
    expect(createFormat("fr").weekday("2026-11-21T00:00:00+01:00")).toBe("sam.");
  });
});

describe("A sale that is being made", () => {
  test("adds, counts and removes", () => {
    let draft = changeQuantity([], "1", 1);
    draft = changeQuantity(draft, "2", 1);
    draft = changeQuantity(draft, "1", 1);
    expect(draft).toEqual([{ productId: "1", quantity: 2 }, { productId: "2", quantity: 1 }]);
    expect(changeQuantity(draft, "2", -1)).toEqual([{ productId: "1", quantity: 2 }]);
    expect(setQuantity(draft, "1", 9)[0]).toEqual({ productId: "1", quantity: 9 });
  });
  test("knows its total, and where the stock does not suffice any more", () => {
    const fine = priceDraft([{ productId: "1", quantity: 3 }], goods);
    expect(fine).toMatchObject({ total: 2160, articles: 3, sellable: true });
    expect(priceDraft([{ productId: "1", quantity: 4 }], goods).sellable).toBe(false);
    expect(priceDraft([{ productId: "2", quantity: 1 }], goods).lines[0]?.missing).toBe(true);
    expect(priceDraft([{ productId: "gone", quantity: 1 }], goods).sellable).toBe(false);
    expect(priceDraft([], goods).sellable).toBe(false);
  });
});

test("A sale names its client and its articles, also when they are gone", () => {
  const sale = { id: "9", clientId: "7", lignes: [{ produitId: "1", quantite: 2, prixUnitaire: 720 }, { produitId: "x", quantite: 1, prixUnitaire: 1 }], total: 1441, creeLe: "2026-11-21T10:00:00Z" };
  expect(articlesOf(sale, goods, texts.fr)).toBe("2 × Thé, 1 × produit supprimé");
  expect(clientName(sale, [], texts.fr)).toBe("client supprimé");
  expect(clientName({ ...sale, clientId: null }, [], texts.fr)).toBe("Client de passage");
  const earlier = { ...sale, id: "10", creeLe: "2026-11-21T09:00:00Z" };
  const sameMoment = { ...sale, id: "10" };
  expect([earlier, sale].sort(byNewest)[0]).toBe(sale);
  expect([sale, sameMoment].sort(byNewest)[0]).toBe(sameMoment);
});

test("Latencies leave out what was caught up after an interruption", () => {
  expect(latenciesOf([])).toBeUndefined();
  const heard = [5, 1, 9, 3].map((latencyMs) => ({ latencyMs, caughtUp: false }));
  expect(latenciesOf([...heard, { latencyMs: 60_000, caughtUp: true }])).toEqual({ count: 4, min: 1, median: 3, max: 9 });
});

test("The feed tells a burst once and keeps the newest first", () => {
  const scheduled: (() => void)[] = [];
  const feed = createFeed((callback) => scheduled.push(callback));
  let told = 0;
  feed.subscribe(() => told++);
  const change = (key: string) => ({ key, table: "ventes" }) as Change;
  for (let i = 1; i <= 400; i++) feed.add({ change: change(String(i)), latencyMs: 1, receivedAt: 0, caughtUp: false });
  expect([feed.get().length, scheduled.length]).toEqual([0, 1]);
  scheduled.shift()?.();
  expect([feed.get().length, feed.get()[0]?.change.key, told]).toEqual([300, "400", 1]);
  feed.add({ change: change("new"), latencyMs: 1, receivedAt: 0, caughtUp: false });
  scheduled.shift()?.();
  expect(feed.get()[0]?.change.key).toBe("new");
  feed.clear();
  expect(feed.get()).toEqual([]);
});

test("Addresses lead to screens, and unknown ones to the page that says so", () => {
  expect(["", "#/", "#/ventes", "#/ventes/nouvelle", "#/nulle-part"].map(routeOf)).toEqual(["dashboard", "dashboard", "sales", "newSale", "unknown"]);
});

test("No text is empty, and counts agree with their nouns", () => {
  const walk = (value: unknown): void => {
    if (typeof value === "string") expect(value).not.toBe("");
    else if (typeof value === "object" && value !== null) Object.values(value).forEach(walk);
  };
  walk(texts.fr);
  walk(texts.en);
  expect([0, 1, 2].map(texts.fr.products.count)).toEqual(["0 produit", "1 produit", "2 produits"]);
  expect([0, 1, 2].map(texts.en.products.count)).toEqual(["0 products", "1 product", "2 products"]);
});

describe("What is asked of the server", () => {
  const sent: { path: string; headers: Record<string, string> }[] = [];
  const answers: (() => Response)[] = [];
  beforeEach(() => {
    sent.length = 0;
    vi.stubGlobal("fetch", (path: string, { headers }: { headers: Record<string, string> }) => {
      sent.push({ path, headers });
      const answer = answers.shift();
      return answer ? Promise.resolve(answer()) : Promise.reject(new TypeError("Failed to fetch"));
    });
  });
  afterEach(() => void vi.unstubAllGlobals());

  const json = (body: unknown, status = 200) => () => new Response(JSON.stringify(body), { status });
  const keys = () => sent.map(({ headers }) => headers["Idempotency-Key"]);
  const tea = { nom: "Thé", prix: 720, stock: 3 };

  test("names the till, in a header that carries any name", async () => {
    till.set("Caisse été");
    answers.push(json({ id: "1", ...tea }));
    await api.createProduct(tea);
    expect(decodeURIComponent(sent[0]?.headers["X-Caisse"] ?? "")).toBe("Caisse été");
  });

  test("a creation whose answer was lost is asked again with the same key, another one with another", async () => {
    await expect(api.createProduct(tea)).rejects.toMatchObject({ code: "unreachable" });
    answers.push(json({ id: "1", ...tea }), json({ id: "2", ...tea }));
    await api.createProduct(tea);
    await api.createProduct(tea);
    const [first, again, another] = keys();
    expect(first).toBe(again);
    expect(another).not.toBe(first);
  });

  test("a problem document becomes an error with its code", async () => {
    answers.push(json({ code: "conflict", title: "Not possible now", detail: "Only 2 are in stock." }, 409));
    await expect(api.createSale({ clientId: null, lignes: [] })).rejects.toMatchObject({ code: "conflict", status: 409, message: "Only 2 are in stock." });
  });

  test("a list is read to its end", async () => {
    answers.push(json({ items: [{ id: "1" }], next: "a b" }), json({ items: [{ id: "2" }] }));
    expect((await api.products()).map(({ id }) => id)).toEqual(["1", "2"]);
    expect(sent[1]?.path).toBe("/api/produits?limit=500&cursor=a%20b");
  });
});
