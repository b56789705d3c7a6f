// The live shop with two tills that sell by themselves, to look at: open the address in a browser and watch. Ctrl+C ends it.
import { Shop } from "../tests/stock-clients/shop.js";

const shop = await Shop.open();
console.log(`The shop is open at ${shop.url}: two tills sell something every few seconds. Ctrl+C closes it.`);
let open = true;
process.once("SIGINT", () => { open = false; });
process.once("SIGTERM", () => { open = false; });

for (let i = 0; open; i++) {
  await shop.sell({ "x-caisse": encodeURIComponent(`Caisse ${(i % 2) + 1}`) });
  const next = Date.now() + 1500 + (i % 3) * 700;
  while (open && Date.now() < next) await new Promise((resolve) => setTimeout(resolve, 100));
}
await shop.close();
