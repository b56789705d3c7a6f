import { CheckCircle2 } from "lucide-react";
import { createContext, useCallback, useContext, useRef, useState, type ReactNode } from "react";

const Context = createContext<(text: string) => void>(() => {});

/** A short message about the last action on this till. */
export function Toasts({ children }: { children: ReactNode }) {
  const [toast, setToast] = useState<{ readonly text: string; readonly number: number }>();
  const number = useRef(0);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);

  const show = useCallback((text: string) => {
    clearTimeout(timer.current);
    setToast({ text, number: ++number.current });
    timer.current = setTimeout(() => setToast(undefined), 4000);
  }, []);

  return (
    <Context value={show}>
      {children}
      <div className="toasts" role="status">
        {toast && <p key={toast.number} className="toast"><CheckCircle2 aria-hidden size={18} />{toast.text}</p>}
      </div>
    </Context>
  );
}

export const useToast = () => useContext(Context);
