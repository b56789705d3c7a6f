import { channel } from "./channels/channel.js";
import type { Gap, Publication, PublicationMeta } from "./channels/publication.js";
import type { ChannelListener, SubscribedInfo } from "./channels/subscription.js";
import type { Carillon } from "./client.js";
import type { CarillonError } from "./errors.js";

/** The operation that changed a row. */
export type ChangeOperation = "insert" | "update" | "delete";

/** A change of one row of a live table. Values are included only where they are small; load what you need. */
export interface Change {
  /** The change's identifier. */
  readonly id: string;
  /** The table. */
  readonly table: string;
  /** The operation. */
  readonly operation: ChangeOperation;
  /** The primary key as text; a JSON object for a composite key. */
  readonly key: string;
  /** The columns that were written. */
  readonly columns: readonly string[];
  /** The row, where it is small enough. */
  readonly row?: Readonly<Record<string, unknown>>;
  /** The user who made the change, when it was made through the application. */
  readonly actor?: string;
  /** The time of the change, ISO 8601 in UTC on the server's clock. */
  readonly at: string;
}

/** The metadata of a change. */
export interface ChangeMeta extends PublicationMeta {
  /** Milliseconds from the write to its arrival here, by the estimate of the server's clock. */
  readonly latencyMs: number;
}

/** Handles a change. */
export type ChangeHandler = (change: Change, meta: ChangeMeta) => void;

/** The callbacks of a listener of tables. All are optional. */
export interface ChangeListener {
  /** A row changed. */
  readonly onChange?: ChangeHandler;
  /** Changes of a table may be missing. */
  readonly onGap?: (gap: Gap) => void;
  /** A table's channel was subscribed, at first or after a reconnection. */
  readonly onSubscribed?: (info: SubscribedInfo & { readonly table: string }) => void;
  /** The server refused or revoked the subscription to a table. */
  readonly onRefused?: (refusal: { readonly table: string; readonly error: CarillonError }) => void;
  /** Marks a screen, so that the log can count the screens that a change reached. */
  readonly screen?: boolean;
}

/** The name of the channel that carries the changes of a table. */
export const changesChannel = (table: string) => `changes:${table}`;

/** Listens to the changes of tables, until the returned function is called. */
export function changes(client: Carillon, tables: readonly string[], listener: ChangeListener | ChangeHandler): () => void {
  const callbacks: ChangeListener = typeof listener === "function" ? { onChange: listener } : listener;
  const { onChange, onGap, onSubscribed, onRefused, screen } = callbacks;
  const releases = [...new Set(tables)].map((table) => {
    const channelListener: ChannelListener<Change> = {
      ...(screen ? { screen } : {}),
      onPublication(publication) {
        const { event, payload, meta } = publication;
        if (event !== "change") return;
        logOnce(client, publication);
        onChange?.(payload, { ...meta, latencyMs: client.clock.since(payload.at) });
      },
      onGap: (gap) => onGap?.(gap),
      onSubscribed: (info) => onSubscribed?.({ table, ...info }),
      onRefused: (error) => onRefused?.({ table, error }),
    };
    return channel<Change>(client, changesChannel(table)).listen(channelListener);
  });
  return () => releases.forEach((release) => release());
}

// Several listeners receive the same publication; the first one logs it.
const logged = /* @__PURE__ */ new WeakSet<Publication<Change>>();

function logOnce(client: Carillon, publication: Publication<Change>): void {
  if (logged.has(publication)) return;
  logged.add(publication);
  const { payload, meta } = publication;
  client.log("info", `change received: ${payload.operation}`, { channel: meta.channel, offset: meta.offset });
}
