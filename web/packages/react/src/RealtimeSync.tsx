import { createCoalescer } from "@carillon/client";
import { useEffect, type ReactNode } from "react";
import { useCarillon } from "./CarillonProvider.js";
import { useLatest } from "./useLatest.js";

/** What makes a screen live. */
export interface RealtimeSyncOptions {
  /** The tables the screen shows. */
  readonly tables: readonly string[];
  /** Loads the screen's data again. When it returns a promise, it is never called again before that one settled. */
  readonly onDataChanged: () => void | Promise<unknown>;
  /** Quiet time in milliseconds that ends a burst of changes; 50 by default. */
  readonly coalesceMs?: number;
  /** A burst that does not end still loads this often, in milliseconds; 250 by default. */
  readonly maxWaitMs?: number;
  /**
   * Whether to load once more when the subscription came to stand only after the screen was mounted; `true` by default.
   * What was written between the screen's own first load and that moment was heard by nobody. A screen that is
   * mounted while the subscription already stands is never called for it.
   */
  readonly catchUp?: boolean;
}

/** What {@link RealtimeSync} takes. */
export interface RealtimeSyncProps extends RealtimeSyncOptions {
  /** The screen. */
  readonly children?: ReactNode;
}

/**
 * Three lines around a screen make it live: `onDataChanged` is called after changes of the tables, once per burst, and after a
 * reconnection that may have missed some. Mounting does not call it: a screen loads itself.
 */
export function RealtimeSync({ children, ...options }: RealtimeSyncProps) {
  useRealtimeSync(options);
  return children;
}

/** {@link RealtimeSync} as a hook, for a component that has no place for a wrapper. */
export function useRealtimeSync({ tables, onDataChanged, coalesceMs = 50, maxWaitMs = 250, catchUp = true }: RealtimeSyncOptions): void {
  const carillon = useCarillon();
  const latest = useLatest(onDataChanged);
  const key = JSON.stringify(tables);

  useEffect(() => {
    const names = JSON.parse(key) as string[];
    const { notify, stop } = createCoalescer({
      run: () => latest.current(),
      quietMs: coalesceMs,
      maxWaitMs,
      onError: (error) => carillon.log("warn", "a screen could not load again", { error }),
    });
    const late = new Set(catchUp ? names.filter((table) => carillon.channel(`changes:${table}`).getSnapshot().state !== "subscribed") : []);

    const release = carillon.changes(names, {
      screen: true,
      onChange: notify,
      onGap: notify,
      onLive({ table }) {
        if (late.delete(table)) notify();
      },
    });
    return () => {
      release();
      stop();
    };
  }, [carillon, key, coalesceMs, maxWaitMs, catchUp, latest]);
}
