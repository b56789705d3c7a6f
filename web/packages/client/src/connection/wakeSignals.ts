const tickMs = 1000;

// A timer this late means sleep, not load. The transport's heartbeat detects shorter interruptions.
const jumpMs = 2000;

/**
 * Calls `onWake` at each signal that the page was away (it woke from sleep, came online, became visible or left the back/forward cache)
 * and `onOffline` when the browser reports that there is no network, until the returned function is called. Several signals of one event
 * are several calls.
 */
export function watchWakeSignals(onWake: () => void, onOffline: () => void): () => void {
  let last = Date.now();
  const ticking = setInterval(() => {
    const now = Date.now();
    const jump = Math.abs(now - last - tickMs);
    last = now;
    // Browsers slow the timers of hidden pages down. That is not sleep, and becoming visible is a signal of its own.
    if (jump > jumpMs && !(typeof document !== "undefined" && document.visibilityState === "hidden")) onWake();
  }, tickMs);
  const onVisible = () => {
    if (document.visibilityState === "visible") onWake();
  };
  // React Native has a global `window` without events.
  const page = typeof window === "undefined" || typeof window.addEventListener !== "function" ? undefined : window;
  const sheet = typeof document === "undefined" ? undefined : document;
  for (const signal of ["online", "pageshow"]) page?.addEventListener(signal, onWake);
  page?.addEventListener("offline", onOffline);
  sheet?.addEventListener("visibilitychange", onVisible);
  sheet?.addEventListener("resume", onWake);           // a frozen page runs again (Page Lifecycle)
  return () => {
    clearInterval(ticking);
    for (const signal of ["online", "pageshow"]) page?.removeEventListener(signal, onWake);
    page?.removeEventListener("offline", onOffline);
    sheet?.removeEventListener("visibilitychange", onVisible);
    sheet?.removeEventListener("resume", onWake);
  };
}
