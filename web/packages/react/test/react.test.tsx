import { act, cleanup, render, screen, waitFor } from "@testing-library/react";
import { StrictMode, useState, type ReactNode } from "react";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { changes, channel, createCarillon, type Carillon } from "@carillon/client";
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

const until = (condition: () => boolean, what = condition.toString()) =>
  waitFor(() => { if (!condition()) throw new Error(`Timed out waiting until ${what}`); }, { interval: 5, timeout: 4000 });
const settled = (ms = 150) => act(() => pause(ms));
const live = (table: string) => until(() => channel(carillon, `changes:${table}`).getSnapshot().state === "subscribed", `${table} is live`);
const show = (children: ReactNode) => render(<CarillonProvider carillon={carillon}>{children}</CarillonProvider>);

/** Subscribes before the screen is mounted, as on every screen but the first one of a page. */
async function alreadyLive(...tables: string[]) {
  changes(carillon, tables, {});
  carillon.connect();
  for (const table of tables) await live(table);
}

describe("RealtimeSync", () => {
  test("does not load on mount, and loads once after a change", async () => {
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

  test("loads once after a burst of 100 changes in two tables", async () => {
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

  test("does not overlap a slow load, and loads once more after it if there were further changes", async () => {
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
    server.forgetHistory("changes:ventes");
    server.cut();
    await until(() => load.mock.calls.length === 1);
    await settled();
    expect(load).toHaveBeenCalledTimes(1);
  });

  test("loads once when its channels are subscribed only after the screen was mounted", async () => {
    const load = vi.fn();
    show(<RealtimeSync tables={["ventes", "produits"]} onDataChanged={load} />);
    await live("ventes");
    await live("produits");
    await until(() => load.mock.calls.length === 1);
    await settled();
    expect(load).toHaveBeenCalledTimes(1);
  });

  test("does not catch up with catchUp={false}", async () => {
    const load = vi.fn();
    show(<RealtimeSync tables={["ventes"]} onDataChanged={load} catchUp={false} />);
    await live("ventes");
    await settled();
    expect(load).not.toHaveBeenCalled();
  });

  test("calls the latest callback, and continues after one that failed", async () => {
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
    expect(server.received).toEqual(["subscribe changes:ventes"]);
  });

  test("subscribes once in StrictMode, loads once per change, and stops on unmount", async () => {
    const load = vi.fn();
    const { unmount } = show(<StrictMode><RealtimeSync tables={["ventes"]} onDataChanged={load} catchUp={false} /></StrictMode>);
    await live("ventes");
    server.change("ventes");
    await until(() => load.mock.calls.length === 1);
    await settled();
    expect(load).toHaveBeenCalledTimes(1);
    expect(server.received).toEqual(["subscribe changes:ventes"]);
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

  test("connects, shows the state of the connection, and closes and opens it on request", async () => {
    show(<Indicator />);
    await until(() => shown().startsWith("connected live known"));
    act(() => screen.getByText("disconnect").click());
    expect(shown()).toMatch(/^disconnected not live/);
    act(() => screen.getByText("connect").click());
    await until(() => shown().startsWith("connected live"));
  });

  test("shows a refusal with its code", async () => {
    server.rules.handshake = () => ({ code: "unauthorized", message: "No.", retryable: false });
    show(<Indicator />);
    await until(() => shown().startsWith("refused not live unknown unauthorized"));
  });

  test("opens one connection from its options, also in StrictMode, and closes it on unmount", async () => {
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

  test.each(["online", "visibilitychange"])("retries at once when the browser reports %s", async (signal) => {
    const patient = createCarillon({ url: server.url, transports: ["websocket"], retryFirstMs: 60_000, retryMaxMs: 60_000 });
    render(<CarillonProvider carillon={patient}><Indicator /></CarillonProvider>);
    await until(() => shown().startsWith("connected live"));
    server.cut();
    await until(() => shown().startsWith("reconnecting"));
    act(() => void (signal === "online" ? window : document).dispatchEvent(new Event(signal)));
    await until(() => shown().startsWith("connected live"));
    patient.disconnect();
  });

  test("throws where it is missing", () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    expect(() => render(<Indicator />)).toThrow(/CarillonProvider/);
    vi.restoreAllMocks();
  });
});

describe("useChannel", () => {
  test("reduces the publications to a value", async () => {
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

  test("calls a listener, and reports a refusal", async () => {
    server.rules.subscribe = (channel) => (channel === "secret" ? { code: "forbidden", message: "No.", retryable: false } : undefined);
    const received: unknown[] = [];
    const refusals: string[] = [];
    function Both() {
      useChannel("open", ({ payload }) => received.push(payload));
      useChannel(null, () => {});
      const { state, error } = useChannel("secret", { onRefused: ({ code }) => refusals.push(code) });
      return <output>{state} {error?.code}</output>;
    }
    show(<Both />);
    await until(() => screen.getByRole("status").textContent === "refused forbidden");
    server.publish("open", "hello", "greeting");
    await until(() => received.length === 1);
    expect(received).toEqual(["hello"]);
    expect(refusals).toEqual(["forbidden"]);
  });
});

test("useChanges reports each change with its latency until the component unmounts", async () => {
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

test("usePresence returns the members and their number, also in StrictMode, until the component unmounts", async () => {
  server.rules.requests["presence"] = () => ({ ok: true, count: 2, items: [{ id: "alice", name: "Alice" }, { id: "bob", name: null }] });
  function Members({ room }: { room: string | null }) {
    const { members, count, state } = usePresence(room);
    return <output>{state} {count} {members.map(({ id, name }) => name ?? id).join(", ")}</output>;
  }
  const view = (room: string | null) => (
    <StrictMode><CarillonProvider carillon={carillon}><Members room={room} /></CarillonProvider></StrictMode>
  );
  const { rerender } = render(view("room:1"));
  const shown = () => screen.getByRole("status").textContent;
  await until(() => shown() === "live 2 Alice, bob");
  server.publish("presence:room:1", { joined: [{ id: "zoe", name: "Zoe" }], left: [{ id: "bob", name: null }], count: 2 }, "presence");
  await until(() => shown() === "live 2 Alice, Zoe");
  expect(server.received).toEqual(["subscribe presence:room:1"]);
  rerender(view(null));
  await until(() => shown() === "idle 0 ");
  await untilBare(() => server.members("presence:room:1") === 0);
});

test("useVotes returns the tallies, shows the user's own vote at once and rolls it back when the server refuses it", async () => {
  let refuse = () => {};
  server.rules.requests["suggestion:vote"] = () =>
    new Promise((resolve) => { refuse = () => resolve({ ok: false, error: { code: "forbidden", message: "No.", retryable: false } }); });
  function Suggestion() {
    const { tallies, state, vote, seed } = useVotes();
    const { score, mine } = tallies.get("7") ?? {};
    return (
      <>
        <output>{state} {score} {mine}</output>
        <button onClick={() => seed([{ id: "7", up: 3, down: 1, version: 4, myVote: 0 }])}>load</button>
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
