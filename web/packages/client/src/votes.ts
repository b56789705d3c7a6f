import type { Answer, Carillon } from "./carillon.js";
import type { ChannelState } from "./channel.js";
import type { CarillonError } from "./errors.js";
import { createStore, whileListened } from "./store.js";

/** For, against, or withdrawn. */
export type Vote = 1 | -1 | 0;

/** The votes for a suggestion. */
export interface Tally {
  /** The suggestion. */
  readonly suggestionId: string;
  /** How many are for it. */
  readonly up: number;
  /** How many are against it. */
  readonly down: number;
  /** The difference. */
  readonly score: number;
  /** Grows with every change of the tally. */
  readonly version: number;
  /** One's own vote, as far as it is known here. */
  readonly mine: Vote;
}

/** A suggestion as the HTTP API lists it. */
export interface KnownSuggestion {
  /** The suggestion. */
  readonly id: string;
  /** How many are for it. */
  readonly up: number;
  /** How many are against it. */
  readonly down: number;
  /** The version of the tally. */
  readonly version: number;
  /** One's own vote. */
  readonly myVote?: number;
}

/** An immutable picture of the votes. */
export interface VotesSnapshot {
  /** The tallies by suggestion, those that were learnt or told. */
  readonly tallies: ReadonlyMap<string, Tally>;
  /** Where the subscription stands. */
  readonly state: ChannelState;
  /** Why it is refused. */
  readonly error?: CarillonError;
}

/** The votes for suggestions, followed as long as somebody looks. */
export interface Votes {
  /** The picture of now; the same object until something changes. */
  readonly getSnapshot: () => VotesSnapshot;
  /** Follows the votes, and calls back after every change of the picture, until the returned function is called. */
  readonly subscribe: (listener: () => void) => () => void;
  /** Votes. A tally that is known shows it at once, and takes it back when the server refuses. */
  readonly vote: (suggestionId: string, value: Vote) => Promise<Answer>;
  /** Takes the tallies of suggestions that were loaded (`GET /api/suggestions`). What is older than what is known changes nothing. */
  readonly learn: (suggestions: Iterable<KnownSuggestion>) => void;
}

type Told = Pick<Tally, "up" | "down" | "version">;

/** A vote that the server has not answered yet: what was shown before, and what is shown instead. */
interface Wish { readonly value: Vote; readonly from: Vote; readonly before: Told | undefined; readonly answer: Promise<Answer> }

const votesChannel = "suggestions:votes";

export function createVotes(carillon: Pick<Carillon, "channel" | "request">): Votes {
  const channel = carillon.channel(votesChannel);
  const store = createStore<VotesSnapshot>({ tallies: new Map(), ...channel.getSnapshot() });
  const told = new Map<string, Told>();
  const mine = new Map<string, Vote>();
  const wishes = new Map<string, Wish>();

  const show = (...ids: readonly string[]) => {
    const { tallies: before, ...rest } = store.get();
    const tallies = new Map(before);
    for (const id of ids) {
      const wish = wishes.get(id);
      // While the answer to a vote is awaited nobody can say whether what is told meanwhile counts it already: it is shown after the answer.
      const base = wish?.before ?? told.get(id);
      if (base) tallies.set(id, tallyOf(id, base, wish?.before ? wish.from : undefined, wish?.value ?? mine.get(id) ?? 0));
    }
    if (ids.some((id) => !same(before.get(id), tallies.get(id)))) store.set({ ...rest, tallies });
  };

  const hear = (id: string, { up, down, version }: Told): boolean => {
    if (version <= (told.get(id)?.version ?? -1)) return false;
    told.set(id, { up, down, version });
    return true;
  };

  const begin = () => {
    const picture = () => store.set({ tallies: store.get().tallies, ...channel.getSnapshot() });
    const stopWatching = channel.subscribe(picture);
    const leave = channel.listen({
      onPublication({ payload }) {
        const tally = toTold(payload);
        if (tally && hear(tally.id, tally)) show(tally.id);
      },
    });
    picture();                                 // somebody else may listen already, and then nothing moves
    return () => {
      stopWatching();
      leave();
      store.set({ tallies: store.get().tallies, state: "unsubscribed" });
    };
  };

  return {
    getSnapshot: store.get,
    subscribe: whileListened(store, begin),
    async vote(id, value) {
      const earlier = wishes.get(id);
      const { before, from } = earlier ?? { before: told.get(id), from: mine.get(id) ?? 0 };
      // One after the other: the last click is the last vote.
      const ask = () => carillon.request("suggestion:vote", { suggestionId: id, value });
      const wish: Wish = { value, from, before, answer: earlier ? earlier.answer.then(ask) : ask() };
      wishes.set(id, wish);
      show(id);
      const answer = await wish.answer;
      if (answer.ok) {
        mine.set(id, value);
        const tally = toTold(answer);
        if (tally) hear(id, tally);
      }
      if (wishes.get(id) === wish) wishes.delete(id);
      show(id);
      return answer;
    },
    learn(suggestions) {
      const ids: string[] = [];
      for (const { id, myVote, ...tally } of suggestions) {
        if (!hear(id, tally) && tally.version !== told.get(id)?.version) continue;
        if (!wishes.has(id) && (myVote === 1 || myVote === -1 || myVote === 0)) mine.set(id, myVote);
        ids.push(id);
      }
      show(...ids);
    },
  };
}

// A tally in which one's own vote counted as `from`, and is to count as `to`.
function tallyOf(suggestionId: string, { up, down, version }: Told, from: Vote | undefined, to: Vote): Tally {
  const counted = from ?? to;
  const ups = up - Number(counted === 1) + Number(to === 1);
  const downs = down - Number(counted === -1) + Number(to === -1);
  return { suggestionId, up: ups, down: downs, score: ups - downs, version, mine: to };
}

function same(a: Tally | undefined, b: Tally | undefined): boolean {
  return a?.up === b?.up && a?.down === b?.down && a?.version === b?.version && a?.mine === b?.mine;
}

function toTold(value: unknown): (Told & { readonly id: string }) | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { suggestionId: id, up, down, version } = value as { suggestionId?: unknown; up?: unknown; down?: unknown; version?: unknown };
  return typeof id === "string" && typeof up === "number" && typeof down === "number" && typeof version === "number" ? { id, up, down, version } : undefined;
}
