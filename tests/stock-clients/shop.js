// The shop, started as a user starts it, on a database of its own in a temporary folder.
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { freePorts, repository, startProgram } from "./servers.js";

const configuration = process.env.CONFIGURATION ?? "Release";
const dll = `${repository}samples/Magasin/bin/${configuration}/net10.0/Magasin.dll`;
const run = promisify(execFile);

export class Shop {
  static async open(env = {}) {
    const shop = new Shop();
    shop.folder = await mkdtemp(join(tmpdir(), "carillon-shop-"));
    shop.database = join(shop.folder, "shop.db");
    shop.port = await freePorts(1);
    shop.env = env;
    await shop.start();
    return shop;
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  async start() {
    this.program = await startProgram(dll, ["--urls", this.url],
      { Magasin__Database: this.database, Magasin__AllowSql: "true", ...this.env }, /The shop is open/);
  }

  async call(method, path, body, headers = {}) {
    const response = await fetch(this.url + path, {
      method,
      headers: { ...(body ? { "content-type": "application/json" } : {}), ...headers },
      body: body && JSON.stringify(body),
    });
    const text = await response.text();
    return { status: response.status, body: text ? JSON.parse(text) : undefined };
  }

  /** Sells one piece of the first product that is in stock. */
  async sell(headers) {
    const { body: { items } } = await this.call("GET", "/api/produits?limit=500");
    const product = items.find((item) => item.stock > 5);
    const { body: { items: [client] } } = await this.call("GET", "/api/clients");
    const sale = await this.call("POST", "/api/ventes", { clientId: client.id, lignes: [{ produitId: product.id, quantite: 1 }] }, headers);
    if (sale.status !== 201) throw new Error(`The sale was refused: ${sale.status} ${JSON.stringify(sale.body)}`);
    return sale.body;
  }

  sql(statement) {
    return this.call("POST", "/api/sql", { statement });
  }

  /** What another program does with the same file: Debian's own sqlite3. */
  async sqlite3(sql) {
    const { stdout } = await run("sqlite3", ["-cmd", ".timeout 5000", this.database, sql]);
    return stdout.trim();
  }

  async close() {
    await this.program.stop();
    await rm(this.folder, { recursive: true, force: true });
  }
}
