import type { PresenceOptions, PresenceSnapshot } from "@carillon/client";
import { useSyncExternalStore } from "react";
import { useCarillon } from "./CarillonProvider.js";

/** Who is in a channel, and how many; followed while the component is mounted. `null` follows nothing. */
export function usePresence(channel: string | null, options?: PresenceOptions): PresenceSnapshot {
  const { subscribe, getSnapshot } = useCarillon().presence(channel ?? "", options);
  return useSyncExternalStore(channel === null ? never : subscribe, getSnapshot, getSnapshot);
}

const never = () => () => {};
