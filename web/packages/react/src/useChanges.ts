import type { Change, ChangeListener, ChangeMeta } from "@carillon/client";
import { useEffect } from "react";
import { useCarillon } from "./CarillonProvider.js";
import { useLatest } from "./useLatest.js";

/** Listens to the changes of tables while the component is mounted. */
export function useChanges(tables: readonly string[], listener: ChangeListener | ((change: Change, meta: ChangeMeta) => void)): void {
  const carillon = useCarillon();
  const latest = useLatest(listener);
  const key = JSON.stringify(tables);      // a list written in place is a new one at every rendering

  useEffect(() => {
    const now = () => (typeof latest.current === "function" ? { onChange: latest.current } : latest.current);
    return carillon.changes(JSON.parse(key) as string[], {
      onChange: (change, meta) => now().onChange?.(change, meta),
      onGap: (gap) => now().onGap?.(gap),
      onLive: (answer) => now().onLive?.(answer),
      onRefused: (refusal) => now().onRefused?.(refusal),
      ...(now().screen ? { screen: true } : {}),
    });
  }, [carillon, key, latest]);
}
