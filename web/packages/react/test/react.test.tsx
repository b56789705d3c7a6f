import { act, cleanup, render, screen, waitFor } from "@testing-library/react";
import { StrictMode, useState, type ReactNode } from "react";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createCarillon, type Carillon } from "@carillon/client";
import { pause, startFakeCarillon, until as untilBare, type FakeCarillon } from "../../client/test/fakeCarillon.js";
import { CarillonProvider, RealtimeSync, useChannel, useChanges, usePresence, useVotes, useWebSocket } from "../src/index.js";

let server: FakeCarillon;
let carillon: Carillon;

beforeEach(async () => {
  server = await startFakeCarillon();
  carillon = createCarillon({ url: server.url, transports: ["websocket"], retryFirstMs: 20, retryMaxMs: 60 });
});
afterEach(async () => {
  cleanup();
  carillon.disconnect();
  await server.stop();
});

const until = (statement: () => boolean, what = statement.toString()) =>
  waitFor(() => { if (!statement()) throw new Error(`It never came to be that ${what}`); }, { interval: 5, timeout: 4000 });
const settled = (ms = 150) => act(() => pause(ms));
const live = (table: string) => until(() => carillon.channel(`changes:${table}`).getSnapshot().state === "subscribed", `${table} is live`);
const show = (children: ReactNode) => render(<CarillonProvider carillon={carillon}>{children}</CarillonProvider>);

/** The subscription stands before the screen is mounted, as on every screen but the first of a page. */
async function alreadyLive(...tables: string[]) {
  carillon.changes(tables, {});
  carillon.connect();
  for (const table of tables) await live(table);
}

describe("RealtimeSync", () => {
  test("does not load on mount, and loads once for a change", async () => {
    await alreadyLive("ventes");
    const load = vi.fn();
    show(<RealtimeSync tables={["ventes"]} onDataChanged={load}>the screen</RealtimeSync>);
    expect(screen.getByText("the screen")).toBeTruthy();
    await settled();
    expect(load).not.toHaveBeenCalled();
    server.change("ventes");
    await until(() => load.mock.calls.length === 1);
    await settled();
    expect(load).toHaveBeenCalledTimes(1);
  });

  test("makes one load of a burst of 100 changes over two tables", async () => {
    await alreadyLive("ventes", "produits");
    const load = vi.fn();
    show(<RealtimeSync tables={["ventes", "produits"]} onDataChanged={load} />);
    for (let i = 0; i < 50; i++) {
      server.change("ventes", String(i));
      server.change("produits", String(i));
    }
    await until(() => load.mock.calls.length > 0);
    await settled(200);
    expect(load).toHaveBeenCalledTimes(1);
  });

  test("loads each of several mounted screens once", async () => {
    await alreadyLive("ventes");
    const loads = [vi.fn(), vi.fn(), vi.fn()];
    show(loads.map((load, i) => <RealtimeSync key={i} tables={["ventes"]} onDataChanged={load} />));
    server.change("ventes");
    await until(() => loads.every((load) => load.mock.calls.length > 0));
    await settled();
    expect(loads.map((load) => load.mock.calls.length)).toEqual([1, 1, 1]);
  });

  test("never overlaps a slow load, and loads once more after it when changes came meanwhile", async () => {
    await alreadyLive("ventes");
    let finish = () => {};
    const load = vi.fn(() => new Promise<void>((resolve) => { finish = resolve; }));
    show(<RealtimeSync tables={["ventes"]} onDataChanged={load} coalesceMs={5} />);
    server.change("ventes");
    await until(() => load.mock.calls.length === 1);
    server.change("ventes");
    server.change("ventes");
    await settled();
    expect(load).toHaveBeenCalledTimes(1);
    finish();
    await until(() => load.mock.calls.length === 2);
    finish();
    await settled();
    expect(load).toHaveBeenCalledTimes(2);
  });

  test("does not load after a reconnection that missed nothing", async () => {
    await alreadyLive("ventes");
    const load = vi.fn();
    show(<RealtimeSync tables={["ventes"]} onDataChanged={load} />);
    server.cut();
    await until(() => carillon.state === "reconnecting");
    await live("ventes");
    await settled();
    expect(load).not.toHaveBeenCalled();
  });

  test("loads once after a reconnection that recovered changes", async () => {
    await alreadyLive("ventes");
    const load = vi.fn();
    show(<RealtimeSync tables={["ventes"]} onDataChanged={load} />);
    server.cut();
    await until(() => carillon.state === "reconnecting");
    server.change("ventes");
    server.change("ventes");
    await live("ventes");
    await settled(200);
    expect(load).toHaveBeenCalledTimes(1);
  });

  test("loads after a reconnection with a gap", async () => {
    await alreadyLive("ventes");
    const load = vi.fn();
    show(<RealtimeSync tables={["ventes"]} onDataChanged={load} />);
    server.forget("changes:ventes");
    server.cut();
    await until(() => load.mock.calls.length === 1);
    await settled();
    expect(load).toHaveBeenCalledTimes(1);
  });

  test("loads once when the subscription came to stand after the screen, because nobody heard what was written in between", async () => {
    const load = vi.fn();
    show(<RealtimeSync tables={["ventes", "produits"]} onDataChanged={load} />);
    await live("ventes");
    await live("produits");
    await until(() => load.mock.calls.length === 1);
    await settled();
    expect(load).toHaveBeenCalledTimes(1);
  });

  test("can be told not to catch up", async () => {
    const load = vi.fn();
    show(<RealtimeSync tables={["ventes"]} onDataChanged={load} catchUp={false} />);
    await live("ventes");
    await settled();
    expect(load).not.toHaveBeenCalled();
  });

  test("calls the newest callback, and goes on after one that failed", async () => {
    await alreadyLive("ventes");
    const first = vi.fn(() => Promise.reject(new Error("no network")));
    const second = vi.fn();
    const { rerender } = show(<RealtimeSync tables={["ventes"]} onDataChanged={first} />);
    server.change("ventes");
    await until(() => first.mock.calls.length === 1);
    rerender(<CarillonProvider carillon={carillon}><RealtimeSync tables={["ventes"]} onDataChanged={second} /></CarillonProvider>);
    server.change("ventes");
    await until(() => second.mock.calls.length === 1);
    expect(first).toHaveBeenCalledTimes(1);
    expect(server.asked).toEqual(["subscribe changes:ventes"]);
  });

  test("in StrictMode subscribes once, loads once a change, and leaves nothing behind", async () => {
    const load = vi.fn();
    const { unmount } = show(<StrictMode><RealtimeSync tables={["ventes"]} onDataChanged={load} catchUp={false} /></StrictMode>);
    await live("ventes");
    server.change("ventes");
    await until(() => load.mock.calls.length === 1);
    await settled();
    expect(load).toHaveBeenCalledTimes(1);
    expect(server.asked).toEqual(["subscribe changes:ventes"]);
    server.change("ventes");
    unmount();
    await until(() => server.members("changes:ventes") === 0);
    await settled();
    expect(load).toHaveBeenCalledTimes(1);
  });
});

