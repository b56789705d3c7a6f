// When a connection may have ended without a word: the machine slept, the network came back, the page was in the background or in the
// back/forward cache.

const tickMs = 1000;

// A timer that is so late was not just busy. Shorter interruptions are left to the heartbeat of the transport.
const jumpMs = 2000;

/**
 * Calls back at each sign that this page was away, and when the browser says that there is no network, until the returned function is
 * called. Several signs of one moment are several calls.
 */
export function watchWaking(onWake: () => void, onOffline: () => void): () => void {
  let last = Date.now();
  const ticking = setInterval(() => {
    const now = Date.now();
    const jump = Math.abs(now - last - tickMs);
    last = now;
    // Browsers slow the timers of hidden pages down: that is no sleep, and becoming visible is a sign of its own.
    if (jump > jumpMs && !(typeof document !== "undefined" && document.visibilityState === "hidden")) onWake();
  }, tickMs);
  const onVisible = () => {
    if (document.visibilityState === "visible") onWake();
  };
  const page = typeof window === "undefined" || typeof window.addEventListener !== "function" ? undefined : window;
  const sheet = typeof document === "undefined" ? undefined : document;
  for (const sign of ["online", "pageshow"]) page?.addEventListener(sign, onWake);
  page?.addEventListener("offline", onOffline);
  sheet?.addEventListener("visibilitychange", onVisible);
  sheet?.addEventListener("resume", onWake);           // a frozen page (Page Lifecycle) runs again
  return () => {
    clearInterval(ticking);
    for (const sign of ["online", "pageshow"]) page?.removeEventListener(sign, onWake);
    page?.removeEventListener("offline", onOffline);
    sheet?.removeEventListener("visibilitychange", onVisible);
    sheet?.removeEventListener("resume", onWake);
  };
}
