// Writes against a disk that fills and empties: ./dev full-disk [--rounds 200]
import { fullDisk } from "../tests/stock-clients/fullDisk.js";

const at = process.argv.indexOf("--rounds");
const rounds = at < 0 ? 200 : Number(process.argv[at + 1]);
const began = performance.now();
const result = await fullDisk({
  rounds,
  report: ({ round, acknowledged, refused }) => {
    if (round % 10 === 0) console.log(`${round} rounds: ${acknowledged} writes acknowledged, ${refused} refused`);
  },
});
const ms = (value) => `${value.toFixed(0)} ms`;
console.log(`${rounds} rounds in ${((performance.now() - began) / 1000).toFixed(0)} s: no round hung, nothing acknowledged was lost`);
console.log(`ready answers 503 after           ${ms(result.failing)} at most   (asked: 2,000 ms)`);
console.log(`ready answers 200 after           ${ms(result.recovering)} at most   (asked: 2,000 ms)`);
console.log(`a revoked connection is closed in ${ms(result.closing)} at most   (asked: 1,000 ms)`);
console.log(`two writes are answered in        ${ms(result.answer)} at most`);