describe("The provider", () => {
  function Indicator() {
    const { state, connected, session, error, connect, disconnect } = useWebSocket();
    return (
      <>
        <output>{state} {connected ? "live" : "not live"} {session?.connectionId ? "known" : "unknown"} {error?.code}</output>
        <button onClick={connect}>connect</button>
        <button onClick={disconnect}>disconnect</button>
      </>
    );
  }
  const shown = () => screen.getByRole("status").textContent ?? "";

  test("connects, shows where the connection stands, and closes and opens it on request", async () => {
    show(<Indicator />);
    await until(() => shown().startsWith("connected live known"));
    act(() => screen.getByText("disconnect").click());
    expect(shown()).toMatch(/^idle not live/);
    act(() => screen.getByText("connect").click());
    await until(() => shown().startsWith("connected live"));
  });

  test("shows a refusal with its code", async () => {
    server.rules.handshake = () => ({ code: "unauthorized", message: "No.", retryable: false });
    show(<Indicator />);
    await until(() => shown().startsWith("refused not live unknown unauthorized"));
  });

  test("makes one connection from options, also in StrictMode, and closes it with the application", async () => {
    let connections = 0;
    server.io.on("connection", () => connections++);
    const { unmount } = render(
      <StrictMode><CarillonProvider options={{ url: server.url, transports: ["websocket"] }}><Indicator /></CarillonProvider></StrictMode>,
    );
    await until(() => shown().startsWith("connected live"));
    await settled(50);
    expect(connections).toBe(1);
    unmount();
    await until(() => server.io.engine.clientsCount === 0);
  });

  test.each(["online", "visibilitychange"])("tries at once when the browser says %s", async (hint) => {
    const patient = createCarillon({ url: server.url, transports: ["websocket"], retryFirstMs: 60_000, retryMaxMs: 60_000 });
    render(<CarillonProvider carillon={patient}><Indicator /></CarillonProvider>);
    await until(() => shown().startsWith("connected live"));
    server.cut();
    await until(() => shown().startsWith("reconnecting"));
    act(() => void (hint === "online" ? window : document).dispatchEvent(new Event(hint)));
    await until(() => shown().startsWith("connected live"));
    patient.disconnect();
  });

  test("says what is missing when there is none", () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    expect(() => render(<Indicator />)).toThrow(/CarillonProvider/);
    vi.restoreAllMocks();
  });
});

