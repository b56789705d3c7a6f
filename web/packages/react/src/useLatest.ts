import { useLayoutEffect, useRef, type RefObject } from "react";

/** The newest value of a prop for a subscription that should not be made again because of it. */
export function useLatest<T>(value: T): Readonly<RefObject<T>> {
  const latest = useRef(value);
  useLayoutEffect(() => { latest.current = value; });
  return latest;
}
