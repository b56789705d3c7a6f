/** A value that changes, and those who want to know: the shape `useSyncExternalStore` asks for. */
export interface Store<T> {
  readonly get: () => T;
  readonly set: (next: T) => void;
  readonly subscribe: (listener: () => void) => () => void;
}

export function createStore<T>(initial: T): Store<T> {
  let value = initial;
  const listeners = new Set<() => void>();
  return {
    get: () => value,
    set(next) {
      if (Object.is(next, value)) return;
      value = next;
      for (const listener of [...listeners]) listener();
    },
    subscribe(listener) {
      // A listener given twice is two listeners; each release takes back its own.
      const mine = () => listener();
      listeners.add(mine);
      return () => listeners.delete(mine);
    },
  };
}
