import type { ChannelListener, ChannelSnapshot, Publication } from "@carillon/client";
import { useEffect, useReducer, useSyncExternalStore } from "react";
import { useCarillon } from "./CarillonProvider.js";
import { useLatest } from "./useLatest.js";

/** Where a subscription stands. */
export type ChannelView = ChannelSnapshot;

/** A value that is made of a channel's publications. */
export interface ChannelReducer<S, T = unknown> {
  /** What the value is before the first publication. */
  readonly initial: S;
  /** The value after a publication. It must not change the old one. */
  readonly reduce: (state: S, publication: Publication<T>) => S;
}

/** Where a subscription stands, and what its publications amount to. */
export interface ReducedChannelView<S> extends ChannelSnapshot {
  /** The value that the reducer made. */
  readonly data: S;
}

type Listener<T> = ChannelListener<T> | ((publication: Publication<T>) => void);

/** Listens to a channel while the component is mounted. `null` listens to nothing. */
export function useChannel<T = unknown>(name: string | null, listener: Listener<T>): ChannelView;
/** Listens to a channel while the component is mounted, and keeps what its publications amount to. */
export function useChannel<S, T = unknown>(name: string | null, reducer: ChannelReducer<S, T>): ReducedChannelView<S>;
export function useChannel<S, T>(name: string | null, given: Listener<T> | ChannelReducer<S, T>): ChannelView | ReducedChannelView<S> {
  const carillon = useCarillon();
  const channel = carillon.channel<T>(name ?? "");
  const latest = useLatest(given);
  const [kept, dispatch] = useReducer(reduceFor<S, T>, { name, data: isReducer(given) ? given.initial : undefined });

  useEffect(() => {
    if (name === null) return undefined;
    const listener = (): ChannelListener<T> | undefined => {
      const now = latest.current;
      return isReducer(now) ? undefined : typeof now === "function" ? { onPublication: now } : now;
    };
    return carillon.channel<T>(name).listen({
      onPublication(publication) {
        const now = latest.current;
        if (isReducer(now)) dispatch({ name, publication, reducer: now });
        else listener()?.onPublication?.(publication);
      },
      onGap: (gap) => listener()?.onGap?.(gap),
      onSubscribed: (answer) => listener()?.onSubscribed?.(answer),
      onRefused: (error) => listener()?.onRefused?.(error),
    });
  }, [carillon, name, latest]);

  const snapshot = useSyncExternalStore(channel.subscribe, channel.getSnapshot, channel.getSnapshot);
  if (!isReducer(given)) return snapshot;
  // What was made of another channel is not this one's.
  return { ...snapshot, data: kept.name === name ? (kept.data as S) : given.initial };
}

interface Kept<S> { readonly name: string | null; readonly data: S | undefined }
interface Step<S, T> { readonly name: string; readonly publication: Publication<T>; readonly reducer: ChannelReducer<S, T> }

function reduceFor<S, T>(kept: Kept<S>, { name, publication, reducer }: Step<S, T>): Kept<S> {
  const before = kept.name === name ? (kept.data as S) : reducer.initial;
  return { name, data: reducer.reduce(before, publication) };
}

function isReducer<S, T>(given: Listener<T> | ChannelReducer<S, T>): given is ChannelReducer<S, T> {
  return typeof given === "object" && "reduce" in given;
}
