using System.Net.WebSockets;
using Carillon.SocketIO.Engine;
using Carillon.SocketIO.Sockets;
using Carillon.TestTools;
using Microsoft.Extensions.Options;

namespace Carillon.SocketIO.Tests;

/// <summary>Pings are measured, and what they say decides how long a client may be silent.</summary>
public class RoundTripTests
{
    readonly HandDrivenClock _clock = new(timersToo: true);

    [Fact]
    public void It_is_smoothed_as_RFC_6298_says()
    {
        var first = default(RoundTrip).With(TimeSpan.FromMilliseconds(100));
        Assert.Equal((100, 50, 1), (first.Smoothed.TotalMilliseconds, first.Jitter.TotalMilliseconds, first.Count));
        var second = first.With(TimeSpan.FromMilliseconds(200));
        Assert.Equal((112.5, 62.5, 2), (second.Smoothed.TotalMilliseconds, second.Jitter.TotalMilliseconds, second.Count));
    }

    [Theory]
    [InlineData(3, 20, null, 20_000)]        // not adaptive
    [InlineData(0, 0, 10, 20_000)]           // not measured
    [InlineData(2, 20, 10, 20_000)]          // not often enough
    [InlineData(3, 20, 10, 10_000)]          // never shorter than the least
    [InlineData(3, 300, 10, 10_200)]         // 16 times 300 ms and four times a jitter of 300 / 2 * (3 / 4)^2 ms
    [InlineData(50, 800, 10, 12_800)]        // a long way that never varies
    [InlineData(3, 3000, 10, 20_000)]        // never longer than clients are told
    public void A_ping_may_take_as_long_as_the_round_trip_makes_likely(int measurements, int milliseconds, int? leastSeconds, int expected)
    {
        var roundTrip = default(RoundTrip);
        for (var i = 0; i < measurements; i++) roundTrip = roundTrip.With(TimeSpan.FromMilliseconds(milliseconds));

        TimeSpan? least = leastSeconds is { } seconds ? TimeSpan.FromSeconds(seconds) : null;
        Assert.Equal(expected, roundTrip.PingTimeout(least, TimeSpan.FromSeconds(20)).TotalMilliseconds, tolerance: 1);
    }

    [Fact]
    public void Bounds_that_contradict_each_other_are_refused()
    {
        Check(engine => engine.MinPingTimeout = engine.PingTimeout + TimeSpan.FromSeconds(1));
        Check(engine => engine.MinPingTimeout = TimeSpan.Zero);
        Check(engine => engine.FirstPingAfter = engine.PingInterval + TimeSpan.FromSeconds(1));
        Check(engine => engine.FirstPingAfter = TimeSpan.Zero);
        Check(engine => engine.CloseTimeout = TimeSpan.Zero);

        static void Check(Action<EngineOptions> configure)
        {
            var options = new SocketIOOptions();
            configure(options.Engine);
            Assert.Throws<InvalidOperationException>(() => new SocketServer(Options.Create(options)));
        }
    }

    [Fact]
    public async Task The_first_ping_comes_when_the_host_wants_it_and_both_layers_hear_of_its_answer()
    {
        var (connections, sockets) = (new List<RoundTrip>(), new List<RoundTrip>());
        await using var server = await RunningServer.StartAsync(
            options =>
            {
                options.Engine.FirstPingAfter = TimeSpan.FromSeconds(1);
                options.Engine.OnLatency = connection => connections.Add(connection.RoundTrip);
            },
            io => io.Root.OnLatency(socket => sockets.Add(socket.Connection.RoundTrip)), _clock);
        using var client = await server.JoinAsync();

        _clock.Advance(TimeSpan.FromSeconds(2));
        Assert.Equal("2", await RunningServer.ReceiveAsync(client));
        _clock.Advance(TimeSpan.FromSeconds(1));
        await RunningServer.SendAsync(client, "3");
        await RunningServer.UntilAsync(() => connections.Count > 0, "it is measured");

        Assert.InRange(connections[0].Smoothed, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(2));
        Assert.Equal(connections, sockets);
    }

