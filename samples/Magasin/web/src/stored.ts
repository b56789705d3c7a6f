import { useSyncExternalStore } from "react";

/** A setting stored in this browser. Where storage is not allowed, it lasts as long as the page. */
export interface Stored<T extends string> {
  readonly get: () => T;
  readonly set: (next: T) => void;
  readonly subscribe: (listener: () => void) => () => void;
}

export function createStored<T extends string>(key: string, initial: () => T, accept: (text: string) => text is T): Stored<T> {
  const listeners = new Set<() => void>();
  const read = (): T => {
    try {
      const kept = localStorage.getItem(key);
      if (kept !== null && accept(kept)) return kept;
    } catch { /* not allowed here */ }
    return initial();
  };
  const keep = (next: T) => {
    try {
      localStorage.setItem(key, next);
    } catch { /* not allowed here */ }
  };
  let value = read();
  keep(value);
  return {
    get: () => value,
    set(next) {
      if (next === value) return;
      value = next;
      keep(next);
      for (const listener of [...listeners]) listener();
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

export function useStored<T extends string>(stored: Stored<T>): T {
  return useSyncExternalStore(stored.subscribe, stored.get, stored.get);
}
