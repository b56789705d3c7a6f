/** A position in a channel. Epoch and offset belong together: a new epoch means that the earlier history is gone. */
export interface Position {
  /** Identifies one life of the channel. */
  readonly epoch: string;
  /** The number of publications in this epoch so far. */
  readonly offset: number;
}

/** The metadata that accompanies every payload. */
export interface PublicationMeta extends Position {
  /** The channel it was published to. */
  readonly channel: string;
  /** The publication's identifier. */
  readonly id: string;
  /** The time of publication, ISO 8601 in UTC on the server's clock. */
  readonly at: string;
}

/** A publication on a channel. */
export interface Publication<T = unknown> {
  /** The event's name, such as `change` or `suggestion:vote`. */
  readonly event: string;
  /** The published value. */
  readonly payload: T;
  /** Its position, identifier and time. */
  readonly meta: PublicationMeta;
}

/** Handles a publication. */
export type PublicationHandler<T = unknown> = (publication: Publication<T>) => void;

/** Why publications may be missing. */
export type GapReason =
  /** The server could not replay everything since the last position. */
  | "not-recovered"
  /** The channel has a new epoch. */
  | "new-epoch"
  /** An offset was skipped. */
  | "skipped";

/** Publications may be missing; reload any copy of the data. */
export interface Gap {
  /** The channel with the gap. */
  readonly channel: string;
  /** Why publications may be missing. */
  readonly reason: GapReason;
  /** The last position received, if any. */
  readonly from?: Position;
  /** The channel's current position. */
  readonly to: Position;
}

/** How a publication follows the last position. */
export type SequenceCheck = "next" | "duplicate" | Extract<GapReason, "skipped" | "new-epoch">;

/** Compares a publication with the last position received. */
export function checkSequence(last: Position | undefined, next: Position): SequenceCheck {
  if (last === undefined) return "next";
  if (next.epoch !== last.epoch) return "new-epoch";
  if (next.offset <= last.offset) return "duplicate";
  return next.offset === last.offset + 1 ? "next" : "skipped";
}

/** Parses a position; undefined when it is not one. */
export function toPosition(value: unknown): Position | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { epoch, offset } = value as { epoch?: unknown; offset?: unknown };
  return typeof epoch === "string" && typeof offset === "number" ? { epoch, offset } : undefined;
}

/** Parses the second argument of an event; undefined when the event is not a publication. */
export function toPublicationMeta(value: unknown): PublicationMeta | undefined {
  const position = toPosition(value);
  if (!position) return undefined;
  const { channel, id, at } = value as { channel?: unknown; id?: unknown; at?: unknown };
  return typeof channel === "string" ? { channel, ...position, id: String(id ?? ""), at: String(at ?? "") } : undefined;
}
