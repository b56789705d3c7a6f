import { RealtimeSync } from "@carillon/react";
import { ArrowRight, PackageCheck, Receipt, TrendingDown, TrendingUp, TriangleAlert } from "lucide-react";
import type { ReactNode } from "react";
import { api, type Client, type DashboardFigures, type Day, type Product, type Sale } from "../api";
import { useGlow, useGlowOnChange } from "../live/recentChanges";
import { useData } from "../live/useData";
import { routes } from "../route";
import { useSettings } from "../settings";
import { Empty, LoadError, NewSaleLink, ScreenHeader, Skeleton } from "../ui/basics";
import { byNewest, clientName } from "./saleRules";

interface Picture { readonly figures: DashboardFigures; readonly sales: readonly Sale[]; readonly clients: readonly Client[] }

async function loadPicture(): Promise<Picture> {
  const [figures, sales, clients] = await Promise.all([api.dashboard(), api.sales(6), api.clients()]);
  return { figures, sales: sales.items, clients };
}

export function DashboardScreen() {
  const { t, format } = useSettings();
  const { data, error, reload } = useData(loadPicture);

  return (
    <RealtimeSync tables={["ventes", "produits", "clients"]} onDataChanged={reload}>
      <ScreenHeader title={t.dashboard.title} note={data && <span className="first-letter">{format.dayLong(data.figures.jour)}</span>}>
        <NewSaleLink />
      </ScreenHeader>
      {data ? <Figures {...data} /> : error ? <LoadError error={error} onRetry={() => void reload()} /> : <DashboardSkeleton />}
    </RealtimeSync>
  );
}

function Figures({ figures, sales, clients }: Picture) {
  const { t, format } = useSettings();
  const { chiffreAffaires, nombreVentes, stockBas, derniersJours, jour } = figures;
  const yesterday = derniersJours.filter((day) => day.jour < jour).at(-1);

  return (
    <div className="dashboard may-be-stale">
      <Figure name={t.dashboard.turnover} value={format.money(chiffreAffaires)} lead>
        <Comparison now={chiffreAffaires} before={yesterday?.chiffreAffaires ?? 0} />
      </Figure>
      <Figure name={t.dashboard.sales} value={format.number(nombreVentes)}>{t.dashboard.salesToday(nombreVentes)}</Figure>
      <Figure name={t.dashboard.basket} value={format.money(nombreVentes === 0 ? 0 : Math.round(chiffreAffaires / nombreVentes))}>
        {t.dashboard.average}
      </Figure>
      <Figure name={t.dashboard.low} value={format.number(stockBas.length)} tone={stockBas.length > 0 ? "warn" : undefined}>
        {stockBas.length > 0 ? t.dashboard.lowSome(stockBas.length) : t.dashboard.lowNone}
      </Figure>
      <section className="card days-card" aria-labelledby="days">
        <header><h2 id="days">{t.dashboard.days}</h2></header>
        <Days days={derniersJours} today={jour} />
      </section>
      <LowStock products={stockBas} />
      <LastSales sales={sales} clients={clients} />
    </div>
  );
}

interface FigureProps {
  readonly name: string;
  readonly value: string;
  readonly children?: ReactNode;
  readonly lead?: boolean;
  readonly tone?: "warn" | undefined;
}

function Figure({ name, value, children, lead, tone }: FigureProps) {
  const glow = useGlowOnChange(value);
  return (
    <section className={`card figure ${lead ? "lead" : ""} ${glow}`} data-tone={tone}>
      <h2>{name}</h2>
      <p className="figure-value">{value}</p>
      <p className="figure-note">{children}</p>
    </section>
  );
}

function Comparison({ now, before }: { readonly now: number; readonly before: number }) {
  const { t, format } = useSettings();
  if (before === 0) return <>{t.dashboard.noYesterday}</>;
  const difference = now - before;
  if (difference === 0) return <>{t.dashboard.sameAsYesterday}</>;
  const Icon = difference > 0 ? TrendingUp : TrendingDown;
  const signed = `${difference > 0 ? "+" : "−"}${format.moneyShort(Math.abs(difference))}`;
  return <span className="trend"><Icon aria-hidden size={16} /> {t.dashboard.versusYesterday(signed)}</span>;
}

