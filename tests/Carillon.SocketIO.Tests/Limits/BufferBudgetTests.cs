using System.Collections.Concurrent;
using System.Text;
using System.Text.Json;
using Carillon.SocketIO.Engine;
using Carillon.SocketIO.Limits;
using Carillon.SocketIO.Sockets;
using Carillon.SocketIO.Tests.Hostile;
using Carillon.SocketIO.WebSockets;
using Carillon.TestTools;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Carillon.SocketIO.Tests;

/// <summary>All connections together hold no more than they may: the largest holders are closed, newcomers are refused, and the others are served.</summary>
public class BufferBudgetTests
{
    const int Limit = 2_000_000;

    readonly ConcurrentQueue<string> _ends = new();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Broadcasts_that_nobody_reads_close_those_who_are_furthest_behind(bool direct)
    {
        await using var siege = await StartAsync(direct);
        using var silent = await Wire.JoinAsync(siege.Server);
        using var reading = await Wire.JoinAsync(siege.Server);
        var text = new string('x', 100_000);
        for (var i = 0; i < 400 && _ends.IsEmpty; i++)
        {
            siege.Server.Io.Root.To(RoomOf(silent)).Emit("much", text);
            siege.Server.Io.Root.To(RoomOf(reading)).Emit("little");
            Assert.Equal("42[\"little\"]", await reading.TextAsync());
        }
        await RunningServer.UntilAsync(() => !_ends.IsEmpty, "the silent one is closed");
        Assert.Equal([DisconnectReason.SlowConsumer], _ends);
        await NothingHeldAsync(siege);
        siege.Server.Io.Root.To(RoomOf(reading)).Emit("still here");
        Assert.Equal("42[\"still here\"]", await reading.TextAsync());
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public async Task Half_sent_messages_close_those_who_hold_most(bool direct, bool upgraded)
    {
        await using var siege = await StartAsync(direct);
        var wires = new List<Wire>();
        for (var i = 0; i < 8 && _ends.IsEmpty; i++)
        {
            await RoomAsync(siege);
            wires.Add(upgraded ? await siege.UpgradedAsync() : await Wire.JoinAsync(siege.Server));
            await wires[^1].TrySendAsync(Wire.FrameOf(Opcode.Binary, new byte[400_000], final: false));
            await RunningServer.UntilAsync(() => siege.Engine.BufferedBytes >= wires.Count * 500_000 || !_ends.IsEmpty, "it has come");
            await siege.AssertServedAsync();
        }
        await RunningServer.UntilAsync(() => !_ends.IsEmpty, "one is closed");
        Assert.All(_ends, reason => Assert.Equal(DisconnectReason.SlowConsumer, reason));
        wires.ForEach(wire => wire.Reset());
        await NothingHeldAsync(siege);
        await siege.AssertNothingLeftAsync();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Half_sent_attachments_close_those_who_hold_most(bool upgraded)
    {
        await using var siege = await StartAsync(direct: true);
        var wires = new List<Wire>();
        for (var i = 0; i < 8 && _ends.IsEmpty; i++)
        {
            await RoomAsync(siege);
            wires.Add(upgraded ? await siege.UpgradedAsync() : await Wire.JoinAsync(siege.Server));
            await wires[^1].TextAsync("453-[\"echo\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1},{\"_placeholder\":true,\"num\":2}]");
            for (var n = 0; n < 2; n++) await wires[^1].TrySendAsync(Wire.FrameOf(Opcode.Binary, new byte[300_000]));
            await RunningServer.UntilAsync(() => siege.Engine.BufferedBytes >= wires.Count * 600_000 || !_ends.IsEmpty, "it has come");
            await siege.AssertServedAsync();
        }
        await RunningServer.UntilAsync(() => !_ends.IsEmpty, "one is closed");
        Assert.All(_ends, reason => Assert.Equal(DisconnectReason.SlowConsumer, reason));
        wires.ForEach(wire => wire.Reset());
        await NothingHeldAsync(siege);
    }

    [Fact]
    public async Task Bodies_that_are_half_sent_are_cut()
    {
        await using var siege = await StartAsync(direct: true);
        var wires = new List<Wire>();
        for (var i = 0; i < 8 && _ends.IsEmpty; i++)
        {
            await RoomAsync(siege);
            var sid = await siege.JoinedPollingAsync();
            wires.Add(await Wire.ConnectAsync(siege.Server));
            await wires[^1].SendAsync($"POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n");
            await wires[^1].TrySendAsync(new byte[500_000]);
            await RunningServer.UntilAsync(() => siege.Engine.BufferedBytes >= wires.Count * 500_000 || !_ends.IsEmpty, "it has come");
            await siege.AssertServedAsync();
        }
        await RunningServer.UntilAsync(() => !_ends.IsEmpty, "one is closed");
        Assert.All(_ends, reason => Assert.Equal(DisconnectReason.SlowConsumer, reason));
        wires.ForEach(wire => wire.Reset());
        await NothingHeldAsync(siege);
    }

    [Theory]
    [InlineData("direct")]
    [InlineData("http")]
    [InlineData("upgraded")]
    public async Task A_client_that_holds_a_lot_is_not_read_while_too_much_is_half_received(string way)
    {
        var clock = new HandDrivenClock(timersToo: true);
        await using var siege = await StartAsync(direct: way != "http", options => options.Engine.Limits.MaxBufferedBytes = 4_000_000, clock: clock);
        using var slow = way == "upgraded" ? await siege.UpgradedAsync() : await Wire.JoinAsync(siege.Server);
        using var small = await Wire.JoinAsync(siege.Server);
        await HalfSendAsync(slow, 100_000);
        await RunningServer.UntilAsync(() => siege.Engine.Buffers.Incoming >= 100_000, "it has come");
        siege.Engine.Buffers.AddIncoming(2_500_000);     // of others
        var held = siege.Engine.Buffers.Incoming;
        var rest = slow.TrySendAsync(Wire.FrameOf(Opcode.Binary, new byte[200_000]));
        await AssertEchoesAsync(small, 50_000);
        await siege.AssertServedAsync();
        Assert.InRange(siege.Engine.Buffers.Incoming, held, held + 140_000);      // a piece of it at most

        siege.Engine.Buffers.AddIncoming(-2_500_000);
        await RunningServer.UntilAsync(() => siege.Engine.Buffers.Incoming >= 300_000, "there is room, and the rest is read");
        await rest;
        Assert.Empty(_ends);
    }

    [Fact]
    public async Task Where_nothing_moves_those_that_have_half_sent_most_are_closed()
    {
        var clock = new HandDrivenClock(timersToo: true);
        await using var siege = await StartAsync(direct: true, options => options.Engine.Limits.MaxBufferedBytes = 4_000_000, clock: clock);
        using var large = await Wire.JoinAsync(siege.Server);
        using var other = await Wire.JoinAsync(siege.Server);
        await HalfSendAsync(other, 100_000);
        await RunningServer.UntilAsync(() => siege.Engine.Buffers.Incoming >= 100_000, "it has come");
        await HalfSendAsync(large, 700_000, 700_000, 700_000);
        await RunningServer.UntilAsync(() => siege.Engine.Buffers.IsFlooded, "there is too much");
        Assert.False(siege.Engine.IsOverBuffered);
        await other.TrySendAsync(Wire.FrameOf(Opcode.Binary, new byte[100_000]));
        Assert.Empty(_ends);

        await RunningServer.UntilAsync(() =>
        {
            clock.Advance(TimeSpan.FromSeconds(1));
            return !_ends.IsEmpty;
        }, "nothing has moved for a while");
        Assert.Equal([DisconnectReason.SlowConsumer], _ends);
        await RunningServer.UntilAsync(() => siege.Engine.Buffers.Incoming is > 200_000 and < 600_000, "the other one is read again");
    }

    static async Task HalfSendAsync(Wire wire, params int[] attachments)
    {
        await wire.TextAsync("454-[\"echo\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1},{\"_placeholder\":true,\"num\":2},{\"_placeholder\":true,\"num\":3}]");
        foreach (var size in attachments) await wire.TrySendAsync(Wire.FrameOf(Opcode.Binary, new byte[size]));
    }

    static async Task AssertEchoesAsync(Wire wire, int size)
    {
        await wire.TextAsync($"421[\"echo\",\"{new string('x', size)}\"]");
        Assert.StartsWith("431[\"xxx", await wire.TextAsync(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Answers_to_polls_that_are_not_read_are_cut(bool hasEnded)
    {
        const int Size = 15 * 800_000;      // more than the network takes from the server while nobody reads
        const int OfOthers = 25_000_000;
        await using var siege = await StartAsync(direct: true, options =>
            (options.Engine.Limits.MaxBufferedBytes, options.Engine.MaxQueuedBytes) = (OfOthers + (Size / 2), 20_000_000));
        var sid = await siege.JoinedPollingAsync();
        var socket = siege.Server.Io.Root.Everyone.Sockets().Single(one => one.Connection.Id == sid);
        for (var n = 0; n < 15; n++) socket.Emit("much", new string('x', 800_000));
        using var wire = await Wire.ConnectAsync(siege.Server);
        await wire.SendAsync($"GET /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: x\r\n\r\n");
        await RunningServer.UntilAsync(() => siege.Engine.WaitingBytes == 0 && siege.Engine.BufferedBytes is >= Size and < Size + 20_000, "the answer has begun");
        if (hasEnded)
        {
            Assert.Equal(200, (await siege.PostAsync(sid, "1")).Status);
            await RunningServer.UntilAsync(() => siege.Engine.ConnectionCount == 1, "the client has said goodbye");
            Assert.InRange(siege.Engine.BufferedBytes, Size, Size + 20_000);
        }

        siege.Engine.Buffers.Add(OfOthers);
        await RunningServer.UntilAsync(() => siege.Engine.BufferedBytes < OfOthers + 20_000, "the answer is given up though nobody has read it");
        Assert.Equal([hasEnded ? DisconnectReason.TransportClose : DisconnectReason.SlowConsumer], _ends);
        siege.Engine.Buffers.Add(-OfOthers);
        await NothingHeldAsync(siege);
    }

    [Fact]
    public async Task One_message_that_many_pollers_are_answered_with_counts_once()
    {
        const int Size = 12_000_000;      // more than the network takes from the server while nobody reads
        await using var siege = await StartAsync(direct: true, options => (options.Engine.Limits.MaxBufferedBytes, options.Engine.MaxQueuedBytes) = (100_000_000, 20_000_000));
        var sids = new List<string>();
        for (var i = 0; i < 4; i++) sids.Add(await siege.JoinedPollingAsync());
        siege.Server.Io.Root.Except(siege.Bystander).Emit("much", new string('x', Size));
        Assert.InRange(siege.Engine.BufferedBytes, Size, Size + 10_000);

        var wires = new List<Wire>();
        foreach (var sid in sids)
        {
            wires.Add(await Wire.ConnectAsync(siege.Server));
            await wires[^1].SendAsync($"GET /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: x\r\n\r\n");
        }
        await RunningServer.UntilAsync(() => siege.Engine.WaitingBytes == 0 && siege.Engine.BufferedBytes >= 2 * Size, "all answers have begun");
        Assert.InRange(siege.Engine.BufferedBytes, 2 * Size, 2 * Size + 10_000);      // as it is for WebSockets, and as it is for polling
        Assert.InRange(siege.Engine.Connections.Max(session => session.Held), Size, Size + 10_000);
        foreach (var wire in wires) Assert.InRange((await wire.AnswerAsync()).Body.Length, Size, Size + 100);
        await NothingHeldAsync(siege);
        wires.ForEach(wire => wire.Dispose());
    }

    [Fact]
    public async Task What_is_on_its_way_back_closes_nobody_else()
    {
        var end = new TaskCompletionSource();
        await using var siege = await StartAsync(direct: true, setUp: io => io.Root.On("wait", async _ => await end.Task));
        using var innocent = await Wire.JoinAsync(siege.Server);
        await innocent.SendAsync(Wire.FrameOf(Opcode.Binary, new byte[100_000], final: false));
        await RunningServer.UntilAsync(() => siege.Engine.BufferedBytes > 100_000, "it has come");
        using var wire = await Wire.JoinAsync(siege.Server);
        await wire.TextAsync($"42[\"wait\",[{string.Join(',', Enumerable.Repeat('1', 200_000))}]]");
        await RunningServer.UntilAsync(() => siege.Engine.ConnectionCount == 2, "who asked for too much is closed, and its handler goes on");

        for (var i = 0; i < 3; i++) siege.Engine.ShedLargest();
        Assert.True(siege.Engine.IsOverBuffered);
        Assert.Equal([DisconnectReason.SlowConsumer], _ends);
        Assert.Equal(2, siege.Engine.ConnectionCount);
        end.SetResult();
        await RunningServer.UntilAsync(() => !siege.Engine.IsOverBuffered, "the handler has ended");
    }

    [Fact]
    public async Task One_that_cannot_be_closed_does_not_keep_the_others_from_it()
    {
        await using var siege = await Siege.StartAsync(direct: true, options => options.Engine.Limits.MaxBufferedBytes = Limit,
            services: services => services.AddSingleton<ILoggerProvider>(new FailingOnce("hold too much; connection")));
        var wires = new List<Wire>();
        for (var i = 0; i < 2; i++)
        {
            wires.Add(await Wire.JoinAsync(siege.Server));
            await wires[i].SendAsync(Wire.FrameOf(Opcode.Binary, new byte[40_000 + i], final: false));
            await RunningServer.UntilAsync(() => siege.Engine.BufferedBytes >= 40_000 * (i + 1), "it has come");
        }
        siege.Engine.Buffers.Add(1_850_000);      // so much that both have to go, and not so much that another round begins by itself
        siege.Engine.ShedLargest();
        await RunningServer.UntilAsync(() => siege.Engine.ConnectionCount == 1, "both are closed, and one is left that holds nothing");
    }

    [Fact]
    public async Task Clients_that_hold_a_lot_do_not_wipe_what_is_kept_for_others()
    {
        await using var siege = await StartAsync(direct: true, options => options.RecoveryWindow = TimeSpan.FromMinutes(2));
        for (var i = 0; i < 4; i++) siege.Server.Io.Root.To("somebody").Emit("kept", new string('x', 100_000));
        var kept = siege.Server.Io.Root.Recovery!.Bytes;
        var wires = new List<Wire>();
        for (var i = 0; i < 8 && _ends.IsEmpty; i++)
        {
            await RoomAsync(siege);
            wires.Add(await Wire.JoinAsync(siege.Server));
            await wires[^1].TrySendAsync(Wire.FrameOf(Opcode.Binary, new byte[400_000], final: false));
            await RunningServer.UntilAsync(() => siege.Engine.BufferedBytes >= kept + (wires.Count * 500_000) || !_ends.IsEmpty, "it has come");
        }
        await RunningServer.UntilAsync(() => !_ends.IsEmpty, "one is closed");
        siege.Server.Io.Root.To("somebody").Emit("kept", "too");      // recording wipes nothing either
        Assert.InRange(siege.Server.Io.Root.Recovery!.Bytes, kept, long.MaxValue);
        wires.ForEach(wire => wire.Reset());
    }

    [Fact]
    public async Task Arguments_of_handlers_that_do_not_end_count_until_they_do()
    {
        var end = new TaskCompletionSource();
        await using var siege = await StartAsync(direct: true, setUp: io => io.Root.On("wait", async _ => await end.Task));
        using var wire = await Wire.JoinAsync(siege.Server);
        await wire.TextAsync($"42[\"wait\",[{string.Join(',', Enumerable.Repeat('1', 50_000))}]]");
        await RunningServer.UntilAsync(() => siege.Engine.BufferedBytes > 50_000 * 12, "what was understood of them counts, too");
        using var other = await Wire.JoinAsync(siege.Server);
        for (var i = 0; i < 40 && !siege.Engine.IsOverBuffered; i++) await other.TrySendAsync(Wire.TextFrame($"42[\"wait\",\"{new string('x', 100_000)}\"]"));
        await RunningServer.UntilAsync(() => _ends.Contains(DisconnectReason.SlowConsumer), "who has most of them is closed");
        await siege.AssertServedAsync();      // small events are served all the while
        end.SetResult();
        await NothingHeldAsync(siege);
    }

    [Fact]
    public async Task Newcomers_are_refused_while_too_much_is_held_and_come_in_afterwards()
    {
        var end = new TaskCompletionSource();
        await using var siege = await StartAsync(direct: true, setUp: io => io.Root.On("wait", async _ => await end.Task));
        using var there = await Wire.JoinAsync(siege.Server);
        using var wire = await Wire.JoinAsync(siege.Server);
        await wire.TextAsync($"42[\"wait\",[{string.Join(',', Enumerable.Repeat('1', 200_000))}]]");
        await RunningServer.UntilAsync(() => siege.Engine.IsOverBuffered && _ends.Count == 1, "the handler holds too much");
        Assert.True(siege.Engine.IsShortOfMemory);

        foreach (var transport in new[] { "polling", "websocket" })
        {
            var upgrade = transport == "websocket" ? "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" : "";
            var answer = await Wire.RequestAsync(siege.Server, $"GET /socket.io/?EIO=4&transport={transport} HTTP/1.1\r\nHost: shop.example\r\n{upgrade}\r\n");
            Assert.Equal(503, answer.Status);
            Assert.Contains("\"unavailable\"", answer.Body, StringComparison.Ordinal);
        }
        await there.TextAsync($"421[\"echo\",\"{new string('x', 5000)}\"]");
        Assert.StartsWith("42[\"error\",{\"code\":\"unavailable\"", await there.TextAsync(), StringComparison.Ordinal);
        Assert.StartsWith("431[{\"ok\":false,\"error\":{\"code\":\"unavailable\"", await there.TextAsync(), StringComparison.Ordinal);
        end.SetResult();
        await NothingHeldAsync(siege);
        using var newcomer = await Wire.JoinAsync(siege.Server);
    }

    [Fact]
    public async Task A_broadcast_that_waits_for_many_counts_once()
    {
        await using var siege = await StartAsync(direct: true);
        var pollers = new List<string>();
        for (var i = 0; i < 20; i++)
            pollers.Add(await siege.JoinedPollingAsync());
        siege.Server.Io.Root.Emit("much", new string('x', 500_000));
        Assert.InRange(siege.Engine.BufferedBytes, 500_000, 600_000);
        Assert.Equal(20 * 500_000L, siege.Engine.WaitingBytes / 500_000 * 500_000);
        foreach (var sid in pollers) Assert.Equal(200, (await siege.PollAsync(sid)).Status);
        await NothingHeldAsync(siege);
        Assert.Empty(_ends);
    }

    [Fact]
    public async Task What_is_kept_for_recovery_goes_before_anybody_is_closed()
    {
        await using var siege = await StartAsync(direct: true, options => options.RecoveryWindow = TimeSpan.FromMinutes(2));
        using var reading = await Wire.JoinAsync(siege.Server);
        var text = new string('x', 100_000);
        for (var i = 0; i < 100; i++)
        {
            siege.Server.Io.Root.To(RoomOf(reading)).Emit("much", text);
            Assert.StartsWith("42[\"much\"", await reading.TextAsync(), StringComparison.Ordinal);
            Assert.InRange(siege.Server.Io.Root.Recovery!.Bytes, 0, Limit + 200_000);
        }
        Assert.Empty(_ends);
        siege.Server.Io.Root.Recovery!.ForgetOldest(() => true, 0);
        await NothingHeldAsync(siege);
    }

    [Fact]
    public async Task Large_handshakes_count_and_ordinary_ones_do_not()
    {
        await using var siege = await StartAsync(direct: false);
        Assert.Equal(0, siege.Engine.BufferedBytes);
        using (var wire = await Wire.OpenAsync(siege.Server, headers: $"X-Much: {new string('x', 20_000)}\r\n"))
            Assert.InRange(siege.Engine.BufferedBytes, 15_000, 25_000);
        await NothingHeldAsync(siege);
    }

    [Fact]
    public async Task Everything_that_was_counted_is_given_back_whatever_the_clients_did()
    {
        await using var siege = await StartAsync(direct: true, options => options.RecoveryWindow = null, io => io.Root.On("later", async e =>
        {
            await Task.Yield();
            e.Ack(new string('y', 20_000));
        }));
        foreach (var (_, random) in Chance.Rounds(40))
        {
            using var wire = await Wire.JoinAsync(siege.Server);
            for (var i = random.Next(1, 6); i > 0; i--)
            {
                byte[] sent = random.Next(5) switch
                {
                    0 => Wire.FrameOf(Opcode.Binary, new byte[random.Next(100_000)], final: false),
                    1 => Wire.TextFrame("452-[\"echo\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]"),
                    2 => Wire.FrameOf(Opcode.Binary, new byte[random.Next(50_000)]),
                    3 => Wire.TextFrame("421[\"later\",[1,2,3]]"),
                    _ => Wire.FrameOf(Opcode.Ping, "p"u8),
                };
                await wire.TrySendAsync(sent);
                siege.Server.Io.Root.To(RoomOf(wire)).Emit("much", new string('x', random.Next(200_000)));
            }
            wire.Reset();
            await siege.AssertServedAsync();
        }
        await NothingHeldAsync(siege);
    }

    [Fact]
    public void Only_what_is_added_beyond_the_limit_asks_for_room_down_to_nine_tenths_of_it()
    {
        var asked = 0;
        var budget = new BufferBudget(1000, () => asked++);
        budget.Add(1000);
        Assert.Equal((0, false), (asked, budget.IsExceeded));
        budget.Add(500);
        Assert.Equal((1, true, 600L), (asked, budget.IsExceeded, budget.Excess));
        budget.Add(-100);      // less than was asked for, and still it is given back
        Assert.Equal((1, 1400L), (asked, budget.Held));
        budget.Add(-1400);
        Assert.Equal((1, 0L), (asked, budget.Held));
    }

    [Fact]
    public void The_default_is_a_quarter_of_what_the_runtime_may_use_and_nonsense_is_refused()
    {
        Assert.Equal(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 4, new SocketServer(Options.Create(new SocketIOOptions())).Engine.MaxBufferedBytes);
        var options = new SocketIOOptions();
        options.Engine.Limits.MaxBufferedBytes = null;
        Assert.Null(new SocketServer(Options.Create(options)).Engine.MaxBufferedBytes);
        options.Engine.Limits.MaxBufferedBytes = -1;
        Assert.Throws<InvalidOperationException>(() => new SocketServer(Options.Create(options)));
    }

    Task<Siege> StartAsync(bool direct, Action<SocketIOOptions>? configure = null, Action<SocketServer>? setUp = null, TimeProvider? clock = null) => Siege.StartAsync(direct, options =>
    {
        options.Engine.Limits.MaxBufferedBytes = Limit;
        configure?.Invoke(options);
    }, io =>
    {
        io.Root.OnDisconnect((_, reason) => _ends.Enqueue(reason));
        setUp?.Invoke(io);
    }, clock);

    sealed class FailingOnce(string message) : ILoggerProvider, ILogger
    {
        bool _hasFailed;

        public ILogger CreateLogger(string categoryName) => this;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (!formatter(state, exception).Contains(message, StringComparison.Ordinal) || Interlocked.Exchange(ref _hasFailed, true)) return;
            throw new ObjectDisposedException("the context");
        }

        public void Dispose()
        {
        }
    }

    static string RoomOf(Wire wire) => JsonElement.Parse(Encoding.UTF8.GetBytes(wire.Joined[2..])).GetProperty("sid").GetString()!;

    // Newcomers are refused until those who hold too much are closed.
    static Task RoomAsync(Siege siege) => RunningServer.UntilAsync(() => !siege.Engine.IsOverBuffered, "there is room");

    static Task NothingHeldAsync(Siege siege) => RunningServer.UntilAsync(() => siege.Engine.BufferedBytes == 0, "nothing is held any more");
}
