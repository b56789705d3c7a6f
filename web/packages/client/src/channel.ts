import { unavailable, type CarillonError } from "./errors.js";
import { createStore } from "./store.js";
import { retryWait } from "./waits.js";
import type { Answer } from "./carillon.js";

/** A place in a channel. Never one half without the other: a new epoch means that the history before it is gone. */
export interface Position {
  /** Which life of the channel. */
  readonly epoch: string;
  /** How many publications into that life. */
  readonly offset: number;
}

/** What arrives next to every payload. */
export interface PublicationMeta extends Position {
  /** The channel it was published on. */
  readonly channel: string;
  /** The publication's own identifier. */
  readonly id: string;
  /** When it was published, ISO-8601 in UTC on the server's clock. */
  readonly at: string;
}

/** One publication on a channel. */
export interface Publication<T = unknown> {
  /** The event's name, such as `change` or `suggestion:vote`. */
  readonly event: string;
  /** What was published. */
  readonly payload: T;
  /** Where it stands in the channel. */
  readonly meta: PublicationMeta;
}

/** Why publications may be missing. */
export type GapReason =
  /** The server could not replay everything since the last position. */
  | "not-recovered"
  /** The channel began a new life. */
  | "new-epoch"
  /** A number was jumped over. */
  | "skipped";

/** Publications may be missing; whoever keeps a copy should load it again. */
export interface Gap {
  /** The channel with the gap. */
  readonly channel: string;
  /** Why. */
  readonly reason: GapReason;
  /** The last position that was seen, when there was one. */
  readonly from?: Position;
  /** Where the channel stands now. */
  readonly to: Position;
}

/**
 * Where a subscription stands.
 *
 * - `unsubscribed`: nobody listens.
 * - `subscribing`: somebody listens; the answer of the server, or the connection, is awaited.
 * - `subscribed`: publications arrive.
 * - `refused`: the server said no, or took the subscription away. It is asked again when a further listener comes or `askAgain()` is called. After a no it is
 *   asked again with the next connection too; after being taken away only when the person's roles have changed by then.
 */
export type ChannelState = "unsubscribed" | "subscribing" | "subscribed" | "refused";

/** What can happen to a subscription. */
export type ChannelEvent = "wanted" | "accepted" | "denied" | "lost" | "connected" | "released";

/** The whole machine: from a state, by an event, to a state. What is not listed changes nothing. */
export const channelTransitions: Readonly<Record<ChannelState, Partial<Readonly<Record<ChannelEvent, ChannelState>>>>> = {
  unsubscribed: { wanted: "subscribing" },
  subscribing: { accepted: "subscribed", denied: "refused", connected: "subscribing", released: "unsubscribed" },
  subscribed: { denied: "refused", lost: "subscribing", released: "unsubscribed" },
  refused: { wanted: "subscribing", connected: "subscribing", released: "unsubscribed" },
};

/** An immutable picture of a subscription. */
export interface ChannelSnapshot {
  /** Where the subscription stands. */
  readonly state: ChannelState;
  /** Why it was refused, or why the last attempt failed. */
  readonly error?: CarillonError;
}

/** Whoever listens to a channel. Every member is optional. */
export interface ChannelListener<T = unknown> {
  /** A publication, in order and never twice. */
  readonly onPublication?: (publication: Publication<T>) => void;
  /** Publications may be missing. */
  readonly onGap?: (gap: Gap) => void;
  /** The subscription stands, at first and after every reconnection. `recovered` says whether nothing was missed since the last position. */
  readonly onSubscribed?: (answer: { readonly position: Position; readonly recovered: boolean; readonly first: boolean }) => void;
  /** The server said no, or took the subscription away. Nothing more arrives until it is asked again. */
  readonly onRefused?: (error: CarillonError) => void;
  /** Marks a screen, so that the log can say how many screens a change reached. */
  readonly screen?: boolean;
}

/** A channel of the server, shared by all who listen to it in this page. */
export interface Channel<T = unknown> {
  /** Its name. */
  readonly name: string;
  /** The picture of now; the same object until something changes. */
  readonly getSnapshot: () => ChannelSnapshot;
  /** Calls back after every change of the picture, until the returned function is called. */
  readonly subscribe: (listener: () => void) => () => void;
  /** The last position seen, when there is one. */
  readonly position: () => Position | undefined;
  /**
   * Listens. The first listener subscribes. One second after the last one was released, the channel is unsubscribed and forgotten; a
   * listener that comes before goes on with the subscription as it is. Releasing twice does nothing.
   */
  readonly listen: (listener: ChannelListener<T>) => () => void;
  /** Asks the server again after a refusal, for those who listen. Does nothing in other states. */
  readonly askAgain: () => void;
}

/** What to do with a publication that arrives. */
export type Reception = "deliver" | "repeat" | "skipped" | "new-epoch";

