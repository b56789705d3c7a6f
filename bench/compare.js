// Our server beside others, in one run: round by round A B C A B C, a core for the server and one for the generator, ratios of the rounds' own figures.
//   ./dev bench [fanout|chat|echo|idle|max|all] [--rounds 3] [--secs 3] [--warm 3] [--servers carillon,socket.io,bun,signalr] [--connections N] [--json FILE]
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { contestants, load, prepare, start } from "./contestants.js";
import { cores, description, quiet } from "./machine.js";

const cpu = ["CPU µs a message", (r) => r.cost.cpuMicrosecondsPerMessage, true];
const p50 = ["p50 ms", (r) => r.counts?.latency.p50, true];
const p99 = ["p99 ms", (r) => r.counts?.latency.p99, true];
const faults = ["lost, doubled, wrong", (r) => r.counts && r.counts.lost + r.counts.doubled + r.counts.wrong + r.counts.outOfOrder];
const others = ["others on its core", (r) => r.cost.othersOnServerCore, false, (share) => `${Math.round(share * 100)} %`];

/** What is shown of each scenario: title, figure, whether as a ratio too. */
const scenarios = {
  fanout: { title: "Fan-out: one room of 1,000, 20 messages a second to each", columns: [cpu, p50, p99, faults, others] },
  chat: { title: "Chat: 1,000 rooms of two, 4,900 messages a second to two each", columns: [cpu, p50, p99, faults, others] },
  echo: {
    title: "Echo: 200 clients, each with one question under way",
    columns: [["CPU µs a round trip", cpu[1], true], ["round trips a second", (r) => r.roundTripsPerSecond, true], p50, p99, faults, others],
  },
  idle: {
    title: "Idle: 10,000 connections, and 9,500 that come back at once",
    columns: [
      ["KiB a connection", (r) => r.residentKiBPerConnection, true],
      ["at half", (r) => r.residentKiBPerConnectionAtHalf],
      ["CPU ms a connect", (r) => r.cpuMillisecondsPerConnect, true],
      ["connects a second", (r) => r.connectionsPerSecond],
      ["storm CPU s", (r) => r.storm.cpuSeconds, true],
      ["storm s", (r) => r.storm.seconds],
      others,
    ],
  },
  max: { title: "Most: fan-out to 1,000, faster until messages are later than 200 ms or lost", columns: [["messages a second", (r) => r.messagesPerSecond, true], cpu, p99, faults, others] },
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "3" },
    secs: { type: "string", default: "3" },
    warm: { type: "string", default: "3" },
    servers: { type: "string", default: Object.keys(contestants).join(",") },
    connections: { type: "string" },
    rate: { type: "string" },
    settle: { type: "string" },
    json: { type: "string" },
  },
});
const wanted = positionals.length === 0 || positionals.includes("all") ? Object.keys(scenarios) : positionals;
const asked = values.servers.split(",");
const unknown = [...wanted.filter((name) => !scenarios[name]), ...asked.filter((name) => !contestants[name])];
if (unknown.length > 0) {
  console.error(`Unknown: ${unknown.join(", ")}. Scenarios: ${Object.keys(scenarios).join(", ")}. Servers: ${Object.keys(contestants).join(", ")}.`);
  process.exit(2);
}

const names = prepare(asked);
if (names.length === 0) process.exit(1);
const rounds = Number(values.rounds);
console.log(description());
const raw = [];
for (const scenario of wanted) await compare(scenario);
if (values.json) writeFileSync(values.json, JSON.stringify(raw, null, 2));

async function compare(scenario) {
  const results = Object.fromEntries(names.map((name) => [name, []]));
  const remarks = new Set();
  for (let round = 1; round <= rounds; round++) {
    for (const name of names) {
      process.stderr.write(`${scenario}, round ${round} of ${rounds}: ${name}          \r`);
      if (!(await quiet())) remarks.add("Other programs kept the machine busy before some runs: latencies and rates are worth little, CPU a message somewhat more.");
      let server;
      try {
        server = await start(name);
        const result = await load(scenario, name, server, options(scenario));
        results[name][round - 1] = result;
        raw.push({ scenario, round, name, result });
        if (result.cost.limitedByGenerator) remarks.add(`THE GENERATOR WAS THE LIMIT with ${name} in round ${round}: ${why(result.cost)}. ${scenario === "idle" ? "That concerns the connects a second alone." : "What it shows is the generator as much as the server."}`);
        if (result.ended > 0) remarks.add(`${name} ended ${result.ended} connections in round ${round}.`);
      } catch (error) {
        remarks.add(`${name} gave no figure in round ${round}: ${error.message}`);
      } finally {
        await server?.stop();
      }
    }
  }
  console.log(`\n${scenarios[scenario].title}${values.connections ? ` (here with ${values.connections} connections)` : ""}`);
  console.log(table(scenarios[scenario].columns, results));
  remarks.forEach((remark) => console.log(`! ${remark}`));
  if (!cores) console.log("! One core or no taskset: server and generator took from each other.");
}

function options(scenario) {
  const { connections, rate, settle, secs, warm } = values;
  return scenario === "idle" ? { connections, settle } : { connections, rate: scenario === "echo" ? undefined : rate, secs, warm };
}

function why(cost) {
  if (cost.generatorLateMilliseconds > 20) return `it was ${cost.generatorLateMilliseconds} ms behind its schedule`;
  const busy = `its core was ${Math.round(cost.generatorBusy * 100)} % busy`;
  return cost.generatorTaken > 0.1 ? `${busy}, others took ${Math.round(cost.generatorTaken * 100)} % of it` : busy;
}

function table(columns, results) {
  const reference = results["socket.io"]?.some(Boolean) ? "socket.io" : names[0];
  const rows = [["", ...columns.flatMap(([title, , isRatio]) => (isRatio ? [title, `÷ ${reference}`] : [title]))]];
  for (const name of names) {
    const own = results[name];
    if (!own.some(Boolean)) continue;
    rows.push([name, ...columns.flatMap(([, figure, isRatio, format = digits]) => {
      const values = own.filter(Boolean).map(figure).filter((value) => value !== undefined);
      const cell = values.length > 0 ? format(median(values)) : "-";
      return isRatio ? [cell, ratio(own, results[reference], figure)] : [cell];
    })]);
  }
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows.map((row) => row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column]))).join("  ")).join("\n");
}

// The median of each round's own ratio: what the machine does over the minutes hits both alike.
function ratio(own, reference, figure) {
  const ratios = own.flatMap((result, round) => (result && reference[round] && figure(reference[round]) > 0 ? [figure(result) / figure(reference[round])] : []));
  if (ratios.length === 0) return "-";
  const [low, high] = [Math.min(...ratios), Math.max(...ratios)];
  return own === reference ? "1" : `${median(ratios).toFixed(2)} (${low.toFixed(2)}–${high.toFixed(2)})`;
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function digits(value) {
  return value >= 1000 ? Math.round(value).toLocaleString("en") : value >= 100 ? value.toFixed(0) : Number.isInteger(value) ? String(value) : value.toFixed(2);
}
