// What the server says, read with care: nothing of it is believed to have its form.
import type { Answer, Fields } from "./carillon.js";
import { toPosition, type PublicationMeta } from "./channel.js";
import type { Session } from "./connection.js";
import { toCarillonError, unavailable } from "./errors.js";

export function toAnswer(value: unknown): Answer {
  if (typeof value === "object" && value !== null && "ok" in value) {
    if (value.ok === true) return value as { ok: true } & Fields;
    if ("error" in value) return { ok: false, error: toCarillonError(value.error) };
  }
  return { ok: false, error: unavailable("The server's answer could not be read.") };
}

export function toMeta(value: unknown): PublicationMeta | undefined {
  const position = toPosition(value);
  if (!position) return undefined;
  const { channel, id, at } = value as { channel?: unknown; id?: unknown; at?: unknown };
  return typeof channel === "string" ? { channel, ...position, id: String(id ?? ""), at: String(at ?? "") } : undefined;
}

export function toSession(value: unknown): Session | undefined {
  if (typeof value !== "object" || value === null || !("connectionId" in value)) return undefined;
  const told = value as Partial<Session>;
  return {
    user: told.user ?? null,
    connectionId: String(told.connectionId),
    channels: told.channels ?? [],
    unread: told.unread ?? { notifications: 0, messages: 0 },
    serverTime: told.serverTime ?? "",
  };
}

// Another person is another set of roles.
export function rolesOf({ user }: Session): string {
  return JSON.stringify(user ? [user.id, ...[...(user.roles ?? [])].sort()] : null);
}

export function operationOf(payload: unknown): string {
  return typeof payload === "object" && payload !== null && "operation" in payload ? String(payload.operation) : "unknown";
}
