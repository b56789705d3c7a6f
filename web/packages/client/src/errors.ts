/** The meaning of an error code. */
export interface ErrorExplanation {
  /** One sentence for people. */
  readonly explanation: string;
  /** Whether the same request may succeed later. */
  readonly retryable: boolean;
}

/** The error codes of a Carillon server. The server has the same list in C#; codes never change. */
export const errorCodes = {
  "unauthorized": { explanation: "The token is missing or invalid.", retryable: false },
  "token-expired": { explanation: "The token has expired; a new one is needed.", retryable: false },
  "token-revoked": { explanation: "The token was revoked.", retryable: false },
  "token-replayed": { explanation: "The single-use token was already used.", retryable: false },
  "forbidden": { explanation: "The user does not have permission.", retryable: false },
  "banned": { explanation: "The address or user is temporarily banned.", retryable: false },
  "unknown-user": { explanation: "The user is unknown or disabled.", retryable: false },
  "unknown-channel": { explanation: "No area matches the channel name.", retryable: false },
  "unknown-event": { explanation: "The event name is unknown.", retryable: false },
  "invalid-payload": { explanation: "The payload does not have the expected format.", retryable: false },
  "payload-too-large": { explanation: "The message exceeds the size limit.", retryable: false },
  "rate-limited": { explanation: "Too many requests; wait and try again.", retryable: true },
  "too-many-connections": { explanation: "The connection limit is reached; try again later.", retryable: true },
  "not-found": { explanation: "The resource does not exist.", retryable: false },
  "conflict": { explanation: "The request conflicts with the current state of the resource.", retryable: false },
  "gone": { explanation: "The resource was removed.", retryable: false },
  "unavailable": { explanation: "The server is temporarily unavailable; try again.", retryable: true },
  "server-closing": { explanation: "The server is shutting down or restarting; try again.", retryable: true },
  "slow-consumer": { explanation: "The client received too slowly; reconnect to catch up.", retryable: true },
} as const satisfies Readonly<Record<string, ErrorExplanation>>;

/** An error code of the server. Codes never change. */
export type ErrorCode = keyof typeof errorCodes;

/** An error from the server, or from this client (`unavailable` when no reply arrived). */
export interface CarillonError {
  /** An {@link ErrorCode}, or a code that the application defines. */
  readonly code: ErrorCode | (string & {});
  /** A sentence for people, in the server's language. */
  readonly message: string;
  /** Whether a retry may succeed. */
  readonly retryable: boolean;
  /** The delay before a retry in seconds, if the server requests one: from 0 to one day. */
  readonly retryAfter?: number;
  /** The event that was refused, if the error concerns one. */
  readonly event?: string;
  /** The channel that was refused, if the error concerns one. */
  readonly channel?: string;
}

/** Whether a string is an error code of the server. */
export function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(errorCodes, code);
}

/** Explains a code. Codes that the application defines count as not retryable. */
export function explain(code: string): ErrorExplanation {
  return isErrorCode(code) ? errorCodes[code] : { explanation: code, retryable: false };
}

// One day. A timer with a longer delay may overflow, and then it fires at once.
const longestRetryAfterSeconds = 86_400;

/** Parses an error. A value that is none becomes `unavailable`. */
export function toCarillonError(value: unknown, fallbackMessage?: string): CarillonError {
  if (typeof value !== "object" || value === null || !("code" in value) || typeof value.code !== "string")
    return unavailable(fallbackMessage);

  const received = value as { readonly code: string } & { readonly [name in keyof CarillonError]?: unknown };
  const { retryAfter } = received;
  const known = explain(received.code);
  return {
    code: received.code,
    message: typeof received.message === "string" ? received.message : known.explanation,
    retryable: typeof received.retryable === "boolean" ? received.retryable : known.retryable,
    ...(typeof retryAfter === "number" && retryAfter >= 0 ? { retryAfter: Math.min(retryAfter, longestRetryAfterSeconds) } : {}),
    ...(typeof received.event === "string" ? { event: received.event } : {}),
    ...(typeof received.channel === "string" ? { channel: received.channel } : {}),
  };
}

/** The error for a missing or malformed reply. */
export function unavailable(message: string = errorCodes.unavailable.explanation): CarillonError {
  return { code: "unavailable", message, retryable: true };
}
