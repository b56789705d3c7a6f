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

describe("A typed price", () => {
  test.each([
    ["12,50", 1250], ["12.5", 1250], ["3", 300], ["1 200,05 €", 120_005], ["0", 0], ["0,29", 29], ["19,99", 1999],
  ] as const)("%s is %i cents", (text, cents) => {
    expect(parsePrice(text)).toBe(cents);
  });
  test.each(["", "abc", "-1", "1,234", "1.2.3", "12345678", "1e3"])("%j is not a price", (text) =>
    expect(parsePrice(text)).toBeUndefined());
  test("is formatted for input in each language", () => {
    expect([priceText(1250, "fr"), priceText(1250, "en")]).toEqual(["12,50", "12.50"]);
    expect(parsePrice(priceText(1999, "fr"))).toBe(1999);
  });
});

test("A count is a non-negative whole number", () => {
  expect(["0", " 12 ", "-1", "1,5", ""].map(parseCount)).toEqual([0, 12, undefined, undefined, undefined]);
});

test("A search ignores case and accents", () => expect(searchable("Café ÉPICÉ")).toBe("cafe epice"));

describe("Money and days", () => {
  test("are formatted for each language", () => {
    expect(createFormat("fr").money(123_456).replace(/\s/g, " ")).toBe("1 234,56 €");
    expect(createFormat("en").money(123_456)).toBe("€1,234.56");
  });
  test("no time zone shifts a day of the shop", () => {
    expect(createFormat("en").dayLong("2026-11-21")).toMatch(/^Saturday,? 21 November$/);
    expect(createFormat("fr").weekday("2026-11-21T00:00:00+01:00")).toBe("sam.");
  });
});

describe("A draft", () => {
  test("adds, counts and removes products", () => {
    let draft = changeQuantity([], "1", 1);
    draft = changeQuantity(draft, "2", 1);
    draft = changeQuantity(draft, "1", 1);
    expect(draft).toEqual([{ productId: "1", quantity: 2 }, { productId: "2", quantity: 1 }]);
    expect(changeQuantity(draft, "2", -1)).toEqual([{ productId: "1", quantity: 2 }]);
    expect(setQuantity(draft, "1", 9)[0]).toEqual({ productId: "1", quantity: 9 });
  });
  test("has a total, and marks lines for which the stock is insufficient", () => {
    const fine = priceDraft([{ productId: "1", quantity: 3 }], goods);
    expect(fine).toMatchObject({ total: 2160, articles: 3, sellable: true });
    expect(priceDraft([{ productId: "1", quantity: 4 }], goods).sellable).toBe(false);
    expect(priceDraft([{ productId: "2", quantity: 1 }], goods).lines[0]?.missing).toBe(true);
    expect(priceDraft([{ productId: "gone", quantity: 1 }], goods).sellable).toBe(false);
    expect(priceDraft([], goods).sellable).toBe(false);
  });
});

test("A sale names its client and its items, even if they were deleted", () => {
  const lignes = [{ produitId: "1", quantite: 2, prixUnitaire: 720 }, { produitId: "x", quantite: 1, prixUnitaire: 1 }];
  const sale = { id: "9", clientId: "7", lignes, total: 1441, creeLe: "2026-11-21T10:00:00Z" };
  expect(articlesOf(sale, goods, texts.fr)).toBe("2 × Thé, 1 × produit supprimé");
  expect(clientName(sale, [], texts.fr)).toBe("client supprimé");
  expect(clientName({ ...sale, clientId: null }, [], texts.fr)).toBe("Client de passage");
  const earlier = { ...sale, id: "10", creeLe: "2026-11-21T09:00:00Z" };
  const sameMoment = { ...sale, id: "10" };
  expect([earlier, sale].sort(byNewest)[0]).toBe(sale);
  expect([sale, sameMoment].sort(byNewest)[0]).toBe(sameMoment);
});

test("Latencies leave out changes recovered after an interruption", () => {
  expect(latenciesOf([])).toBeUndefined();
  const received = [5, 1, 9, 3].map((latencyMs) => ({ latencyMs, caughtUp: false }));
  expect(latenciesOf([...received, { latencyMs: 60_000, caughtUp: true }])).toEqual({ count: 4, min: 1, median: 3, max: 9 });
});

test("The feed notifies once per burst and keeps the newest changes first", () => {
  const scheduled: (() => void)[] = [];
  const feed = createFeed((callback) => scheduled.push(callback));
  let calls = 0;
  feed.subscribe(() => calls++);
  const change = (key: string) => ({ key, table: "ventes" }) as Change;
  for (let i = 1; i <= 400; i++) feed.add({ change: change(String(i)), latencyMs: 1, receivedAt: 0, caughtUp: false });
  expect([feed.get().length, scheduled.length]).toEqual([0, 1]);
  scheduled.shift()?.();
  expect([feed.get().length, feed.get()[0]?.change.key, calls]).toEqual([300, "400", 1]);
  feed.add({ change: change("new"), latencyMs: 1, receivedAt: 0, caughtUp: false });
  scheduled.shift()?.();
  expect(feed.get()[0]?.change.key).toBe("new");
  feed.clear();
  expect(feed.get()).toEqual([]);
});

test("Addresses lead to screens, and unknown ones to the \"not found\" screen", () => {
  const addresses = ["", "#/", "#/ventes", "#/ventes/nouvelle", "#/nulle-part"];
  expect(addresses.map(routeOf)).toEqual(["dashboard", "dashboard", "sales", "newSale", "unknown"]);
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

describe("A request to the server", () => {
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

  test("names the till in a header, whatever its characters", async () => {
    till.set("Caisse été");
    answers.push(json({ id: "1", ...tea }));
    await api.createProduct(tea);
    expect(decodeURIComponent(sent[0]?.headers["X-Caisse"] ?? "")).toBe("Caisse été");
  });

  test("a repeated creation whose response was lost has the same key, a further one another key", async () => {
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
    await expect(api.createSale({ clientId: null, lignes: [] }))
      .rejects.toMatchObject({ code: "conflict", status: 409, message: "Only 2 are in stock." });
  });

  test("a list is loaded page by page", async () => {
    answers.push(json({ items: [{ id: "1" }], next: "a b" }), json({ items: [{ id: "2" }] }));
    expect((await api.products()).map(({ id }) => id)).toEqual(["1", "2"]);
    expect(sent[1]?.path).toBe("/api/produits?limit=500&cursor=a%20b");
  });
});
