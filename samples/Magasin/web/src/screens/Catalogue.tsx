import { RealtimeSync, useWebSocket } from "@carillon/react";
import { Pencil, Plus, Trash2, type LucideIcon } from "lucide-react";
import { useMemo, useState, type ReactNode } from "react";
import type { ApiError } from "../api";
import { searchable } from "../format";
import { useGlow } from "../live/recentChanges";
import { useData } from "../live/useData";
import { useSettings } from "../settings";
import { Button, Empty, IconButton, LoadError, ScreenHeader, SearchField, Skeleton } from "../ui/basics";
import { Confirm } from "../ui/confirm";
import { useToast } from "../ui/toast";

interface Named {
  readonly id: string;
  readonly nom: string;
}

/** The texts of a catalogue. */
interface CatalogueTexts {
  readonly title: string;
  readonly new: string;
  readonly searchLabel: string;
  readonly none: string;
  readonly noneHelp: string;
  readonly deleted: string;
  readonly saved: string;
  readonly deleteText: string;
  readonly confirmDelete: string;
  readonly inUse: string;
  readonly count: (n: number) => string;
  readonly notFound: (text: string) => string;
  readonly deleteTitle: (name: string) => string;
}

interface CatalogueProps<T extends Named> {
  readonly table: "produits" | "clients";
  readonly texts: CatalogueTexts;
  readonly icon: LucideIcon;
  readonly load: () => Promise<readonly T[]>;
  readonly remove: (id: string) => Promise<unknown>;
  /** The searchable text of an item. */
  readonly words: (item: T) => string;
  /** The header cells, without the one for actions. */
  readonly head: ReactNode;
  /** The cells of a row, without the one for actions. */
  readonly cells: (item: T) => ReactNode;
  /** The form for a new item or an existing one. */
  readonly form: (item: T | undefined, onClose: () => void, onSaved: () => void) => ReactNode;
}

type Open<T> = { readonly kind: "edit"; readonly item?: T } | { readonly kind: "delete"; readonly item: T };

/** A live list of named items with search, create, edit and delete. */
export function Catalogue<T extends Named>({ table, texts, icon, load, remove, words, head, cells, form }: CatalogueProps<T>) {
  const { t } = useSettings();
  const { data, error, reload } = useData(load);
  const { connected } = useWebSocket();
  const [search, setSearch] = useState("");
  const [open, setOpen] = useState<Open<T>>();
  const glow = useGlow(table);
  const toast = useToast();
  const close = () => setOpen(undefined);

  const shown = useMemo(() => {
    const wanted = searchable(search.trim());
    return [...(data ?? [])].filter((item) => searchable(words(item)).includes(wanted)).sort((a, b) => a.nom.localeCompare(b.nom));
  }, [data, search, words]);

  const done = (sentence: string) => {
    toast(sentence);
    if (!connected) void reload();
  };

  return (
    <RealtimeSync tables={[table]} onDataChanged={reload}>
      <ScreenHeader title={texts.title} note={data && texts.count(data.length)}>
        <Button look="primary" icon={Plus} onClick={() => setOpen({ kind: "edit" })}>{texts.new}</Button>
      </ScreenHeader>
      {!data && error && <LoadError error={error} onRetry={() => void reload()} />}
      {!data && !error && <div className="card"><Skeleton rows={8} /></div>}
      {data && data.length === 0 && (
        <div className="card"><Empty icon={icon} title={texts.none}><p className="muted">{texts.noneHelp}</p></Empty></div>
      )}
      {data && data.length > 0 && (
        <>
          <SearchField label={texts.searchLabel} value={search} onChange={setSearch} />
          {shown.length === 0 ? <div className="card"><Empty icon={icon} title={texts.notFound(search)} /></div> : (
            <div className="card table-card may-be-stale">
              <table>
                <caption className="visually-hidden">{texts.title}</caption>
                <thead>
                  <tr>
                    {head}
                    <th scope="col" className="end"><span className="visually-hidden">{t.common.actions}</span></th>
                  </tr>
                </thead>
                <tbody>
                  {shown.map((item) => (
                    <tr key={item.id} className={glow(item.id)}>
                      {cells(item)}
                      <td className="end row-actions">
                        <IconButton icon={Pencil} label={t.common.editOf(item.nom)} onClick={() => setOpen({ kind: "edit", item })} />
                        <IconButton icon={Trash2} label={t.common.deleteOf(item.nom)} onClick={() => setOpen({ kind: "delete", item })} />
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          )}
        </>
      )}
      {open?.kind === "edit" && form(open.item, close, () => done(texts.saved))}
      {open?.kind === "delete" && (
        <Confirm
          title={texts.deleteTitle(open.item.nom)} text={texts.deleteText} action={texts.confirmDelete}
          onConfirm={async () => {
            await remove(open.item.id);
            done(texts.deleted);
          }}
          onClose={close}
          explain={(problem: ApiError) => (problem.status === 409 ? texts.inUse : undefined)}
        />
      )}
    </RealtimeSync>
  );
}
