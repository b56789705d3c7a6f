import type { Change } from "@carillon/client";
import { useCarillon, useChanges } from "@carillon/react";
import { createContext, useCallback, useContext, useEffect, useMemo, useRef, useState, useSyncExternalStore, type ReactNode } from "react";
import { useSettings } from "../settings";

/** The live tables of the shop. */
export const liveTables = ["produits", "clients", "ventes"] as const;
export type LiveTable = (typeof liveTables)[number];

/** A received change. */
export interface ReceivedChange {
  readonly number: number;
  readonly change: Change;
  readonly latencyMs: number;
  readonly receivedAt: number;
  /** Made while this till was disconnected; its latency does not measure the network. */
  readonly caughtUp: boolean;
}

interface Feed {
  readonly get: () => readonly ReceivedChange[];
  readonly subscribe: (listener: () => void) => () => void;
  readonly add: (received: Omit<ReceivedChange, "number">) => void;
  readonly clear: () => void;
}

const kept = 300;

/** The latest changes, newest first. Listeners are called in batches, so that a burst of hundreds causes few renders. */
export function createFeed(schedule: (callback: () => void) => void = (callback) => void setTimeout(callback, 30)): Feed {
  let received: readonly ReceivedChange[] = [];
  let waiting: ReceivedChange[] = [];
  let number = 0;
  const listeners = new Set<() => void>();
  const flush = () => {
    received = [...waiting.reverse(), ...received].slice(0, kept);
    waiting = [];
    for (const listener of [...listeners]) listener();
  };
  return {
    get: () => received,
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    add(next) {
      waiting.push({ ...next, number: ++number });
      if (waiting.length === 1) schedule(flush);
    },
    clear() {
      received = [];
      for (const listener of [...listeners]) listener();
    },
  };
}

const FeedContext = createContext<Feed>(createFeed());

/** Listens to all changes while the page is open, so that the channels of a screen are subscribed when it opens. */
export function RecentChanges({ children }: { children: ReactNode }) {
  const [feed] = useState(() => createFeed());
  const carillon = useCarillon();

  useChanges(liveTables, (change, { latencyMs }) => {
    const receivedAt = Date.now();
    const { state, since } = carillon.getSnapshot();
    const caughtUp = state !== "connected" || receivedAt - latencyMs < since - 20;
    feed.add({ change, latencyMs, receivedAt, caughtUp });
  });

  return (
    <FeedContext value={feed}>
      {children}
      <Announcer feed={feed} />
    </FeedContext>
  );
}

/** Announces received changes to screen readers. */
function Announcer({ feed }: { feed: Feed }) {
  const { t } = useSettings();
  const [sentence, say] = useState("");
  const announced = useRef(0);

  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const speak = () => {
      timer = undefined;
      const unannounced = feed.get().filter(({ number }) => number > announced.current);
      if (unannounced.length === 0) return;
      announced.current = Math.max(...unannounced.map(({ number }) => number));
      const tables = [...new Set(unannounced.map(({ change }) => t.live.tables[change.table] ?? change.table))].join(", ");
      say(t.live.received(unannounced.length, tables));
    };
    const stop = feed.subscribe(() => { timer ??= setTimeout(speak, 1200); });
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, [feed, t]);

  return <p className="visually-hidden" aria-live="polite">{sentence}</p>;
}

export function useFeed() {
  const feed = useContext(FeedContext);
  const received = useSyncExternalStore(feed.subscribe, feed.get, feed.get);
  return useMemo(() => ({ received, clear: feed.clear }), [received, feed]);
}

const glowMs = 2600;

/**
 * Marks rows that changed a moment ago. The returned function gives the class of a row; it alternates between two names of the same
 * animation, because an animation does not restart under the same name.
 */
export function useGlow(table: LiveTable): (key: string) => string {
  const { received } = useFeed();
  const [, rerender] = useState(0);
  const [openedAt] = useState(() => Date.now());
  const newest = received[0]?.number;

  // Renders once more when the last highlight has ended, so that a later render for another reason does not restart it.
  useEffect(() => {
    if (newest === undefined) return undefined;
    const timer = setTimeout(() => rerender((n) => n + 1), glowMs);
    return () => clearTimeout(timer);
  }, [newest]);

  const now = Date.now();
  const recent = useMemo(() => {
    const byKey = new Map<string, ReceivedChange>();
    for (const item of received) if (item.change.table === table && !byKey.has(item.change.key)) byKey.set(item.change.key, item);
    return byKey;
  }, [received, table]);

  return useCallback((key) => {
    const item = recent.get(key);
    if (!item || now - item.receivedAt > glowMs || item.receivedAt < openedAt) return "";
    return item.number % 2 === 0 ? "glow-a" : "glow-b";
  }, [recent, now, openedAt]);
}

/** The class of a figure that changed since the last render. */
export function useGlowOnChange(value: string | number | undefined): string {
  const [seen, see] = useState<{ value: typeof value; turn: number }>({ value, turn: 0 });
  if (seen.value !== value) {
    see({ value, turn: seen.value === undefined ? 0 : seen.turn + 1 });
    return "";
  }
  return seen.turn === 0 ? "" : seen.turn % 2 === 0 ? "glow-a" : "glow-b";
}
