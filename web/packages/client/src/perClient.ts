import type { Carillon } from "./client.js";

/**
 * Turns a constructor into a function of a client: the first call creates the object, later calls return the same one. Every feature is
 * built like this, so the client knows no feature and a bundler drops those that an application does not import.
 */
export function perClient<T extends object>(create: (client: Carillon) => T): (client: Carillon) => T {
  const instances = new WeakMap<Carillon, T>();
  return (client) => {
    let instance = instances.get(client);
    if (instance === undefined) {
      instance = create(client);
      instances.set(client, instance);
    }
    return instance;
  };
}
