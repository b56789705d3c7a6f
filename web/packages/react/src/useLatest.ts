import { useLayoutEffect, useRef, type RefObject } from "react";

/** The latest value of a property, for a subscription that must not start over when the property changes. */
export function useLatest<T>(value: T): Readonly<RefObject<T>> {
  const latest = useRef(value);
  useLayoutEffect(() => { latest.current = value; });
  return latest;
}
