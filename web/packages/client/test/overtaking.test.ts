// A refusal of presence that the server sent before the channel was joined, and that arrives afterwards.
import { expect, test, vi } from "vitest";
import { channel, createCarillon, presence } from "../src/index.js";
import { FakeSocket } from "./fakeSocket.js";

let socket: FakeSocket;
vi.mock("socket.io-client", () => ({ io: () => socket }));

test("a presence list retries an outdated refusal once", async () => {
  socket = new FakeSocket();
  const carillon = createCarillon();
  carillon.connect();
  socket.open();
  presence(carillon, "room:1").subscribe(() => {});
  channel(carillon, "room:1").listen({});
  const asked = () => socket.requests("subscribe").filter(({ args }) => (args[0] as { channel: string }).channel === "presence:room:1");
  const forbidden = { ok: false, error: { code: "forbidden", message: "Not there.", retryable: false } };

  // Both arrive together: the reply is handled after the event.
  asked()[0]?.reply(forbidden);
  socket.receive("subscribed", { channel: "room:1", position: { epoch: "e", offset: 0 }, recovered: false });
  await new Promise((resolve) => setTimeout(resolve, 0));
  expect(asked()).toHaveLength(2);

  asked()[1]?.reply(forbidden);
  await new Promise((resolve) => setTimeout(resolve, 0));
  expect(asked()).toHaveLength(2);
  carillon.disconnect();
});
