export { CarillonProvider, useCarillon } from "./CarillonProvider.js";
export type { CarillonProviderProps } from "./CarillonProvider.js";
export { useWebSocket } from "./useWebSocket.js";
export type { WebSocketView } from "./useWebSocket.js";
export { useChannel } from "./useChannel.js";
export type { ChannelReducer, ChannelView, ReducedChannelView } from "./useChannel.js";
export { useChanges } from "./useChanges.js";
export { RealtimeSync, useRealtimeSync } from "./RealtimeSync.js";
export type { RealtimeSyncOptions, RealtimeSyncProps } from "./RealtimeSync.js";
