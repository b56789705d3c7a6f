import type { Socket } from "socket.io-client";
import type { Carillon, Fields, Reply } from "../client.js";
import type { MeasuredClock } from "../clock.js";
import { toCarillonError, unavailable } from "../errors.js";

/** Sends requests with acknowledgements. Every reply also measures the round trip. */
export function createRequest(socket: Socket, clock: MeasuredClock, timeoutMs: number): Carillon["request"] {
  return (event, argument) => new Promise<Reply>((resolve) => {
    if (!socket.connected) {
      resolve({ ok: false, error: unavailable("There is no connection.") });
      return;
    }
    const args = argument === undefined ? [] : [argument];
    const sentAt = Date.now();
    socket.timeout(timeoutMs).emit(event, ...args, (timeout: Error | null, reply: unknown) => {
      if (!timeout) clock.roundTrip(Date.now() - sentAt);
      resolve(timeout ? { ok: false, error: unavailable(`The server did not reply to ${event} in time.`) } : toReply(reply));
    });
  });
}

/** Parses an acknowledgement. A malformed one is the error `unavailable`. */
export function toReply(value: unknown): Reply {
  if (typeof value === "object" && value !== null && "ok" in value) {
    if (value.ok === true) return value as { ok: true } & Fields;
    if ("error" in value) return { ok: false, error: toCarillonError(value.error) };
  }
  return { ok: false, error: unavailable("The server's reply is malformed.") };
}