/** Decides from the last position what a publication is: the next one, a repeat, or the far side of a gap. */
export function receive(last: Position | undefined, next: Position): Reception {
  if (last === undefined) return "deliver";
  if (next.epoch !== last.epoch) return "new-epoch";
  if (next.offset <= last.offset) return "repeat";
  return next.offset === last.offset + 1 ? "deliver" : "skipped";
}

/** What a channel needs from the connection it lives on. */
export interface Wire {
  readonly isConnected: () => boolean;
  readonly request: (event: string, argument: unknown) => Promise<Answer>;
  readonly retryFirstMs: number;
  readonly retryMaxMs: number;
  /** How long a channel stays subscribed after its last listener has left. */
  readonly graceMs: number;
  /** Nobody uses the channel any more; it may be forgotten. */
  readonly unused: () => void;
  readonly log: (level: "debug" | "info" | "warn", message: string, details?: Readonly<Record<string, unknown>>) => void;
}

/** A channel seen from the connection: what arrives for it goes in here. */
export interface WiredChannel extends Channel {
  readonly connected: () => void;
  readonly disconnected: () => void;
  readonly publication: (publication: Publication) => void;
  readonly subscribedEvent: (answer: Subscribed) => void;
  readonly takenAway: (error: CarillonError) => void;
  /** The person's roles are others than they were. */
  readonly rolesChanged: () => void;
  /** Whether somebody listens to it or watches its picture. */
  readonly isUsed: () => boolean;
}

/** The server's answer to `subscribe`. */
export interface Subscribed {
  readonly position: Position;
  readonly recovered: boolean;
}

interface PendingRequest {
  /** The position that was sent along, if any. */
  readonly since: Position | undefined;
  /** What settled it. The event and the acknowledgement say the same; whichever comes second is an echo. */
  answer?: Subscribed;
  over?: boolean;
}

