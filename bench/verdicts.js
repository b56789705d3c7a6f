// What the two hostile runs must show, as sentences with figures: each passes, fails, or cannot be told.

const mib = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

/** A room of which some stop reading. `policy`: what the server is set up to do with them, `disconnect`, `drop` or `conflate`. */
export function ofStalled(result, policy) {
  const { stalled, connections, queueBytes, rounds, p99Ratio, growthKiB } = result;
  const others = connections - stalled;
  const p99 = (which) => median(rounds.map((round) => round[which].counts.latency.p99));
  const faults = rounds.flatMap((round) => [round.without, round.with]).reduce((sum, { counts }) => sum + counts.lost + counts.doubled + counts.wrong + counts.outOfOrder, 0);
  const growth = growthKiB * 1024;
  const unlessLimited = (passed) => (passed || !result.cost.limitedByGenerator ? passed : undefined);
  return [
    [unlessLimited(p99Ratio <= 1.2), `The ${others} that read see p99 of ${p99("with")} ms beside ${stalled} that do not, ${p99("without")} ms without them: ${p99Ratio} times (median of ${rounds.length} rounds; asked: at most 1.2).`],
    [faults === 0, `They receive everything once and in order: ${faults} messages lost, doubled or wrong in ${rounds.length * 2} windows.`],
    [rounds.every((round) => round.othersEnded === 0), `None of them is disconnected: ${Math.max(...rounds.map((round) => round.othersEnded))}.`],
    [growth <= stalled * queueBytes, `The server's memory grows by ${mib(growth)} at most (asked: ${stalled} budgets of ${mib(queueBytes)}, ${mib(stalled * queueBytes)}).`],
    policy !== "disconnect"
      ? [rounds.every((round) => round.upToDate === stalled), `The stalled stay, miss what they could not take, and are up to date when they read again: ${Math.min(...rounds.map((round) => round.upToDate))} of ${stalled}.`]
      : [rounds.every((round) => round.gone === stalled), `The stalled are disconnected: ${Math.min(...rounds.map((round) => round.gone))} of ${stalled}, ${Math.min(...rounds.map((round) => round.cut))} of them before anyone read again.`],
  ];
}

/** One kind of flood beside ordinary clients. */
export function ofFlood(result) {
  const { connections, without, with: during, flood, othersEnded, floodLimitedBy, probesRefused, probesRefusedBy, letInAfterSeconds, cost } = result;
  const p99 = during.latency.p99;
  const unlessLimited = (passed) => (passed || !cost.limitedByGenerator ? passed : undefined);
  const turnedAway = flood.refused + flood.cut;
  const ways = [
    ...Object.entries(flood.refusedBy).map(([how, count]) => `${count} by ${how}`),
    ...[[flood.closedUnanswered, "closed without an answer"], [flood.failed, "without a connection"], [flood.cut, "thrown out"]].filter(([count]) => count > 0).map((entry) => entry.join(" ")),
  ].join(", ");
  const pace = { generator: "the generator was the limit", server: "the server's core was the limit", neither: "neither core was at its limit" }[floodLimitedBy];
  const volume = {
    connections: `${Math.round(flood.attemptsPerSecond)} connections a second, ${flood.admitted} of ${flood.attempts} let in`,
    events: `${flood.eventsPerSecond} events a second from one client, which had to come back ${Math.max(0, flood.attempts - 1)} times`,
    handshakes: `${flood.heldMost} unfinished handshakes at once, ${flood.attempts} in all`,
  }[result.kind];
  return [
    [unlessLimited(p99 < 100), `The ${connections} ordinary clients see p99 of ${p99} ms, ${without.latency.p99} ms before the flood (asked: under 100).`],
    [during.unanswered === 0 && othersEnded === 0, `Each of their ${during.asked} questions is answered and nobody is disconnected: ${during.unanswered} unanswered, ${othersEnded} gone.`],
    [turnedAway > 0, `The flooder is refused: ${turnedAway} times${ways && ` (${ways})`}, first after ${flood.firstTroubleAfterSeconds ?? "-"} s. It made ${volume}; ${pace}.`],
    [probesRefused > 0, `It is banned: the last time that it is let in is ${flood.lastAdmittedAfterSeconds ?? "-"} s after its beginning, and after its flood, well-behaved, it is refused ${probesRefused} times${probesRefused > 0 ? ` (${Object.entries(probesRefusedBy).map(([how, count]) => `${count} by ${how}`).join(", ")})` : ""}.`],
    [probesRefused > 0 ? letInAfterSeconds !== null : undefined, letInAfterSeconds === null ? "It is not forgiven within the time of this run." : `It is forgiven: let in and served ${letInAfterSeconds} s after its flood.`],
  ];
}

/** Prints the list; true when nothing failed. */
export function print(verdicts) {
  for (const [passed, sentence] of verdicts) console.log(`${passed === undefined ? "not told" : passed ? "pass    " : "FAIL    "}  ${sentence}`);
  return verdicts.every(([passed]) => passed !== false);
}
