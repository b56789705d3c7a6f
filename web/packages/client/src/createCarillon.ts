import { toPublicationMeta, type Publication } from "./channels/publication.js";
import type { Carillon, CarillonOptions } from "./client.js";
import { createClock } from "./clock.js";
import { createConnector } from "./connection/connector.js";
import { checkLiveness } from "./connection/liveness.js";
import { createRenewal } from "./connection/renewal.js";
import { createRequest } from "./connection/requests.js";
import { settingsOf } from "./connection/settings.js";
import { createSignIn } from "./connection/signIn.js";
import { createSocket } from "./connection/socket.js";
import { toCarillonError } from "./errors.js";
import { toSession } from "./session.js";

/** Creates a client. It opens no connection before `connect()`. */
export function createCarillon(options: CarillonOptions = {}): Carillon {
  const settings = settingsOf(options);
  const log: Carillon["log"] = (level, message, details) => options.logger?.[level]?.(message, ...(details ? [details] : []));
  const clock = createClock();
  const signIn = createSignIn(options.auth);
  const socket = createSocket(settings, (send) => signIn.handshake(send, (error) => connector.fail(error)));
  const connector = createConnector(socket, settings, signIn.canFetchToken, log);
  const request = createRequest(socket, clock, settings.requestTimeoutMs);
  const renewal = createRenewal({
    fetch: signIn.fetchToken,
    send: (token) => request("token:refresh", { token }),
    serverNow: () => Date.now() + clock.offsetMs,
    retryDelays: settings.retryDelays,
    log,
  });
  const publicationListeners = new Set<(publication: Publication) => void>();

  checkLiveness(socket, connector, clock, settings.pingTimeoutMs, log);

  socket.on("session", (value: unknown) => {
    const session = toSession(value);
    if (!session) return;
    clock.handshake(signIn.sentAt(), Date.now(), session.serverTime);
    connector.setSession(session);
    // Not earlier: the token expires on the server's clock, which is known only now.
    if (signIn.canFetchToken) renewal.start(signIn.tokenExpiresAt());
  });

  socket.on("disconnect", renewal.stop);

  socket.on("error", (value: unknown) => {
    const { code, event, channel } = toCarillonError(value);
    if (event === "token:refresh" && code === "token-expired" && signIn.canFetchToken) renewal.renewNow();
    log("warn", `the server reported ${code}`, { ...(event ? { event } : {}), ...(channel ? { channel } : {}) });
  });

  socket.onAny((event: string, payload: unknown, value: unknown) => {
    const meta = toPublicationMeta(value);
    if (!meta) return;
    clock.arrival(meta.at, Date.now());
    const publication: Publication = { event, payload, meta };
    for (const listener of [...publicationListeners]) listener(publication);
  });

  return {
    get state() { return connector.getSnapshot().state; },
    get session() { return connector.getSnapshot().session; },
    clock,
    retryDelays: settings.retryDelays,
    getSnapshot: connector.getSnapshot,
    subscribe: connector.subscribe,
    connect: connector.connect,
    disconnect: connector.disconnect,
    request,
    on(event, listener) {
      const entry = (...args: unknown[]) => listener(...args);
      socket.on(event, entry);
      return () => void socket.off(event, entry);
    },
    onPublication(listener) {
      const entry = (publication: Publication) => listener(publication);
      publicationListeners.add(entry);
      return () => publicationListeners.delete(entry);
    },
    log,
  };
}
