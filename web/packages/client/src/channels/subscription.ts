import { retryDelay } from "../backoff.js";
import type { Carillon } from "../client.js";
import { unavailable, type CarillonError } from "../errors.js";
import type { Transitions } from "../machine.js";
import { releaseAfterMs } from "../release.js";
import { createStore } from "../store.js";
import { checkSequence, toPosition } from "./publication.js";
import type { Gap, GapReason, Position, Publication, PublicationHandler } from "./publication.js";

/**
 * The state of a subscription.
 *
 * - `unsubscribed`: the channel has no listener.
 * - `subscribing`: the client waits for the server's reply, or for the connection.
 * - `subscribed`: publications arrive.
 * - `refused`: the server refused or revoked the subscription. A further listener or `retry()` subscribes again. So does the next
 *   connection, except after a revocation: then only if the user's roles have changed.
 */
export type ChannelState = "unsubscribed" | "subscribing" | "subscribed" | "refused";

/** The events of a subscription's state machine. */
export type ChannelEvent = "requested" | "accepted" | "refused" | "lost" | "connected" | "released";

/** The state machine of a subscription. */
export const channelTransitions: Transitions<ChannelState, ChannelEvent> = {
  unsubscribed: { requested: "subscribing" },
  subscribing: { accepted: "subscribed", refused: "refused", connected: "subscribing", released: "unsubscribed" },
  subscribed: { refused: "refused", lost: "subscribing", released: "unsubscribed" },
  refused: { requested: "subscribing", connected: "subscribing", released: "unsubscribed" },
};

/** An immutable snapshot of a subscription. */
export interface ChannelSnapshot {
  /** The state of the subscription. */
  readonly state: ChannelState;
  /** Why the server refused it, or why the last attempt failed. */
  readonly error?: CarillonError;
}

/** The result of subscribing, at first and after every reconnection. */
export interface SubscribedInfo {
  /** The channel's position. */
  readonly position: Position;
  /** Whether every publication since the last position was replayed. False for the first subscription. */
  readonly recovered: boolean;
  /** Whether the channel was not subscribed before. */
  readonly first: boolean;
}

/** The callbacks of a channel's listener. All are optional. */
export interface ChannelListener<T = unknown> {
  /** A publication arrived. Publications arrive in order and never twice. */
  readonly onPublication?: PublicationHandler<T>;
  /** Publications may be missing. */
  readonly onGap?: (gap: Gap) => void;
  /** The channel was subscribed, at first or after a reconnection. */
  readonly onSubscribed?: (info: SubscribedInfo) => void;
  /** The server refused or revoked the subscription. */
  readonly onRefused?: (error: CarillonError) => void;
  /** Marks a screen, so that the log can count the screens that a change reached. */
  readonly screen?: boolean;
}

/** A channel's subscription to the server, shared by all its listeners. The registry of channels calls the members below `isUsed`. */
export interface Subscription {
  readonly getSnapshot: () => ChannelSnapshot;
  readonly subscribe: (watcher: () => void) => () => void;
  readonly position: () => Position | undefined;
  readonly listen: (listener: ChannelListener) => () => void;
  readonly retry: () => void;
  /** Whether it has a listener or a watcher of its snapshot. */
  readonly isUsed: () => boolean;
  readonly onConnected: () => void;
  readonly onDisconnected: () => void;
  readonly onPublication: (publication: Publication) => void;
  readonly onSubscribedEvent: (result: SubscribeResult) => void;
  readonly onRevoked: (error: CarillonError) => void;
}

/** The server's reply to `subscribe`. */
export type SubscribeResult = Pick<SubscribedInfo, "position" | "recovered">;

interface PendingRequest {
  /** The position that the request contained, if any. */
  readonly since: Position | undefined;
  /** The result, from the event or from the acknowledgement; the other one of the two is an echo. */
  result?: SubscribeResult;
  echoed?: boolean;
}

