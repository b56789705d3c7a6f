import type { Transitions } from "./machine.js";

/**
 * The state of a {@link Coalescer}.
 *
 * - `idle`: nothing to do.
 * - `waiting`: waits for the end of the burst.
 * - `running`: runs.
 * - `running-again`: runs, and was notified since; another run follows.
 */
export type CoalescerState = "idle" | "waiting" | "running" | "running-again";

/** The events of a coalescer's state machine. */
export type CoalescerEvent = "notified" | "elapsed" | "finished";

/** The state machine of a coalescer. */
export const coalescerTransitions: Transitions<CoalescerState, CoalescerEvent> = {
  "idle": { notified: "waiting" },
  "waiting": { notified: "waiting", elapsed: "running" },
  "running": { notified: "running-again", finished: "idle" },
  "running-again": { notified: "running-again", finished: "waiting" },
};

/** Configures a {@link Coalescer}. */
export interface CoalescerOptions {
  /** Runs once per burst. When it returns a promise, the next run waits for it. */
  readonly run: () => void | Promise<unknown>;
  /** The pause that ends a burst, in milliseconds. 50 by default: too short to notice, long enough for the rows of a transaction. */
  readonly quietMs?: number;
  /** The longest time between two runs during a burst, in milliseconds. 250 by default. */
  readonly maxWaitMs?: number;
  /** Called when a run throws or rejects. The coalescer continues. */
  readonly onError?: (error: unknown) => void;
}

/** Combines a burst of notifications into one run. */
export interface Coalescer {
  /** Reports a change. */
  readonly notify: () => void;
  /** Discards what is waiting. A run in progress finishes and is not repeated. */
  readonly stop: () => void;
  /** The current state. */
  readonly state: () => CoalescerState;
}

/** Creates a {@link Coalescer}. */
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
