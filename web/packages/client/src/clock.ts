/**
 * An estimate of the server's clock, so that latencies are correct although the clocks differ.
 *
 * A message with a server time arrives after that time. So the message with the shortest delay bounds the difference between the clocks,
 * and half of the shortest round trip estimates that delay. A busy moment, such as the loading of a page, adds bad samples but does not
 * spoil the best one.
 */
export interface ServerClock {
  /** Server time minus local time, in milliseconds; zero before the first handshake. */
  readonly offsetMs: number;
  /** The maximum error of the estimate if both directions take equally long; infinite before the first handshake. */
  readonly errorMs: number;
  /** Milliseconds since a time on the server's clock, never negative. */
  readonly since: (serverTime: string | number, localNow?: number) => number;
}

export interface MeasuredClock extends ServerClock {
  /**
   * Measures a handshake: when it was sent and answered (local), and the server time in the reply. Discards older messages, as clocks may
   * be set.
   */
  readonly handshake: (sentAt: number, answeredAt: number, serverTime: string | number) => void;
  /** Measures a message that was sent at a server time. */
  readonly arrival: (serverTime: string | number, localNow: number) => void;
  /** Measures the time from a request to its reply. */
  readonly roundTrip: (ms: number) => void;
}

export function createClock(): MeasuredClock {
  let bound = Number.NEGATIVE_INFINITY;
  let shortestTrip = Number.POSITIVE_INFINITY;
  const offset = () => (Number.isFinite(bound) && Number.isFinite(shortestTrip) ? bound + shortestTrip / 2 : 0);

  const arrival = (serverTime: string | number, localNow: number) => {
    const server = toMilliseconds(serverTime);
    if (!Number.isNaN(server)) bound = Math.max(bound, server - localNow);
  };
  const roundTrip = (ms: number) => {
    if (ms >= 0) shortestTrip = Math.min(shortestTrip, ms);
  };

  return {
    get offsetMs() { return offset(); },
    get errorMs() { return shortestTrip / 2; },
    handshake(sentAt, answeredAt, serverTime) {
      if (Number.isNaN(toMilliseconds(serverTime)) || answeredAt < sentAt) return;
      bound = Number.NEGATIVE_INFINITY;
      arrival(serverTime, answeredAt);
      roundTrip(answeredAt - sentAt);
    },
    arrival(serverTime, localNow) {
      if (Number.isFinite(bound)) arrival(serverTime, localNow);
    },
    roundTrip,
    since(serverTime, localNow = Date.now()) {
      const elapsed = localNow + offset() - toMilliseconds(serverTime);
      return Number.isNaN(elapsed) ? 0 : Math.max(0, elapsed);
    },
  };
}

const toMilliseconds = (time: string | number) => (typeof time === "number" ? time : Date.parse(time));
