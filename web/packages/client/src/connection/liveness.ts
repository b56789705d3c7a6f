import type { Socket } from "socket.io-client";
import type { Carillon } from "../client.js";
import type { MeasuredClock } from "../clock.js";
import type { Connector } from "./connector.js";
import { toReply } from "./requests.js";
import { watchWakeSignals } from "./wakeSignals.js";

/**
 * Checks the connection after the page was asleep, offline or in the background, because it may have ended unnoticed. What the browser
 * reports is a hint and no proof: a page may reach a server on its own machine while it is offline. The server's reply to a ping is
 * proof.
 */
export function checkLiveness(socket: Socket, connector: Connector, clock: MeasuredClock, timeoutMs: number, log: Carillon["log"]): void {
  let pending: object | undefined;
  let stopWatching: (() => void) | undefined;

  const ping = () => {
    if (pending) return;
    const current = {};
    pending = current;
    const sentAt = Date.now();
    socket.timeout(timeoutMs).emit("ping", (timeout: Error | null, value: unknown) => {
      if (pending !== current) return;         // that connection has ended
      pending = undefined;
      if (timeout) {
        log("info", "the server did not answer a ping; reconnecting");
        connector.dropUnresponsive();
        return;
      }
      // Any reply proves that the connection works, a refusal too. The clocks may have been set since the handshake.
      const reply = toReply(value);
      if (reply.ok) clock.handshake(sentAt, Date.now(), String(reply["serverTime"]));
    });
  };

  const onWake = () => {
    if (connector.getSnapshot().state === "connected") ping();
    else connector.retryNow();
  };
  const onOffline = () => {
    if (connector.getSnapshot().state === "connected") ping();
    else connector.reportOffline();
  };

  socket.on("disconnect", () => { pending = undefined; });
  connector.subscribe(() => {
    const { state } = connector.getSnapshot();
    const active = state !== "disconnected" && state !== "refused";
    if (active) stopWatching ??= watchWakeSignals(onWake, onOffline);
    else {
      stopWatching?.();
      stopWatching = undefined;
    }
  });
}
