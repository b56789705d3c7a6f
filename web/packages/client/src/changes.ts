import type { Carillon } from "./carillon.js";
import type { ChannelListener, Gap, PublicationMeta } from "./channel.js";
import type { CarillonError } from "./errors.js";

/** What was done to a row. */
export type ChangeOperation = "insert" | "update" | "delete";

/** One row of a live table was written. The values travel only where they are small; load what you need. */
export interface Change {
  /** The identifier of the change. */
  readonly id: string;
  /** The table. */
  readonly table: string;
  /** What was done. */
  readonly operation: ChangeOperation;
  /** The primary key as text; a JSON object for a key of several columns. */
  readonly key: string;
  /** The columns that were written. */
  readonly columns: readonly string[];
  /** The row, where it is small enough to travel along. */
  readonly row?: Readonly<Record<string, unknown>>;
  /** Who did it, when it came through the application. */
  readonly actor?: string;
  /** When, ISO-8601 in UTC on the server's clock. */
  readonly at: string;
}

/** Where and when a change arrived. */
export interface ChangeMeta extends PublicationMeta {
  /** Milliseconds from the write to here, by the estimate of the server's clock. */
  readonly latencyMs: number;
}

/** Whoever wants to know of changes. A plain function is taken as `onChange`. */
export interface ChangeListener {
  /** A row was written. */
  readonly onChange?: (change: Change, meta: ChangeMeta) => void;
  /** Changes of a table may be missing. */
  readonly onGap?: (gap: Gap) => void;
  /** A table's channel stands, at first and after every reconnection. */
  readonly onLive?: (answer: { readonly table: string; readonly recovered: boolean; readonly first: boolean }) => void;
  /** A table may not, or not any more, be listened to. */
  readonly onRefused?: (refusal: { readonly table: string; readonly error: CarillonError }) => void;
  /** Marks a screen, so that the log can say how many screens a change reached. */
  readonly screen?: boolean;
}

const prefix = "changes:";

/** The channel on which the changes of a table travel. */
export const changesChannel = (table: string) => prefix + table;

export function listenToChanges(
  carillon: Pick<Carillon, "channel" | "clock">,
  tables: readonly string[],
  listener: ChangeListener | ((change: Change, meta: ChangeMeta) => void),
): () => void {
  const { onChange, onGap, onLive, onRefused, screen }: ChangeListener = typeof listener === "function" ? { onChange: listener } : listener;
  const releases = [...new Set(tables)].map((table) => {
    const mine: ChannelListener<Change> = {
      ...(screen ? { screen } : {}),
      onPublication({ event, payload, meta }) {
        if (event === "change") onChange?.(payload, { ...meta, latencyMs: carillon.clock.since(payload.at) });
      },
      onGap: (gap) => onGap?.(gap),
      onSubscribed: ({ recovered, first }) => onLive?.({ table, recovered, first }),
      onRefused: (error) => onRefused?.({ table, error }),
    };
    return carillon.channel<Change>(changesChannel(table)).listen(mine);
  });
  return () => releases.forEach((release) => release());
}