/** Creates the subscription of a channel. `onUnused` is called when it has no listener and no watcher any more. */
export function createSubscription(name: string, client: Carillon, onUnused: () => void): Subscription {
  const store = createStore<ChannelSnapshot>({ state: "unsubscribed" });
  const listeners = new Set<ChannelListener>();
  let position: Position | undefined;
  let pending: PendingRequest | undefined;
  let mayBeSubscribed = false;                 // requested on this connection; the server may have accepted although no reply arrived
  let subscribedBefore = false;
  let revoked = false;
  let failures = 0;
  let retryTimer: ReturnType<typeof setTimeout> | undefined;
  let releaseTimer: ReturnType<typeof setTimeout> | undefined;      // runs from the last listener's release to the end of the subscription
  let watchers = 0;

  const isConnected = () => client.state === "connected";
  // While the release is pending nothing changes, so a screen that returns in time finds a subscription that missed nothing.
  const isHeld = () => listeners.size > 0 || releaseTimer !== undefined;

  const move = (event: ChannelEvent, error?: CarillonError) => {
    const before = store.get();
    const state = channelTransitions[before.state][event];
    if (state === undefined) return;
    if (state === before.state && error === before.error) return;
    store.set(error === undefined ? { state } : { state, error });
  };

  const notify = (call: (listener: ChannelListener) => void) => {
    for (const listener of [...listeners]) {
      // A listener that throws must not keep the event from the others.
      try {
        call(listener);
      } catch (error) {
        client.log("warn", "a channel listener failed", { channel: name, error });
      }
    }
  };

  const reportGap = (reason: GapReason, from: Position | undefined, to: Position) => {
    client.log("info", `gap in ${name}: ${reason}`, { channel: name });
    notify((listener) => listener.onGap?.({ channel: name, reason, to, ...(from ? { from } : {}) }));
  };

  const reportLoss = (from: Position | undefined, to: Position) =>
    reportGap(from?.epoch === to.epoch ? "not-recovered" : "new-epoch", from, to);

  const request = () => {
    revoked = false;
    failures = 0;
    move("requested");
    void subscribe();
  };

  const subscribe = async () => {
    clearTimeout(retryTimer);
    if (!isConnected() || !isHeld()) return;
    const current: PendingRequest = { since: position };
    pending = current;
    mayBeSubscribed = true;
    const reply = await client.request("subscribe", position ? { channel: name, since: position } : { channel: name });
    if (pending !== current) return;           // the connection closed or the last listener left in the meantime
    if (reply.ok) {
      const result = toSubscribeResult(reply);
      if (result) accept(current, result);
      else fail(unavailable("The server's reply to subscribe is malformed."));
    } else if (current.result === undefined) fail(reply.error);
  };

  const accept = (current: PendingRequest, result: SubscribeResult) => {
    if (current.result !== undefined) {
      current.echoed = true;
      return;
    }
    current.result = result;
    failures = 0;
    const before = position;
    const resumed = current.since !== undefined;
    position = positionAfter(before, resumed, result);
    const first = !subscribedBefore;
    subscribedBefore = true;
    move("accepted");
    client.log("debug", `subscribed to ${name}`, { channel: name, recovered: result.recovered });
    if (resumed && !result.recovered) reportLoss(before, result.position);
    notify((listener) => listener.onSubscribed?.({ position: result.position, recovered: resumed && result.recovered, first }));
  };

  const fail = (error: CarillonError) => {
    pending = undefined;
    if (!error.retryable) {
      mayBeSubscribed = false;
      client.log("warn", `subscription to ${name} refused: ${error.code}`, { channel: name });
      refuse(error);
      return;
    }
    failures += 1;
    store.set({ state: "subscribing", error });
    retryTimer = setTimeout(() => void subscribe(), retryDelay(error, failures, client.retryDelays));
  };

  const refuse = (error: CarillonError) => {
    move("refused", error);
    notify((listener) => listener.onRefused?.(error));
  };

  const release = () => {
    releaseTimer = undefined;
    clearTimeout(retryTimer);
    const unsubscribe = mayBeSubscribed && isConnected();
    mayBeSubscribed = false;
    pending = undefined;
    position = undefined;                      // the next listener loads its data itself and starts at the channel's position at that time
    subscribedBefore = false;
    revoked = false;
    failures = 0;
    move("released");
    if (unsubscribe) void client.request("unsubscribe", { channel: name });
    onUnused();
  };

  return {
    getSnapshot: store.get,
    subscribe(watcher) {
      const unsubscribe = store.subscribe(watcher);
      let released = false;
      watchers += 1;
      return () => {
        if (released) return;
        released = true;
        unsubscribe();
        watchers -= 1;
        if (watchers === 0 && !isHeld()) onUnused();
      };
    },
    position: () => position,
    listen(listener) {
      const entry = { ...listener };
      listeners.add(entry);
      clearTimeout(releaseTimer);
      releaseTimer = undefined;
      const { state } = store.get();
      if (state === "unsubscribed" || state === "refused") request();
      return () => {
        if (listeners.delete(entry) && listeners.size === 0) releaseTimer = setTimeout(release, releaseAfterMs);
      };
    },
    retry() {
      if (store.get().state === "refused" && listeners.size > 0) request();
    },
    isUsed: () => isHeld() || watchers > 0,
    onConnected() {
      if (!isHeld() || revoked) return;
      failures = 0;
      move("connected");
      void subscribe();
    },
    onDisconnected() {
      clearTimeout(retryTimer);
      pending = undefined;
      mayBeSubscribed = false;
      move("lost");
    },
    onPublication(publication) {
      // A publication may still arrive after the end of the subscription.
      if (!isHeld()) return;
      const before = position;
      const check = checkSequence(before, publication.meta);
      if (check === "duplicate") return;
      position = { epoch: publication.meta.epoch, offset: publication.meta.offset };
      if (check !== "next") reportGap(check, before, position);
      notify((listener) => listener.onPublication?.(publication));
      let screens = 0;
      for (const listener of listeners) if (listener.screen) screens += 1;
      if (screens > 0) client.log("info", `${screens} ${screens === 1 ? "screen" : "screens"} notified`, { channel: name });
    },
    onSubscribedEvent(result) {
      if (!isHeld() || pending === undefined) return;
      if (pending.result === undefined || (!pending.echoed && sameResult(pending.result, result))) {
        accept(pending, result);
        return;
      }
      // A further `subscribed` without recovery means that the server lost publications.
      if (result.recovered) return;
      const before = position;
      position = result.position;
      reportLoss(before, position);
    },
    onRevoked(error) {
      if (!isHeld()) return;
      pending = undefined;
      clearTimeout(retryTimer);
      client.log("warn", `subscription to ${name} revoked: ${error.code}`, { channel: name });
      revoked = true;
      mayBeSubscribed = false;
      refuse(error);
    },
  };
}

/** Parses the server's reply to `subscribe`; undefined when it is malformed. */
export function toSubscribeResult(value: unknown): SubscribeResult | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { position: unparsed, recovered } = value as { position?: unknown; recovered?: unknown };
  const position = toPosition(unparsed);
  return position ? { position, recovered: recovered === true } : undefined;
}

/**
 * The position after a reply to `subscribe`, where `resumed` means that the request contained a position. Publications may arrive before
 * the reply: the position never goes back within an epoch. After a full recovery the replayed publications advance it themselves.
 */
export function positionAfter(
  before: Position | undefined, resumed: boolean, { position, recovered }: SubscribeResult,
): Position | undefined {
  if (resumed && recovered) return before;
  return before && before.epoch === position.epoch && before.offset > position.offset ? before : position;
}

function sameResult(a: SubscribeResult, b: SubscribeResult): boolean {
  return a.recovered === b.recovered && a.position.epoch === b.position.epoch && a.position.offset === b.position.offset;
}
