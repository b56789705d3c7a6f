import { retryDelay } from "./backoff.js";
import { channel } from "./channels/channel.js";
import type { Publication } from "./channels/publication.js";
import type { Carillon } from "./client.js";
import type { CarillonError } from "./errors.js";
import type { Transitions } from "./machine.js";
import { perClient } from "./perClient.js";
import { sweepLater } from "./release.js";
import { activeWhileObserved, createStore } from "./store.js";

/** A user who is present in a channel. */
export interface PresenceMember {
  /** The stable identifier. */
  readonly id: string;
  /** The display name, if any. */
  readonly name: string | null;
}

/**
 * The state of a presence list.
 *
 * - `idle`: nobody observes it.
 * - `loading`: it is being loaded, or the client waits for the connection; the list is the last one known.
 * - `live`: it follows every member who joins or leaves.
 * - `refused`: the server denies access; the list is empty.
 */
export type PresenceState = "idle" | "loading" | "live" | "refused";

/** The events of a presence list's state machine. */
export type PresenceEvent = "observed" | "loaded" | "outdated" | "refused" | "released";

/** The state machine of a presence list. */
export const presenceTransitions: Transitions<PresenceState, PresenceEvent> = {
  idle: { observed: "loading" },
  loading: { loaded: "live", refused: "refused", released: "idle" },
  live: { outdated: "loading", refused: "refused", released: "idle" },
  refused: { outdated: "loading", released: "idle" },
};

/** An immutable snapshot of a presence list. */
export interface PresenceSnapshot {
  /** The members, ordered by id; the first ones where there are more than the limit. */
  readonly members: readonly PresenceMember[];
  /** The number of members, in the list or not. */
  readonly count: number;
  /** The state of the list. */
  readonly state: PresenceState;
  /** Why access was denied. */
  readonly error?: CarillonError;
}

/** Limits a presence list. */
export interface PresenceOptions {
  /** The maximum number of members in the list; 500 by default, more than a screen shows. The count is exact in any case. */
  readonly limit?: number;
}

/** The members of a channel, kept up to date while somebody observes the list. */
export interface Presence {
  /** The channel. */
  readonly channel: string;
  /** The current list; the same object until something changes. */
  readonly getSnapshot: () => PresenceSnapshot;
  /** Observes the list: calls `listener` after every change of the snapshot, until the returned function is called. */
  readonly subscribe: (listener: () => void) => () => void;
}

/** The presence list of a channel; the same object for the same client, channel and limit while it is in use. */
export function presence(client: Carillon, channelName: string, { limit = 500 }: PresenceOptions = {}): Presence {
  const { lists, sweep } = presencesOf(client);
  const key = `${limit} ${channelName}`;
  let found = lists.get(key);
  if (!found) {
    found = createPresence(client, channelName, limit, sweep);
    lists.set(key, found);
    sweep();
  }
  return found;
}

const presencesOf = /* @__PURE__ */ perClient(() => {
  const lists = new Map<string, Presence>();
  const sweep = sweepLater(() => {
    for (const [key, { getSnapshot }] of lists) if (getSnapshot().state === "idle") lists.delete(key);
  });
  return { lists, sweep };
});

interface PresenceDiff { readonly joined: readonly PresenceMember[]; readonly left: readonly PresenceMember[]; readonly count: number }

const pageSize = 500;                          // the server's maximum
const settleMs = 1000;                         // a crowd that leaves in several messages causes one reload

