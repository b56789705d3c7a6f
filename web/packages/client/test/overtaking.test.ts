// A refusal of presence that was sent before the channel was joined, and arrives after it.
import { expect, test, vi } from "vitest";
import { createCarillon } from "../src/index.js";
import { FakeSocket } from "./fakeSocket.js";

let socket: FakeSocket;
vi.mock("socket.io-client", () => ({ io: () => socket }));

test("presence is asked for again when its refusal was overtaken by the joining, and only once", async () => {
  socket = new FakeSocket();
  const carillon = createCarillon();
  carillon.connect();
  socket.open();
  carillon.presence("room:1").subscribe(() => {});
  carillon.channel("room:1").listen({});
  const asked = () => socket.asked("subscribe").filter(({ args }) => (args[0] as { channel: string }).channel === "presence:room:1");
  const forbidden = { ok: false, error: { code: "forbidden", message: "Not there.", retryable: false } };

  // Both in one piece of the network's: the answer is handled after the event.
  asked()[0]?.answer(forbidden);
  socket.hear("subscribed", { channel: "room:1", position: { epoch: "e", offset: 0 }, recovered: false });
  await new Promise((resolve) => setTimeout(resolve, 0));
  expect(asked()).toHaveLength(2);

  asked()[1]?.answer(forbidden);
  await new Promise((resolve) => setTimeout(resolve, 0));
  expect(asked()).toHaveLength(2);
  carillon.disconnect();
});
