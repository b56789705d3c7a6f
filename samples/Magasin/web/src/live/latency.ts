import type { ReceivedChange } from "./recentChanges";

export interface Latencies { readonly count: number; readonly min: number; readonly median: number; readonly max: number }

/**
 * The latencies of changes that arrived live. Changes recovered after an interruption are left out: they would measure the interruption.
 */
export function latenciesOf(received: readonly Pick<ReceivedChange, "latencyMs" | "caughtUp">[]): Latencies | undefined {
  const sorted = received.filter(({ caughtUp }) => !caughtUp).map(({ latencyMs }) => latencyMs).sort((a, b) => a - b);
  const min = sorted[0];
  const max = sorted.at(-1);
  const median = sorted[Math.floor((sorted.length - 1) / 2)];
  return min === undefined || max === undefined || median === undefined ? undefined : { count: sorted.length, min, median, max };
}
