import { till } from "./till";

export interface Product { readonly id: string; readonly nom: string; readonly prix: number; readonly stock: number }
export interface Client { readonly id: string; readonly nom: string; readonly telephone: string }
export interface SaleLine { readonly produitId: string; readonly quantite: number; readonly prixUnitaire: number }
export interface Sale {
  readonly id: string;
  readonly clientId: string | null;
  readonly lignes: readonly SaleLine[];
  readonly total: number;
  readonly creeLe: string;
}
export interface Day { readonly jour: string; readonly chiffreAffaires: number; readonly nombreVentes: number }
export interface DashboardFigures extends Day { readonly stockBas: readonly Product[]; readonly derniersJours: readonly Day[] }
export interface Connexion {
  readonly id: string;
  readonly nom: string;
  readonly transport: string;
  readonly adresse: string;
  readonly depuis: string;
}
export interface SqlResult {
  readonly rowsAffected: number;
  readonly columns?: readonly string[];
  readonly rows?: readonly (readonly unknown[] | Readonly<Record<string, unknown>>)[];
}
export interface Page<T> { readonly items: readonly T[]; readonly next?: string | null }

export type NewProduct = Omit<Product, "id">;
/** A stock that is left out stays as it is: whoever corrects a price must not undo a sale. */
export type ProductValues = Omit<NewProduct, "stock"> & { readonly stock?: number };
export type NewClient = Omit<Client, "id">;
export interface NewSale {
  readonly clientId: string | null;
  readonly lignes: readonly { readonly produitId: string; readonly quantite: number }[];
}

/** What went wrong, with a code a screen can look at. `unreachable` is the one that the server cannot say. */
export class ApiError extends Error {
  readonly code: string;
  readonly status: number;
  constructor(code: string, message: string, status = 0) {
    super(message);
    this.name = "ApiError";
    this.code = code;
    this.status = status;
  }
}

const patienceMs = 10_000;

// A creation whose answer was lost may have been done. Asked again with the same words it carries the same key, and is done once.
let unanswered: { readonly words: string; readonly key: string } | undefined;

function keyFor(words: string): string {
  if (unanswered?.words !== words) unanswered = { words, key: Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(36)).join("-") };
  return unanswered.key;
}

async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  const headers: Record<string, string> = { Accept: "application/json" };
  if (method !== "GET") headers["X-Caisse"] = encodeURIComponent(till.get());
  const text = body === undefined ? undefined : JSON.stringify(body);
  if (text !== undefined) headers["Content-Type"] = "application/json";
  if (method === "POST") headers["Idempotency-Key"] = keyFor(`${path} ${text}`);

  let response: Response;
  try {
    response = await fetch(path, {
      method, headers,
      cache: "no-store",
      signal: AbortSignal.timeout(patienceMs),
      ...(text === undefined ? {} : { body: text }),
    });
  } catch {
    throw new ApiError("unreachable", "");
  }
  if (method === "POST") unanswered = undefined;
  if (response.ok) return (response.status === 204 ? undefined : await response.json().catch(() => undefined)) as T;

  const problem = (await response.json().catch(() => ({}))) as { code?: string; title?: string; detail?: string };
  throw new ApiError(problem.code ?? `http-${response.status}`, problem.detail ?? problem.title ?? response.statusText, response.status);
}

/** The whole of a list, page by page; a shop's products and clients fit in a few. */
async function all<T>(path: string): Promise<readonly T[]> {
  const items: T[] = [];
  let cursor: string | null | undefined;
  do {
    const page: Page<T> = await call("GET", `${path}?limit=500${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
    items.push(...page.items);
    cursor = page.next;
  } while (cursor);
  return items;
}

const id = encodeURIComponent;

export const api = {
  dashboard: () => call<DashboardFigures>("GET", "/api/tableau-de-bord"),

  products: () => all<Product>("/api/produits"),
  createProduct: (product: NewProduct) => call<Product>("POST", "/api/produits", product),
  replaceProduct: (key: string, product: ProductValues) => call<Product>("PUT", `/api/produits/${id(key)}`, product),
  deleteProduct: (key: string) => call<void>("DELETE", `/api/produits/${id(key)}`),

  clients: () => all<Client>("/api/clients"),
  createClient: (client: NewClient) => call<Client>("POST", "/api/clients", client),
  replaceClient: (key: string, client: NewClient) => call<Client>("PUT", `/api/clients/${id(key)}`, client),
  deleteClient: (key: string) => call<void>("DELETE", `/api/clients/${id(key)}`),

  sales: (limit: number) => call<Page<Sale>>("GET", `/api/ventes?limit=${limit}`),
  createSale: (sale: NewSale) => call<Sale>("POST", "/api/ventes", sale),
  cancelSale: (key: string) => call<void>("DELETE", `/api/ventes/${id(key)}`),

  connexions: () => call<Page<Connexion>>("GET", "/api/connexions"),
  sql: (statement: string) => call<SqlResult>("POST", "/api/sql", { statement }),
};
