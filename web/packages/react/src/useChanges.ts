import { changes, type ChangeHandler, type ChangeListener } from "@carillon/client";
import { useEffect } from "react";
import { useCarillon } from "./CarillonProvider.js";
import { useLatest } from "./useLatest.js";

/** Listens to the changes of tables while the component is mounted. */
export function useChanges(tables: readonly string[], listener: ChangeListener | ChangeHandler): void {
  const carillon = useCarillon();
  const latest = useLatest(listener);
  const key = JSON.stringify(tables);      // an inline array is a new object at every render

  useEffect(() => {
    const callbacks = () => (typeof latest.current === "function" ? { onChange: latest.current } : latest.current);
    return changes(carillon, JSON.parse(key) as string[], {
      onChange: (change, meta) => callbacks().onChange?.(change, meta),
      onGap: (gap) => callbacks().onGap?.(gap),
      onSubscribed: (info) => callbacks().onSubscribed?.(info),
      onRefused: (refusal) => callbacks().onRefused?.(refusal),
      ...(callbacks().screen ? { screen: true } : {}),
    });
  }, [carillon, key, latest]);
}
