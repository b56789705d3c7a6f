/** The user that the connection belongs to. */
export interface SessionUser {
  /** The stable identifier. */
  readonly id: string;
  /** The display name. */
  readonly name: string;
  /** The user's roles. */
  readonly roles: readonly string[];
}

/** The server's first message on every connection. */
export interface Session {
  /** The user, or `null` where the host admits clients without a token. */
  readonly user: SessionUser | null;
  /** The identifier of this connection in the server's logs. */
  readonly connectionId: string;
  /** The channels that the server joined on the user's behalf. */
  readonly channels: readonly string[];
  /** The initial unread counters. */
  readonly unread: { readonly notifications: number; readonly messages: number };
  /** The server's clock, ISO 8601 in UTC. */
  readonly serverTime: string;
}

/** Parses the `session` event; undefined when it is not one. */
export function toSession(value: unknown): Session | undefined {
  if (typeof value !== "object" || value === null || !("connectionId" in value)) return undefined;
  const received = value as Partial<Session>;
  return {
    user: received.user ?? null,
    connectionId: String(received.connectionId),
    channels: received.channels ?? [],
    unread: received.unread ?? { notifications: 0, messages: 0 },
    serverTime: received.serverTime ?? "",
  };
}

/** Whether two sessions have the same user with the same roles, in any order. */
export function sameIdentity(a: Session, b: Session): boolean {
  return identityOf(a) === identityOf(b);
}

function identityOf({ user }: Session): string {
  return JSON.stringify(user ? [user.id, ...[...(user.roles ?? [])].sort()] : null);
}
