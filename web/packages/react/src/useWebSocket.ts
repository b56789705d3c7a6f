import type { ConnectionSnapshot } from "@carillon/client";
import { useMemo, useSyncExternalStore } from "react";
import { useCarillon } from "./CarillonProvider.js";

/** The state of the connection, and the functions to open and close it. */
export interface UseWebSocketResult extends ConnectionSnapshot {
  /** Whether the state is `connected`. */
  readonly connected: boolean;
  /** Connects, or retries at once instead of waiting. */
  readonly connect: () => void;
  /** Closes the connection until `connect()`. */
  readonly disconnect: () => void;
}

/** The state of the connection, the session, and the functions to open and close it. */
export function useWebSocket(): UseWebSocketResult {
  const { subscribe, getSnapshot, connect, disconnect } = useCarillon();
  const snapshot = useSyncExternalStore(subscribe, getSnapshot, getSnapshot);
  return useMemo(
    () => ({ ...snapshot, connected: snapshot.state === "connected", connect, disconnect }),
    [snapshot, connect, disconnect],
  );
}
