/**
 * How long an object without listeners is kept, in milliseconds. Frameworks unmount and remount in the same task, and a route that loads
 * lazily takes a little longer: a screen that returns within this time finds its channels as they were.
 */
export const releaseAfterMs = 1000;

/** Returns a function that runs `sweep` once, `releaseAfterMs` after the first of any number of calls. */
export function sweepLater(sweep: () => void): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  return () => {
    timer ??= setTimeout(() => {
      timer = undefined;
      sweep();
    }, releaseAfterMs);
  };
}
