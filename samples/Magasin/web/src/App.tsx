import { BellRing, ChartNoAxesColumn, Package, Radio, Receipt, Users, type LucideIcon } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { ConnectionBanner, ConnectionPill } from "./ui/connection";
import { LanguageSwitch, SettingsButton, ThemeButton } from "./ui/settingsControls";
import { routes, useRoute, type Route } from "./route";
import { ClientsScreen } from "./screens/Clients";
import { DashboardScreen } from "./screens/Dashboard";
import { NewSaleScreen } from "./screens/NewSale";
import { ProductsScreen } from "./screens/Products";
import { SalesScreen } from "./screens/Sales";
import { SyncTestScreen } from "./screens/SyncTest";
import { useSettings } from "./settings";
import type { Texts } from "./texts";

type Screen = Exclude<Route, "newSale" | "unknown">;

interface Entry {
  readonly route: Screen;
  readonly icon: LucideIcon;
  readonly name: (t: Texts) => string;
  readonly short?: (t: Texts) => string;
}

const entries: readonly Entry[] = [
  { route: "dashboard", icon: ChartNoAxesColumn, name: (t) => t.nav.dashboard, short: (t) => t.nav.dashboardShort },
  { route: "sales", icon: Receipt, name: (t) => t.nav.sales },
  { route: "products", icon: Package, name: (t) => t.nav.products },
  { route: "clients", icon: Users, name: (t) => t.nav.clients },
  { route: "test", icon: Radio, name: (t) => t.nav.test, short: (t) => t.nav.testShort },
];

export function App() {
  const { t } = useSettings();
  const route = useRoute();
  const main = useRef<HTMLElement>(null);
  const [firstRoute] = useState(route);
  const moved = useRef(false);

  // A new screen starts at the top, with the focus on its title for screen readers.
  useEffect(() => {
    if (!moved.current && route === firstRoute) return;
    moved.current = true;
    scrollTo(0, 0);
    main.current?.querySelector<HTMLElement>("h1")?.focus({ preventScroll: true });
  }, [route, firstRoute]);

  useEffect(() => {
    const entry = entries.find((candidate) => candidate.route === route);
    const name = route === "newSale" ? t.newSale.title : entry?.name(t);
    document.title = name ? `${name} · ${t.shop}` : t.shop;
  }, [route, t]);

  return (
    <>
      <a className="skip" href="#contenu" onClick={(event) => {
        event.preventDefault();
        main.current?.focus();
      }}>{t.skip}</a>

      <header className="top-bar">
        <a className="brand" href={routes.dashboard}>
          <span className="brand-mark"><BellRing aria-hidden size={20} /></span>
          <span className="brand-name">{t.shop}</span>
        </a>
        <nav aria-label={t.nav.label}>
          {entries.map(({ route: target, icon: Icon, name, short }) => {
            const current = route === target || (target === "sales" && route === "newSale");
            return (
              <a key={target} href={routes[target]} aria-current={current ? "page" : undefined}>
                <Icon aria-hidden size={19} />
                <span className="nav-name">{name(t)}</span>
                <span className="nav-short" aria-hidden>{(short ?? name)(t)}</span>
              </a>
            );
          })}
        </nav>
        <div className="top-tools">
          <ConnectionPill />
          <LanguageSwitch />
          <ThemeButton />
          <SettingsButton />
        </div>
      </header>

      <ConnectionBanner />

      <main id="contenu" ref={main} tabIndex={-1}>
        <CurrentScreen route={route} />
      </main>
    </>
  );
}

function CurrentScreen({ route }: { route: Route }) {
  const { t } = useSettings();
  switch (route) {
    case "dashboard": return <DashboardScreen />;
    case "products": return <ProductsScreen />;
    case "clients": return <ClientsScreen />;
    case "sales": return <SalesScreen />;
    case "newSale": return <NewSaleScreen />;
    case "test": return <SyncTestScreen />;
    case "unknown": return (
      <div className="empty">
        <h1 tabIndex={-1}>{t.notFound.title}</h1>
        <a className="button primary" href={routes.dashboard}>{t.notFound.back}</a>
      </div>
    );
  }
}
