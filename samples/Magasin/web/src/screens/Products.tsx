import { Package } from "lucide-react";
import { useState, type FormEvent } from "react";
import { api, type Product } from "../api";
import { parseCount, parsePrice, priceText } from "../format";
import { useSettings } from "../settings";
import { Alert, Button, Dialog, Field, asApiError, describeError } from "../ui/basics";
import { Catalogue } from "./Catalogue";
import { StockBadge } from "./Dashboard";

const words = (product: Product) => product.nom;

export function ProductsScreen() {
  const { t, format } = useSettings();
  return (
    <Catalogue
      table="produits" texts={t.products} icon={Package} load={api.products} remove={api.deleteProduct} words={words}
      head={(
        <>
          <th scope="col">{t.products.name}</th>
          <th scope="col" className="end only-wide-cell">{t.products.price}</th>
          <th scope="col" className="end">{t.products.stock}</th>
        </>
      )}
      cells={(product) => (
        <>
          <th scope="row">{product.nom}<span className="line-note only-phone">{format.money(product.prix)}</span></th>
          <td className="end amount only-wide-cell">{format.money(product.prix)}</td>
          <td className="end">
            <StockBadge stock={product.stock} text={product.stock === 0 ? t.products.out : format.number(product.stock)} />
          </td>
        </>
      )}
      form={(product, onClose, onSaved) => <ProductDialog {...(product ? { product } : {})} onClose={onClose} onSaved={onSaved} />}
    />
  );
}

interface ProductDialogProps { readonly product?: Product; readonly onClose: () => void; readonly onSaved: () => void }

function ProductDialog({ product, onClose, onSaved }: ProductDialogProps) {
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
        <Field
          label={t.products.name} value={name} onChange={setName} autoComplete="off" maxLength={120}
          error={checked && name.trim() === "" ? t.common.required : undefined}
        />
        <div className="field-row">
          <Field
            label={t.products.price} value={price} onChange={setPrice} inputMode="decimal" autoComplete="off" help={t.products.priceHelp}
            error={checked && prix === undefined ? t.products.badPrice : undefined}
          />
          <Field
            label={t.products.stock} value={stock} onChange={setStock} inputMode="numeric" autoComplete="off"
            error={checked && count === undefined ? t.products.badStock : undefined}
          />
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
