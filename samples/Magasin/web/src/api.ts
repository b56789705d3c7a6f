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
/** Without `stock` the stock stays unchanged, so that correcting a price does not undo a concurrent sale. */
export type ProductValues = Omit<NewProduct, "stock"> & { readonly stock?: number };
export type NewClient = Omit<Client, "id">;
export interface NewSale {
  readonly clientId: string | null;
  readonly lignes: readonly { readonly produitId: string; readonly quantite: number }[];
}

/** A failed request with its error code. `unreachable` means that there was no response. */
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

const requestTimeoutMs = 10_000;

// If the response to a creation was lost, the server may have carried it out. Repeating it with the same content uses the same key, so it
// happens once.
let unanswered: { readonly content: string; readonly key: string } | undefined;

function keyFor(content: string): string {
  if (unanswered?.content !== content) {
    const random = Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(36));
    unanswered = { content, key: random.join("-") };
  }
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
      signal: AbortSignal.timeout(requestTimeoutMs),
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

/** A complete list, loaded page by page; the products and clients of a shop fit in a few pages. */
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
