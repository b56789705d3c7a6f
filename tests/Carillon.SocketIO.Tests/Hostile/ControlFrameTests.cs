using System.Text;
using Carillon.SocketIO.Limits;
using Carillon.SocketIO.WebSockets;
using Carillon.TestTools;

namespace Carillon.SocketIO.Tests.Hostile;

/// <summary>Frames and packets that are no messages cost what messages cost.</summary>
public class ControlFrameTests
{
    readonly HandDrivenClock _clock = new(timersToo: true);

    public static TheoryData<string, bool> Frames()
    {
        var data = new TheoryData<string, bool>();
        foreach (var kind in new[] { "ping", "pong", "fragment", "noop", "open", "upgrade", "unsolicited pong packet" })
        {
            data.Add(kind, false);
            data.Add(kind, true);
        }
        return data;
    }

    [Theory]
    [MemberData(nameof(Frames))]
    public async Task A_flood_of_them_ends_the_connection_and_counts_against_the_address(string kind, bool direct)
    {
        await using var siege = await StartAsync(direct, fair => (fair.LimitAddresses, fair.FloodingConnectionsPerMinute) = (true, 1));
        for (var floods = 0; floods < 2; floods++)
        {
            Assert.Empty(siege.Engine.Addresses.Bans());
            using var wire = await Wire.JoinAsync(siege.Server);
            if (kind == "fragment") await wire.SendAsync(Wire.FrameOf(Opcode.Text, "4"u8, final: false));
            await wire.TrySendAsync(Enumerable.Repeat(FrameOf(kind), 200).SelectMany(frame => frame).ToArray());
            await RunningServer.UntilAsync(() => siege.Engine.ConnectionCount == 1, "the flooder is closed");
        }
        Assert.Equal("127.0.0.1", Assert.Single(siege.Engine.Addresses.Bans()).Address);
        await siege.AssertServedAsync();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Pings_at_an_ordinary_rate_are_all_answered(bool direct)
    {
        await using var siege = await StartAsync(direct);
        using var wire = await Wire.JoinAsync(siege.Server);
        for (var i = 0; i < 500; i++)
        {
            _clock.Advance(TimeSpan.FromSeconds(0.2));
            await wire.SendAsync(Wire.FrameOf(Opcode.Ping, Encoding.ASCII.GetBytes($"{i}")));
            Wire.Frame? frame;
            do
            {
                frame = await wire.FrameAsync();
                if (frame is { Opcode: Opcode.Text, Text: "2" }) await wire.TextAsync("3");
            }
            while (frame is { Opcode: Opcode.Text });
            Assert.Equal((Opcode.Pong, $"{i}"), (frame!.Opcode, frame.Text));
        }
    }

    [Fact]
    public async Task Answers_to_the_pings_of_the_server_cost_nothing()
    {
        await using var siege = await StartAsync(direct: true);
        using var wire = await Wire.JoinAsync(siege.Server);
        var socket = siege.Server.Io.Root.Everyone.Sockets()[1];
        for (var i = 1; i <= 30; i++)
        {
            _clock.Advance(TimeSpan.FromSeconds(26));
            await siege.AssertServedAsync();
            Assert.Equal("2", (await wire.FrameAsync())?.Text);
            await wire.TextAsync("3");
            var count = i;
            await RunningServer.UntilAsync(() => socket.Connection.RoundTrip.Count == count, "it is answered");
        }
        Assert.True(socket.Connection.TryAcquire(0, _clock.GetTimestamp(), out _));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Before_the_join_a_few_hundred_are_enough(bool direct)
    {
        await using var siege = await Siege.StartAsync(direct, clock: _clock);
        using var wire = await Wire.OpenAsync(siege.Server);
        // The usual burst of 10,000 events is not given yet: 250 are, and 1,000 refusals are let pass.
        await wire.TrySendAsync(Enumerable.Repeat(FrameOf("pong"), 1300).SelectMany(frame => frame).ToArray());
        await RunningServer.UntilAsync(() => siege.Engine.ConnectionCount == 1, "the flooder is closed");
        await siege.AssertServedAsync();
    }

    public static TheoryData<string, bool> FramesAndMessages()
    {
        var data = Frames();
        data.Add("message", false);
        data.Add("message", true);
        return data;
    }

    [Theory]
    [MemberData(nameof(FramesAndMessages))]
    public async Task What_comes_after_the_close_is_paid_for_and_a_flood_is_not_read(string kind, bool direct)
    {
        await using var siege = await StartAsync(direct);
        using var wire = await Wire.JoinAsync(siege.Server);
        if (kind == "fragment") await wire.SendAsync(Wire.FrameOf(Opcode.Text, "4"u8, final: false));
        else await wire.TextAsync("9");      // no packet: the connection is closed, and the answer to the close frame awaited
        if (kind == "fragment") siege.Server.Io.Root.Everyone.Sockets().Single(socket => socket.Id == wire.Joined.Split('"')[3]).Connection.Close();
        await RunningServer.UntilAsync(() => siege.Engine.ConnectionCount == 1, "it is closed");
        await wire.TrySendAsync(Enumerable.Repeat(FrameOf(kind), 200).SelectMany(frame => frame).ToArray());
        while (await wire.FrameAsync() is not null) { }      // to the end, though the clock stands still
        await siege.AssertServedAsync();
    }

    [Fact]
    public async Task Posts_to_a_session_that_is_being_closed_are_paid_for()
    {
        await using var siege = await StartAsync(direct: true);
        var sid = await siege.JoinedPollingAsync();
        Assert.Equal(200, (await siege.PostAsync(sid, "4{")).Status);      // malformed: it is closed with the next poll, which does not come
        var accepted = 0;
        while (accepted < 100 && (await siege.PostAsync(sid, "42[\"x\"]")).Status == 200) accepted++;
        Assert.InRange(accepted, 1, 35);
        await RunningServer.UntilAsync(() => siege.Engine.ConnectionCount == 1, "the session is over");
    }

    [Theory]
    [InlineData("ping", 16)]
    [InlineData("2probe", 16)]
    [InlineData("pong", 0)]
    public async Task A_probe_is_a_few_frames(string kind, int answered)
    {
        await using var siege = await StartAsync(direct: true);
        var sid = await siege.PollingAsync();
        using var probe = await Wire.OpenAsync(siege.Server, $"&sid={sid}");
        await probe.TrySendAsync(Enumerable.Repeat(FrameOf(kind), 50).SelectMany(frame => frame).ToArray());
        var answers = 0;
        while (await probe.FrameAsync() is { } frame && frame.Opcode != Opcode.Close) answers++;
        Assert.Equal(answered, answers);
        Assert.Equal(200, (await siege.PostAsync(sid, "40")).Status);     // the session lives on
    }

    [Fact]
    public async Task A_probe_cannot_hold_a_large_message()
    {
        await using var siege = await StartAsync(direct: true);
        var sid = await siege.PollingAsync();
        using var probe = await Wire.OpenAsync(siege.Server, $"&sid={sid}");
        await probe.SendAsync([0x81, 0xfe, 1, 0, 0, 0, 0, 0]);
        Assert.Equal(1009, await probe.EndAsync());
    }

    Task<Siege> StartAsync(bool direct, Action<LimitOptions>? configure = null) => Siege.StartAsync(direct, options =>
    {
        var fair = options.Engine.Limits;
        configure?.Invoke(fair);
        (fair.PerConnection.EventsPerSecond, fair.PerConnection.EventBurst, fair.RefusalsBeforeDisconnect) = (10, 30, 50);
    }, clock: _clock);

    static byte[] FrameOf(string kind) => kind switch
    {
        "ping" => Wire.FrameOf(Opcode.Ping, "p"u8),
        "pong" => Wire.FrameOf(Opcode.Pong, []),
        "fragment" => Wire.FrameOf(Opcode.Continuation, [], final: false),
        "noop" => Wire.TextFrame("6"),
        "open" => Wire.TextFrame("0"),
        "upgrade" => Wire.TextFrame("5"),
        "2probe" => Wire.TextFrame("2probe"),
        "message" => Wire.TextFrame("42[\"x\"]"),
        _ => Wire.TextFrame("3"),
    };
}
