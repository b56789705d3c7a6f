using System.Text;
using Carillon.SocketIO.WebSockets;
using Carillon.TestTools;

namespace Carillon.SocketIO.Tests.Hostile;

/// <summary>What is no HTTP, no frame or no packet, at any moment of a connection's life, and ends at any moment.</summary>
public class MalformedTests
{
    static readonly (string Hex, int Code)[] Frames =
    [
        ("8101", 1002),                          // no mask
        ("c18000000000", 1002), ("a18000000000", 1002), ("918000000000", 1002), ("f18000000000", 1002),       // reserved bits
        ("838000000000", 1002), ("878000000000", 1002), ("8b8000000000", 1002), ("8f8000000000", 1002),       // opcodes that mean nothing
        ("808000000000", 1002), ("008000000000", 1002),                                                       // a continuation of nothing
        ("098000000000", 1002), ("088000000000", 1002), ("0a8000000000", 1002),                               // control frames in fragments
        ("89fe007e00000000", 1002), ("88fe00ff00000000", 1002), ("8aff000000000000ffff00000000", 1002),       // and too long ones
        ("018000000000818000000000", 1002),                                                                   // a message within a message
        ("81810000000080", 1007), ("818200000000c0af", 1007), ("8183000000" + "00eda080", 1007), ("818400000000f4908080", 1007),    // no UTF-8
        ("0181000000" + "00f0" + "808000000000", 1007),                                                       // a character that does not end
        ("82ff7fffffffffffffff00000000", 1009), ("82ffffffffffffffffff00000000", 1009),
        ("888000000000", 1005), ("88810000000003", 1005), ("888200000000" + "03e7", 999),                     // closes are answered as they came
    ];

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_broken_frame_closes_with_its_code_before_the_client_joined_and_after(bool direct)
    {
        var reached = 0;
        await using var siege = await Siege.StartAsync(direct, setUp: io =>
        {
            io.Root.On("before", _ => reached++);
            io.Root.On("behind", _ => Assert.Fail("what comes behind is not read"));
        });
        foreach (var (hex, code) in Frames)
        {
            using var before = await Wire.OpenAsync(siege.Server);
            await before.SendAsync(Convert.FromHexString(hex));
            Assert.True(code == await before.EndAsync(), hex);
            using var after = await Wire.JoinAsync(siege.Server);
            await after.SendAsync(Convert.FromHexString(hex));
            Assert.True(code == await after.EndAsync(), hex);
            using var within = await Wire.JoinAsync(siege.Server);
            await within.SendAsync([.. Wire.TextFrame("42[\"before\"]"), .. Convert.FromHexString(hex), .. Wire.TextFrame("42[\"behind\"]")]);
            Assert.True(code == await within.EndAsync(), hex);
        }
        Assert.Equal(Frames.Length, reached);
        await siege.AssertNothingLeftAsync();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_broken_frame_on_a_probe_closes_it_with_its_code_and_polling_goes_on(bool direct)
    {
        await using var siege = await Siege.StartAsync(direct);
        var sid = await siege.PollingAsync();
        await siege.PostAsync(sid, "40");
        Assert.StartsWith("40{", (await siege.PollAsync(sid)).Body, StringComparison.Ordinal);
        foreach (var (hex, code) in Frames)
        {
            using var probe = await Wire.OpenAsync(siege.Server, $"&sid={sid}");
            if (code is not 1005 and not 999) await probe.TextAsync("2probe");
            await probe.SendAsync(Convert.FromHexString(hex));
            if (code is not 1005 and not 999) Assert.Equal("3probe", await probe.TextAsync());
            Assert.True((code == 999 ? 1005 : code) == await probe.EndAsync(), hex);
        }
        foreach (var packet in new[] { "", "2", "2prob", "2probe2", "4x", "x", "5 ", "40", "\0" })
        {
            using var probe = await Wire.OpenAsync(siege.Server, $"&sid={sid}");
            await probe.TextAsync(packet);
            Assert.Equal(1005, await probe.EndAsync());
        }
        await siege.PostAsync(sid, "421[\"echo\",1]");
        Assert.Equal("431[1]", (await siege.PollAsync(sid)).Body);
        await siege.PostAsync(sid, "1");
        await siege.AssertNothingLeftAsync();
    }

    [Theory]
    [InlineData("connect")]
    [InlineData("connect_error")]
    [InlineData("disconnect")]
    [InlineData("disconnecting")]
    [InlineData("newListener")]
    [InlineData("removeListener")]
    [InlineData("\\u0063onnect")]      // written with an escape
    public async Task Reserved_names_of_events_close_the_connection_on_every_transport(string name)
    {
        await using var siege = await Siege.StartAsync(direct: true, setUp: io => io.Root.OnUnknown(_ => Assert.Fail("nobody hears of it")));
        foreach (var packet in new[] { $"42[\"{name}\"]", $"427[\"{name}\",1]", $"451-[\"{name}\",{{\"_placeholder\":true,\"num\":0}}]" })
        {
            using var wire = await Wire.JoinAsync(siege.Server);
            await wire.TextAsync(packet);
            Assert.Equal(1005, await wire.EndAsync());
        }
        var sid = await siege.PollingAsync();
        await siege.PostAsync(sid, $"40\u001e42[\"{name}\"]\u001e421[\"echo\",1]");
        var answer = await siege.PollAsync(sid);
        Assert.DoesNotContain("431", answer.Body, StringComparison.Ordinal);
        await siege.PollAsync(sid);
        await siege.AssertNothingLeftAsync();
    }

    static readonly (string Step, Func<Siege, Task<Wire>> Go)[] Steps =
    [
        ("connected", siege => Wire.ConnectAsync(siege.Server)),
        ("half a request", siege => WithAsync(Wire.ConnectAsync(siege.Server), "GET /socket.io/?EIO=4&tra"u8.ToArray())),
        ("a request without its end", siege => WithAsync(Wire.ConnectAsync(siege.Server), Encoding.ASCII.GetBytes("GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n"))),
        ("asked for a WebSocket", siege => WithAsync(Wire.ConnectAsync(siege.Server), Encoding.ASCII.GetBytes($"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n{Wire.Upgrade(siege.Server)}"))),
        ("opened", siege => Wire.OpenAsync(siege.Server)),
        ("half a header of a frame", siege => WithAsync(Wire.OpenAsync(siege.Server), [0x81])),
        ("half a join", siege => WithAsync(Wire.OpenAsync(siege.Server), Wire.TextFrame("40{}")[..7])),
        ("a join that is not answered", siege => WithAsync(Wire.OpenAsync(siege.Server), Wire.TextFrame("40"))),
        ("joined", siege => Wire.JoinAsync(siege.Server)),
        ("half an event", siege => WithAsync(Wire.JoinAsync(siege.Server), Wire.TextFrame("42[\"echo\",1]")[..12])),
        ("a fragment of an event", siege => WithAsync(Wire.JoinAsync(siege.Server), Wire.FrameOf(Opcode.Text, "42[\"ec"u8, final: false))),
        ("an event that waits for its attachment", siege => WithAsync(Wire.JoinAsync(siege.Server), Wire.TextFrame("451-[\"echo\",{\"_placeholder\":true,\"num\":0}]"))),
        ("half an attachment", siege => WithAsync(Wire.JoinAsync(siege.Server),
            [.. Wire.TextFrame("451-[\"echo\",{\"_placeholder\":true,\"num\":0}]"), .. Wire.FrameOf(Opcode.Binary, new byte[1000])[..500]])),
        ("an event that is not answered", siege => WithAsync(Wire.JoinAsync(siege.Server), Wire.TextFrame("421[\"echo\",1]"))),
        ("a handler that has not ended", siege => WithAsync(Wire.JoinAsync(siege.Server), Wire.TextFrame("421[\"slow\",1]"))),
        ("asked by the server", siege => WithAsync(Wire.JoinAsync(siege.Server), Wire.TextFrame("42[\"ask me\"]"))),
        ("closing", siege => WithAsync(Wire.JoinAsync(siege.Server), Wire.FrameOf(Opcode.Close, [0x03, 0xe8]))),
        ("a broken frame", siege => WithAsync(Wire.JoinAsync(siege.Server), [0xff, 0xff, 0xff])),
        ("asked for a session by polling", siege => WithAsync(Wire.ConnectAsync(siege.Server), Encoding.ASCII.GetBytes("GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n"))),
        ("half a body", async siege => await WithAsync(Wire.ConnectAsync(siege.Server), Post(await siege.PollingAsync(), "Content-Length: 100\r\n\r\n40"))),
        ("half a chunk", async siege => await WithAsync(Wire.ConnectAsync(siege.Server), Post(await siege.PollingAsync(), "Transfer-Encoding: chunked\r\n\r\nff\r\n40"))),
        ("a chunk that is none", async siege => await WithAsync(Wire.ConnectAsync(siege.Server), Post(await siege.PollingAsync(), "Transfer-Encoding: chunked\r\n\r\nxyz\r\n40"))),
        ("a poll that waits", async siege => await WithAsync(Wire.ConnectAsync(siege.Server), Encoding.ASCII.GetBytes($"GET /socket.io/?EIO=4&transport=polling&sid={await siege.PollingAsync()} HTTP/1.1\r\nHost: x\r\n\r\n"))),
        ("a probe", async siege => await Wire.OpenAsync(siege.Server, $"&sid={await siege.PollingAsync()}")),
        ("a probe that is not answered", async siege => await WithAsync(Wire.OpenAsync(siege.Server, $"&sid={await siege.PollingAsync()}"), Wire.TextFrame("2probe"))),
        ("upgraded", async siege => await WithAsync(Wire.OpenAsync(siege.Server, $"&sid={await siege.PollingAsync()}"), [.. Wire.TextFrame("2probe"), .. Wire.TextFrame("5")])),
    ];

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_connection_reset_or_ended_at_any_step_leaves_nothing(bool direct)
    {
        var clock = new HandDrivenClock(timersToo: true);
        var never = new TaskCompletionSource();
        await using var siege = await Siege.StartAsync(direct, clock: clock, setUp: io =>
        {
            io.Root.On("slow", _ => never.Task);
            io.Root.On("ask me", async e => await e.Socket.EmitWithAckAsync("well?", TimeSpan.FromHours(1)));
        });
        var timers = clock.ActiveTimers;
        foreach (var (_, go) in Steps)
        {
            (await go(siege)).Reset();
            (await go(siege)).Dispose();
            await siege.AssertServedAsync();
        }
        // A client between two polls is missed when its time is over, and not before.
        await RunningServer.UntilAsync(() => siege.Server.Io.Root.Count == 1, "all sockets but one have left");
        for (var i = 0; i < 50 && siege.Engine.ConnectionCount > 1; i++)
        {
            clock.Advance(TimeSpan.FromSeconds(15));
            await siege.AssertServedAsync();      // the bystander answers its pings meanwhile
        }
        never.SetResult();
        await siege.AssertNothingLeftAsync();
        await RunningServer.UntilAsync(() => clock.ActiveTimers <= timers, $"timers are stopped: {clock.ActiveTimers}, {timers} before");
    }

    static async Task<Wire> WithAsync(Task<Wire> opening, byte[] bytes)
    {
        var wire = await opening;
        await wire.SendAsync(bytes);
        return wire;
    }

    static byte[] Post(string sid, string rest) => Encoding.ASCII.GetBytes($"POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: x\r\n{rest}");
}
