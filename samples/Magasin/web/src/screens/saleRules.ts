import type { Client, Product, Sale } from "../api";
import type { Texts } from "../texts";

export const byNewest = (a: Sale, b: Sale) => b.creeLe.localeCompare(a.creeLe) || b.id.localeCompare(a.id, undefined, { numeric: true });

export function clientName(sale: Sale, clients: readonly Client[], t: Texts): string {
  if (!sale.clientId) return t.sales.walkIn;
  return clients.find((client) => client.id === sale.clientId)?.nom ?? t.sales.goneClient;
}

export function articlesOf(sale: Sale, products: ReadonlyMap<string, Product>, t: Texts): string {
  return sale.lignes.map((line) => `${line.quantite} × ${products.get(line.produitId)?.nom ?? t.sales.goneProduct}`).join(", ");
}

/** A line of the current draft. */
export interface DraftLine { readonly productId: string; readonly quantity: number }

/** Changes the quantity of a product in the draft. At zero the line is removed; a new product is added last. */
export function changeQuantity(draft: readonly DraftLine[], productId: string, by: number): readonly DraftLine[] {
  const line = draft.find((candidate) => candidate.productId === productId);
  return setQuantity(draft, productId, (line?.quantity ?? 0) + by);
}

export function setQuantity(draft: readonly DraftLine[], productId: string, quantity: number): readonly DraftLine[] {
  if (quantity <= 0) return draft.filter((line) => line.productId !== productId);
  if (!draft.some((line) => line.productId === productId)) return [...draft, { productId, quantity }];
  return draft.map((line) => (line.productId === productId ? { productId, quantity } : line));
}

/** Prices the draft with the current products, and marks the lines for which the stock is insufficient. */
export function priceDraft(draft: readonly DraftLine[], products: ReadonlyMap<string, Product>) {
  const lines = draft.map((line) => {
    const product = products.get(line.productId);
    return {
      ...line, product,
      amount: (product?.prix ?? 0) * line.quantity,
      missing: product === undefined || product.stock < line.quantity,
    };
  });
  return {
    lines,
    total: lines.reduce((sum, line) => sum + line.amount, 0),
    articles: lines.reduce((sum, line) => sum + line.quantity, 0),
    sellable: lines.length > 0 && lines.every((line) => !line.missing),
  };
}