    [Fact]
    public async Task A_pong_that_answers_nothing_measures_nothing()
    {
        await using var server = await RunningServer.StartAsync(setUp: io => io.Root.On("echo", e => e.Ack()), clock: _clock);
        using var client = await server.JoinAsync();

        await RunningServer.SendAsync(client, "3");
        await RunningServer.SendAsync(client, "420[\"echo\"]");
        await RunningServer.ReceiveAsync(client);

        Assert.Equal(default, server.Io.Root.Everyone.Sockets()[0].Connection.RoundTrip);
    }

    [Fact]
    public async Task Who_falls_silent_after_quick_answers_is_found_sooner()
    {
        List<string> ends = [];
        await using var server = await RunningServer.StartAsync(
            options => (options.Engine.PingInterval, options.Engine.PingTimeout, options.Engine.MinPingTimeout) =
                (TimeSpan.FromSeconds(5), TimeSpan.FromSeconds(60), TimeSpan.FromSeconds(5)),
            io => io.Root.OnDisconnect((_, reason) => ends.Add(reason)), _clock);
        using var client = await server.JoinAsync();
        for (var i = 1; i <= 3; i++)
        {
            await PingAsync(client);
            await RunningServer.SendAsync(client, "3");
            await RunningServer.UntilAsync(() => server.Io.Root.Everyone.Sockets()[0].Connection.RoundTrip.Count == i, "it is measured");
        }

        await PingAsync(client);
        Assert.Empty(ends);
        _clock.Advance(TimeSpan.FromSeconds(20));

        await RunningServer.UntilAsync(() => ends is [DisconnectReason.PingTimeout], "it is gone");
    }

    [Theory]
    [InlineData(null, 60_000)]
    [InlineData(5, 5_000)]
    public async Task Nobody_is_missed_earlier_than_the_handshake_announced(int? leastSeconds, int announced)
    {
        List<string> ends = [];
        await using var server = await RunningServer.StartAsync(
            options => (options.Engine.PingInterval, options.Engine.PingTimeout, options.Engine.MinPingTimeout) =
                (TimeSpan.FromSeconds(5), TimeSpan.FromSeconds(60), leastSeconds is { } least ? TimeSpan.FromSeconds(least) : null),
            io => io.Root.OnDisconnect((_, reason) => ends.Add(reason)), _clock);
        using var client = await server.ConnectAsync();
        Assert.Contains($"\"pingTimeout\":{announced},", await RunningServer.ReceiveAsync(client), StringComparison.Ordinal);
        await RunningServer.SendAsync(client, "40");
        await RunningServer.ReceiveAsync(client);
        for (var i = 1; i <= 5; i++)
        {
            await PingAsync(client);
            await RunningServer.SendAsync(client, "3");
            await RunningServer.UntilAsync(() => server.Io.Root.Everyone.Sockets()[0].Connection.RoundTrip.Count == i, "it is measured");
        }

        await PingAsync(client);
        _clock.Advance(TimeSpan.FromMilliseconds(announced - 600));      // the ping left within half a second
        await RunningServer.SendAsync(client, "3");
        await RunningServer.UntilAsync(() => server.Io.Root.Everyone.Sockets()[0].Connection.RoundTrip.Count == 6, "it is still there");
        Assert.Empty(ends);
    }

    [Fact]
    public async Task A_socket_knows_when_its_client_last_sent_an_event()
    {
        await using var server = await RunningServer.StartAsync(setUp: io => io.Root.On("echo", e => e.Ack()), clock: _clock);
        var came = _clock.GetUtcNow();
        using var client = await server.JoinAsync();
        var socket = server.Io.Root.Everyone.Sockets()[0];
        _clock.Advance(TimeSpan.FromSeconds(10));
        Assert.Equal(came, socket.LastEventAt);

        await RunningServer.SendAsync(client, "420[\"echo\"]");
        await RunningServer.ReceiveAsync(client);

        Assert.Equal(_clock.GetUtcNow(), socket.LastEventAt);
    }

    // Within one tick of its moment.
    async Task PingAsync(WebSocket client)
    {
        _clock.Advance(TimeSpan.FromSeconds(5.5));
        Assert.Equal("2", await RunningServer.ReceiveAsync(client));
    }
}
