import { useSyncExternalStore } from "react";

export const routes = {
  dashboard: "#/",
  products: "#/produits",
  clients: "#/clients",
  sales: "#/ventes",
  newSale: "#/ventes/nouvelle",
  test: "#/synchronisation",
} as const;

export type Route = keyof typeof routes | "unknown";

const subscribe = (listener: () => void) => {
  addEventListener("hashchange", listener);
  return () => removeEventListener("hashchange", listener);
};

/** The screen for an address. The path is in the fragment, so that any file server can serve the page. */
export function useRoute(): Route {
  const hash = useSyncExternalStore(subscribe, () => location.hash);
  return routeOf(hash);
}

export function routeOf(hash: string): Route {
  const wanted = hash === "" || hash === "#" ? routes.dashboard : hash;
  for (const [route, address] of Object.entries(routes)) if (address === wanted) return route as Route;
  return "unknown";
}

export const go = (route: keyof typeof routes) => { location.hash = routes[route]; };
