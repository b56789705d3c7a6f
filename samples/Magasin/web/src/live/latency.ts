import type { Heard } from "./recentChanges";

export interface Latencies { readonly count: number; readonly min: number; readonly median: number; readonly max: number }

/** The spread of what arrived live. Changes caught up after an interruption measure the interruption, so they do not count. */
export function latenciesOf(heard: readonly Pick<Heard, "latencyMs" | "caughtUp">[]): Latencies | undefined {
  const sorted = heard.filter(({ caughtUp }) => !caughtUp).map(({ latencyMs }) => latencyMs).sort((a, b) => a - b);
  const min = sorted[0];
  const max = sorted.at(-1);
  const median = sorted[Math.floor((sorted.length - 1) / 2)];
  return min === undefined || max === undefined || median === undefined ? undefined : { count: sorted.length, min, median, max };
}
