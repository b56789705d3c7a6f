import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";
import { ApiError } from "../api";

/** What a screen has: nothing yet, the data, or the reason why it has none. Data once loaded stays, and `error` says it may be old. */
export interface Data<T> {
  readonly data: T | undefined;
  readonly error: ApiError | undefined;
  readonly loadedAt: number | undefined;
  readonly reload: () => Promise<void>;
}

/** Loads a screen's data when it opens and whenever `reload` is called. An answer that was overtaken by a newer one is thrown away. */
export function useData<T>(load: () => Promise<T>): Data<T> {
  const [held, hold] = useState<Omit<Data<T>, "reload">>({ data: undefined, error: undefined, loadedAt: undefined });
  const turn = useRef(0);
  const shown = useRef(0);
  const open = useRef(false);
  const latest = useRef(load);
  useLayoutEffect(() => { latest.current = load; });

  const reload = useCallback(async () => {
    const mine = ++turn.current;
    const overtaken = () => !open.current || mine < shown.current;
    try {
      const data = await latest.current();
      if (overtaken()) return;
      shown.current = mine;
      hold({ data, error: undefined, loadedAt: Date.now() });
    } catch (reason) {
      if (overtaken()) return;
      const error = reason instanceof ApiError ? reason : new ApiError("unknown", String(reason));
      hold((before) => ({ ...before, error }));
    }
  }, []);

  useEffect(() => {
    open.current = true;
    void reload();
    return () => { open.current = false; };
  }, [reload]);

  return { ...held, reload };
}
