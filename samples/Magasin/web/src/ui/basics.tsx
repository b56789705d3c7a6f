import { useWebSocket } from "@carillon/react";
import { Plus, Search, TriangleAlert, X, type LucideIcon } from "lucide-react";
import { useId, useLayoutEffect, useRef, type ComponentProps, type ReactNode } from "react";
import { ApiError } from "../api";
import { useSettings } from "../settings";
import { routes } from "../route";
import type { Texts } from "../texts";

type ButtonProps = ComponentProps<"button"> & {
  readonly look?: "primary" | "plain" | "quiet" | "danger" | "danger-quiet";
  readonly icon?: LucideIcon;
};
type IconButtonProps = Omit<ButtonProps, "children" | "icon"> & { readonly icon: LucideIcon; readonly label: string };

export function Button({ look = "plain", icon: Icon, children, className = "", ...rest }: ButtonProps) {
  return (
    <button type="button" className={`button ${look} ${className}`} {...rest}>
      {Icon && <Icon aria-hidden size={18} />}
      {children}
    </button>
  );
}

/** A button with an icon only. The label is a tooltip and the accessible name. */
export function IconButton({ icon: Icon, label, look = "quiet", ...rest }: IconButtonProps) {
  return (
    <button type="button" className={`button icon-only ${look}`} aria-label={label} title={label} {...rest}>
      <Icon aria-hidden size={18} />
    </button>
  );
}

interface ScreenHeaderProps { readonly title: string; readonly note?: ReactNode; readonly children?: ReactNode }

export function ScreenHeader({ title, note, children }: ScreenHeaderProps) {
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

interface SearchFieldProps { readonly label: string; readonly value: string; readonly onChange: (text: string) => void }

export function SearchField({ label, value, onChange }: SearchFieldProps) {
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
      <input
        id={id} value={value} aria-invalid={error ? true : undefined} aria-describedby={described}
        onChange={(event) => onChange(event.target.value)} {...rest}
      />
      {error && <p className="field-error" id={`${id}-error`}>{error}</p>}
      {!error && help && <p className="field-help" id={`${id}-help`}>{help}</p>}
    </div>
  );
}

interface DialogProps {
  readonly title: string;
  readonly onClose: () => void;
  readonly children: ReactNode;
  readonly wide?: boolean;
}

/**
 * A native modal dialog: it traps the focus, closes on Escape and restores the focus. The element marked `data-first-focus` gets the focus
 * first, or else the first field. React's `autoFocus` has no effect here: it runs while the dialog is still closed, and `showModal` then
 * focuses the first button, which closes the dialog.
 */
export function Dialog({ title, onClose, children, wide }: DialogProps) {
  const { t } = useSettings();
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();

  // Closed before it is removed: otherwise the browser does not restore the focus.
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

interface EmptyProps { readonly icon: LucideIcon; readonly title: string; readonly children?: ReactNode }

export function Empty({ icon: Icon, title, children }: EmptyProps) {
  return (
    <div className="empty">
      <span className="empty-icon"><Icon aria-hidden size={28} /></span>
      <p className="empty-title">{title}</p>
      {children}
    </div>
  );
}

/** Placeholders while data is loading, with one accessible label. */
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

/** Why nothing can be saved, or undefined. A till that was disconnected on purpose can still save. */
export function useCannotSave(): string | undefined {
  const { t } = useSettings();
  return useWebSocket().state === "offline" ? t.connection.cannotSave : undefined;
}

/** The link to a new sale, disabled while nothing can be saved. */
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

/** Replaces a screen without data. Offers no retry while the connection banner does. */
export function LoadError({ error, onRetry }: { readonly error: ApiError; readonly onRetry: () => void }) {
  const { t } = useSettings();
  const { state } = useWebSocket();
  const bannerIsShown = error.code === "unreachable" && (state === "offline" || state === "reconnecting");
  return (
    <div className="empty" role={bannerIsShown ? undefined : "alert"}>
      <span className="empty-icon danger"><TriangleAlert aria-hidden size={28} /></span>
      <p className="empty-title">{t.errors.loadTitle}</p>
      <p className="muted">{bannerIsShown ? t.errors.waiting : describeError(error, t, true)}</p>
      {!bannerIsShown && <Button look="primary" onClick={onRetry}>{t.common.retry}</Button>}
    </div>
  );
}

/** The error of a failed action, shown next to it. */
export function Alert({ children }: { readonly children: ReactNode }) {
  return <p className="alert" role="alert"><TriangleAlert aria-hidden size={18} /><span>{children}</span></p>;
}

export function asApiError(reason: unknown): ApiError {
  return reason instanceof ApiError ? reason : new ApiError("unknown", String(reason));
}