/** A bar chart, and the same figures as a table for screen readers. */
function Days({ days, today }: { readonly days: readonly Day[]; readonly today: string }) {
  const { t, format } = useSettings();
  const highest = Math.max(1, ...days.map((day) => day.chiffreAffaires));
  return (
    <>
      <div className="bars" aria-hidden>
        {days.map((day) => (
          <div
            key={day.jour} className="bar" data-today={day.jour === today ? "" : undefined}
            title={`${format.dayLong(day.jour)} · ${format.money(day.chiffreAffaires)} · ${day.nombreVentes}`}
          >
            <span className="bar-value">{format.moneyShort(day.chiffreAffaires)}</span>
            <span className="bar-track">
              <span className="bar-fill" style={{ blockSize: `${Math.max(1.5, (day.chiffreAffaires / highest) * 100)}%` }} />
            </span>
            <span className="bar-day">{day.jour === today ? t.dashboard.today : format.weekday(day.jour)}</span>
          </div>
        ))}
      </div>
      <div className="visually-hidden"><table>
        <caption>{t.dashboard.daysCaption}</caption>
        <thead>
          <tr><th scope="col">{t.dashboard.day}</th><th scope="col">{t.dashboard.turnover}</th><th scope="col">{t.nav.sales}</th></tr>
        </thead>
        <tbody>
          {days.map((day) => (
            <tr key={day.jour}>
              <th scope="row">{format.dayLong(day.jour)}</th><td>{format.money(day.chiffreAffaires)}</td><td>{day.nombreVentes}</td>
            </tr>
          ))}
        </tbody>
      </table></div>
    </>
  );
}

function LowStock({ products }: { readonly products: readonly Product[] }) {
  const { t } = useSettings();
  const glow = useGlow("produits");
  return (
    <section className="card low-card" aria-labelledby="low">
      <header>
        <h2 id="low">{t.dashboard.low}</h2>
        <a href={routes.products}>{t.dashboard.seeProducts}<ArrowRight aria-hidden size={15} /></a>
      </header>
      {products.length === 0
        ? <Empty icon={PackageCheck} title={t.dashboard.lowNone} />
        : (
          <ul className="lines">
            {products.slice(0, 7).map((product) => (
              <li key={product.id} className={glow(product.id)}>
                <span className="line-name">{product.nom}</span>
                <StockBadge stock={product.stock} text={t.dashboard.left(product.stock)} />
              </li>
            ))}
          </ul>
        )}
    </section>
  );
}

export function StockBadge({ stock, text }: { readonly stock: number; readonly text: string }) {
  const tone = stock === 0 ? "danger" : stock <= 5 ? "warn" : "calm";
  return <span className="badge" data-tone={tone}>{tone !== "calm" && <TriangleAlert aria-hidden size={13} />}{text}</span>;
}

function LastSales({ sales, clients }: { readonly sales: readonly Sale[]; readonly clients: readonly Client[] }) {
  const { t, format } = useSettings();
  const glow = useGlow("ventes");
  return (
    <section className="card last-card" aria-labelledby="last">
      <header>
        <h2 id="last">{t.dashboard.lastSales}</h2>
        <a href={routes.sales}>{t.dashboard.allSales}<ArrowRight aria-hidden size={15} /></a>
      </header>
      {sales.length === 0
        ? <Empty icon={Receipt} title={t.dashboard.noSales} />
        : (
          <ul className="lines">
            {[...sales].sort(byNewest).map((sale) => (
              <li key={sale.id} className={glow(sale.id)}>
                <span className="line-name">
                  {clientName(sale, clients, t)}
                  <span className="line-note">
                    {format.moment(sale.creeLe)} · {t.sales.itemCount(sale.lignes.reduce((sum, line) => sum + line.quantite, 0))}
                  </span>
                </span>
                <span className="amount">{format.money(sale.total)}</span>
              </li>
            ))}
          </ul>
        )}
    </section>
  );
}

function DashboardSkeleton() {
  return (
    <div className="dashboard">
      {[0, 1, 2, 3].map((i) => <div key={i} className={`card figure ${i === 0 ? "lead" : ""}`}><Skeleton rows={2} /></div>)}
      <div className="card days-card"><Skeleton rows={6} /></div>
      <div className="card low-card"><Skeleton rows={5} /></div>
      <div className="card last-card"><Skeleton rows={5} /></div>
    </div>
  );
}
