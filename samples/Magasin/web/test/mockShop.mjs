// A shop in memory, for screenshots and tests while no real server is at hand. It answers as samples/Magasin does.
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { Server } from "socket.io";

const wwwroot = fileURLToPath(new URL("../../wwwroot", import.meta.url));
const types = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };

const names = [
  ["Baguette tradition", 130, 42], ["Pain de campagne", 390, 12], ["Croissant au beurre", 120, 3], ["Comté 18 mois, 200 g", 690, 9], ["Beurre demi-sel 250 g", 345, 0],
  ["Confiture d’abricot", 480, 16], ["Miel de lavande 500 g", 950, 5], ["Café moulu 250 g", 590, 28], ["Thé vert sencha", 720, 14], ["Jus de pomme 1 L", 320, 2],
  ["Eau pétillante 1 L", 95, 60], ["Chocolat noir 70 %", 290, 33], ["Huile d’olive 75 cl", 1190, 7], ["Savon de Marseille", 420, 21], ["Bougie parfumée", 1490, 4],
];
const people = [["Camille Martin", "06 12 34 56 78"], ["Hugo Bernard", "06 98 76 54 32"], ["Inès Dubois", "07 11 22 33 44"], ["Lucas Petit", "06 55 44 33 22"], ["Restaurant Le Tilleul", "01 44 55 66 77"]];