function createPresence(client: Carillon, channelName: string, limit: number, onReleased: () => void): Presence {
  const store = createStore<PresenceSnapshot>({ members: [], count: 0, state: "idle" });
  const joined = channel(client, channelName);
  const updates = channel(client, `presence:${channelName}`);
  let members = new Map<string, PresenceMember>();
  let complete = false;                        // the list was loaded, and no update was missed since
  let loading: { readonly updates: PresenceDiff[] } | undefined;
  let loadRequested = false;
  let failures = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const move = (event: PresenceEvent, changes: { readonly count?: number; readonly error?: CarillonError } = {}) => {
    const before = store.get();
    const state = presenceTransitions[before.state][event] ?? before.state;
    const count = changes.count ?? before.count;
    const sorted = sortedMembers(members, limit);
    const same = sorted.length === before.members.length && sorted.every((member, i) => member === before.members[i]);
    if (same && state === before.state && count === before.count) return;
    store.set({ members: same ? before.members : sorted, count, state, ...(changes.error ? { error: changes.error } : {}) });
  };

  const clear = (event: "refused" | "released", error?: CarillonError) => {
    clearTimeout(timer);
    loading = undefined;
    complete = false;
    failures = 0;
    members = new Map();
    move(event, { count: 0, ...(error ? { error } : {}) });
  };

  const load = async () => {
    clearTimeout(timer);
    complete = false;
    const current: NonNullable<typeof loading> = { updates: [] };
    loading = current;
    const loaded: PresenceMember[] = [];
    let count = 0;
    let cursor: string | undefined;
    do {
      const page = { channel: channelName, limit: Math.min(pageSize, Math.max(1, limit - loaded.length)) };
      const reply = await client.request("presence", cursor === undefined ? page : { ...page, cursor });
      if (loading !== current) return;
      if (!reply.ok) {
        fail(reply.error);
        return;
      }
      const items = toMembers(reply["items"]);
      loaded.push(...items);
      count = Number(reply["count"]);
      cursor = typeof reply["next"] === "string" && items.length > 0 ? reply["next"] : undefined;
    } while (cursor !== undefined && loaded.length < limit);

    // Updates and pages arrive in no fixed order. Updates received while loading are applied to the loaded list: the last one about a
    // member is true.
    loading = undefined;
    complete = true;
    failures = 0;
    const known = members;
    members = new Map(loaded.map((member) => [member.id, reuse(known.get(member.id), member)]));
    for (const update of current.updates) apply(members, update);
    move("loaded", { count: current.updates.at(-1)?.count ?? count });
  };

  const requestLoad = () => {
    move("outdated");
    if (loadRequested) return;                 // a gap and the reply after it have one cause
    loadRequested = true;
    queueMicrotask(() => {
      loadRequested = false;
      if (updates.getSnapshot().state === "subscribed" && store.get().state !== "idle") void load();
    });
  };

  const fail = (error: CarillonError) => {
    loading = undefined;
    if (!error.retryable) {
      clear("refused", error);
      return;
    }
    // Without a connection there is nothing to retry: the list is loaded again after the next subscription.
    if (updates.getSnapshot().state !== "subscribed") return;
    failures += 1;
    timer = setTimeout(() => void load(), retryDelay(error, failures, client.retryDelays));
  };

  const onUpdate = ({ payload }: Publication) => {
    const update = toDiff(payload);
    if (!update) return;
    if (loading) {
      loading.updates.push(update);
      return;
    }
    if (!complete) return;
    apply(members, update);
    if (members.size > limit) members = new Map(sortedMembers(members, limit).map((member) => [member.id, member]));
    move("loaded", { count: update.count });
    clearTimeout(timer);
    if (needsReload(members.size, update.count, limit)) timer = setTimeout(() => { if (complete) void load(); }, settleMs);
  };

  const start = () => {
    move("observed");
    // Only the members of a channel may see its presence list. A refusal that the server sent before the channel was joined may arrive
    // after it; it is retried once.
    let refusalIsOutdated = false;
    // Watched first: after a reconnection the channel is then joined first, and the list can be loaded at once.
    const unwatchJoined = joined.subscribe(() => {
      if (joined.getSnapshot().state !== "subscribed") return;
      refusalIsOutdated = updates.getSnapshot().state === "subscribing";
      updates.retry();
      if (store.get().state === "refused" && updates.getSnapshot().state === "subscribed") requestLoad();
    });
    const release = updates.listen({
      onPublication: onUpdate,
      onGap: requestLoad,
      onSubscribed({ recovered }) {
        if (recovered && complete) move("loaded");
        else requestLoad();
      },
      onRefused(error) {
        clear("refused", error);
        const retry = refusalIsOutdated;
        refusalIsOutdated = false;
        if (retry) updates.retry();
      },
    });
    const unwatchUpdates = updates.subscribe(() => {
      if (updates.getSnapshot().state !== "subscribing") return;
      clearTimeout(timer);
      loading = undefined;
      move("outdated");
    });
    // With another listener the channel may be subscribed already; then no reply arrives.
    if (updates.getSnapshot().state === "subscribed") requestLoad();
    return () => {
      unwatchUpdates();
      unwatchJoined();
      release();
      clear("released");
      onReleased();
    };
  };

  return { channel: channelName, getSnapshot: store.get, subscribe: activeWhileObserved(store, start) };
}

/** Whether the list must be loaded again because it lacks members that would fit in: those beyond the limit move up when others leave. */
export function needsReload(listed: number, count: number, limit: number): boolean {
  return count <= limit ? listed < count : listed < limit / 2;
}

function apply(members: Map<string, PresenceMember>, { joined, left }: PresenceDiff): void {
  for (const { id } of left) members.delete(id);
  for (const member of joined) members.set(member.id, reuse(members.get(member.id), member));
}

// By code units, as the server sorts.
function sortedMembers(members: ReadonlyMap<string, PresenceMember>, limit: number): readonly PresenceMember[] {
  return [...members.values()].sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)).slice(0, limit);
}

// The same object while nothing changes, so that frameworks can compare by identity.
function reuse(known: PresenceMember | undefined, member: PresenceMember): PresenceMember {
  return known?.name === member.name ? known : member;
}

function toMembers(value: unknown): PresenceMember[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((item: unknown) => {
    if (typeof item !== "object" || item === null || !("id" in item) || typeof item.id !== "string") return [];
    return [{ id: item.id, name: "name" in item && typeof item.name === "string" ? item.name : null }];
  });
}

function toDiff(value: unknown): PresenceDiff | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { joined, left, count } = value as { joined?: unknown; left?: unknown; count?: unknown };
  return typeof count === "number" ? { joined: toMembers(joined), left: toMembers(left), count } : undefined;
}
