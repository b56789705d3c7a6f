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

/** The `subscribe` of a store that lives while somebody listens: begun with the first listener, ended one breath after the last has left. */
export function whileListened<T>(store: Store<T>, begin: () => () => void): Store<T>["subscribe"] {
  let listeners = 0;
  let end: (() => void) | undefined;
  return (listener) => {
    const release = store.subscribe(listener);
    let released = false;
    listeners += 1;
    end ??= begin();
    return () => {
      if (released) return;
      released = true;
      release();
      listeners -= 1;
      // One screen that follows another at once costs nothing.
      if (listeners === 0) setTimeout(() => {
        if (listeners > 0) return;
        end?.();
        end = undefined;
      }, 0);
    };
  };
}
