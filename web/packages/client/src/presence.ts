import type { Carillon } from "./carillon.js";
import type { Publication } from "./channel.js";
import type { CarillonError } from "./errors.js";
import { createStore, whileListened } from "./store.js";
import { retryWait } from "./waits.js";

/** Somebody who is in a channel. */
export interface Person {
  /** The stable identifier. */
  readonly id: string;
  /** The name to show, where there is one. */
  readonly name: string | null;
}

/**
 * Where a list of people stands.
 *
 * - `idle`: nobody looks at it.
 * - `loading`: it is being read, or the connection is awaited; what it shows was true a moment ago.
 * - `live`: it follows everybody who comes and goes.
 * - `refused`: the server does not tell who is there.
 */
export type PresenceState = "idle" | "loading" | "live" | "refused";

/** What can happen to a list of people. */
export type PresenceEvent = "followed" | "read" | "lost" | "denied" | "left";

/** The whole machine: from a state, by an event, to a state. What is not listed changes nothing. */
export const presenceTransitions: Readonly<Record<PresenceState, Partial<Readonly<Record<PresenceEvent, PresenceState>>>>> = {
  idle: { followed: "loading" },
  loading: { read: "live", denied: "refused", left: "idle" },
  live: { lost: "loading", denied: "refused", left: "idle" },
  refused: { lost: "loading", left: "idle" },
};

/** An immutable picture of who is there. */
export interface PresenceSnapshot {
  /** Who is there, in the order of the ids; the first ones of them where there are more than are kept. */
  readonly people: readonly Person[];
  /** How many are there, whether or not they are in the list. */
  readonly count: number;
  /** Where the list stands. */
  readonly state: PresenceState;
  /** Why it is refused. */
  readonly error?: CarillonError;
}

/** How much of a crowd to keep. */
export interface PresenceOptions {
  /** How many people to keep at most; 500 by default, more than a screen shows. The count is right all the same. */
  readonly most?: number;
}

/** Who is in a channel, followed as long as somebody looks. */
export interface Presence {
  /** The channel whose people these are. */
  readonly channel: string;
  /** The picture of now; the same object until something changes. */
  readonly getSnapshot: () => PresenceSnapshot;
  /** Follows the channel, and calls back after every change of the picture, until the returned function is called. */
  readonly subscribe: (listener: () => void) => () => void;
}

interface Movement { readonly joined: readonly Person[]; readonly left: readonly Person[]; readonly count: number }

const pageSize = 500;                          // the most that the server gives at once
const settleMs = 1000;                         // a crowd that arrives in several messages is not read again in between
const nobody: readonly Person[] = [];

