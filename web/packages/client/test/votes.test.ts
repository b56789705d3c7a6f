import { afterEach, beforeEach, expect, test } from "vitest";
import { createCarillon, votes, type Carillon } from "../src/index.js";
import { pause, startFakeCarillon, until, type FakeCarillon } from "./fakeCarillon.js";

let server: FakeCarillon;
let carillon: Carillon;
/** The server's tally of suggestion 7, and its replies to the next votes. */
let truth: { up: number; down: number; version: number; mine: number };
let replies: ((argument: { suggestionId: string; value: number }) => unknown)[];

const counted = (value: number) => {
  truth = {
    up: truth.up - Number(truth.mine === 1) + Number(value === 1),
    down: truth.down - Number(truth.mine === -1) + Number(value === -1),
    version: truth.version + 1, mine: value,
  };
  return { ok: true, suggestionId: "7", up: truth.up, down: truth.down, score: truth.up - truth.down, version: truth.version };
};
const publishTally = (up: number, down: number, version: number) =>
  server.publish("suggestions:votes", { suggestionId: "7", up, down, score: up - down, version }, "suggestion:vote");
const shown = () => {
  const tally = votes(carillon).getSnapshot().tallies.get("7");
  return tally && `+${tally.up} -${tally.down} =${tally.score} v${tally.version} mine ${tally.mine}`;
};

beforeEach(async () => {
  server = await startFakeCarillon();
  truth = { up: 40, down: 2, version: 50, mine: 0 };
  replies = [];
  server.rules.requests["suggestion:vote"] = (argument: { suggestionId: string; value: number }) =>
    replies.shift()?.(argument) ?? counted(argument.value);
  carillon = createCarillon({ url: server.url, transports: ["websocket"], retryFirstMs: 20, retryMaxMs: 60, requestTimeoutMs: 1000 });
  carillon.connect();
  votes(carillon).subscribe(() => {});
  await until(() => votes(carillon).getSnapshot().state === "subscribed");
});
afterEach(async () => {
  carillon.disconnect();
  await server.stop();
});
const seed = () => votes(carillon).seed([{ id: "7", ...truth, myVote: truth.mine }]);

test("Tallies never go backwards", async () => {
  const seen: number[] = [];
  votes(carillon).subscribe(() => seen.push(votes(carillon).getSnapshot().tallies.get("7")?.version ?? 0));
  for (const version of [51, 53, 52, 53, 54]) publishTally(version, 0, version);
  await until(() => shown() === "+54 -0 =54 v54 mine 0");
  seed();                                                   // an HTTP response older than the known tally
  expect(seen).toEqual([51, 53, 54]);
  const before = votes(carillon).getSnapshot();
  seed();
  expect(votes(carillon).getSnapshot()).toBe(before);
  expect(votes(carillon)).toBe(votes(carillon));
});

test("A vote is shown at once and stays when the server accepts it", async () => {
  seed();
  const reply = votes(carillon).vote("7", 1);
  expect(shown()).toBe("+41 -2 =39 v50 mine 1");
  expect(await reply).toMatchObject({ ok: true, up: 41, version: 51 });
  expect(shown()).toBe("+41 -2 =39 v51 mine 1");
  const changed = votes(carillon).vote("7", -1);
  expect(shown()).toBe("+40 -3 =37 v51 mine -1");
  await changed;
  await votes(carillon).vote("7", 0);
  expect(shown()).toBe("+40 -2 =38 v53 mine 0");
});

test("A refused vote is rolled back", async () => {
  seed();
  await votes(carillon).vote("7", 1);
  replies = [() => ({ ok: false, error: { code: "forbidden", message: "No.", retryable: false } })];
  const reply = votes(carillon).vote("7", -1);
  expect(shown()).toBe("+40 -3 =37 v51 mine -1");
  expect(await reply).toMatchObject({ ok: false, error: { code: "forbidden" } });
  expect(shown()).toBe("+41 -2 =39 v51 mine 1");
});

test("A vote without a connection is rolled back", async () => {
  seed();
  carillon.disconnect();
  expect(await votes(carillon).vote("7", 1)).toMatchObject({ ok: false, error: { code: "unavailable" } });
  expect(shown()).toBe("+40 -2 =38 v50 mine 0");
});

test("A vote is not counted twice when its tally arrives before its reply", async () => {
  seed();
  const seen = new Set<string | undefined>();
  votes(carillon).subscribe(() => seen.add(shown()));
  replies = [async () => { publishTally(41, 2, 51); await pause(40); return counted(1); }];
  await votes(carillon).vote("7", 1);
  expect([...seen]).toEqual(["+41 -2 =39 v50 mine 1", "+41 -2 =39 v51 mine 1"]);
});

test("The last of several clicks is the last vote", async () => {
  seed();
  const received: number[] = [];
  replies = [50, 0, 0].map((ms) => async ({ value }) => { await pause(ms); received.push(value); return counted(value); });
  const all = ([1, -1, 1] as const).map((value) => votes(carillon).vote("7", value));
  expect(shown()).toBe("+41 -2 =39 v50 mine 1");
  await Promise.all(all);
  expect([received, shown()]).toEqual([[1, -1, 1], "+41 -2 =39 v53 mine 1"]);
});

test("A vote for an unknown tally shows nothing before the reply", async () => {
  const reply = votes(carillon).vote("7", 1);
  expect(shown()).toBeUndefined();
  await reply;
  expect(shown()).toBe("+41 -2 =39 v51 mine 1");
});
