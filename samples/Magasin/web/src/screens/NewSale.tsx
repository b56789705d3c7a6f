import { RealtimeSync } from "@carillon/react";
import { ArrowLeft, Minus, Plus, ShoppingBasket, Trash2 } from "lucide-react";
import { useEffect, useId, useMemo, useState } from "react";
import { api, type Client, type Product } from "../api";
import { searchable } from "../format";
import { useGlow } from "../live/recentChanges";
import { useData } from "../live/useData";
import { go, routes } from "../route";
import { useSettings } from "../settings";
import {
  Alert, Button, Empty, IconButton, LoadError, ScreenHeader, SearchField, Skeleton, asApiError, describeError, useCannotSave,
} from "../ui/basics";
import { useToast } from "../ui/toast";
import { StockBadge } from "./Dashboard";
import { changeQuantity, priceDraft, setQuantity, type DraftLine } from "./saleRules";

async function loadGoods(): Promise<{ readonly products: readonly Product[]; readonly clients: readonly Client[] }> {
  const [products, clients] = await Promise.all([api.products(), api.clients()]);
  const byName = (a: { readonly nom: string }, b: { readonly nom: string }) => a.nom.localeCompare(b.nom);
  return { products: [...products].sort(byName), clients: [...clients].sort(byName) };
}

export function NewSaleScreen() {
  const { t, format } = useSettings();
  const { data, error, reload } = useData(loadGoods);
  const [draft, setDraft] = useState<readonly DraftLine[]>([]);
  const [clientId, setClientId] = useState("");
  const [problem, setProblem] = useState<string>();
  const [busy, setBusy] = useState(false);
  const cannotSave = useCannotSave();
  const why = useId();
  const toast = useToast();
  const [ticket, setTicket] = useState<HTMLElement | null>(null);
  const ticketInView = useInView(ticket);

  const byId = useMemo(() => new Map((data?.products ?? []).map((product) => [product.id, product])), [data]);
  const priced = priceDraft(draft, byId);
  const change = (next: (draft: readonly DraftLine[]) => readonly DraftLine[]) => {
    setProblem(undefined);
    setDraft(next);
  };

  const pay = async () => {
    if (cannotSave) return;
    setBusy(true);
    setProblem(undefined);
    try {
      const sale = await api.createSale({
        clientId: clientId || null,
        lignes: draft.map((line) => ({ produitId: line.productId, quantite: line.quantity })),
      });
      toast(t.newSale.saved(format.money(sale.total)));
      go("sales");
    } catch (reason) {
      const failure = asApiError(reason);
      setProblem(failure.status === 409 ? t.errors.conflict : describeError(failure, t));
      setBusy(false);
      if (failure.status === 409) void reload();
    }
  };

  return (
    <RealtimeSync tables={["produits", "clients"]} onDataChanged={reload}>
      <a className="back" href={routes.sales}><ArrowLeft aria-hidden size={16} />{t.newSale.back}</a>
      <ScreenHeader title={t.newSale.title} />
      {!data && error && <LoadError error={error} onRetry={() => void reload()} />}
      {!data && !error && (
        <div className="till"><div className="card"><Skeleton rows={9} /></div><div className="card"><Skeleton rows={4} /></div></div>
      )}
      {data && (
        <div className="till">
          <Picker products={data.products} draft={draft} onPick={(product) => change((now) => changeQuantity(now, product.id, 1))} />
          {draft.length > 0 && !ticketInView && (
            <button type="button" className="ticket-jump" onClick={() => ticket?.scrollIntoView()}>
              <span>{t.newSale.see} · {t.sales.itemCount(priced.articles)}</span>
              <span className="amount">{format.money(priced.total)}</span>
            </button>
          )}
          <section className="card ticket" aria-labelledby="ticket" ref={setTicket}>
            <header>
              <h2 id="ticket">{t.newSale.ticket}</h2>
              {draft.length > 0 && <Button look="quiet" onClick={() => change(() => [])}>{t.newSale.clear}</Button>}
            </header>
            {draft.length === 0 ? <Empty icon={ShoppingBasket} title={t.newSale.empty} /> : (
              <ul className="ticket-lines">
                {priced.lines.map(({ productId, quantity, product, amount, missing }) => {
                  const name = product?.nom ?? t.sales.goneProduct;
                  return (
                    <li key={productId} data-missing={missing ? "" : undefined}>
                      <div className="ticket-name">
                        <span>{name}</span>
                        <span className="line-note">
                          {missing
                            ? <strong className="warn-text">{t.newSale.tooMany(product?.stock ?? 0)}</strong>
                            : <>{format.money(product?.prix ?? 0)} · {t.newSale.stock(product?.stock ?? 0)}</>}
                        </span>
                      </div>
                      <div className="stepper" role="group" aria-label={t.newSale.quantityOf(name)}>
                        <IconButton
                          icon={quantity === 1 ? Trash2 : Minus} label={quantity === 1 ? t.newSale.remove(name) : t.newSale.less(name)}
                          onClick={() => change((now) => changeQuantity(now, productId, -1))}
                        />
                        <input
                          inputMode="numeric" aria-label={t.newSale.quantityOf(name)} value={quantity}
                          onFocus={(event) => event.target.select()}
                          onChange={(event) => {
                            const wanted = Number(event.target.value.replace(/\D/g, "").slice(0, 4));
                            if (wanted > 0) change((now) => setQuantity(now, productId, wanted));
                          }}
                        />
                        <IconButton
                          icon={Plus} label={t.newSale.moreOf(name)} onClick={() => change((now) => changeQuantity(now, productId, 1))}
                        />
                      </div>
                      <span className="amount">{format.money(amount)}</span>
                    </li>
                  );
                })}
              </ul>
            )}
            <ClientChoice clients={data.clients} value={clientId} onChange={setClientId} />
            <div className="ticket-total">
              <p>
                <span>{t.newSale.total}<span className="line-note">{t.sales.itemCount(priced.articles)}</span></span>
                <output aria-live="polite">{format.money(priced.total)}</output>
              </p>
              {problem && <Alert>{problem}</Alert>}
              {cannotSave && <p className="note" id={why}>{cannotSave}</p>}
              <Button
                look="primary" className="large" disabled={busy || !priced.sellable} aria-disabled={cannotSave ? true : undefined}
                aria-describedby={cannotSave ? why : undefined} title={cannotSave} onClick={() => void pay()}
              >{busy ? t.newSale.paying : t.newSale.pay}</Button>
            </div>
          </section>
        </div>
      )}
    </RealtimeSync>
  );
}

