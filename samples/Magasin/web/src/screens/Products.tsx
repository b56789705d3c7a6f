import { RealtimeSync, useWebSocket } from "@carillon/react";
import { Package, Pencil, Plus, Trash2 } from "lucide-react";
import { useMemo, useState, type FormEvent } from "react";
import { api, type ApiError, type Product } from "../api";
import { parseCount, parsePrice, priceText, searchable } from "../format";
import { useGlow } from "../live/recentChanges";
import { useData } from "../live/useData";
import { useSettings } from "../settings";
import { Alert, Button, Dialog, Empty, Field, IconButton, LoadError, ScreenHeader, SearchField, Skeleton, asApiError, describeError } from "../ui/basics";
import { Confirm } from "../ui/confirm";
import { useToast } from "../ui/toast";
import { StockBadge } from "./Dashboard";

type Open = { readonly kind: "edit"; readonly product?: Product } | { readonly kind: "delete"; readonly product: Product };

export function ProductsScreen() {
  const { t, format } = useSettings();
  const { data, error, reload } = useData(api.products);
  const { connected } = useWebSocket();
  const [search, setSearch] = useState("");
  const [open, setOpen] = useState<Open>();
  const glow = useGlow("produits");
  const toast = useToast();

  const shown = useMemo(() => {
    const wanted = searchable(search.trim());
    return [...(data ?? [])].filter((product) => searchable(product.nom).includes(wanted)).sort((a, b) => a.nom.localeCompare(b.nom));
  }, [data, search]);

  const done = (sentence: string) => {
    toast(sentence);
    if (!connected) void reload();
  };
  const remove = async (product: Product) => {
    await api.deleteProduct(product.id);
    done(t.products.deleted);
  };

  return (
    <RealtimeSync tables={["produits"]} onDataChanged={reload}>
      <ScreenHeader title={t.products.title} note={data && t.products.count(data.length)}>
        <Button look="primary" icon={Plus} onClick={() => setOpen({ kind: "edit" })}>{t.products.new}</Button>
      </ScreenHeader>
      {!data && error && <LoadError error={error} onRetry={() => void reload()} />}
      {!data && !error && <div className="card"><Skeleton rows={8} /></div>}
      {data && data.length === 0 && (
        <div className="card"><Empty icon={Package} title={t.products.none}><p className="muted">{t.products.noneHelp}</p></Empty></div>
      )}
      {data && data.length > 0 && (
        <>
          <SearchField label={t.products.searchLabel} value={search} onChange={setSearch} />
          {shown.length === 0 ? <div className="card"><Empty icon={Package} title={t.products.notFound(search)} /></div> : (
            <div className="card table-card may-be-stale">
              <table>
                <caption className="visually-hidden">{t.products.title}</caption>
                <thead>
                  <tr>
                    <th scope="col">{t.products.name}</th>
                    <th scope="col" className="end only-wide-cell">{t.products.price}</th>
                    <th scope="col" className="end">{t.products.stock}</th>
                    <th scope="col" className="end"><span className="visually-hidden">{t.common.actions}</span></th>
                  </tr>
                </thead>
                <tbody>
                  {shown.map((product) => (
                    <tr key={product.id} className={glow(product.id)}>
                      <th scope="row">{product.nom}<span className="line-note only-phone">{format.money(product.prix)}</span></th>
                      <td className="end amount only-wide-cell">{format.money(product.prix)}</td>
                      <td className="end"><StockBadge stock={product.stock} text={product.stock === 0 ? t.products.out : format.number(product.stock)} /></td>
                      <td className="end row-actions">
                        <IconButton icon={Pencil} label={t.products.editOf(product.nom)} onClick={() => setOpen({ kind: "edit", product })} />
                        <IconButton icon={Trash2} label={t.products.deleteOf(product.nom)} onClick={() => setOpen({ kind: "delete", product })} />
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          )}
        </>
      )}
      {open?.kind === "edit" && (
        <ProductDialog {...(open.product ? { product: open.product } : {})} onClose={() => setOpen(undefined)} onSaved={() => done(t.products.saved)} />
      )}
      {open?.kind === "delete" && (
        <Confirm
          title={t.products.deleteTitle(open.product.nom)} text={t.products.deleteText} action={t.products.confirmDelete}
          onConfirm={() => remove(open.product)} onClose={() => setOpen(undefined)}
          explain={(problem: ApiError) => (problem.status === 409 ? t.products.inUse : undefined)}
        />
      )}
    </RealtimeSync>
  );
}

function ProductDialog({ product, onClose, onSaved }: { readonly product?: Product; readonly onClose: () => void; readonly onSaved: () => void }) {
  const { t, lang } = useSettings();
  const [name, setName] = useState(product?.nom ?? "");
  const [price, setPrice] = useState(product ? priceText(product.prix, lang) : "");
  const [stock, setStock] = useState(product ? String(product.stock) : "");
  const [checked, setChecked] = useState(false);
  const [problem, setProblem] = useState<string>();
  const [busy, setBusy] = useState(false);

  const prix = parsePrice(price);
  const count = parseCount(stock);

  const save = async (event: FormEvent) => {
    event.preventDefault();
    setChecked(true);
    if (name.trim() === "" || prix === undefined || count === undefined) return;
    setBusy(true);
    setProblem(undefined);
    try {
      const values = { nom: name.trim(), prix };
      if (!product) await api.createProduct({ ...values, stock: count });
      else await api.replaceProduct(product.id, count === product.stock ? values : { ...values, stock: count });
      onSaved();
      onClose();
    } catch (reason) {
      setProblem(describeError(asApiError(reason), t));
      setBusy(false);
    }
  };

  return (
    <Dialog title={product ? t.products.edit : t.products.new} onClose={onClose}>
      <form onSubmit={(event) => void save(event)} noValidate>
        <Field label={t.products.name} value={name} onChange={setName} autoFocus autoComplete="off" maxLength={120} error={checked && name.trim() === "" ? t.common.required : undefined} />
        <div className="field-row">
          <Field label={t.products.price} value={price} onChange={setPrice} inputMode="decimal" autoComplete="off" help={t.products.priceHelp} error={checked && prix === undefined ? t.products.badPrice : undefined} />
          <Field label={t.products.stock} value={stock} onChange={setStock} inputMode="numeric" autoComplete="off" error={checked && count === undefined ? t.products.badStock : undefined} />
        </div>
        {problem && <Alert>{problem}</Alert>}
        <div className="dialog-foot">
          <Button onClick={onClose}>{t.common.cancel}</Button>
          <Button look="primary" type="submit" disabled={busy}>{busy ? t.common.saving : t.common.save}</Button>
        </div>
      </form>
    </Dialog>
  );
}
