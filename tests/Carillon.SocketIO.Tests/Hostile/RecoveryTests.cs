using System.Text.Json;
using System.Text.RegularExpressions;
using Carillon.TestTools;

namespace Carillon.SocketIO.Tests.Hostile;

/// <summary>A lost session is given back once, to who knows its secret, and is forgotten in time.</summary>
public class RecoveryTests
{
    readonly HandDrivenClock _clock = new(timersToo: true);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_session_is_given_to_nobody_else_and_to_its_owner_once(bool direct)
    {
        await using var siege = await StartAsync(direct);
        var (pid, sid, offset) = await LoseAsync(siege);

        string[] thefts =
        [
            Auth(sid, offset), Auth(pid, "x"), Auth(pid, ""), Auth("", offset), Auth(pid[..^1], offset), Auth(pid + "\\u0000", offset), Auth(pid.ToUpperInvariant() + "x", offset),
            $"{{\"pid\":[\"{pid}\"],\"offset\":\"{offset}\"}}", $"{{\"pid\":{{\"{pid}\":1}},\"offset\":\"{offset}\"}}", $"{{\"offset\":\"{offset}\"}}", $"{{\"pid\":\"{pid}\",\"offset\":0}}",
            Auth("__proto__", "__proto__"), Auth("\\ud800", offset), $"{{\"\\ud800\":1,\"\\udc00x\":2}}", Auth(new string('p', 30_000), offset),
            Auth(pid, "ffffffffffffffff"), Auth(pid, "0"), Auth(pid, "-1"), Auth(pid, "7fffffffffffffff"), Auth(pid, new string('1', 1000)), Auth(pid, "١"),
        ];
        foreach (var theft in thefts)
        {
            using var thief = await Wire.JoinAsync(siege.Server, "40" + theft);
            Assert.DoesNotContain(sid, thief.Joined, StringComparison.Ordinal);
            await thief.TextAsync("1");
            await thief.EndAsync();
        }
        using (var elsewhere = await Wire.OpenAsync(siege.Server))
        {
            await elsewhere.TextAsync($"40/other,{Auth(pid, offset)}");
            Assert.DoesNotContain(sid, await elsewhere.TextAsync(), StringComparison.Ordinal);
        }

        using var owner = await Wire.OpenAsync(siege.Server);
        await owner.TextAsync($"40{Auth(pid, offset)}");
        Assert.StartsWith("42[\"missed\"", await owner.TextAsync(), StringComparison.Ordinal);
        Assert.Contains(sid, await owner.TextAsync(), StringComparison.Ordinal);
        // It is in use again: the same words move it to the connection that says them, and end the other one. There are never two.
        using var second = await Wire.OpenAsync(siege.Server);
        await second.TextAsync($"40{Auth(pid, offset)}");
        Assert.StartsWith("42[\"missed\"", await second.TextAsync(), StringComparison.Ordinal);
        Assert.Contains(sid, await second.TextAsync(), StringComparison.Ordinal);
        Assert.Equal(1005, await owner.EndAsync());
        Assert.Equal(2, siege.Server.Io.Root.Count);
        await siege.AssertServedAsync();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_session_is_given_to_no_other_account_though_it_knows_the_secret(bool isHeld)
    {
        await using var siege = await Siege.StartAsync(direct: true, options => (options.RecoveryWindow, options.SkipMiddlewaresOnRecovery) = (TimeSpan.FromMinutes(2), false), io =>
        {
            io.Root.Use(socket =>
            {
                socket.Account = socket.Handshake.Auth.TryGetProperty("user", out var user) ? user.GetString() : null;
                return default;
            });
            io.Root.On("tell me", e => e.Socket.Emit("told"));
        }, _clock);
        using var alice = await Wire.JoinAsync(siege.Server, "40{\"user\":\"alice\"}");
        var joined = JsonElement.Parse(alice.Joined[2..]);
        var (pid, sid) = (joined.GetProperty("pid").GetString()!, joined.GetProperty("sid").GetString()!);
        await alice.TextAsync("42[\"tell me\"]");
        var offset = JsonElement.Parse((await alice.TextAsync())[2..])[1].GetString()!;
        if (!isHeld)
        {
            alice.Reset();
            await RunningServer.UntilAsync(() => siege.Server.Io.Root.Recovery!.Lost == 1, "the session is kept");
        }
        siege.Server.Io.Root.To(sid).Emit("missed");

        foreach (var other in new[] { "\"user\":\"mallory\",", "" })
        {
            using var thief = await Wire.JoinAsync(siege.Server, $"40{{{other}\"pid\":\"{pid}\",\"offset\":\"{offset}\"}}");
            Assert.StartsWith("40{", thief.Joined, StringComparison.Ordinal);      // and not what alice has missed
            Assert.DoesNotContain(sid, thief.Joined, StringComparison.Ordinal);
            await thief.TextAsync("41");
            await siege.AssertServedAsync();
        }
        // Nobody else has ended her connection or used up her session.
        Assert.Equal(isHeld, siege.Server.Io.Root.Everyone.Sockets().Any(socket => socket.Id == sid));
        using var again = await Wire.OpenAsync(siege.Server);
        await again.TextAsync($"40{{\"user\":\"alice\",\"pid\":\"{pid}\",\"offset\":\"{offset}\"}}");
        Assert.StartsWith("42[\"missed\"", await again.TextAsync(), StringComparison.Ordinal);
        Assert.Contains(sid, await again.TextAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_session_cannot_be_replayed_again_and_again_on_one_connection()
    {
        await using var siege = await StartAsync(direct: true);
        var (pid, sid, offset) = await LoseAsync(siege);
        using var owner = await Wire.OpenAsync(siege.Server);
        await owner.TextAsync($"40{Auth(pid, offset)}");
        Assert.StartsWith("42[\"missed\"", await owner.TextAsync(), StringComparison.Ordinal);
        Assert.Contains(sid, await owner.TextAsync(), StringComparison.Ordinal);
        for (var i = 0; i < 10; i++)
        {
            await owner.TextAsync("41");
            await owner.TextAsync($"40{Auth(pid, offset)}");
            var joined = await owner.TextAsync();
            Assert.StartsWith("40{", joined, StringComparison.Ordinal);
            Assert.DoesNotContain(sid, joined, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Thousands_of_recoveries_that_are_begun_and_dropped_lose_nothing_and_keep_nothing(bool direct)
    {
        await using var siege = await StartAsync(direct);
        var recovery = siege.Server.Io.Root.Recovery!;
        var (pid, sid, offset) = await LoseAsync(siege);
        // The owner returns a thousand times, and is cut off before it hears the answer, or half way through its question.
        for (var i = 0; i < 1000; i++)
        {
            await RunningServer.UntilAsync(IsLostAgain, "the session is lost again");
            using var half = await Wire.OpenAsync(siege.Server);
            var join = Wire.TextFrame($"40{Auth(pid, offset)}");
            await half.SendAsync(i % 3 == 0 ? join[..20] : join);
            if (i % 3 == 1) await half.TextAsync();
            half.Reset();
        }
        await RunningServer.UntilAsync(IsLostAgain, "the session is lost again");
        using (var owner = await Wire.OpenAsync(siege.Server))
        {
            await owner.TextAsync($"40{Auth(pid, offset)}");
            Assert.StartsWith("42[\"missed\"", await owner.TextAsync(), StringComparison.Ordinal);
            Assert.Contains(sid, await owner.TextAsync(), StringComparison.Ordinal);
        }
        // And a thousand others are lost for good.
        var before = recovery.Lost;
        for (var i = 0; i < 1000; i++)
        {
            using var lost = await Wire.JoinAsync(siege.Server);
            lost.Reset();
        }
        await RunningServer.UntilAsync(() => recovery.Lost >= before + 1000 && siege.Server.Io.Root.Count == 1, "they are kept for a while");
        _clock.Advance(TimeSpan.FromSeconds(15));
        await siege.AssertServedAsync();
        for (var i = 0; i < 12; i++)
        {
            _clock.Advance(TimeSpan.FromSeconds(15));
            await siege.AssertServedAsync();
        }
        using var newcomer = await Wire.JoinAsync(siege.Server);
        await RunningServer.UntilAsync(() => recovery.IsEmpty, "what is out of date is forgotten");
        await siege.AssertServedAsync();

        // The one before has been heard to its end. Who asks while it is not gets a session of its own.
        bool IsLostAgain() => siege.Engine.ConnectionCount == 1 && siege.Server.Io.Root.Count == 1 && recovery.Lost >= 1;
    }

    [Fact]
    public async Task A_namespace_of_a_pattern_is_let_go_whatever_its_visitor_asked_for()
    {
        await using var siege = await StartAsync(direct: true);
        using (var visitor = await Wire.OpenAsync(siege.Server))
        {
            await visitor.TextAsync("40/passing,{\"pid\":\"\\ud800\",\"offset\":\"x\"}");
            Assert.StartsWith("40/passing,{", await visitor.TextAsync(), StringComparison.Ordinal);
            await visitor.TextAsync("40/passing2,{\"\\ud800\":1}");
            Assert.StartsWith("40/passing2,{", await visitor.TextAsync(), StringComparison.Ordinal);
        }
        await siege.AssertNothingLeftAsync();
        var client = Assert.Single(siege.Engine.Connections);
        Assert.Equal((1, 1), (siege.Server.Io.Hold("/passing", client, out _)!.Holders, siege.Server.Io.Hold("/passing2", client, out _)!.Holders));
    }

    Task<Siege> StartAsync(bool direct) => Siege.StartAsync(direct, options => options.RecoveryWindow = TimeSpan.FromMinutes(2), io =>
    {
        io.Of("/other");
        io.Of(new Regex("/passing[0-9]*"));
        io.Root.On("tell me", e => e.Socket.Emit("told"));
    }, _clock);

    // A client that has heard one event, is lost, and has missed another.
    static async Task<(string Pid, string Sid, string Offset)> LoseAsync(Siege siege)
    {
        using var wire = await Wire.JoinAsync(siege.Server);
        var joined = JsonElement.Parse(wire.Joined[2..]);
        await wire.TextAsync("42[\"tell me\"]");
        var offset = JsonElement.Parse((await wire.TextAsync())[2..])[1].GetString()!;
        wire.Reset();
        await RunningServer.UntilAsync(() => siege.Server.Io.Root.Recovery!.Lost == 1, "the session is kept");
        var sid = joined.GetProperty("sid").GetString()!;
        siege.Server.Io.Root.To(sid).Emit("missed");
        return (joined.GetProperty("pid").GetString()!, sid, offset);
    }

    static string Auth(string pid, string offset) => $"{{\"pid\":\"{pid}\",\"offset\":\"{offset}\"}}";
}
