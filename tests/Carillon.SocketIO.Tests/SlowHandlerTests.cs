using Carillon.SocketIO.Tests.Hostile;
using Carillon.TestTools;

namespace Carillon.SocketIO.Tests;

/// <summary>A handler that blocks delays its own client, and nobody else.</summary>
public class SlowHandlerTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task What_a_batch_has_sent_to_others_leaves_while_its_next_handler_blocks(bool direct)
    {
        using var release = new ManualResetEventSlim();
        await using var siege = await StartAsync(direct, release);
        using var other = await Wire.JoinAsync(siege.Server);
        using var slow = await Wire.JoinAsync(siege.Server);
        await slow.SendAsync([.. Wire.TextFrame("42[\"tell\",1]"), .. Wire.TextFrame("42[\"tell and block\",2]")]);

        Assert.Equal("42[\"told\",1]", await other.TextAsync());
        Assert.Equal("42[\"told\",2]", await other.TextAsync());
        Assert.False(release.IsSet);
        release.Set();
        await slow.TextAsync("421[\"echo\",1]");
        Assert.Equal("431[1]", await slow.TextAsync());
    }

    [Fact]
    public async Task The_packets_of_a_POST_do_not_hold_back_what_they_send_either()
    {
        using var release = new ManualResetEventSlim();
        await using var siege = await StartAsync(direct: true, release);
        using var other = await Wire.JoinAsync(siege.Server);
        var sid = await siege.PollingAsync();
        Assert.Equal(200, (await siege.PostAsync(sid, "40")).Status);
        await siege.PollAsync(sid);
        var post = siege.PostAsync(sid, "42[\"tell\",1]\u001e42[\"tell and block\",2]");

        Assert.Equal("42[\"told\",1]", await other.TextAsync());
        Assert.Equal("42[\"told\",2]", await other.TextAsync());
        release.Set();
        Assert.Equal(200, (await post).Status);
    }

    [Fact]
    public async Task Pings_of_those_it_has_sent_to_are_not_held_back()
    {
        var clock = new HandDrivenClock(timersToo: true);
        using var release = new ManualResetEventSlim();
        await using var siege = await StartAsync(direct: true, release, clock);
        using var other = await Wire.JoinAsync(siege.Server);
        using var slow = await Wire.JoinAsync(siege.Server);
        await slow.SendAsync([.. Wire.TextFrame("42[\"tell\",1]"), .. Wire.TextFrame("42[\"tell and block\",2]")]);
        Assert.Equal("42[\"told\",1]", await other.TextAsync());
        Assert.Equal("42[\"told\",2]", await other.TextAsync());

        clock.Advance(TimeSpan.FromSeconds(26));
        Assert.Equal("2", (await other.FrameAsync())?.Text);
        release.Set();
    }

    [Fact]
    public async Task A_batch_that_is_quick_leaves_in_one_piece()
    {
        await using var siege = await Siege.StartAsync(direct: true, setUp: io => io.Root.On("tell", e => e.Socket.Others.Emit("told", e.Arguments[0])));
        using var other = await Wire.JoinAsync(siege.Server);
        using var sender = await Wire.JoinAsync(siege.Server);
        var together = 0;
        for (var round = 0; round < 20; round++)
        {
            await sender.SendAsync([.. Enumerable.Range(0, 10).SelectMany(i => Wire.TextFrame($"42[\"tell\",{i}]"))]);
            for (var i = 0; i < 10; i++)
            {
                Assert.Equal($"42[\"told\",{i}]", await other.TextAsync());
                if (i == 0 && other.HasMore(9 * "xx42[\"told\",1]".Length)) together++;
            }
        }
        Assert.InRange(together, 10, 20);
    }

    static Task<Siege> StartAsync(bool direct, ManualResetEventSlim release, TimeProvider? clock = null) => Siege.StartAsync(direct, setUp: io =>
    {
        io.Root.On("tell", e => e.Socket.Others.Emit("told", e.Arguments[0]));
        io.Root.On("tell and block", e =>
        {
            e.Socket.Others.Emit("told", e.Arguments[0]);
            release.Wait(TimeSpan.FromSeconds(60));
        });
    }, clock: clock);
}
