import { presence, type PresenceOptions, type PresenceSnapshot } from "@carillon/client";
import { useSyncExternalStore } from "react";
import { useCarillon } from "./CarillonProvider.js";

/** The members of a channel and their number, kept up to date while the component is mounted. The channel `null` observes nothing. */
export function usePresence(channel: string | null, options?: PresenceOptions): PresenceSnapshot {
  const { subscribe, getSnapshot } = presence(useCarillon(), channel ?? "", options);
  return useSyncExternalStore(channel === null ? subscribeToNothing : subscribe, getSnapshot, getSnapshot);
}

const subscribeToNothing = () => () => {};
