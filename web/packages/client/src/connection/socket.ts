import { io, type ManagerOptions, type Socket, type SocketOptions } from "socket.io-client";
import type { Settings } from "./settings.js";

/** Creates the stock client's socket, closed. `sendCredentials` runs at every handshake. */
export function createSocket(
  { url, path, transports, connectTimeoutMs, socket }: Settings, sendCredentials: (send: (credentials: object) => void) => void,
): Socket {
  const options: Partial<ManagerOptions & SocketOptions> = {
    transports: [...transports],
    // Where a network swallows WebSocket, long-polling is tried instead of waiting in vain.
    tryAllTransports: true,
    timeout: connectTimeoutMs,
    ...socket,
    path,
    forceNew: true,
    autoConnect: false,
    // The connector reconnects: refusals, announced restarts and "retry now" need one owner.
    reconnection: false,
    auth: sendCredentials,
  };
  return url === undefined ? io(options) : io(url, options);
}
