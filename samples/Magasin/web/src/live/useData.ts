import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";
import { ApiError } from "../api";

/** The data of a screen. Loaded data stays when a reload fails; `error` then means that it may be out of date. */
export interface Data<T> {
  readonly data: T | undefined;
  readonly error: ApiError | undefined;
  readonly loadedAt: number | undefined;
  readonly reload: () => Promise<void>;
}

const firstRetryMs = 1500;
const lastRetryMs = 15_000;

/**
 * Loads a screen's data when it opens and whenever `reload` is called. A response older than the one shown is discarded. A temporary
 * failure is retried, because the next change that would reload the screen may be hours away.
 */
export function useData<T>(load: () => Promise<T>): Data<T> {
  const [held, hold] = useState<Omit<Data<T>, "reload">>({ data: undefined, error: undefined, loadedAt: undefined });
  const turn = useRef(0);
  const shown = useRef(0);
  const open = useRef(false);
  const failures = useRef(0);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const latest = useRef(load);
  useLayoutEffect(() => { latest.current = load; });

  const reload = useCallback(async () => {
    const mine = ++turn.current;
    clearTimeout(timer.current);
    const overtaken = () => !open.current || mine < shown.current;
    try {
      const data = await latest.current();
      if (overtaken()) return;
      shown.current = mine;
      failures.current = 0;
      hold({ data, error: undefined, loadedAt: Date.now() });
    } catch (reason) {
      if (overtaken()) return;
      const error = reason instanceof ApiError ? reason : new ApiError("unknown", String(reason));
      hold((before) => ({ ...before, error }));
      if (error.status > 0 && error.status < 500) return;
      const wait = Math.min(lastRetryMs, firstRetryMs * 2 ** failures.current++);
      timer.current = setTimeout(() => void reload(), wait);
    }
  }, []);

  useEffect(() => {
    open.current = true;
    void reload();
    return () => {
      open.current = false;
      clearTimeout(timer.current);
    };
  }, [reload]);

  return { ...held, reload };
}
