// What a feature is built on.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createCarillon, perClient, votes, type Carillon, type Publication } from "../src/index.js";
import { FakeSocket } from "./fakeSocket.js";

let socket: FakeSocket;
vi.mock("socket.io-client", () => ({ io: () => socket }));

let carillon: Carillon;
beforeEach(() => {
  socket = new FakeSocket();
  carillon = createCarillon();
  carillon.connect();
  socket.open();
});
afterEach(() => carillon.disconnect());

test("each client has one instance of a feature, created when it is first used", () => {
  const create = vi.fn((client: Carillon) => ({ client }));
  const feature = perClient(create);
  expect(create).not.toHaveBeenCalled();
  const other = createCarillon();
  expect(feature(carillon)).toBe(feature(carillon));
  expect(feature(carillon).client).toBe(carillon);
  expect(feature(other).client).toBe(other);
  expect(create).toHaveBeenCalledTimes(2);
  expect(votes(other)).not.toBe(votes(carillon));
});

test("a feature receives the publications of all channels until it stops listening", () => {
  const received: Publication[] = [];
  const stop = carillon.onPublication((publication) => received.push(publication));
  const meta = { channel: "notifications:alice", epoch: "e", offset: 1, id: "p1", at: "2026-11-27T10:00:00Z" };
  socket.receive("notification", { title: "Order ready" }, meta);
  socket.receive("connection:quality", { level: "good" });       // no publication: it has no position
  expect(received).toEqual([{ event: "notification", payload: { title: "Order ready" }, meta }]);
  stop();
  socket.receive("notification", { title: "Order shipped" }, { ...meta, offset: 2 });
  expect(received).toHaveLength(1);
});
