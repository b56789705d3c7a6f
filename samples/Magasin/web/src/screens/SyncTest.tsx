import { RealtimeSync, useCarillon, useChannel, useWebSocket } from "@carillon/react";
import { Activity, Database, Eraser, Inbox, Pencil, Plug, PlugZap, Plus, Trash2, UsersRound, Zap } from "lucide-react";
import { useState } from "react";
import { api, type Connexion, type Product, type SqlResult } from "../api";
import { latenciesOf } from "../live/latency";
import { liveTables, useFeed } from "../live/recentChanges";
import { useData } from "../live/useData";
import { useSettings } from "../settings";
import { Alert, Button, Empty, ScreenHeader, asApiError, describeError } from "../ui/basics";

export function SyncTestScreen() {
  const { t } = useSettings();
  const [reloads, setReloads] = useState(0);
  return (
    <RealtimeSync tables={liveTables} onDataChanged={() => setReloads((n) => n + 1)}>
      <ScreenHeader title={t.test.title} note={t.test.intro} />
      <div className="lab">
        <Latency reloads={reloads} />
        <Actions />
        <Sql />
        <Tills />
        <Changes />
      </div>
    </RealtimeSync>
  );
}

function Latency({ reloads }: { readonly reloads: number }) {
  const { t, format } = useSettings();
  const { clock } = useCarillon();
  const { received } = useFeed();
  const latencies = latenciesOf(received);
  return (
    <section className="card lab-latency" aria-labelledby="latency">
      <header><h2 id="latency"><Activity aria-hidden size={17} /> {t.test.latency}</h2></header>
      <dl className="three">
        <div><dt>{t.test.min}</dt><dd>{latencies ? format.latency(latencies.min) : "–"}</dd></div>
        <div className="strong"><dt>{t.test.median}</dt><dd>{latencies ? format.latency(latencies.median) : "–"}</dd></div>
        <div><dt>{t.test.max}</dt><dd>{latencies ? format.latency(latencies.max) : "–"}</dd></div>
      </dl>
      <p className="note">
        {latencies ? t.test.count(latencies.count) : t.test.noLatency}
        <br />{t.test.reloads(reloads)}
        {Number.isFinite(clock.errorMs) && <><br />{t.test.clock(format.latency(clock.errorMs))}</>}
      </p>
    </section>
  );
}

