// The page of docs/examples.md with votes and presence, as it stands there, in Chromium.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";
import { Server, tokenOf } from "./server.js";
import { repository, until } from "./servers.js";

const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

let server, browser;
before(async () => {
  server = await Server.open();
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: flags });
});
after(async () => {
  await browser?.close();
  await server.close();
});

test("the page with votes and presence shows everybody after a few requests, and a vote as it is cast", async () => {
  const people = Array.from({ length: 60 }, (_, i) => `user-${i}`);        // more than one page of 50
  await server.users("alice", ...people);
  const clients = [];
  try {
    for (const one of people) {
      const client = await server.connect(tokenOf(one));
      clients.push(client);
      await client.emitWithAck("subscribe:suggestions");
    }
    const { body: suggestion } = await server.call("POST", "/api/suggestions", { title: "Longer breaks" }, { token: tokenOf("user-0") });

    const page = await browser.newPage();
    const sent = [];
    page.on("websocket", (socket) => socket.on("framesent", ({ payload }) => sent.push(String(payload))));
    const [, html] = /## Votes and presence in a page[\s\S]*?```html\n([\s\S]*?)```/.exec(await readFile(`${repository}docs/examples.md`, "utf8"));
    await page.route(`${server.url}/page`, (route) => route.fulfill({ contentType: "text/html; charset=utf-8", body: html }));
    await page.goto(`${server.url}/page#${tokenOf("alice")}`);

    const present = async () => (await page.locator("#present").innerText()).split(", ").length;
    await until(async () => await present() === 61, 10_000, "everybody is shown");
    const asked = () => sent.filter((frame) => /\["presence",/.test(frame)).length;
    assert.ok(asked() <= 4, `${asked()} requests for presence`);

    await page.getByText("Longer breaks: 0").click();
    await page.getByText("Longer breaks: 1").waitFor({ timeout: 5000 });
    assert.ok(asked() <= 4, `${asked()} requests for presence`);
    assert.equal((await server.call("GET", "/api/suggestions")).body.items.find(({ id }) => id === suggestion.id).up, 1);
    await page.close();
  } finally {
    clients.forEach((client) => client.disconnect());
  }
});
