// 50 connected tills, 5 changes a second for a minute: from the request to the last of the 50 receipts, and what it costs the server.
//   ./dev bench shop [--clients 50] [--rate 5] [--seconds 60]
import { readFile } from "node:fs/promises";
import { io } from "socket.io-client";
import { Shop } from "../tests/stock-clients/shop.js";

const option = (name, value) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? value : Number(process.argv[at + 1]);
};
const clients = option("clients", 50);
const rate = option("rate", 5);
const seconds = option("seconds", 60);

const shop = await Shop.open({ Logging__LogLevel__Default: "Warning", "Logging__LogLevel__Carillon.Hub.ChannelHub": "Warning" });
try {
  const { body: { items } } = await shop.call("GET", "/api/produits?limit=500");
  const product = items.find((item) => item.stock > 0);
  await shop.sql(`UPDATE produits SET stock = 1000000 WHERE id = ${product.id}`);
  const { body: { items: [buyer] } } = await shop.call("GET", "/api/clients");
  const sell = () => shop.call("POST", "/api/ventes", { clientId: buyer.id, lignes: [{ produitId: product.id, quantite: 1 }] });

  const begun = new Map();      // sale -> when its request left
  const heard = new Map();      // sale -> how many tills have it, and the last receipt
  const tills = await Promise.all(Array.from({ length: clients }, () => new Promise((resolve, reject) => {
    const till = io(shop.url, { transports: ["websocket"], forceNew: true });
    till.on("change", ({ key }) => {
      const entry = heard.get(key) ?? { count: 0, last: 0 };
      heard.set(key, { count: entry.count + 1, last: performance.now() });
    });
    till.on("connect_error", reject);
    till.on("subscribed", () => resolve(till));
    till.on("session", () => till.emit("subscribe", "changes:ventes"));
  })));

  for (let i = 0; i < 300; i++) await sell();      // warm: what runs often is compiled by then
  await until(performance.now() + 3000);
  const before = await cost();
  const startedAt = performance.now();
  const pending = [];
  let middle;
  for (let i = 0; i < rate * seconds; i++) {
    if (i === Math.floor((rate * seconds) / 2)) middle = await cost();
    await until(startedAt + (i * 1000) / rate);
    const sentAt = performance.now();
    pending.push(sell().then(({ body }) => begun.set(body.id, sentAt)));
  }
  await Promise.all(pending);
  await until(performance.now() + 500);
  const elapsed = (performance.now() - startedAt) / 1000;
  const after = await cost();

  const complete = [...begun].filter(([sale]) => heard.get(sale)?.count === clients);
  const latencies = complete.map(([sale, sentAt]) => heard.get(sale).last - sentAt).sort((a, b) => a - b);
  const at = (share) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))]?.toFixed(1);
  console.log(`${clients} tills, ${rate} sales a second for ${seconds} s, on ${process.platform} with Node ${process.version}`);
  console.log(`sales                         ${begun.size}, of which all ${clients} tills heard ${complete.length}`);
  console.log(`request to last receipt       p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms      (asked: p99 under 100 ms)`);
  console.log(`server CPU                    ${(((after.cpu - before.cpu) / elapsed) * 100).toFixed(1)} % of one core   (asked: under 5 %)`);
  console.log(`server memory                 ${mib(before.rss)} MiB at the start, ${mib(middle.rss)} in the middle, ${mib(after.rss)} at the end: ${mib(after.rss - before.rss)} MiB more   (asked: 2 MB)`);
  tills.forEach((till) => till.disconnect());
  process.exitCode = complete.length === begun.size && Number(at(0.99)) < 100 ? 0 : 1;
} finally {
  await shop.close();
}

async function cost() {
  const stat = (await readFile(`/proc/${shop.program.pid}/stat`, "utf8")).split(") ")[1].split(" ");
  const status = await readFile(`/proc/${shop.program.pid}/status`, "utf8");
  return { cpu: (Number(stat[11]) + Number(stat[12])) / 100, rss: Number(/VmRSS:\s+(\d+)/.exec(status)[1]) * 1024 };
}

function mib(bytes) {
  return (bytes / 1024 / 1024).toFixed(1);
}

function until(time) {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, time - performance.now())));
}