/** The connected tills: loaded once, then as published at each change. The last publication counts. */
function Tills() {
  const { t, format } = useSettings();
  const { session } = useWebSocket();
  const { data: loaded, reload } = useData(async () => (await api.connexions()).items);
  const [published, setPublished] = useState<readonly Connexion[]>();
  useChannel<readonly Connexion[]>("magasin:connexions", {
    onPublication: ({ payload }) => setPublished(payload),
    onSubscribed: () => {
      setPublished(undefined);
      void reload();
    },
    onGap: () => {
      setPublished(undefined);
      void reload();
    },
  });
  const tills = published ?? loaded ?? [];

  return (
    <section className="card lab-tills" aria-labelledby="tills">
      <header><h2 id="tills"><UsersRound aria-hidden size={17} /> {t.test.who}</h2><span className="count">{tills.length}</span></header>
      {tills.length === 0 ? <p className="muted">{t.test.nobody}</p> : (
        <ul className="lines scroll" tabIndex={0} aria-labelledby="tills">
          {tills.map((one) => (
            <li key={one.id}>
              <span className="line-name">
                {one.nom} {one.id === session?.connectionId && <span className="badge" data-tone="accent">{t.test.you}</span>}
                <span className="line-note">{one.adresse} · {one.transport} · {t.test.since(format.moment(one.depuis))}</span>
              </span>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

const burstSize = 100;
const atATime = 8;

function Actions() {
  const { t, format } = useSettings();
  const { state, connect, disconnect } = useWebSocket();
  const [product, setProduct] = useState<Product>();
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string>();
  const [result, setResult] = useState<string>();
  const cut = state === "disconnected";

  const attempt = async (action: () => Promise<string | undefined>) => {
    setBusy(true);
    setProblem(undefined);
    setResult(undefined);
    try {
      setResult(await action());
    } catch (reason) {
      const error = asApiError(reason);
      if (error.status === 404) setProduct(undefined);
      setProblem(describeError(error, t));
    } finally {
      setBusy(false);
    }
  };

  const insert = async () => {
    const created = await api.createProduct({ nom: t.test.testProduct(format.timeExact(Date.now())), prix: 990, stock: 10 });
    setProduct(created);
    return created;
  };
  const update = async (target: Product) => {
    const changed = { ...target, prix: target.prix + 10 };
    await api.replaceProduct(changed.id, { nom: changed.nom, prix: changed.prix });
    setProduct(changed);
    return undefined;
  };
  const remove = async (target: Product) => {
    await api.deleteProduct(target.id);
    setProduct(undefined);
    return undefined;
  };
  const burst = async () => {
    const target = product ?? (await insert());
    const began = performance.now();
    let next = 0;
    const writer = async () => {
      for (let i = next++; i < burstSize; i = next++) await api.replaceProduct(target.id, { nom: target.nom, prix: 1000 + i });
    };
    await Promise.all(Array.from({ length: atATime }, writer));
    return t.test.burstDone(burstSize, format.latency(performance.now() - began));
  };

  return (
    <section className="card lab-actions" aria-labelledby="act">
      <header><h2 id="act"><Zap aria-hidden size={17} /> {t.test.act}</h2></header>
      <div className="button-grid">
        <Button icon={Plus} disabled={busy} onClick={() => void attempt(async () => (await insert()).nom)}>{t.test.insert}</Button>
        <Button
          icon={Pencil} disabled={busy || !product} title={product ? undefined : t.test.needsProduct}
          onClick={() => product && void attempt(() => update(product))}
        >{t.test.update}</Button>
        <Button
          icon={Trash2} disabled={busy || !product} title={product ? undefined : t.test.needsProduct}
          onClick={() => product && void attempt(() => remove(product))}
        >{t.test.delete}</Button>
        <Button icon={Zap} disabled={busy} onClick={() => void attempt(burst)}>{t.test.burst}</Button>
      </div>
      <p className="note" role="status">{result ?? product?.nom ?? t.test.actHelp}{!product && <><br />{t.test.needsProduct}</>}</p>
      {problem && <Alert>{problem}</Alert>}
      <hr />
      <Button icon={cut ? Plug : PlugZap} look={cut ? "primary" : "plain"} className="full" onClick={cut ? connect : disconnect}>
        {cut ? t.test.restore : t.test.cut}
      </Button>
      <p className="note">{t.test.cutHelp}</p>
    </section>
  );
}

const examples = [
  "UPDATE produits SET stock = stock + 1 WHERE id = 1",
  "INSERT INTO clients (nom, telephone) VALUES ('Zoé Essai', '01 02 03 04 05')",
  "DELETE FROM clients WHERE nom = 'Zoé Essai'",
  "SELECT * FROM produits ORDER BY stock LIMIT 5",
] as const;

function Sql() {
  const { t } = useSettings();
  const [statement, setStatement] = useState<string>(examples[0]);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string>();
  const [result, setResult] = useState<SqlResult>();

  const run = async () => {
    setBusy(true);
    setProblem(undefined);
    setResult(undefined);
    try {
      setResult(await api.sql(statement));
    } catch (reason) {
      const error = asApiError(reason);
      setProblem(error.status === 404 || error.status === 403 || error.status === 405 ? t.test.sqlOff : describeError(error, t));
    } finally {
      setBusy(false);
    }
  };

  return (
    <section className="card lab-sql" aria-labelledby="sql">
      <header><h2 id="sql"><Database aria-hidden size={17} /> {t.test.sql}</h2></header>
      <textarea
        aria-labelledby="sql" aria-describedby="sql-help" spellCheck={false} rows={3} value={statement}
        onChange={(event) => setStatement(event.target.value)}
        onKeyDown={(event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) void run(); }}
      />
      <div className="chips">
        {examples.map((example) => (
          <button key={example} type="button" className="chip" title={example} onClick={() => setStatement(example)}>
            {example.split(" ")[0]}
          </button>
        ))}
        <Button look="primary" disabled={busy || statement.trim() === ""} onClick={() => void run()}>
          {busy ? t.test.running : t.test.run}
        </Button>
      </div>
      <div aria-live="polite">
        {problem ? <Alert>{problem}</Alert> : result ? <Result result={result} /> : <p className="note" id="sql-help">{t.test.sqlHelp}</p>}
      </div>
    </section>
  );
}

function Result({ result }: { readonly result: SqlResult }) {
  const { t } = useSettings();
  const { columns, rows } = result;
  if (!columns || columns.length === 0 || !rows) return <p className="note">{t.test.affected(result.rowsAffected)}</p>;
  const cell = (row: NonNullable<typeof rows>[number], i: number, column: string) =>
    String((Array.isArray(row) ? row[i] : (row as Readonly<Record<string, unknown>>)[column]) ?? "∅");
  return (
    <div className="scroll-x" tabIndex={0} role="region" aria-label={t.test.rows(rows.length)}>
      <table className="small">
        <caption className="note">{t.test.rows(rows.length)}</caption>
        <thead><tr>{columns.map((column) => <th key={column} scope="col">{column}</th>)}</tr></thead>
        <tbody>
          {rows.slice(0, 100).map((row, r) => <tr key={r}>{columns.map((column, i) => <td key={column}>{cell(row, i, column)}</td>)}</tr>)}
        </tbody>
      </table>
    </div>
  );
}

const shownChanges = 100;

function Changes() {
  const { t, format } = useSettings();
  const { received, clear } = useFeed();
  const [openedAt] = useState(() => Date.now());
  return (
    <section className="card lab-changes" aria-labelledby="changes">
      <header>
        <h2 id="changes"><Inbox aria-hidden size={17} /> {t.test.changes}</h2>
        <span className="count">{received.length}</span>
        {received.length > 0 && <Button look="quiet" icon={Eraser} onClick={clear}>{t.test.clear}</Button>}
      </header>
      {received.length === 0 ? <Empty icon={Inbox} title={t.test.noChanges}><p className="muted">{t.test.noChangesHelp}</p></Empty> : (
        <div className="scroll" tabIndex={0} role="group" aria-labelledby="changes">
          <table className="feed">
            <caption className="visually-hidden">{t.test.changes}</caption>
            <thead>
              <tr>
                <th scope="col">{t.test.at}</th>
                <th scope="col">{t.test.table}</th>
                <th scope="col">{t.test.operation}</th>
                <th scope="col">{t.test.key}</th>
                <th scope="col" className="only-wide-cell">{t.test.actor}</th>
                <th scope="col" className="end">{t.test.lat}</th>
              </tr>
            </thead>
            <tbody>
              {received.slice(0, shownChanges).map(({ number, change, latencyMs, receivedAt, caughtUp }) => (
                <tr key={number} className={receivedAt >= openedAt ? "glow-a" : undefined}>
                  <td className="figures muted">{format.timeExact(receivedAt)}</td>
                  <td>{change.table}</td>
                  <td>
                    <span className="operation" data-operation={change.operation}>
                      {t.live.operations[change.operation] ?? change.operation}
                    </span>
                  </td>
                  <td className="figures">{change.key}</td>
                  <td className="only-wide-cell">{change.actor ?? <span className="muted">{t.test.unknownActor}</span>}</td>
                  <td className="end figures">
                    {caughtUp ? <span className="badge" data-tone="calm">{t.test.caughtUp}</span> : format.latency(latencyMs)}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}