export async function startMockShop({ port = 0, delayMs = 0, empty = false, refuse = false } = {}) {
  const ids = { produits: 0, clients: 0, ventes: 0 };
  const tables = { produits: [], clients: [], ventes: [] };
  const logs = new Map();
  const connexions = new Map();
  const log = (channel) => logs.get(channel) ?? logs.set(channel, { epoch: "mock", offset: 0, history: [] }).get(channel);
  const add = (table, row) => { const made = { id: String(++ids[table]), ...row }; tables[table].push(made); return made; };

  if (!empty) {
    for (const [nom, prix, stock] of names) add("produits", { nom, prix, stock });
    for (const [nom, telephone] of people) add("clients", { nom, telephone });
    for (let day = 6; day >= 0; day--)
      for (let i = 0; i < 4 + ((day * 5) % 7); i++) {
        const lignes = [0, 1, 2].slice(0, 1 + ((i + day) % 3)).map((n) => {
          const product = tables.produits[(i * 3 + n * 5 + day) % names.length];
          return { produitId: product.id, quantite: 1 + ((i + n) % 3), prixUnitaire: product.prix };
        });
        const at = new Date(Date.now() - day * 86_400_000 - (12 - i) * 21 * 60_000);
        add("ventes", { clientId: i % 3 === 0 ? null : String(1 + (i % people.length)), lignes, total: sum(lignes), creeLe: at.toISOString() });
      }
  }

  function publish(channel, event, payload) {
    const entry = log(channel);
    const meta = { channel, epoch: entry.epoch, offset: ++entry.offset, id: `${channel}-${entry.offset}`, at: new Date().toISOString() };
    entry.history.push([event, payload, meta]);
    io.to(channel).emit(event, payload, meta);
  }
  function changed(table, operation, key, columns, actor) {
    publish(`changes:${table}`, "change", { id: `${Date.now()}-${key}`, table, operation, key, columns, ...(actor ? { actor } : {}), at: new Date().toISOString() });
  }
  const tellConnexions = () => publish("magasin:connexions", "connexions", [...connexions.values()]);

  const dayOf = (moment) => moment.slice(0, 10);
  const dashboard = () => {
    const days = [6, 5, 4, 3, 2, 1, 0].map((back) => {
      const jour = dayOf(new Date(Date.now() - back * 86_400_000).toISOString());
      const sales = tables.ventes.filter((sale) => dayOf(sale.creeLe) === jour);
      return { jour, chiffreAffaires: sales.reduce((all, sale) => all + sale.total, 0), nombreVentes: sales.length };
    });
    return { ...days.at(-1), stockBas: tables.produits.filter((p) => p.stock <= 5).sort((a, b) => a.stock - b.stock), derniersJours: days };
  };

  async function answer(method, path, query, body, actor) {
    const [, , table, key] = path.split("/");
    if (path === "/api/tableau-de-bord") return [200, dashboard()];
    if (path === "/api/connexions") return [200, { items: [...connexions.values()] }];
    if (path === "/api/sql") {
      const product = tables.produits[0];
      if (/^select/i.test(body.statement)) return [200, { rowsAffected: 0, columns: ["id", "nom", "prix", "stock"], rows: tables.produits.slice(0, 5).map((p) => [p.id, p.nom, p.prix, p.stock]) }];
      product.stock += 1;
      changed("produits", "update", product.id, ["stock"]);
      return [200, { rowsAffected: 1 }];
    }
    const rows = tables[table];
    if (!rows) return [404, { title: "Not found", status: 404, code: "not-found" }];
    const at = rows.findIndex((row) => row.id === key);
    if (key !== undefined && at < 0) return [404, { title: "Not found", status: 404, code: "not-found" }];
    if (method === "GET" && key === undefined) {
      const limit = Number(query.get("limit") ?? 50);
      const list = table === "ventes" ? [...rows].sort((a, b) => b.creeLe.localeCompare(a.creeLe)) : rows;
      return [200, { items: list.slice(0, limit), ...(list.length > limit ? { next: "more" } : {}) }];
    }
    if (method === "GET") return [200, rows[at]];
    if (method === "POST" && table === "ventes") {
      const lignes = body.lignes.map((line) => ({ ...line, prixUnitaire: line.prixUnitaire ?? tables.produits.find((p) => p.id === line.produitId).prix }));
      for (const line of lignes) {
        const product = tables.produits.find((p) => p.id === line.produitId);
        if (product.stock < line.quantite) return [409, { title: "Conflict", status: 409, code: "conflict", detail: `Il reste ${product.stock} « ${product.nom} ».` }];
      }
      for (const line of lignes) {
        const product = tables.produits.find((p) => p.id === line.produitId);
        product.stock -= line.quantite;
        changed("produits", "update", product.id, ["stock"], actor);
      }
      const sale = add("ventes", { clientId: body.clientId ?? null, lignes, total: sum(lignes), creeLe: new Date().toISOString() });
      changed("ventes", "insert", sale.id, ["id", "clientId", "total", "creeLe"], actor);
      return [201, sale];
    }
    if (method === "POST") {
      const made = add(table, body);
      changed(table, "insert", made.id, Object.keys(made), actor);
      return [201, made];
    }
    if (method === "PUT") {
      rows[at] = { ...rows[at], ...body };
      changed(table, "update", key, Object.keys(body), actor);
      return [200, rows[at]];
    }
    const [gone] = rows.splice(at, 1);
    if (table === "ventes")
      for (const line of gone.lignes) {
        const product = tables.produits.find((p) => p.id === line.produitId);
        if (product) {
          product.stock += line.quantite;
          changed("produits", "update", product.id, ["stock"], actor);
        }
      }
    changed(table, "delete", key, [], actor);
    return [204];
  }

  const http = createServer(async (request, response) => {
    const url = new URL(request.url, "http://shop");
    if (url.pathname.startsWith("/api/")) {
      let text = "";
      for await (const chunk of request) text += chunk;
      if (delayMs) await new Promise((resolve) => setTimeout(resolve, delayMs));
      const actor = decodeURIComponent(request.headers["x-caisse"] ?? "") || undefined;
      const [status, body] = await answer(request.method, url.pathname, url.searchParams, text ? JSON.parse(text) : undefined, actor);
      response.writeHead(status, { "content-type": status >= 400 ? "application/problem+json" : "application/json" });
      response.end(body === undefined ? undefined : JSON.stringify(body));
      return;
    }
    const path = normalize(url.pathname === "/" ? "/index.html" : url.pathname);
    try {
      const content = await readFile(join(wwwroot, path));
      response.writeHead(200, { "content-type": types[extname(path)] ?? "application/octet-stream" }).end(content);
    } catch {
      response.writeHead(404).end();
    }
  });
  const io = new Server(http);
  if (refuse) io.use((_, next) => next(Object.assign(new Error("banned"), { data: { code: "banned", message: "Adresse bannie jusqu’à 18 h.", retryable: false } })));
  io.on("connection", (socket) => {
    socket.emit("session", { user: null, connectionId: socket.id, channels: [], unread: { notifications: 0, messages: 0 }, serverTime: new Date().toISOString() });
    connexions.set(socket.id, { id: socket.id, nom: String(socket.handshake.auth.nom ?? "?"), transport: socket.conn.transport.name, adresse: "192.168.1.24", depuis: new Date().toISOString() });
    tellConnexions();
    socket.on("disconnect", () => { connexions.delete(socket.id); tellConnexions(); });
    socket.on("subscribe", ({ channel, since }, ack) => {
      const entry = log(channel);
      const recovered = since !== undefined && since.epoch === entry.epoch && since.offset <= entry.offset;
      socket.join(channel);
      if (recovered) for (const publication of entry.history.slice(since.offset)) socket.emit(...publication);
      const told = { channel, position: { epoch: entry.epoch, offset: entry.offset }, recovered };
      socket.emit("subscribed", told);
      ack?.({ ok: true, ...told });
    });
    socket.on("unsubscribe", ({ channel }, ack) => { socket.leave(channel); ack?.({ ok: true, channel }); });
  });

  await new Promise((resolve) => http.listen(port, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${http.address().port}`,
    tables,
    async stop() {
      io.disconnectSockets(true);
      await new Promise((resolve) => { io.close(resolve); http.closeAllConnections(); });
    },
  };
}

const sum = (lines) => lines.reduce((all, line) => all + line.quantite * line.prixUnitaire, 0);
