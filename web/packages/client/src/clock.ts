/**
 * What this client knows of the server's clock, so that latencies can be shown on machines whose clocks differ.
 *
 * Whatever carries a server time arrives after that time. The arrival with the least delay therefore bounds the difference of the clocks,
 * and half of the shortest round trip is how long that arrival was on its way. Busy moments, such as the loading of a page, only
 * make other samples worse; they do not spoil the best one.
 */
export interface ServerClock {
  /** Server time minus local time in milliseconds. Zero until a handshake was measured. */
  readonly offsetMs: number;
  /** The estimate is off by this much at most when the way there takes as long as the way back; infinite until a handshake was measured. */
  readonly errorMs: number;
  /** Milliseconds from a moment on the server's clock until now, never below zero. */
  readonly since: (serverTime: string | number, localNow?: number) => number;
}

export interface MeasuredClock extends ServerClock {
  /** A handshake: asked at, answered at (local), and what the server's clock said in between. Earlier arrivals are forgotten: clocks are set. */
  readonly handshake: (askedAt: number, answeredAt: number, serverTime: string | number) => void;
  /** Something that was sent at a server time arrived. */
  readonly arrival: (serverTime: string | number, localNow: number) => void;
  /** A request and its answer took so long. */
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
    handshake(askedAt, answeredAt, serverTime) {
      if (Number.isNaN(toMilliseconds(serverTime)) || answeredAt < askedAt) return;
      bound = Number.NEGATIVE_INFINITY;
      arrival(serverTime, answeredAt);
      roundTrip(answeredAt - askedAt);
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
