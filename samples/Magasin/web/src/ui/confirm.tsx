import { useState } from "react";
import type { ApiError } from "../api";
import { useSettings } from "../settings";
import { Alert, Button, Dialog, asApiError, describeError } from "./basics";

interface ConfirmProps {
  readonly title: string;
  readonly text: string;
  readonly action: string;
  readonly onConfirm: () => Promise<void>;
  readonly onClose: () => void;
  /** A better message than the server's, for errors that the screen knows. */
  readonly explain?: (error: ApiError) => string | undefined;
}

/** Asks before an irreversible action. An error is shown in the dialog, which stays open. */
export function Confirm({ title, text, action, onConfirm, onClose, explain }: ConfirmProps) {
  const { t } = useSettings();
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string>();

  const confirm = async () => {
    setBusy(true);
    setProblem(undefined);
    try {
      await onConfirm();
      onClose();
    } catch (reason) {
      const error = asApiError(reason);
      setProblem(explain?.(error) ?? describeError(error, t));
      setBusy(false);
    }
  };

  return (
    <Dialog title={title} onClose={onClose}>
      <p>{text}</p>
      {problem && <Alert>{problem}</Alert>}
      <div className="dialog-foot">
        <Button onClick={onClose} data-first-focus>{t.common.keep}</Button>
        <Button look="danger" onClick={() => void confirm()} disabled={busy}>{action}</Button>
      </div>
    </Dialog>
  );
}