function useInView(element: Element | null): boolean {
  const [inView, setInView] = useState(false);
  useEffect(() => {
    if (!element) return undefined;
    const observer = new IntersectionObserver(([entry]) => setInView(entry?.isIntersecting ?? false), { rootMargin: "0px 0px -140px" });
    observer.observe(element);
    return () => observer.disconnect();
  }, [element]);
  return inView;
}

interface PickerProps {
  readonly products: readonly Product[];
  readonly draft: readonly DraftLine[];
  readonly onPick: (product: Product) => void;
}

function Picker({ products, draft, onPick }: PickerProps) {
  const { t, format } = useSettings();
  const [search, setSearch] = useState("");
  const glow = useGlow("produits");
  const wanted = searchable(search.trim());
  const shown = products.filter((product) => searchable(product.nom).includes(wanted));
  const taken = new Map(draft.map((line) => [line.productId, line.quantity]));

  return (
    <section className="picker" aria-label={t.newSale.pick}>
      <SearchField label={t.products.searchLabel} value={search} onChange={setSearch} />
      {shown.length === 0
        ? <div className="card"><Empty icon={ShoppingBasket} title={search ? t.products.notFound(search) : t.products.none} /></div>
        : (
          <ul className="tiles">
            {shown.map((product) => {
              const inTicket = taken.get(product.id) ?? 0;
              return (
                <li key={product.id}>
                  <button
                    type="button" title={product.nom} className={`tile ${glow(product.id)}`} disabled={product.stock <= inTicket}
                    onClick={() => onPick(product)}
                  >
                    <span className="tile-name"><span className="visually-hidden">{t.common.add} </span>{product.nom}</span>
                    <span className="tile-foot">
                      <span className="amount">{format.money(product.prix)}</span>
                      <StockBadge stock={product.stock} text={t.newSale.stock(product.stock)} />
                    </span>
                    {inTicket > 0 && (
                      <span className="tile-count"><span className="visually-hidden">, {t.newSale.ticket} </span>{inTicket}</span>
                    )}
                  </button>
                </li>
              );
            })}
          </ul>
        )}
    </section>
  );
}

interface ClientChoiceProps { readonly clients: readonly Client[]; readonly value: string; readonly onChange: (id: string) => void }

function ClientChoice({ clients, value, onChange }: ClientChoiceProps) {
  const { t } = useSettings();
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{t.newSale.client}</label>
      <select id={id} value={value} onChange={(event) => onChange(event.target.value)}>
        <option value="">{t.sales.walkIn}</option>
        {clients.map((client) => <option key={client.id} value={client.id}>{client.nom}</option>)}
      </select>
    </div>
  );
}
