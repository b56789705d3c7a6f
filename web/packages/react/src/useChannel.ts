import { channel, type ChannelListener, type ChannelSnapshot, type Publication, type PublicationHandler } from "@carillon/client";
import { useEffect, useReducer, useSyncExternalStore } from "react";
import { useCarillon } from "./CarillonProvider.js";
import { useLatest } from "./useLatest.js";

/** Reduces the publications of a channel to a value. */
export interface ChannelReducer<S, T = unknown> {
  /** The value before the first publication. */
  readonly initial: S;
  /** Returns the value after a publication. It must not modify the previous one. */
  readonly reduce: (state: S, publication: Publication<T>) => S;
}

/** The state of a subscription, and the value reduced from its publications. */
export interface ReducedChannelSnapshot<S> extends ChannelSnapshot {
  /** The reduced value. */
  readonly data: S;
}

type Listener<T> = ChannelListener<T> | PublicationHandler<T>;

/** Listens to a channel while the component is mounted. The name `null` listens to nothing. */
export function useChannel<T = unknown>(name: string | null, listener: Listener<T>): ChannelSnapshot;
/** Reduces the publications of a channel to a value while the component is mounted. */
export function useChannel<S, T = unknown>(name: string | null, reducer: ChannelReducer<S, T>): ReducedChannelSnapshot<S>;
export function useChannel<S, T>(
  name: string | null, given: Listener<T> | ChannelReducer<S, T>,
): ChannelSnapshot | ReducedChannelSnapshot<S> {
  const carillon = useCarillon();
  const observed = channel<T>(carillon, name ?? "");
  const latest = useLatest(given);
  const [reduced, dispatch] = useReducer(applyPublication<S, T>, { name, data: isReducer(given) ? given.initial : undefined });

  useEffect(() => {
    if (name === null) return undefined;
    const callbacks = (): ChannelListener<T> | undefined => {
      const current = latest.current;
      return isReducer(current) ? undefined : typeof current === "function" ? { onPublication: current } : current;
    };
    return channel<T>(carillon, name).listen({
      onPublication(publication) {
        const current = latest.current;
        if (isReducer(current)) dispatch({ name, publication, reducer: current });
        else callbacks()?.onPublication?.(publication);
      },
      onGap: (gap) => callbacks()?.onGap?.(gap),
      onSubscribed: (info) => callbacks()?.onSubscribed?.(info),
      onRefused: (error) => callbacks()?.onRefused?.(error),
    });
  }, [carillon, name, latest]);

  const snapshot = useSyncExternalStore(observed.subscribe, observed.getSnapshot, observed.getSnapshot);
  if (!isReducer(given)) return snapshot;
  // A value reduced from another channel does not carry over.
  return { ...snapshot, data: reduced.name === name ? (reduced.data as S) : given.initial };
}

interface Reduced<S> { readonly name: string | null; readonly data: S | undefined }
interface Step<S, T> { readonly name: string; readonly publication: Publication<T>; readonly reducer: ChannelReducer<S, T> }

function applyPublication<S, T>(reduced: Reduced<S>, { name, publication, reducer }: Step<S, T>): Reduced<S> {
  const before = reduced.name === name ? (reduced.data as S) : reducer.initial;
  return { name, data: reducer.reduce(before, publication) };
}

function isReducer<S, T>(given: Listener<T> | ChannelReducer<S, T>): given is ChannelReducer<S, T> {
  return typeof given === "object" && "reduce" in given;
}
