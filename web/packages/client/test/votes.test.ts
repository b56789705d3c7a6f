import { afterEach, beforeEach, expect, test } from "vitest";
import { createCarillon, type Carillon } from "../src/index.js";
import { pause, startFakeCarillon, until, type FakeCarillon } from "./fakeCarillon.js";

let server: FakeCarillon;
let carillon: Carillon;
/** What the server knows of suggestion 7, and how it answers a vote. */
let truth: { up: number; down: number; version: number; mine: number };
let answers: ((argument: { suggestionId: string; value: number }) => unknown)[];

const counted = (value: number) => {
  truth = {
    up: truth.up - Number(truth.mine === 1) + Number(value === 1),
    down: truth.down - Number(truth.mine === -1) + Number(value === -1),
    version: truth.version + 1, mine: value,
  };
  return { ok: true, suggestionId: "7", up: truth.up, down: truth.down, score: truth.up - truth.down, version: truth.version };
};
const tell = (up: number, down: number, version: number) =>
  server.publish("suggestions:votes", { suggestionId: "7", up, down, score: up - down, version }, "suggestion:vote");
const shown = () => {
  const tally = carillon.votes().getSnapshot().tallies.get("7");
  return tally && `+${tally.up} -${tally.down} =${tally.score} v${tally.version} mine ${tally.mine}`;
};

beforeEach(async () => {
  server = await startFakeCarillon();
  truth = { up: 40, down: 2, version: 50, mine: 0 };
  answers = [];
  server.rules.requests["suggestion:vote"] = (argument: { suggestionId: string; value: number }) => answers.shift()?.(argument) ?? counted(argument.value);
  carillon = createCarillon({ url: server.url, transports: ["websocket"], retryFirstMs: 20, retryMaxMs: 60, answerTimeoutMs: 1000 });
  carillon.connect();
  carillon.votes().subscribe(() => {});
  await until(() => carillon.votes().getSnapshot().state === "subscribed");
});
afterEach(async () => {
  carillon.disconnect();
  await server.stop();
});
const learnt = () => carillon.votes().learn([{ id: "7", ...truth, myVote: truth.mine }]);

test("Tallies never go backwards", async () => {
  const seen: number[] = [];
  carillon.votes().subscribe(() => seen.push(carillon.votes().getSnapshot().tallies.get("7")?.version ?? 0));
  for (const version of [51, 53, 52, 53, 54]) tell(version, 0, version);
  await until(() => shown() === "+54 -0 =54 v54 mine 0");
  learnt();                                                   // an answer over HTTP that was overtaken
  expect(seen).toEqual([51, 53, 54]);
  const before = carillon.votes().getSnapshot();
  learnt();
  expect(carillon.votes().getSnapshot()).toBe(before);
  expect(carillon.votes()).toBe(carillon.votes());
});

test("A vote is shown at once and stays when the server counts it", async () => {
  learnt();
  const answer = carillon.votes().vote("7", 1);
  expect(shown()).toBe("+41 -2 =39 v50 mine 1");
  expect(await answer).toMatchObject({ ok: true, up: 41, version: 51 });
  expect(shown()).toBe("+41 -2 =39 v51 mine 1");
  const changed = carillon.votes().vote("7", -1);
  expect(shown()).toBe("+40 -3 =37 v51 mine -1");
  await changed;
  await carillon.votes().vote("7", 0);
  expect(shown()).toBe("+40 -2 =38 v53 mine 0");
});

test("A vote that is refused is taken back", async () => {
  learnt();
  await carillon.votes().vote("7", 1);
  answers = [() => ({ ok: false, error: { code: "forbidden", message: "No.", retryable: false } })];
  const answer = carillon.votes().vote("7", -1);
  expect(shown()).toBe("+40 -3 =37 v51 mine -1");
  expect(await answer).toMatchObject({ ok: false, error: { code: "forbidden" } });
  expect(shown()).toBe("+41 -2 =39 v51 mine 1");
});

test("A vote without a connection is taken back too", async () => {
  learnt();
  carillon.disconnect();
  expect(await carillon.votes().vote("7", 1)).toMatchObject({ ok: false, error: { code: "unavailable" } });
  expect(shown()).toBe("+40 -2 =38 v50 mine 0");
});

test("A vote is not counted twice when its tally arrives before its answer", async () => {
  learnt();
  const seen = new Set<string | undefined>();
  carillon.votes().subscribe(() => seen.add(shown()));
  answers = [async () => { tell(41, 2, 51); await pause(40); return counted(1); }];
  await carillon.votes().vote("7", 1);
  expect([...seen]).toEqual(["+41 -2 =39 v50 mine 1", "+41 -2 =39 v51 mine 1"]);
});

test("The last of several clicks is the last vote", async () => {
  learnt();
  const asked: number[] = [];
  answers = [50, 0, 0].map((ms) => async ({ value }) => { await pause(ms); asked.push(value); return counted(value); });
  const all = ([1, -1, 1] as const).map((value) => carillon.votes().vote("7", value));
  expect(shown()).toBe("+41 -2 =39 v50 mine 1");
  await Promise.all(all);
  expect([asked, shown()]).toEqual([[1, -1, 1], "+41 -2 =39 v53 mine 1"]);
});

test("A tally that nobody told yet is not made up", async () => {
  const answer = carillon.votes().vote("7", 1);
  expect(shown()).toBeUndefined();
  await answer;
  expect(shown()).toBe("+41 -2 =39 v51 mine 1");
});
