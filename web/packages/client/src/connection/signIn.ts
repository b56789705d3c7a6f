import type { Credentials, Fields } from "../client.js";
import { unavailable, type CarillonError } from "../errors.js";
import { expiryOf } from "./renewal.js";

/** Sends the credentials of each handshake and remembers when, and until when their token is valid. */
export interface SignIn {
  /** Whether the application can supply a new token: it passed a function. */
  readonly canFetchToken: boolean;
  readonly fetchToken: () => Promise<unknown>;
  readonly handshake: (send: (credentials: object) => void, fail: (error: CarillonError) => void) => void;
  /** When the last credentials were sent, on the local clock. */
  readonly sentAt: () => number;
  /** When their token expires, on the server's clock, if known. */
  readonly tokenExpiresAt: () => number | undefined;
}

export function createSignIn(auth: Credentials | undefined): SignIn {
  let sentAt = 0;
  let tokenExpiresAt: number | undefined;
  const fetchCredentials = async (): Promise<Fields> => (typeof auth === "function" ? auth() : auth ?? {});
  return {
    canFetchToken: typeof auth === "function",
    fetchToken: async () => (await fetchCredentials())["token"],
    handshake(send, fail) {
      void fetchCredentials().then((credentials) => {
        sentAt = Date.now();
        tokenExpiresAt = expiryOf(credentials["token"]);
        send(credentials);
      }, (error: unknown) => fail(unavailable(`The credentials could not be fetched: ${String(error)}`)));
    },
    sentAt: () => sentAt,
    tokenExpiresAt: () => tokenExpiresAt,
  };
}
