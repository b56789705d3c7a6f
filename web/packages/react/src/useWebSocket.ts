import type { ConnectionSnapshot } from "@carillon/client";
import { useMemo, useSyncExternalStore } from "react";
import { useCarillon } from "./CarillonProvider.js";

/** The connection as a component sees it. */
export interface WebSocketView extends ConnectionSnapshot {
  /** Whether everything is live at this moment. */
  readonly connected: boolean;
  /** Connects, or tries at once instead of waiting. */
  readonly connect: () => void;
  /** Closes the connection until `connect()`. */
  readonly disconnect: () => void;
}

/** Where the connection stands, who this is, and how to open and close it. */
export function useWebSocket(): WebSocketView {
  const { subscribe, getSnapshot, connect, disconnect } = useCarillon();
  const snapshot = useSyncExternalStore(subscribe, getSnapshot, getSnapshot);
  return useMemo(
    () => ({ ...snapshot, connected: snapshot.state === "connected", connect, disconnect }),
    [snapshot, connect, disconnect],
  );
}
