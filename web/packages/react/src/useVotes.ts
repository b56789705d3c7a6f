import type { Votes, VotesSnapshot } from "@carillon/client";
import { useMemo, useSyncExternalStore } from "react";
import { useCarillon } from "./CarillonProvider.js";

/** The votes as a component sees them. */
export interface VotesView extends VotesSnapshot, Pick<Votes, "vote" | "learn"> {}

/** The tallies of suggestions, followed while the component is mounted, and the way to vote. */
export function useVotes(): VotesView {
  const { subscribe, getSnapshot, vote, learn } = useCarillon().votes();
  const snapshot = useSyncExternalStore(subscribe, getSnapshot, getSnapshot);
  return useMemo(() => ({ ...snapshot, vote, learn }), [snapshot, vote, learn]);
}
