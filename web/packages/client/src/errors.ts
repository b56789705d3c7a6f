/** What a code means to a person, and whether trying again can help. */
export interface ErrorExplanation {
  /** One sentence for a person. */
  readonly explanation: string;
  /** Whether the same request may succeed later without anybody changing anything. */
  readonly retryable: boolean;
}

/** Every code a Carillon server answers with. The same list exists in C#; the names never change. */
export const errorCodes = {
  "unauthorized": { explanation: "The token is missing or not acceptable.", retryable: false },
  "token-expired": { explanation: "The token was good but its time is over; a new one is needed.", retryable: false },
  "token-revoked": { explanation: "The token was withdrawn.", retryable: false },
  "token-replayed": { explanation: "The token may be used once and was used already.", retryable: false },
  "forbidden": { explanation: "This user may not do that.", retryable: false },
  "banned": { explanation: "This address or user is banned for a while.", retryable: false },
  "unknown-user": { explanation: "The user is not known here, or is disabled.", retryable: false },
  "unknown-channel": { explanation: "No area serves a channel of that name.", retryable: false },
  "unknown-event": { explanation: "The server knows no event of that name.", retryable: false },
  "invalid-payload": { explanation: "The argument does not have the form that is expected.", retryable: false },
  "payload-too-large": { explanation: "The message is larger than the server takes.", retryable: false },
  "rate-limited": { explanation: "Too many requests in a short time; wait and try again.", retryable: true },
  "too-many-connections": { explanation: "The limit of connections is reached; try again later.", retryable: true },
  "not-found": { explanation: "The thing does not exist.", retryable: false },
  "conflict": { explanation: "The thing was changed meanwhile, or does not allow this now.", retryable: false },
  "gone": { explanation: "The thing existed and was removed.", retryable: false },
  "unavailable": { explanation: "The server cannot answer at the moment; try again.", retryable: true },
  "server-closing": { explanation: "The server is shutting down or restarting; try again.", retryable: true },
  "slow-consumer": { explanation: "Too much was waiting for this client; reconnect and catch up.", retryable: true },
} as const satisfies Readonly<Record<string, ErrorExplanation>>;

/** The name of an error, stable for ever. */
export type ErrorCode = keyof typeof errorCodes;

/** An error as the server tells it, or as this client concludes it (`unavailable` when no answer came). */
export interface CarillonError {
  /** One of {@link ErrorCode}, or a code of the application itself. */
  readonly code: ErrorCode | (string & {});
  /** A sentence for a person, in the server's language. */
  readonly message: string;
  /** Whether trying again can help. */
  readonly retryable: boolean;
  /** Seconds to wait before trying again, when the server says so: from 0 to a day. */
  readonly retryAfter?: number;
  /** The event that was refused, when the error belongs to one. */
  readonly event?: string;
  /** The channel that was refused, when the error belongs to one. */
  readonly channel?: string;
}

/** Whether a text is one of the codes of the contract. */
export function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(errorCodes, code);
}

/** What a code means; codes of an application are taken as final. */
export function explain(code: string): ErrorExplanation {
  return isErrorCode(code) ? errorCodes[code] : { explanation: code, retryable: false };
}

// A day, in seconds: an application that makes a timer of it must not overflow it, for such a timer fires at once.
const longestRetryAfter = 86_400;

/** Reads an error out of whatever arrived. What is not an error of the contract becomes `unavailable`. */
export function toCarillonError(value: unknown, fallbackMessage?: string): CarillonError {
  if (typeof value !== "object" || value === null || !("code" in value) || typeof value.code !== "string")
    return unavailable(fallbackMessage);

  const told = value as { code: string; message?: unknown; retryable?: unknown; retryAfter?: unknown; event?: unknown; channel?: unknown };
  const known = explain(told.code);
  return {
    code: told.code,
    message: typeof told.message === "string" ? told.message : known.explanation,
    retryable: typeof told.retryable === "boolean" ? told.retryable : known.retryable,
    ...(typeof told.retryAfter === "number" && told.retryAfter >= 0 ? { retryAfter: Math.min(told.retryAfter, longestRetryAfter) } : {}),
    ...(typeof told.event === "string" ? { event: told.event } : {}),
    ...(typeof told.channel === "string" ? { channel: told.channel } : {}),
  };
}

/** No answer came, or none that could be read. */
export function unavailable(message: string = errorCodes.unavailable.explanation): CarillonError {
  return { code: "unavailable", message, retryable: true };
}
