import { useWebSocket } from "@carillon/react";
import { Plus, Search, TriangleAlert, X, type LucideIcon } from "lucide-react";
import { useId, useLayoutEffect, useRef, type ComponentProps, type ReactNode } from "react";
import { ApiError } from "../api";
import { useSettings } from "../settings";
import { routes } from "../route";
import type { Texts } from "../texts";

type ButtonProps = ComponentProps<"button"> & { readonly look?: "primary" | "plain" | "quiet" | "danger" | "danger-quiet"; readonly icon?: LucideIcon };

export function Button({ look = "plain", icon: Icon, children, className = "", ...rest }: ButtonProps) {
  return (
    <button type="button" className={`button ${look} ${className}`} {...rest}>
      {Icon && <Icon aria-hidden size={18} />}
      {children}
    </button>
  );
}

/** A button that shows only its icon; the label is spoken and shown on hover. */
export function IconButton({ icon: Icon, label, look = "quiet", ...rest }: Omit<ButtonProps, "children" | "icon"> & { readonly icon: LucideIcon; readonly label: string }) {
  return (
    <button type="button" className={`button icon-only ${look}`} aria-label={label} title={label} {...rest}>
      <Icon aria-hidden size={18} />
    </button>
  );
}

export function ScreenHeader({ title, note, children }: { readonly title: string; readonly note?: ReactNode; readonly children?: ReactNode }) {
  const { t } = useSettings();
  return (
    <header className="screen-header">
      <div>
        <h1 tabIndex={-1}>{title}</h1>
        {note && <p className="note">{note}<span className="badge stale-mark" data-tone="warn">{t.common.stale}</span></p>}
      </div>
      {children && <div className="screen-actions">{children}</div>}
    </header>
  );
}

export function SearchField({ label, value, onChange }: { readonly label: string; readonly value: string; readonly onChange: (text: string) => void }) {
  const { t } = useSettings();
  return (
    <div className="search">
      <Search aria-hidden size={18} />
      <input type="search" aria-label={label} placeholder={label} value={value} onChange={(event) => onChange(event.target.value)} />
      {value && <IconButton icon={X} label={t.common.clear} onClick={() => onChange("")} />}
    </div>
  );
}

type FieldProps = Omit<ComponentProps<"input">, "onChange" | "value"> & {
  readonly label: string;
  readonly value: string;
  readonly onChange: (text: string) => void;
  readonly help?: string | undefined;
  readonly error?: string | undefined;
};

export function Field({ label, value, onChange, help, error, ...rest }: FieldProps) {
  const id = useId();
  const described = error ? `${id}-error` : help ? `${id}-help` : undefined;
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <input id={id} value={value} aria-invalid={error ? true : undefined} aria-describedby={described} onChange={(event) => onChange(event.target.value)} {...rest} />
      {error ? <p className="field-error" id={`${id}-error`}>{error}</p> : help ? <p className="field-help" id={`${id}-help`}>{help}</p> : null}
    </div>
  );
}

/**
 * A modal dialog of the platform: it keeps the focus, closes on Escape and gives the focus back. The element marked `data-first-focus`
 * gets the focus first, or else the first field. React's `autoFocus` has no effect in here: it runs while the dialog is still closed, and
 * `showModal` then focuses the first button, which closes the dialog.
 */
export function Dialog({ title, onClose, children, wide }: { readonly title: string; readonly onClose: () => void; readonly children: ReactNode; readonly wide?: boolean }) {
  const { t } = useSettings();
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();

  // Closed before it leaves the page: only then does the platform give the focus back to where it came from.
  useLayoutEffect(() => {
    const dialog = ref.current;
    if (dialog && !dialog.open) {
      dialog.showModal();
      (dialog.querySelector<HTMLElement>("[data-first-focus]") ?? dialog.querySelector<HTMLElement>("input, select, textarea"))?.focus();
    }
    return () => dialog?.close();
  }, []);

  return (
    <dialog
      ref={ref} aria-labelledby={id} className={wide ? "wide" : undefined}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => { if (event.target === ref.current) onClose(); }}
    >
      <div className="dialog-body">
        <div className="dialog-head">
          <h2 id={id}>{title}</h2>
          <IconButton icon={X} label={t.common.close} onClick={onClose} />
        </div>
        {children}
      </div>
    </dialog>
  );
}

export function Empty({ icon: Icon, title, children }: { readonly icon: LucideIcon; readonly title: string; readonly children?: ReactNode }) {
  return (
    <div className="empty">
      <span className="empty-icon"><Icon aria-hidden size={28} /></span>
      <p className="empty-title">{title}</p>
      {children}
    </div>
  );
}

/** Grey shapes where the data will be. Spoken as one word. */
export function Skeleton({ rows = 6, className = "" }: { readonly rows?: number; readonly className?: string }) {
  const { t } = useSettings();
  return (
    <div className={`skeleton ${className}`} role="status" aria-label={t.common.loading}>
      {Array.from({ length: rows }, (_, i) => <span key={i} style={{ inlineSize: `${94 - ((i * 17) % 38)}%` }} />)}
    </div>
  );
}

export function describeError(error: ApiError, t: Texts, loading = false): string {
  switch (error.code) {
    case "unreachable": return loading ? t.errors.unreachableLoad : t.errors.unreachable;
    case "not-found": return t.errors.notFound;
    case "forbidden": return t.errors.forbidden;
    default: return t.errors.unknown(error.message || error.code);
  }
}

/** Why nothing can be saved now; undefined while the server answers. A connection that was cut on purpose still saves. */
export function useCannotSave(): string | undefined {
  const { t } = useSettings();
  return useWebSocket().state === "offline" ? t.connection.cannotSave : undefined;
}

/** The way to a new sale. While nothing can be sold it says so and leads nowhere. */
export function NewSaleLink({ plain = false }: { readonly plain?: boolean }) {
  const { t } = useSettings();
  const reason = useCannotSave();
  return (
    <a
      className="button primary" href={routes.newSale} title={reason} aria-disabled={reason ? true : undefined}
      onClick={(event) => { if (reason) event.preventDefault(); }}
    >
      {!plain && <Plus aria-hidden size={18} />}{t.sales.new}{reason && <span className="visually-hidden"> ({reason})</span>}
    </a>
  );
}

/** What stands in place of a screen that has nothing to show. While the banner says that the server is away and offers to try again, this does not. */
export function LoadError({ error, onRetry }: { readonly error: ApiError; readonly onRetry: () => void }) {
  const { t } = useSettings();
  const { state } = useWebSocket();
  const said = error.code === "unreachable" && (state === "offline" || state === "reconnecting");
  return (
    <div className="empty" role={said ? undefined : "alert"}>
      <span className="empty-icon danger"><TriangleAlert aria-hidden size={28} /></span>
      <p className="empty-title">{t.errors.loadTitle}</p>
      <p className="muted">{said ? t.errors.waiting : describeError(error, t, true)}</p>
      {!said && <Button look="primary" onClick={onRetry}>{t.common.retry}</Button>}
    </div>
  );
}

/** A write that failed, said where it was asked for. */
export function Alert({ children }: { readonly children: ReactNode }) {
  return <p className="alert" role="alert"><TriangleAlert aria-hidden size={18} /><span>{children}</span></p>;
}

export function asApiError(reason: unknown): ApiError {
  return reason instanceof ApiError ? reason : new ApiError("unknown", String(reason));
}