export function createPresence(
  carillon: Pick<Carillon, "channel" | "request">, channel: string, most: number, waits: { readonly retryFirstMs: number; readonly retryMaxMs: number },
  onLeft: () => void = () => {},
): Presence {
  const store = createStore<PresenceSnapshot>({ people: nobody, count: 0, state: "idle" });
  const place = carillon.channel(channel);
  const news = carillon.channel("presence:" + channel);
  let people = new Map<string, Person>();
  let complete = false;                        // the list was read, and every movement since was heard
  let reading: { readonly heard: Movement[] } | undefined;
  let asked = false;
  let failures = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const move = (event: PresenceEvent, picture: { readonly count?: number; readonly error?: CarillonError } = {}) => {
    const before = store.get();
    const state = presenceTransitions[before.state][event] ?? before.state;
    const count = picture.count ?? before.count;
    const sorted = inOrder(people, most);
    const same = sorted.length === before.people.length && sorted.every((person, i) => person === before.people[i]);
    if (same && state === before.state && count === before.count) return;
    store.set({ people: same ? before.people : sorted, count, state, ...(picture.error ? { error: picture.error } : {}) });
  };

  const forget = (event: "denied" | "left", error?: CarillonError) => {
    clearTimeout(timer);
    reading = undefined;
    complete = false;
    failures = 0;
    people = new Map();
    move(event, { count: 0, ...(error ? { error } : {}) });
  };

  const read = async () => {
    clearTimeout(timer);
    complete = false;
    const mine: NonNullable<typeof reading> = { heard: [] };
    reading = mine;
    const found: Person[] = [];
    let count = 0;
    let cursor: string | undefined;
    do {
      const limit = Math.min(pageSize, Math.max(1, most - found.length));
      const answer = await carillon.request("presence", { channel, limit, ...(cursor === undefined ? {} : { cursor }) });
      if (reading !== mine) return;
      if (!answer.ok) {
        failed(answer.error);
        return;
      }
      const page = toPeople(answer["items"]);
      found.push(...page);
      count = Number(answer["count"]);
      cursor = typeof answer["next"] === "string" && page.length > 0 ? answer["next"] : undefined;
    } while (cursor !== undefined && found.length < most);

    // A movement and a page do not come in a fixed order: what was told meanwhile is told to what was read, and the last telling of each person is the true one.
    reading = undefined;
    complete = true;
    failures = 0;
    const known = people;
    people = new Map(found.map((person) => [person.id, sameAs(known.get(person.id), person)]));
    for (const movement of mine.heard) apply(people, movement);
    move("read", { count: mine.heard.at(-1)?.count ?? count });
  };

  const readSoon = () => {
    move("lost");
    if (asked) return;                         // a gap and the answer after it are one reason
    asked = true;
    queueMicrotask(() => {
      asked = false;
      if (news.getSnapshot().state === "subscribed" && store.get().state !== "idle") void read();
    });
  };

  const failed = (error: CarillonError) => {
    reading = undefined;
    if (!error.retryable) {
      forget("denied", error);
      return;
    }
    // Without a connection there is nothing to repeat: the subscription that comes after it reads anew.
    if (news.getSnapshot().state !== "subscribed") return;
    failures += 1;
    timer = setTimeout(() => void read(), retryWait(error, failures, waits));
  };

  const heard = ({ payload }: Publication) => {
    const movement = toMovement(payload);
    if (!movement) return;
    if (reading) {
      reading.heard.push(movement);
      return;
    }
    if (!complete) return;
    apply(people, movement);
    // More than are kept are not remembered either.
    if (people.size > most) people = new Map(inOrder(people, most).map((person) => [person.id, person]));
    move("read", { count: movement.count });
    clearTimeout(timer);
    if (isThin(people.size, movement.count, most)) timer = setTimeout(() => { if (complete) void read(); }, settleMs);
  };

  const begin = () => {
    move("followed");
    let overtaken = false;
    // Watched first: after a reconnection the place is then joined first, and who is in it may be asked at once.
    const stopWaiting = place.subscribe(() => {
      if (place.getSnapshot().state !== "subscribed") return;
      // Whoever is in a channel may see who else is: once it is joined, a refusal from before is no verdict, even if it is still on its way.
      overtaken = news.getSnapshot().state === "subscribing";
      news.askAgain();
      if (store.get().state === "refused" && news.getSnapshot().state === "subscribed") readSoon();
    });
    const leave = news.listen({
      onPublication: heard,
      onGap: readSoon,
      onSubscribed({ recovered }) {
        if (recovered && complete) move("read");
        else readSoon();
      },
      onRefused(error) {
        forget("denied", error);
        const asksAgain = overtaken;
        overtaken = false;
        if (asksAgain) news.askAgain();
      },
    });
    const stopWatching = news.subscribe(() => {
      if (news.getSnapshot().state !== "subscribing") return;
      clearTimeout(timer);
      reading = undefined;
      move("lost");
    });
    // Somebody else may follow it already, and then no answer comes.
    if (news.getSnapshot().state === "subscribed") readSoon();
    return () => {
      stopWatching();
      stopWaiting();
      leave();
      forget("left");
      onLeft();
    };
  };

  return { channel, getSnapshot: store.get, subscribe: whileListened(store, begin) };
}

/** Whether too few of a crowd are kept after people have left: those who were beyond the limit have moved up. */
export function isThin(kept: number, count: number, most: number): boolean {
  return count <= most ? kept < count : kept < most / 2;
}

function apply(people: Map<string, Person>, { joined, left }: Movement): void {
  for (const { id } of left) people.delete(id);
  for (const person of joined) people.set(person.id, sameAs(people.get(person.id), person));
}

// By code units, as the server sorts.
function inOrder(people: ReadonlyMap<string, Person>, most: number): readonly Person[] {
  return [...people.values()].sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)).slice(0, most);
}

function sameAs(known: Person | undefined, person: Person): Person {
  return known?.name === person.name ? known : person;
}

function toPeople(value: unknown): Person[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((item: unknown) => {
    if (typeof item !== "object" || item === null || !("id" in item) || typeof item.id !== "string") return [];
    return [{ id: item.id, name: "name" in item && typeof item.name === "string" ? item.name : null }];
  });
}

function toMovement(value: unknown): Movement | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { joined, left, count } = value as { joined?: unknown; left?: unknown; count?: unknown };
  return typeof count === "number" ? { joined: toPeople(joined), left: toPeople(left), count } : undefined;
}
