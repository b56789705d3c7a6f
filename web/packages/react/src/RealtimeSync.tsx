import { changes, changesChannel, channel, createCoalescer } from "@carillon/client";
import { useEffect, type ReactNode } from "react";
import { useCarillon } from "./CarillonProvider.js";
import { useLatest } from "./useLatest.js";

/** Options of {@link useRealtimeSync}. */
export interface RealtimeSyncOptions {
  /** The tables that the screen shows. */
  readonly tables: readonly string[];
  /** Reloads the screen's data. When it returns a promise, the next call waits until that has settled. */
  readonly onDataChanged: () => void | Promise<unknown>;
  /** The pause that ends a burst of changes, in milliseconds; 50 by default. */
  readonly coalesceMs?: number;
  /** The longest time between two reloads during a burst, in milliseconds; 250 by default. */
  readonly maxWaitMs?: number;
  /**
   * Whether to reload once when a channel is subscribed only after the screen was mounted; `true` by default. No event reports changes
   * that were made between the screen's own first load and that moment. A screen that mounts while its channels are subscribed needs no
   * reload.
   */
  readonly catchUp?: boolean;
}

/** The properties of {@link RealtimeSync}. */
export interface RealtimeSyncProps extends RealtimeSyncOptions {
  /** The screen. */
  readonly children?: ReactNode;
}

/**
 * Keeps a screen up to date: calls `onDataChanged` after changes of its tables, once per burst, and after a reconnection if changes may
 * have been missed. It is not called on mount: the screen loads its data itself.
 */
export function RealtimeSync({ children, ...options }: RealtimeSyncProps) {
  useRealtimeSync(options);
  return children;
}

/** {@link RealtimeSync} as a hook. */
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
      onError: (error) => carillon.log("warn", "a screen failed to reload", { error }),
    });
    const isSubscribed = (table: string) => channel(carillon, changesChannel(table)).getSnapshot().state === "subscribed";
    const late = new Set(catchUp ? names.filter((table) => !isSubscribed(table)) : []);

    const release = changes(carillon, names, {
      screen: true,
      onChange: notify,
      onGap: notify,
      onSubscribed({ table }) {
        if (late.delete(table)) notify();
      },
    });
    return () => {
      release();
      stop();
    };
  }, [carillon, key, coalesceMs, maxWaitMs, catchUp, latest]);
}
