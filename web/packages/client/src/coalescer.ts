/** Where a {@link Coalescer} stands: nothing to do, waiting for the burst to end, running, or running with news since. */
export type CoalescerState = "idle" | "waiting" | "running" | "running-again";

/** What can happen to a {@link Coalescer}. */
export type CoalescerEvent = "notified" | "elapsed" | "finished";

/** The whole machine: from a state, by an event, to a state. What is not listed changes nothing. */
export const coalescerTransitions: Readonly<Record<CoalescerState, Partial<Readonly<Record<CoalescerEvent, CoalescerState>>>>> = {
  "idle": { notified: "waiting" },
  "waiting": { notified: "waiting", elapsed: "running" },
  "running": { notified: "running-again", finished: "idle" },
  "running-again": { notified: "running-again", finished: "waiting" },
};

/** How a {@link Coalescer} waits. */
export interface CoalescerOptions {
  /** What to do once per burst. A promise is waited for: two runs never overlap. */
  readonly run: () => void | Promise<unknown>;
  /** Quiet time in milliseconds that ends a burst. 50 by default: no eye sees it, and a transaction's rows fit in. */
  readonly quietMs?: number;
  /** A burst that never ends still runs this often, in milliseconds. 250 by default. */
  readonly maxWaitMs?: number;
  /** Told when a run throws or rejects. The coalescer goes on. */
  readonly onError?: (error: unknown) => void;
}

/** Turns a burst of notifications into one run. */
export interface Coalescer {
  /** Says that something changed. */
  readonly notify: () => void;
  /** Forgets what is waiting; a run under way ends by itself and is not repeated. */
  readonly stop: () => void;
  /** Where it stands. */
  readonly state: () => CoalescerState;
}

/** Makes a {@link Coalescer}. */
export function createCoalescer({ run, quietMs = 50, maxWaitMs = 250, onError }: CoalescerOptions): Coalescer {
  let state: CoalescerState = "idle";
  let stopped = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let burstSince = 0;

  const move = (event: CoalescerEvent) => {
    const before = state;
    state = coalescerTransitions[state][event] ?? state;
    if (state === "waiting") {
      const now = Date.now();
      if (before !== "waiting") burstSince = now;
      clearTimeout(timer);
      timer = setTimeout(() => move("elapsed"), Math.max(0, Math.min(quietMs, burstSince + maxWaitMs - now)));
    }
    if (state === "running" && before === "waiting") void execute();
  };

  const execute = async () => {
    try {
      await run();
    } catch (error) {
      onError?.(error);
    }
    if (!stopped) move("finished");
  };

  return {
    notify() {
      if (!stopped) move("notified");
    },
    stop() {
      stopped = true;
      clearTimeout(timer);
      state = "idle";
    },
    state: () => state,
  };
}
