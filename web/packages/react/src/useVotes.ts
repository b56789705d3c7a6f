import { votes, type Votes, type VotesSnapshot } from "@carillon/client";
import { useMemo, useSyncExternalStore } from "react";
import { useCarillon } from "./CarillonProvider.js";

/** The tallies, and the functions to vote and to seed. */
export interface UseVotesResult extends VotesSnapshot, Pick<Votes, "vote" | "seed"> {}

/** The tallies of suggestions, kept up to date while the component is mounted, and the functions to vote and to seed. */
export function useVotes(): UseVotesResult {
  const { subscribe, getSnapshot, vote, seed } = votes(useCarillon());
  const snapshot = useSyncExternalStore(subscribe, getSnapshot, getSnapshot);
  return useMemo(() => ({ ...snapshot, vote, seed }), [snapshot, vote, seed]);
}
