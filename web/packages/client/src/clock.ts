/** What this client knows of the server's clock, so that latencies can be shown on machines whose clocks differ. */
export interface ServerClock {
  /** Server time minus local time in milliseconds, from the handshake with the shortest round trip. Zero until one was measured. */
  readonly offsetMs: number;
  /** The estimate is off by this much at most; infinite until a handshake was measured. */
  readonly errorMs: number;
  /** Milliseconds from a moment on the server's clock until now, never below zero. */
  readonly since: (serverTime: string | number, localNow?: number) => number;
}

export interface MeasuredClock extends ServerClock {
  /** Notes one exchange: asked at, answered at (local), and what the server's clock said in between. */
  readonly measure: (askedAt: number, answeredAt: number, serverTime: string | number) => void;
}

export function createClock(): MeasuredClock {
  let offsetMs = 0;
  let errorMs = Number.POSITIVE_INFINITY;
  return {
    get offsetMs() { return offsetMs; },
    get errorMs() { return errorMs; },
    measure(askedAt, answeredAt, serverTime) {
      const server = toMilliseconds(serverTime);
      const halfTrip = (answeredAt - askedAt) / 2;
      // The shortest exchange bounds the truth best, so only a better one replaces it.
      if (Number.isNaN(server) || halfTrip < 0 || halfTrip >= errorMs) return;
      offsetMs = server - (askedAt + halfTrip);
      errorMs = halfTrip;
    },
    since(serverTime, localNow = Date.now()) {
      const elapsed = localNow + offsetMs - toMilliseconds(serverTime);
      return Number.isNaN(elapsed) ? 0 : Math.max(0, elapsed);
    },
  };
}

const toMilliseconds = (time: string | number) => (typeof time === "number" ? time : Date.parse(time));
