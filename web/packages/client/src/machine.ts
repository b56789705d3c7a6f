/** A state machine as a table: from a state, by an event, to a state. An event that a state does not list changes nothing. */
export type Transitions<State extends string, Event extends string> = Readonly<Record<State, Partial<Readonly<Record<Event, State>>>>>;