describe("useChannel", () => {
  test("keeps what a reducer makes of the publications", async () => {
    function Score({ id }: { id: string }) {
      const { state, data } = useChannel<number, { up: number }>(`suggestions:${id}`, {
        initial: 0,
        reduce: (sum, { payload }) => sum + payload.up,
      });
      return <output>{id} {state} {data}</output>;
    }
    const view = (id: string) => <CarillonProvider carillon={carillon}><Score id={id} /></CarillonProvider>;
    const { rerender } = render(view("votes"));
    const shown = () => screen.getByRole("status").textContent;
    await until(() => shown() === "votes subscribed 0");
    server.publish("suggestions:votes", { up: 2 }, "suggestion:vote");
    server.publish("suggestions:votes", { up: 3 }, "suggestion:vote");
    await until(() => shown() === "votes subscribed 5");
    rerender(view("others"));
    await until(() => shown() === "others subscribed 0");
    await until(() => server.members("suggestions:votes") === 0);
  });

  test("calls a listener, and tells a refusal", async () => {
    server.rules.subscribe = (channel) => (channel === "secret" ? { code: "forbidden", message: "No.", retryable: false } : undefined);
    const heard: unknown[] = [];
    const refusals: string[] = [];
    function Both() {
      useChannel("open", ({ payload }) => heard.push(payload));
      useChannel(null, () => {});
      const { state, error } = useChannel("secret", { onRefused: ({ code }) => refusals.push(code) });
      return <output>{state} {error?.code}</output>;
    }
    show(<Both />);
    await until(() => screen.getByRole("status").textContent === "refused forbidden");
    server.publish("open", "hello", "greeting");
    await until(() => heard.length === 1);
    expect(heard).toEqual(["hello"]);
    expect(refusals).toEqual(["forbidden"]);
  });
});

test("useChanges tells each change with its latency, until the component is gone", async () => {
  function Feed() {
    const [lines, add] = useState<readonly string[]>([]);
    useChanges(["ventes"], (change, { latencyMs }) => add((before) => [...before, `${change.operation} ${change.key} ${latencyMs >= 0}`]));
    return <output>{lines.join(", ")}</output>;
  }
  const { unmount } = show(<Feed />);
  await live("ventes");
  server.change("ventes", "1", "insert");
  server.change("ventes", "1", "delete");
  await until(() => screen.getByRole("status").textContent === "insert 1 true, delete 1 true");
  unmount();
  await untilBare(() => server.members("changes:ventes") === 0);
});

test("usePresence shows who is there and how many, also in StrictMode, until the component is gone", async () => {
  server.rules.requests["presence"] = () => ({ ok: true, count: 2, items: [{ id: "alice", name: "Alice" }, { id: "bob", name: null }] });
  function People({ room }: { room: string | null }) {
    const { people, count, state } = usePresence(room);
    return <output>{state} {count} {people.map(({ id, name }) => name ?? id).join(", ")}</output>;
  }
  const view = (room: string | null) => <StrictMode><CarillonProvider carillon={carillon}><People room={room} /></CarillonProvider></StrictMode>;
  const { rerender } = render(view("room:1"));
  const shown = () => screen.getByRole("status").textContent;
  await until(() => shown() === "live 2 Alice, bob");
  server.publish("presence:room:1", { joined: [{ id: "zoe", name: "Zoe" }], left: [{ id: "bob", name: null }], count: 2 }, "presence");
  await until(() => shown() === "live 2 Alice, Zoe");
  expect(server.asked).toEqual(["subscribe presence:room:1"]);
  rerender(view(null));
  await until(() => shown() === "idle 0 ");
  await untilBare(() => server.members("presence:room:1") === 0);
});

test("useVotes shows the tallies, one's own vote at once, and what the server refuses no longer", async () => {
  let refuse = () => {};
  server.rules.requests["suggestion:vote"] = () =>
    new Promise((resolve) => { refuse = () => resolve({ ok: false, error: { code: "forbidden", message: "No.", retryable: false } }); });
  function Suggestion() {
    const { tallies, state, vote, learn } = useVotes();
    const { score, mine } = tallies.get("7") ?? {};
    return (
      <>
        <output>{state} {score} {mine}</output>
        <button onClick={() => learn([{ id: "7", up: 3, down: 1, version: 4, myVote: 0 }])}>load</button>
        <button onClick={() => void vote("7", 1)}>for</button>
      </>
    );
  }
  show(<Suggestion />);
  const shown = () => screen.getByRole("status").textContent;
  await until(() => shown() === "subscribed  ");
  act(() => screen.getByText("load").click());
  expect(shown()).toBe("subscribed 2 0");
  act(() => screen.getByText("for").click());
  expect(shown()).toBe("subscribed 3 1");
  await settled(30);
  refuse();
  await until(() => shown() === "subscribed 2 0");
  server.publish("suggestions:votes", { suggestionId: "7", up: 9, down: 1, score: 8, version: 9 }, "suggestion:vote");
  await until(() => shown() === "subscribed 8 0");
});
