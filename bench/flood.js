// Floods from 127.0.0.2 beside 500 ordinary clients from 127.0.0.1: what these notice, and whether the flooder is refused, banned and forgiven.
//   ./dev bench flood [connections|events|handshakes ...] [--connections 500] [--secs N] [--forgive-within 120] [--first-ban SECONDS]
import { parseArgs } from "node:util";
import { load, prepare, start } from "./contestants.js";
import { description, quiet } from "./machine.js";
import { ofFlood, print } from "./verdicts.js";

const kinds = {
  connections: { title: "As many connections a second as the generator manages", secs: 10 },
  events: { title: "One client that sends 50,000 events a second", secs: 10 },
  handshakes: { title: "Eight thousand handshakes that never end", secs: 25 },     // more than one address may have under way, and longer than any may take
};
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    connections: { type: "string", default: "500" },
    rate: { type: "string", default: "1000" },
    secs: { type: "string" },
    warm: { type: "string", default: "3" },
    "forgive-within": { type: "string", default: "120" },
    "first-ban": { type: "string" },
  },
});
const unknown = positionals.filter((kind) => !kinds[kind]);
if (unknown.length > 0) {
  console.error(`Unknown: ${unknown.join(", ")}. There are ${Object.keys(kinds).join(", ")}.`);
  process.exit(2);
}
const { "first-ban": firstBan, ...options } = values;
if (prepare(["carillon"]).length === 0) process.exit(1);
console.log(description());
for (const kind of positionals.length > 0 ? positionals : Object.keys(kinds)) {
  if (!(await quiet())) console.log("! Other programs keep the machine busy: latencies are worth little.");
  const server = await start("carillon", ["--limits", ...(firstBan ? ["--first-ban", firstBan] : [])]);      // a server of its own each: nothing is remembered from the flood before
  try {
    const result = await load("flood", "carillon", server, { kind, from: "127.0.0.1", "flood-from": "127.0.0.2", secs: kinds[kind].secs, ...options });
    console.log(`\n${kinds[kind].title}, from 127.0.0.2, beside ${values.connections} clients from 127.0.0.1 that ask ${values.rate} questions a second`);
    if (result.cost.limitedByGenerator) console.log("! THE GENERATOR FELL BEHIND with the ordinary clients: a latency that fails says nothing.");
    if (!print(ofFlood(result))) process.exitCode = 1;
  } catch (error) {
    console.log(`\n${kinds[kind].title}: ${error.message}`);
    process.exitCode = 1;
  } finally {
    await server.stop();
  }
}
