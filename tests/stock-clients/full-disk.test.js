// A disk that fills up and empties: the server goes on, says so, closes what was revoked, and loses nothing. `./dev full-disk` does it more often.
import { test } from "node:test";
import { fullDisk } from "./fullDisk.js";

test("a full disk stops writes and nothing else, 20 times", async (t) => {
  const { acknowledged, refused, ...slowest } = await fullDisk({ rounds: 20 });
  t.diagnostic(`${acknowledged} writes acknowledged, ${refused} refused; slowest in ms: ${JSON.stringify(slowest)}`);
});
