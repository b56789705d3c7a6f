import { Users } from "lucide-react";
import { useState, type FormEvent } from "react";
import { api, type Client } from "../api";
import { useSettings } from "../settings";
import { Alert, Button, Dialog, Field, asApiError, describeError } from "../ui/basics";
import { Catalogue } from "./Catalogue";

const words = (client: Client) => `${client.nom} ${client.telephone ?? ""}`;

export function ClientsScreen() {
  const { t } = useSettings();
  return (
    <Catalogue
      table="clients" texts={t.clients} icon={Users} load={api.clients} remove={api.deleteClient} words={words}
      head={(
        <>
          <th scope="col">{t.clients.name}</th>
          <th scope="col" className="only-wide-cell">{t.clients.phone}</th>
        </>
      )}
      cells={(client) => (
        <>
          <th scope="row">
            {client.nom}{client.telephone && <span className="line-note only-phone"><Phone number={client.telephone} /></span>}
          </th>
          <td className="figures only-wide-cell">
            {client.telephone ? <Phone number={client.telephone} /> : <span className="muted">—</span>}
          </td>
        </>
      )}
      form={(client, onClose, onSaved) => <ClientDialog {...(client ? { client } : {})} onClose={onClose} onSaved={onSaved} />}
    />
  );
}

const Phone = ({ number }: { readonly number: string }) => <a href={`tel:${number.replace(/[^\d+]/g, "")}`}>{number}</a>;

interface ClientDialogProps { readonly client?: Client; readonly onClose: () => void; readonly onSaved: () => void }

function ClientDialog({ client, onClose, onSaved }: ClientDialogProps) {
  const { t } = useSettings();
  const [name, setName] = useState(client?.nom ?? "");
  const [phone, setPhone] = useState(client?.telephone ?? "");
  const [checked, setChecked] = useState(false);
  const [problem, setProblem] = useState<string>();
  const [busy, setBusy] = useState(false);
  const phoneIsFine = /^[\d\s.+()/-]{0,24}$/.test(phone.trim());

  const save = async (event: FormEvent) => {
    event.preventDefault();
    setChecked(true);
    if (name.trim() === "" || !phoneIsFine) return;
    setBusy(true);
    setProblem(undefined);
    try {
      const values = { nom: name.trim(), telephone: phone.trim() };
      await (client ? api.replaceClient(client.id, values) : api.createClient(values));
      onSaved();
      onClose();
    } catch (reason) {
      setProblem(describeError(asApiError(reason), t));
      setBusy(false);
    }
  };

  return (
    <Dialog title={client ? t.clients.edit : t.clients.new} onClose={onClose}>
      <form onSubmit={(event) => void save(event)} noValidate>
        <Field
          label={t.clients.name} value={name} onChange={setName} autoComplete="off" maxLength={120}
          error={checked && name.trim() === "" ? t.common.required : undefined}
        />
        <Field
          label={t.clients.phone} value={phone} onChange={setPhone} inputMode="tel" autoComplete="off"
          error={checked && !phoneIsFine ? t.clients.badPhone : undefined}
        />
        {problem && <Alert>{problem}</Alert>}
        <div className="dialog-foot">
          <Button onClick={onClose}>{t.common.cancel}</Button>
          <Button look="primary" type="submit" disabled={busy}>{busy ? t.common.saving : t.common.save}</Button>
        </div>
      </form>
    </Dialog>
  );
}
