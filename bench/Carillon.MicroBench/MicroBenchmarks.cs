using System.Text;
using Carillon.SocketIO.Engine;
using Carillon.SocketIO.Packets;
using Carillon.SocketIO.Sockets;
using Carillon.SocketIO.WebSockets;
using Microsoft.Extensions.Options;

namespace Carillon.MicroBench;

/// <summary>The small things that are done most often, each by itself, without a network. What each may allocate stands in <c>bench/budgets.json</c>.</summary>
sealed class MicroBenchmarks
{
    const int Clients = 1000;
    static readonly string Payload = new('x', 100);

    readonly SocketServer _server;
    readonly InMemoryClient[] _clients;
    readonly Socket _first;
    readonly byte[] _event = Encoding.UTF8.GetBytes($$"""2["pub","room",{"text":"{{Payload}}","n":12}]""");
    readonly byte[] _pong = InMemoryClient.Frame("3");
    readonly byte[] _ask = InMemoryClient.Frame($"427[\"ask\",\"{Payload}\"]");
    readonly byte[] _piece = new byte[256];
    readonly FrameReader _reader = new(1000, static (_, _) => true);
    readonly PacketLimits _limits = new(10, 64, 512);
    readonly Bell _bell = new();

    public MicroBenchmarks()
    {
        _server = new SocketServer(Options.Create(new SocketIOOptions
        {
            // The shares are spent, and never used up.
            Engine = { Limits = { PerConnection = { EventsPerSecond = 1_000_000_000, EventBurst = 1_000_000_000, BytesPerSecond = 1_000_000_000_000, ByteBurst = 1_000_000_000_000 } } },
        }));
        _server.Root.OnConnection(socket => socket.Join("room"));
        _server.Root.On("ask", e => e.Ack(e.Arguments[0]));
        _clients = [.. Enumerable.Range(0, Clients).Select(_ => new InMemoryClient(_server))];
        _first = _server.Root.Everyone.Sockets()[0];
        _first.Join("alone");
    }

    /// <summary>The benchmarks by name; each call does the thing once.</summary>
    public IReadOnlyDictionary<string, Action> All => new Dictionary<string, Action>
    {
        ["read a frame"] = () =>
        {
            _pong.CopyTo(_piece, 0);
            _reader.Read(_piece.AsSpan(0, _pong.Length));
        },
        ["read an event"] = () => PacketReader.TryRead(_event, _limits, out _),
        ["handle an event with an acknowledgement"] = () => _clients[0].Receive(_ask),
        ["encode an event"] = () => PacketFrame.Of(PacketWriter.Event("/", "msg", [Payload])),
        ["send to 1 of 1,000"] = () => _server.Root.To("alone").Emit("msg", Payload),
        ["send to 1,000"] = () => _server.Root.To("room").Emit("msg", Payload),
        ["8 messages to 1,000 in one batch"] = () =>
        {
            using (SocketServer.SendTogether())
                for (var i = 0; i < 8; i++) _server.Root.To("room").Emit("msg", Payload);
        },
        ["join and leave a room of 1,000"] = () =>
        {
            _first.Leave("room");
            _first.Join("room");
        },
        ["set and cancel a deadline"] = () =>
        {
            _server.Engine.Wheel.Set(_bell, TimeSpan.FromSeconds(25));
            _server.Engine.Wheel.Cancel(_bell);
        },
        ["spend a share"] = () => _first.Connection.TryAcquire(100, TimeProvider.System.GetTimestamp(), out _),
    };

    /// <summary>Bytes allocated by one call, once everything is warm.</summary>
    public static long BytesOf(Action benchmark)
    {
        const int calls = 200;
        for (var i = 0; i < calls; i++) benchmark();
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < calls; i++) benchmark();
        return (GC.GetAllocatedBytesForCurrentThread() - before) / calls;
    }

    sealed class Bell : TimerWheel.Deadline
    {
        internal override void OnDue()
        {
        }
    }
}
