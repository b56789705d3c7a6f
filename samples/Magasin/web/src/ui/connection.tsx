import type { ConnectionState } from "@carillon/client";
import { useWebSocket } from "@carillon/react";
import { CloudOff, PlugZap, RotateCw, ShieldX, type LucideIcon } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { useSettings } from "../settings";
import { Button } from "./basics";
import { useToast } from "./toast";

/** The state of the connection in the top bar: as a colour, a shape and a word, so that everybody can perceive it. */
export function ConnectionPill() {
  const { t } = useSettings();
  const { state } = useWebSocket();
  return (
    <p className="pill" data-state={state} role="status">
      <span className="visually-hidden">{t.connection.label}{t.common.colon}</span>
      <span className="pill-dot" aria-hidden />
      <span className="pill-text">{t.connection[state]}</span>
    </p>
  );
}

type Trouble = Exclude<ConnectionState, "connected" | "connecting">;

const icons: Readonly<Record<Trouble, LucideIcon>> = { disconnected: PlugZap, reconnecting: RotateCw, offline: CloudOff, refused: ShieldX };

/** Explains an interruption that lasts longer than a moment. */
export function ConnectionBanner() {
  const { t, format } = useSettings();
  const { state, reason, error, nextAttemptAt, connect, connected } = useWebSocket();
  const [lastLive, setLastLive] = useState<number>();
  const trouble = useLasting(state === "connected" || state === "connecting" ? undefined : state, state === "reconnecting" ? 1200 : 300);
  const toast = useToast();
  const wasShown = useRef(false);
  const seconds = useSecondsUntil(trouble ? nextAttemptAt : undefined);

  useEffect(() => {
    if (!connected) return undefined;
    return () => setLastLive(Date.now());
  }, [connected]);

  useEffect(() => {
    if (trouble) wasShown.current = true;
    else if (connected && wasShown.current) {
      wasShown.current = false;
      toast(t.connection.back);
    }
  }, [trouble, connected, toast, t]);

  // The style sheets use this to mark data that may be out of date.
  useEffect(() => {
    document.documentElement.toggleAttribute("data-stale", trouble !== undefined);
  }, [trouble]);

  if (!trouble) return null;
  const Icon = icons[trouble];
  const title =
    trouble === "disconnected" ? t.connection.titleDisconnected
    : trouble === "refused" ? t.connection.titleRefused
    : trouble === "reconnecting" ? t.connection.titleReconnecting
    : reason === "no-network" ? t.connection.titleNoNetwork
    : t.connection.titleOffline;

  return (
    <section className="banner" data-state={trouble} aria-label={t.connection.label}>
      <Icon aria-hidden size={20} />
      <div className="banner-text">
        <p role="status">
          <strong>{title}</strong>
          {trouble === "refused" && error ? ` ${error.message}` : ""} {trouble === "offline" ? t.connection.cannotSave : ""}
        </p>
        <p className="banner-note">
          {lastLive !== undefined && <span>{t.connection.stale(format.time(lastLive))}</span>}
          {seconds !== undefined && seconds > 0 && <span> {t.connection.next(seconds)}.</span>}
        </p>
      </div>
      <Button onClick={connect}>{trouble === "disconnected" ? t.connection.restore : t.connection.retry}</Button>
    </section>
  );
}

/** A value after it has lasted for a while; it ends at once. */
function useLasting<T>(value: T | undefined, ms: number): T | undefined {
  const [lasting, setLasting] = useState<T>();
  const present = value !== undefined;
  useEffect(() => {
    if (!present) {
      setLasting(undefined);
      return undefined;
    }
    if (lasting !== undefined) {
      setLasting(value);
      return undefined;
    }
    const timer = setTimeout(() => setLasting(value), ms);
    return () => clearTimeout(timer);
  }, [present, value, ms, lasting]);
  return present ? lasting : undefined;
}

function useSecondsUntil(moment: number | undefined): number | undefined {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    if (moment === undefined) return undefined;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 500);
    return () => clearInterval(timer);
  }, [moment]);
  return moment === undefined ? undefined : Math.max(0, Math.ceil((moment - now) / 1000));
}
