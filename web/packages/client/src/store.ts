/** A value with subscribers, in the shape that `useSyncExternalStore` expects. */
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
      // A function passed twice is two listeners; each release removes its own.
      const entry = () => listener();
      listeners.add(entry);
      return () => listeners.delete(entry);
    },
  };
}

/**
 * The `subscribe` of a store that is active only while it has listeners: `start` runs with the first one, its result a task after the
 * last one left.
 */
export function activeWhileObserved<T>(store: Store<T>, start: () => () => void): Store<T>["subscribe"] {
  let listeners = 0;
  let stop: (() => void) | undefined;
  return (listener) => {
    const unsubscribe = store.subscribe(listener);
    let released = false;
    listeners += 1;
    stop ??= start();
    return () => {
      if (released) return;
      released = true;
      unsubscribe();
      listeners -= 1;
      // A screen that replaces another one in the same task costs nothing.
      if (listeners === 0) setTimeout(() => {
        if (listeners > 0) return;
        stop?.();
        stop = undefined;
      }, 0);
    };
  };
}
