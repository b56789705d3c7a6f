// A room of 1,000 of which 50 stop reading: what the others notice, what it costs, and what becomes of the 50.
//   ./dev bench stalled [--policy disconnect|drop|conflate] [--connections 1000] [--stalled 50] [--rounds 3] [--secs 6] [--queue-bytes 1048576]
import { parseArgs } from "node:util";
import { load, prepare, start } from "./contestants.js";
import { description, quiet } from "./machine.js";
import { ofStalled, print } from "./verdicts.js";

const { values } = parseArgs({
  options: {
    policy: { type: "string", default: "disconnect" },
    connections: { type: "string", default: "1000" },
    stalled: { type: "string", default: "50" },
    rounds: { type: "string", default: "3" },
    secs: { type: "string", default: "6" },
    warm: { type: "string", default: "3" },
    rate: { type: "string", default: "40" },
    payload: { type: "string", default: "4096" },
    "queue-bytes": { type: "string", default: "1048576" },
  },
});
const { policy, ...options } = values;
const overflow = { disconnect: "disconnect", drop: "drop", conflate: "keep-latest" }[policy];
if (!overflow) {
  console.error("--policy is disconnect, drop or conflate.");
  process.exit(2);
}
if (prepare(["carillon"]).length === 0) process.exit(1);
console.log(description());
if (!(await quiet())) console.log("! Other programs keep the machine busy: latencies are worth little.");
const server = await start("carillon", ["--queue-bytes", options["queue-bytes"], "--overflow", overflow]);
try {
  const result = await load("stalled", "carillon", server, options);
  console.log(`\n${options.stalled} of ${options.connections} subscribers stop reading; ${options.rate} messages of ${options.payload} bytes a second, policy ${policy}`);
  if (result.cost.limitedByGenerator) console.log("! THE GENERATOR WAS THE LIMIT in some windows: a latency that fails says nothing.");
  process.exitCode = print(ofStalled(result, policy)) ? 0 : 1;
} finally {
  await server.stop();
}