export function createChannel(name: string, wire: Wire): WiredChannel {
  const store = createStore<ChannelSnapshot>({ state: "unsubscribed" });
  const listeners = new Set<ChannelListener>();
  let position: Position | undefined;
  let request: PendingRequest | undefined;
  let mayBeSubscribed = false;                 // asked for on this connection; the server may have done it though no answer came in time
  let everSubscribed = false;
  let wasTakenAway = false;                    // what was taken away from this person is not asked for with every connection
  let failures = 0;
  let retryTimer: ReturnType<typeof setTimeout> | undefined;
  let leaving: ReturnType<typeof setTimeout> | undefined;      // runs from the last listener's release to the end of the subscription
  let watchers = 0;

  // Until then everything goes on as if somebody listened: a screen that comes back finds a subscription that has missed nothing.
  const isHeld = () => listeners.size > 0 || leaving !== undefined;

  const move = (event: ChannelEvent, error?: CarillonError) => {
    const before = store.get();
    const state = channelTransitions[before.state][event];
    if (state === undefined) return;
    if (state === before.state && error === before.error) return;
    store.set(error === undefined ? { state } : { state, error });
  };

  const tell = (call: (listener: ChannelListener) => void) => {
    for (const listener of [...listeners]) {
      // One screen that fails must not leave the others stale.
      try {
        call(listener);
      } catch (error) {
        wire.log("warn", "a listener failed", { channel: name, error });
      }
    }
  };

  const gap = (reason: GapReason, from: Position | undefined, to: Position) => {
    wire.log("info", `gap in ${name}: ${reason}`, { channel: name });
    tell((listener) => listener.onGap?.({ channel: name, reason, to, ...(from ? { from } : {}) }));
  };

  const ask = async () => {
    clearTimeout(retryTimer);
    if (!wire.isConnected() || !isHeld()) return;
    const mine: PendingRequest = { since: position };
    request = mine;
    mayBeSubscribed = true;
    const answer = await wire.request("subscribe", position ? { channel: name, since: position } : { channel: name });
    if (request !== mine) return;              // the connection, or everybody's interest, went away meanwhile
    if (answer.ok) {
      const told = toSubscribed(answer);
      if (told) settle(mine, told);
      else failed(unavailable("The server's answer to subscribe could not be read."));
    } else if (mine.answer === undefined) failed(answer.error);
  };

  const settle = (mine: PendingRequest, told: Subscribed) => {
    if (mine.answer !== undefined) {
      mine.over = true;
      return;                                  // the echo
    }
    mine.answer = told;
    failures = 0;
    const before = position;
    const missed = mine.since !== undefined && !told.recovered;
    // When all was recovered the replayed publications move the position themselves, whether they come before or after this answer.
    if (mine.since === undefined) position = later(position, told.position);
    else if (missed && !(position?.epoch === told.position.epoch && position.offset > told.position.offset)) position = told.position;
    const first = !everSubscribed;
    everSubscribed = true;
    move("accepted");
    wire.log("debug", `subscribed to ${name}`, { channel: name, recovered: told.recovered });
    if (missed) gap(before?.epoch === told.position.epoch ? "not-recovered" : "new-epoch", before, told.position);
    tell((listener) => listener.onSubscribed?.({ position: told.position, recovered: mine.since !== undefined && told.recovered, first }));
  };

  const failed = (error: CarillonError) => {
    request = undefined;
    if (!error.retryable) {
      mayBeSubscribed = false;
      wire.log("warn", `subscription to ${name} refused: ${error.code}`, { channel: name });
      refused(error);
      return;
    }
    failures += 1;
    store.set({ state: "subscribing", error });
    retryTimer = setTimeout(() => void ask(), retryWait(error, failures, wire));
  };

  const refused = (error: CarillonError) => {
    move("denied", error);
    tell((listener) => listener.onRefused?.(error));
  };

  const want = () => {
    wasTakenAway = false;
    failures = 0;
    move("wanted");
    void ask();
  };

  const askAgain = () => {
    if (store.get().state === "refused" && listeners.size > 0) want();
  };

  const release = () => {
    leaving = undefined;
    clearTimeout(retryTimer);
    const mayBe = mayBeSubscribed;
    mayBeSubscribed = false;
    request = undefined;
    position = undefined;                      // whoever comes next loads by itself and begins where the channel stands then
    everSubscribed = false;
    wasTakenAway = false;
    failures = 0;
    move("released");
    if (mayBe && wire.isConnected()) void wire.request("unsubscribe", { channel: name });
    wire.unused();
  };

  return {
    name,
    getSnapshot: store.get,
    subscribe(watcher) {
      const stop = store.subscribe(watcher);
      let stopped = false;
      watchers += 1;
      return () => {
        if (stopped) return;
        stopped = true;
        stop();
        watchers -= 1;
        if (watchers === 0 && !isHeld()) wire.unused();
      };
    },
    position: () => position,
    listen(listener) {
      const mine = { ...listener };
      listeners.add(mine);
      clearTimeout(leaving);
      leaving = undefined;
      const { state } = store.get();
      if (state === "unsubscribed" || state === "refused") want();
      return () => {
        if (listeners.delete(mine) && listeners.size === 0) leaving = setTimeout(release, wire.graceMs);
      };
    },
    askAgain,
    connected() {
      if (!isHeld() || wasTakenAway) return;
      failures = 0;
      move("connected");
      void ask();
    },
    disconnected() {
      clearTimeout(retryTimer);
      request = undefined;
      mayBeSubscribed = false;
      move("lost");
    },
    publication(publication) {
      // What is still on its way after the end of the subscription belongs to nobody.
      if (!isHeld()) return;
      const before = position;
      const reception = receive(before, publication.meta);
      if (reception === "repeat") return;
      position = { epoch: publication.meta.epoch, offset: publication.meta.offset };
      if (reception !== "deliver") gap(reception, before, position);
      tell((listener) => listener.onPublication?.(publication));
      let screens = 0;
      for (const listener of listeners) if (listener.screen) screens += 1;
      if (screens > 0) wire.log("info", `${screens} ${screens === 1 ? "screen" : "screens"} notified`, { channel: name });
    },
    subscribedEvent(told) {
      if (!isHeld() || request === undefined) return;
      if (request.answer === undefined || (!request.over && sameAnswer(request.answer, told))) {
        settle(request, told);
        return;
      }
      // In mid-stream the server says again where the channel stands: something was lost on its side.
      if (told.recovered) return;
      const before = position;
      position = told.position;
      gap(before?.epoch === told.position.epoch ? "not-recovered" : "new-epoch", before, told.position);
    },
    takenAway(error) {
      if (!isHeld()) return;
      request = undefined;
      clearTimeout(retryTimer);
      wire.log("warn", `subscription to ${name} taken away: ${error.code}`, { channel: name });
      wasTakenAway = true;
      mayBeSubscribed = false;
      refused(error);
    },
    rolesChanged: askAgain,
    isUsed: () => isHeld() || watchers > 0,
  };
}

export function toPosition(value: unknown): Position | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { epoch, offset } = value as { epoch?: unknown; offset?: unknown };
  return typeof epoch === "string" && typeof offset === "number" ? { epoch, offset } : undefined;
}

export function toSubscribed(value: unknown): Subscribed | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { position, recovered } = value as { position?: unknown; recovered?: unknown };
  const where = toPosition(position);
  return where ? { position: where, recovered: recovered === true } : undefined;
}

function later(a: Position | undefined, b: Position): Position {
  return a && a.epoch === b.epoch && a.offset > b.offset ? a : b;
}

function sameAnswer(a: Subscribed, b: Subscribed): boolean {
  return a.recovered === b.recovered && a.position.epoch === b.position.epoch && a.position.offset === b.position.offset;
}
