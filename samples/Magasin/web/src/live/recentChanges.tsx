import type { Change } from "@carillon/client";
import { useCarillon, useChanges } from "@carillon/react";
import { createContext, useCallback, useContext, useEffect, useMemo, useRef, useState, useSyncExternalStore, type ReactNode } from "react";
import { useSettings } from "../settings";

/** The tables of the shop that announce their changes. */
export const liveTables = ["produits", "clients", "ventes"] as const;
export type LiveTable = (typeof liveTables)[number];

/** A change as it arrived here. */
export interface Heard {
  readonly number: number;
  readonly change: Change;
  readonly latencyMs: number;
  readonly receivedAt: number;
  /** Written while this till was away: its age says nothing about the speed of the network. */
  readonly caughtUp: boolean;
}

interface Feed {
  readonly get: () => readonly Heard[];
  readonly subscribe: (listener: () => void) => () => void;
  readonly add: (heard: Omit<Heard, "number">) => void;
  readonly clear: () => void;
}

const kept = 300;

/** The last changes, newest first. Told once per frame, so that a burst of hundreds costs a few renderings. */
export function createFeed(schedule: (callback: () => void) => void = (callback) => void setTimeout(callback, 30)): Feed {
  let heard: readonly Heard[] = [];
  let waiting: Heard[] = [];
  let number = 0;
  const listeners = new Set<() => void>();
  const flush = () => {
    heard = [...waiting.reverse(), ...heard].slice(0, kept);
    waiting = [];
    for (const listener of [...listeners]) listener();
  };
  return {
    get: () => heard,
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    add(next) {
      waiting.push({ ...next, number: ++number });
      if (waiting.length === 1) schedule(flush);
    },
    clear() {
      heard = [];
      for (const listener of [...listeners]) listener();
    },
  };
}

const FeedContext = createContext<Feed>(createFeed());

/** Hears every change for as long as the page is open, so that a screen finds its channels live when it is opened. */
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

/** Says in one sentence what arrived, to those who hear the screen instead of seeing it. */
function Announcer({ feed }: { feed: Feed }) {
  const { t } = useSettings();
  const [sentence, say] = useState("");
  const told = useRef(0);

  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const speak = () => {
      timer = undefined;
      const news = feed.get().filter(({ number }) => number > told.current);
      if (news.length === 0) return;
      told.current = Math.max(...news.map(({ number }) => number));
      const tables = [...new Set(news.map(({ change }) => t.live.tables[change.table] ?? change.table))].join(", ");
      say(t.live.received(news.length, tables));
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
  const heard = useSyncExternalStore(feed.subscribe, feed.get, feed.get);
  return useMemo(() => ({ heard, clear: feed.clear }), [heard, feed]);
}

const glowMs = 2600;

/**
 * Marks rows that changed a moment ago. The returned function gives the class of a row; it alternates between two names of the same
 * animation, because an animation of the same name does not begin again.
 */
export function useGlow(table: LiveTable): (key: string) => string {
  const { heard } = useFeed();
  const [, rerender] = useState(0);
  const [openedAt] = useState(() => Date.now());
  const newest = heard[0]?.number;

  // When the last glow is over the class goes, so that a row drawn anew for another reason stays calm.
  useEffect(() => {
    if (newest === undefined) return undefined;
    const timer = setTimeout(() => rerender((n) => n + 1), glowMs);
    return () => clearTimeout(timer);
  }, [newest]);

  const now = Date.now();
  const recent = useMemo(() => {
    const byKey = new Map<string, Heard>();
    for (const item of heard) if (item.change.table === table && !byKey.has(item.change.key)) byKey.set(item.change.key, item);
    return byKey;
  }, [heard, table]);

  return useCallback((key) => {
    const item = recent.get(key);
    if (!item || now - item.receivedAt > glowMs || item.receivedAt < openedAt) return "";
    return item.number % 2 === 0 ? "glow-a" : "glow-b";
  }, [recent, now, openedAt]);
}

/** Class of a figure that changed since it was last drawn. */
export function useGlowOnChange(value: string | number | undefined): string {
  const [seen, see] = useState<{ value: typeof value; turn: number }>({ value, turn: 0 });
  if (seen.value !== value) {
    see({ value, turn: seen.value === undefined ? 0 : seen.turn + 1 });
    return "";
  }
  return seen.turn === 0 ? "" : seen.turn % 2 === 0 ? "glow-a" : "glow-b";
}
