import { channel } from "./channels/channel.js";
import type { ChannelState } from "./channels/subscription.js";
import type { Carillon, Reply } from "./client.js";
import type { CarillonError } from "./errors.js";
import { perClient } from "./perClient.js";
import { activeWhileObserved, createStore } from "./store.js";

/** A vote: for, against, or none. */
export type Vote = 1 | -1 | 0;

/** The votes for a suggestion. */
export interface Tally {
  /** The suggestion. */
  readonly suggestionId: string;
  /** The number of votes for it. */
  readonly up: number;
  /** The number of votes against it. */
  readonly down: number;
  /** The difference. */
  readonly score: number;
  /** Increases with every change of the tally. */
  readonly version: number;
  /** The user's own vote, as far as it is known here. */
  readonly mine: Vote;
}

/** A suggestion's tally as the HTTP API lists it. */
export interface TallySeed {
  /** The suggestion. */
  readonly id: string;
  /** The number of votes for it. */
  readonly up: number;
  /** The number of votes against it. */
  readonly down: number;
  /** The version of the tally. */
  readonly version: number;
  /** The user's own vote. */
  readonly myVote?: number;
}

/** An immutable snapshot of the votes. */
export interface VotesSnapshot {
  /** The known tallies by suggestion. */
  readonly tallies: ReadonlyMap<string, Tally>;
  /** The state of the subscription. */
  readonly state: ChannelState;
  /** Why the server refused the subscription. */
  readonly error?: CarillonError;
}

/** The votes for suggestions, kept up to date while somebody observes them. */
export interface Votes {
  /** The current tallies; the same object until something changes. */
  readonly getSnapshot: () => VotesSnapshot;
  /** Observes the votes: calls `listener` after every change of the snapshot, until the returned function is called. */
  readonly subscribe: (listener: () => void) => () => void;
  /** Casts a vote. A known tally shows it at once and is rolled back if the server refuses. */
  readonly vote: (suggestionId: string, value: Vote) => Promise<Reply>;
  /** Adds tallies loaded over HTTP (`GET /api/suggestions`). A tally older than the known one is ignored. */
  readonly seed: (suggestions: Iterable<TallySeed>) => void;
}

/** The votes for suggestions; the same object for the same client. */
export const votes: (client: Carillon) => Votes = /* @__PURE__ */ perClient(createVotes);

type ServerTally = Pick<Tally, "up" | "down" | "version">;

/** A vote without a reply yet: the state before it and the value shown in the meantime. */
interface PendingVote {
  readonly value: Vote;
  readonly from: Vote;
  readonly before: ServerTally | undefined;
  readonly reply: Promise<Reply>;
}

const votesChannel = "suggestions:votes";

function createVotes(client: Carillon): Votes {
  const updates = channel(client, votesChannel);
  const store = createStore<VotesSnapshot>({ tallies: new Map(), ...updates.getSnapshot() });
  const serverTallies = new Map<string, ServerTally>();
  const ownVotes = new Map<string, Vote>();
  const pendingVotes = new Map<string, PendingVote>();

  const publish = (...ids: readonly string[]) => {
    const { tallies: before, ...rest } = store.get();
    const tallies = new Map(before);
    for (const id of ids) {
      const pending = pendingVotes.get(id);
      // A tally that arrives while a vote is pending may or may not include it. It is shown after the reply.
      const base = pending?.before ?? serverTallies.get(id);
      if (base) tallies.set(id, tallyOf(id, base, pending?.before ? pending.from : undefined, pending?.value ?? ownVotes.get(id) ?? 0));
    }
    if (ids.some((id) => !sameTally(before.get(id), tallies.get(id)))) store.set({ ...rest, tallies });
  };

  const accept = (id: string, { up, down, version }: ServerTally): boolean => {
    if (version <= (serverTallies.get(id)?.version ?? -1)) return false;
    serverTallies.set(id, { up, down, version });
    return true;
  };

  const start = () => {
    const publishState = () => store.set({ tallies: store.get().tallies, ...updates.getSnapshot() });
    const unwatch = updates.subscribe(publishState);
    const release = updates.listen({
      onPublication({ payload }) {
        const tally = toServerTally(payload);
        if (tally && accept(tally.id, tally)) publish(tally.id);
      },
    });
    publishState();                            // with another listener the channel may be subscribed already
    return () => {
      unwatch();
      release();
      store.set({ tallies: store.get().tallies, state: "unsubscribed" });
    };
  };

  return {
    getSnapshot: store.get,
    subscribe: activeWhileObserved(store, start),
    async vote(id, value) {
      const earlier = pendingVotes.get(id);
      const { before, from } = earlier ?? { before: serverTallies.get(id), from: ownVotes.get(id) ?? 0 };
      // One request at a time, so that the last click is the last vote.
      const send = () => client.request("suggestion:vote", { suggestionId: id, value });
      const pending: PendingVote = { value, from, before, reply: earlier ? earlier.reply.then(send) : send() };
      pendingVotes.set(id, pending);
      publish(id);
      const reply = await pending.reply;
      if (reply.ok) {
        ownVotes.set(id, value);
        const tally = toServerTally(reply);
        if (tally) accept(id, tally);
      }
      if (pendingVotes.get(id) === pending) pendingVotes.delete(id);
      publish(id);
      return reply;
    },
    seed(suggestions) {
      const ids: string[] = [];
      for (const { id, myVote, ...tally } of suggestions) {
        if (!accept(id, tally) && tally.version !== serverTallies.get(id)?.version) continue;
        if (!pendingVotes.has(id) && (myVote === 1 || myVote === -1 || myVote === 0)) ownVotes.set(id, myVote);
        ids.push(id);
      }
      publish(...ids);
    },
  };
}

// Replaces the user's vote in a tally: `from` is the value that the tally includes, `to` the value to show.
function tallyOf(suggestionId: string, { up, down, version }: ServerTally, from: Vote | undefined, to: Vote): Tally {
  const counted = from ?? to;
  const ups = up - Number(counted === 1) + Number(to === 1);
  const downs = down - Number(counted === -1) + Number(to === -1);
  return { suggestionId, up: ups, down: downs, score: ups - downs, version, mine: to };
}

function sameTally(a: Tally | undefined, b: Tally | undefined): boolean {
  return a?.up === b?.up && a?.down === b?.down && a?.version === b?.version && a?.mine === b?.mine;
}

function toServerTally(value: unknown): (ServerTally & { readonly id: string }) | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { suggestionId: id, up, down, version } = value as { suggestionId?: unknown; up?: unknown; down?: unknown; version?: unknown };
  if (typeof id !== "string" || typeof up !== "number" || typeof down !== "number" || typeof version !== "number") return undefined;
  return { id, up, down, version };
}
