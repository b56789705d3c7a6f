import { RealtimeSync, useWebSocket } from "@carillon/react";
import { Pencil, Plus, Trash2, Users } from "lucide-react";
import { useMemo, useState, type FormEvent } from "react";
import { api, type ApiError, type Client } from "../api";
import { searchable } from "../format";
import { useGlow } from "../live/recentChanges";
import { useData } from "../live/useData";
import { useSettings } from "../settings";
import { Alert, Button, Dialog, Empty, Field, IconButton, LoadError, ScreenHeader, SearchField, Skeleton, asApiError, describeError } from "../ui/basics";
import { Confirm } from "../ui/confirm";
import { useToast } from "../ui/toast";

type Open = { readonly kind: "edit"; readonly client?: Client } | { readonly kind: "delete"; readonly client: Client };

export function ClientsScreen() {
  const { t } = useSettings();
  const { data, error, reload } = useData(api.clients);
  const { connected } = useWebSocket();
  const [search, setSearch] = useState("");
  const [open, setOpen] = useState<Open>();
  const glow = useGlow("clients");
  const toast = useToast();

  const shown = useMemo(() => {
    const wanted = searchable(search.trim());
    return [...(data ?? [])]
      .filter((client) => searchable(`${client.nom} ${client.telephone ?? ""}`).includes(wanted))
      .sort((a, b) => a.nom.localeCompare(b.nom));
  }, [data, search]);

  const done = (sentence: string) => {
    toast(sentence);
    if (!connected) void reload();
  };
  const remove = async (client: Client) => {
    await api.deleteClient(client.id);
    done(t.clients.deleted);
  };

  return (
    <RealtimeSync tables={["clients"]} onDataChanged={reload}>
      <ScreenHeader title={t.clients.title} note={data && t.clients.count(data.length)}>
        <Button look="primary" icon={Plus} onClick={() => setOpen({ kind: "edit" })}>{t.clients.new}</Button>
      </ScreenHeader>
      {!data && error && <LoadError error={error} onRetry={() => void reload()} />}
      {!data && !error && <div className="card"><Skeleton rows={8} /></div>}
      {data && data.length === 0 && (
        <div className="card"><Empty icon={Users} title={t.clients.none}><p className="muted">{t.clients.noneHelp}</p></Empty></div>
      )}
      {data && data.length > 0 && (
        <>
          <SearchField label={t.clients.searchLabel} value={search} onChange={setSearch} />
          {shown.length === 0 ? <div className="card"><Empty icon={Users} title={t.clients.notFound(search)} /></div> : (
            <div className="card table-card may-be-stale">
              <table>
                <caption className="visually-hidden">{t.clients.title}</caption>
                <thead>
                  <tr>
                    <th scope="col">{t.clients.name}</th>
                    <th scope="col" className="only-wide-cell">{t.clients.phone}</th>
                    <th scope="col" className="end"><span className="visually-hidden">{t.common.actions}</span></th>
                  </tr>
                </thead>
                <tbody>
                  {shown.map((client) => (
                    <tr key={client.id} className={glow(client.id)}>
                      <th scope="row">{client.nom}{client.telephone && <span className="line-note only-phone"><Phone number={client.telephone} /></span>}</th>
                      <td className="figures only-wide-cell">{client.telephone ? <Phone number={client.telephone} /> : <span className="muted">—</span>}</td>
                      <td className="end row-actions">
                        <IconButton icon={Pencil} label={t.products.editOf(client.nom)} onClick={() => setOpen({ kind: "edit", client })} />
                        <IconButton icon={Trash2} label={t.products.deleteOf(client.nom)} onClick={() => setOpen({ kind: "delete", client })} />
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
        <ClientDialog {...(open.client ? { client: open.client } : {})} onClose={() => setOpen(undefined)} onSaved={() => done(t.clients.saved)} />
      )}
      {open?.kind === "delete" && (
        <Confirm
          title={t.clients.deleteTitle(open.client.nom)} text={t.clients.deleteText} action={t.clients.confirmDelete}
          onConfirm={() => remove(open.client)} onClose={() => setOpen(undefined)}
          explain={(problem: ApiError) => (problem.status === 409 ? t.clients.inUse : undefined)}
        />
      )}
    </RealtimeSync>
  );
}

const Phone = ({ number }: { readonly number: string }) => <a href={`tel:${number.replace(/[^\d+]/g, "")}`}>{number}</a>;

function ClientDialog({ client, onClose, onSaved }: { readonly client?: Client; readonly onClose: () => void; readonly onSaved: () => void }) {
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
        <Field label={t.clients.name} value={name} onChange={setName} autoFocus autoComplete="off" maxLength={120} error={checked && name.trim() === "" ? t.common.required : undefined} />
        <Field label={t.clients.phone} value={phone} onChange={setPhone} inputMode="tel" autoComplete="off" error={checked && !phoneIsFine ? t.clients.badPhone : undefined} />
        {problem && <Alert>{problem}</Alert>}
        <div className="dialog-foot">
          <Button onClick={onClose}>{t.common.cancel}</Button>
          <Button look="primary" type="submit" disabled={busy}>{busy ? t.common.saving : t.common.save}</Button>
        </div>
      </form>
    </Dialog>
  );
}
