import { RealtimeSync, useWebSocket } from "@carillon/react";
import { Receipt, Undo2 } from "lucide-react";
import { useMemo, useState } from "react";
import { api, type Client, type Product, type Sale } from "../api";
import { useGlow } from "../live/recentChanges";
import { useData } from "../live/useData";
import { useSettings } from "../settings";
import { Button, Dialog, Empty, LoadError, NewSaleLink, ScreenHeader, Skeleton } from "../ui/basics";
import { Confirm } from "../ui/confirm";
import { useToast } from "../ui/toast";
import { articlesOf, byNewest, clientName } from "./saleRules";

interface Loaded {
  readonly sales: readonly Sale[];
  readonly more: boolean;
  readonly clients: readonly Client[];
  readonly products: ReadonlyMap<string, Product>;
}

async function loadSales(limit: number): Promise<Loaded> {
  const [page, clients, products] = await Promise.all([api.sales(limit), api.clients(), api.products()]);
  return {
    sales: [...page.items].sort(byNewest), more: Boolean(page.next), clients,
    products: new Map(products.map((product) => [product.id, product])),
  };
}

const step = 50;
const most = 500;

export function SalesScreen() {
  const { t, format } = useSettings();
  const [limit, setLimit] = useState(step);
  const { data, error, reload } = useData(() => loadSales(limit));
  const { connected } = useWebSocket();
  const [detail, setDetail] = useState<string>();
  const [cancelling, setCancelling] = useState<Sale>();
  const glow = useGlow("ventes");
  const toast = useToast();
  // The identifier and not the object, so that the open dialog follows the sale and closes when another till cancels it.
  const detailed = useMemo(() => data?.sales.find((sale) => sale.id === detail), [data, detail]);

  const cancel = async (sale: Sale) => {
    await api.cancelSale(sale.id);
    toast(t.sales.cancelled);
    setDetail(undefined);
    if (!connected) void reload();
  };
  const showMore = () => {
    setLimit((now) => Math.min(most, now + step));
    setTimeout(() => void reload(), 0);
  };

  return (
    <RealtimeSync tables={["ventes", "clients", "produits"]} onDataChanged={reload}>
      <ScreenHeader title={t.sales.title} note={data && t.sales.shown(data.sales.length)}>
        <NewSaleLink />
      </ScreenHeader>
      {!data && error && <LoadError error={error} onRetry={() => void reload()} />}
      {!data && !error && <div className="card"><Skeleton rows={9} /></div>}
      {data && data.sales.length === 0 && (
        <div className="card">
          <Empty icon={Receipt} title={t.sales.none}>
            <p className="muted">{t.sales.noneHelp}</p>
            <NewSaleLink plain />
          </Empty>
        </div>
      )}
      {data && data.sales.length > 0 && (
        <div className="card table-card may-be-stale">
          <table>
            <caption className="visually-hidden">{t.sales.title}</caption>
            <thead>
              <tr>
                <th scope="col" className="only-wide-cell">{t.sales.number}</th>
                <th scope="col" className="lead-cell">{t.sales.client}</th>
                <th scope="col" className="only-wide-cell">{t.sales.items}</th>
                <th scope="col" className="end">{t.sales.total}</th>
                <th scope="col" className="end"><span className="visually-hidden">{t.common.actions}</span></th>
              </tr>
            </thead>
            <tbody>
              {data.sales.map((sale) => (
                <tr key={sale.id} className={glow(sale.id)}>
                  <td className="figures muted only-wide-cell">{sale.id}</td>
                  <th scope="row" className="lead-cell">
                    <button
                      type="button" className="link" aria-label={`${clientName(sale, data.clients, t)}, ${t.sales.detailOf(sale.id)}`}
                      onClick={() => setDetail(sale.id)}
                    >
                      {clientName(sale, data.clients, t)}
                    </button>
                    <span className="line-note">
                      {format.moment(sale.creeLe)}<span className="only-phone-inline"> · {t.sales.number} {sale.id}</span>
                    </span>
                  </th>
                  <td className="only-wide-cell articles">{articlesOf(sale, data.products, t)}</td>
                  <td className="end amount">{format.money(sale.total)}</td>
                  <td className="end row-actions">
                    <Button
                      look="danger-quiet" className="row-button" icon={Undo2}
                      aria-label={`${t.sales.cancelSale} ${sale.id}`} title={`${t.sales.cancelSale} ${sale.id}`}
                      onClick={() => setCancelling(sale)}
                    ><span className="only-wide-inline">{t.common.cancel}</span></Button>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
          {data.more && limit < most && <div className="table-foot"><Button onClick={showMore}>{t.common.more}</Button></div>}
        </div>
      )}
      {detailed && data && (
        <SaleDetail
          sale={detailed} client={clientName(detailed, data.clients, t)} products={data.products}
          onClose={() => setDetail(undefined)} onCancel={() => { setDetail(undefined); setCancelling(detailed); }}
        />
      )}
      {cancelling && (
        <Confirm
          title={t.sales.cancelTitle(cancelling.id)} text={t.sales.cancelText(format.money(cancelling.total))} action={t.sales.cancelSale}
          onConfirm={() => cancel(cancelling)} onClose={() => setCancelling(undefined)}
        />
      )}
    </RealtimeSync>
  );
}

interface SaleDetailProps {
  readonly sale: Sale;
  readonly client: string;
  readonly products: ReadonlyMap<string, Product>;
  readonly onClose: () => void;
  readonly onCancel: () => void;
}

function SaleDetail({ sale, client, products, onClose, onCancel }: SaleDetailProps) {
  const { t, format } = useSettings();
  return (
    <Dialog title={t.sales.saleTitle(sale.id)} onClose={onClose} wide>
      <p className="muted">{client} · {format.moment(sale.creeLe)}</p>
      <table className="receipt">
        <caption className="visually-hidden">{t.sales.saleTitle(sale.id)}</caption>
        <thead>
          <tr>
            <th scope="col">{t.sales.product}</th>
            <th scope="col" className="end">{t.sales.quantity}</th>
            <th scope="col" className="end">{t.sales.unit}</th>
            <th scope="col" className="end">{t.sales.total}</th>
          </tr>
        </thead>
        <tbody>
          {sale.lignes.map((line, i) => (
            <tr key={i}>
              <th scope="row">{products.get(line.produitId)?.nom ?? t.sales.goneProduct}</th>
              <td className="end figures">{line.quantite}</td>
              <td className="end amount">{format.money(line.prixUnitaire)}</td>
              <td className="end amount">{format.money(line.prixUnitaire * line.quantite)}</td>
            </tr>
          ))}
        </tbody>
        <tfoot>
          <tr><th scope="row" colSpan={3}>{t.sales.total}</th><td className="end amount">{format.money(sale.total)}</td></tr>
        </tfoot>
      </table>
      <div className="dialog-foot">
        <Button icon={Undo2} look="danger-quiet" onClick={onCancel}>{t.sales.cancelSale}</Button>
        <Button look="primary" onClick={onClose} data-first-focus>{t.common.close}</Button>
      </div>
    </Dialog>
  );
}
