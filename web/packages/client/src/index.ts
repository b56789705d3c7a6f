export { createCarillon } from "./carillon.js";
export type { Answer, Carillon, CarillonOptions, CarillonLogger, Credentials, Fields } from "./carillon.js";
export { errorCodes, explain, isErrorCode, toCarillonError } from "./errors.js";
export type { CarillonError, ErrorCode, ErrorExplanation } from "./errors.js";
export { connectionTransitions } from "./connection.js";
export type { ConnectionEvent, ConnectionReason, ConnectionSnapshot, ConnectionState, Session, SessionUser } from "./connection.js";
export { renewalTransitions } from "./renewal.js";
export type { RenewalEvent, RenewalState } from "./renewal.js";
export { channelTransitions, receive } from "./channel.js";
export type {
  Channel,
  ChannelEvent,
  ChannelListener,
  ChannelSnapshot,
  ChannelState,
  Gap,
  GapReason,
  Position,
  Publication,
  PublicationMeta,
  Reception,
} from "./channel.js";
export type { Change, ChangeListener, ChangeMeta, ChangeOperation } from "./changes.js";
export { presenceTransitions } from "./presence.js";
export type { Person, Presence, PresenceEvent, PresenceOptions, PresenceSnapshot, PresenceState } from "./presence.js";
export type { KnownSuggestion, Tally, Vote, Votes, VotesSnapshot } from "./votes.js";
export { createCoalescer, coalescerTransitions } from "./coalescer.js";
export type { Coalescer, CoalescerEvent, CoalescerOptions, CoalescerState } from "./coalescer.js";
export type { ServerClock } from "./clock.js";
