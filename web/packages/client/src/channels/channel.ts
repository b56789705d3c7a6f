import type { Carillon } from "../client.js";
import { toCarillonError } from "../errors.js";
import { perClient } from "../perClient.js";
import { sweepLater } from "../release.js";
import { sameIdentity } from "../session.js";
import type { Position } from "./publication.js";
import { createSubscription, toSubscribeResult, type ChannelListener, type ChannelSnapshot, type Subscription } from "./subscription.js";

/** A channel of the server, shared by all its listeners in this page. */
export interface Channel<T = unknown> {
  /** The channel's name. */
  readonly name: string;
  /** The state of the subscription; the same object until something changes. */
  readonly getSnapshot: () => ChannelSnapshot;
  /** Calls `listener` after every change of the snapshot, until the returned function is called. Does not subscribe to the channel. */
  readonly subscribe: (listener: () => void) => () => void;
  /** The last position received, if any. */
  readonly position: () => Position | undefined;
  /**
   * Listens to the channel. The first listener subscribes; one second after the last one was released, the channel is unsubscribed. A
   * listener that arrives before that continues the subscription. Releasing twice does nothing.
   */
  readonly listen: (listener: ChannelListener<T>) => () => void;
  /** Subscribes again after a refusal, if the channel has a listener. Does nothing in other states. */
  readonly retry: () => void;
}

/** A channel by its name; the same object for the same client and name while it is in use. */
export function channel<T = unknown>(client: Carillon, name: string): Channel<T> {
  // The wire carries no types: the payload's type is the application's claim.
  return channelsOf(client).get(name) as unknown as Channel<T>;
}

const channelsOf = /* @__PURE__ */ perClient(createChannels);

const unsubscribed: ChannelSnapshot = { state: "unsubscribed" };

function createChannels(client: Carillon) {
  const subscriptions = new Map<string, Subscription>();
  const channels = new Map<string, Channel>();

  const sweep = sweepLater(() => {
    for (const [name, subscription] of subscriptions) if (!subscription.isUsed()) subscriptions.delete(name);
    for (const name of channels.keys()) if (!subscriptions.has(name)) channels.delete(name);
  });

  const subscriptionOf = (name: string): Subscription => {
    let found = subscriptions.get(name);
    if (!found) {
      found = createSubscription(name, client, sweep);
      subscriptions.set(name, found);
    }
    return found;
  };

  let connected = client.state === "connected";
  let session = client.session;
  client.subscribe(() => {
    const wasConnected = connected;
    connected = client.state === "connected";
    if (connected !== wasConnected)
      for (const subscription of subscriptions.values()) if (connected) subscription.onConnected(); else subscription.onDisconnected();
    const before = session;
    session = client.session;
    if (before && session && !sameIdentity(before, session)) for (const subscription of subscriptions.values()) subscription.retry();
  });
  client.onPublication((publication) => subscriptions.get(publication.meta.channel)?.onPublication(publication));
  client.on("subscribed", (value) => {
    const result = toSubscribeResult(value);
    if (result) addressee(value)?.onSubscribedEvent(result);
  });
  client.on("unsubscribed", (value) => {
    // Without a code it confirms the client's own request.
    if (typeof value === "object" && value !== null && "code" in value) addressee(value)?.onRevoked(toCarillonError(value));
  });

  const addressee = (value: unknown): Subscription | undefined => {
    if (typeof value !== "object" || value === null || !("channel" in value) || typeof value.channel !== "string") return undefined;
    return subscriptions.get(value.channel);
  };

  return {
    get(name: string): Channel {
      let found = channels.get(name);
      if (!found) {
        // It refers to the subscription by name, so an object that the application keeps works again after the subscription was discarded.
        found = {
          name,
          getSnapshot: () => subscriptions.get(name)?.getSnapshot() ?? unsubscribed,
          subscribe: (listener) => subscriptionOf(name).subscribe(listener),
          position: () => subscriptions.get(name)?.position(),
          listen: (listener) => subscriptionOf(name).listen(listener),
          retry: () => subscriptions.get(name)?.retry(),
        };
        channels.set(name, found);
        sweep();
      }
      return found;
    },
  };
}
