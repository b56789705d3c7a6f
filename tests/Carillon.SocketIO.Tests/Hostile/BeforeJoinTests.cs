using Carillon.SocketIO.Sockets;
using Carillon.SocketIO.WebSockets;

namespace Carillon.SocketIO.Tests.Hostile;

/// <summary>A connection that has not joined a namespace holds kilobytes at most, on every transport.</summary>
public class BeforeJoinTests
{
    const int Most = 4096;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_message_beyond_the_limit_is_refused_before_it_is_kept_and_passes_after_the_join(bool direct)
    {
        await using var siege = await StartAsync(direct);
        using (var wire = await Wire.OpenAsync(siege.Server))
        {
            // The header alone is enough: nothing of the payload has come.
            await wire.SendAsync([0x82, 0xfe, (Most + 1) >> 8, (Most + 1) & 0xff, 0, 0, 0, 0]);
            Assert.Equal(1009, await wire.EndAsync());
        }
        using (var wire = await Wire.OpenAsync(siege.Server))
        {
            for (var i = 0; i < 2; i++) await wire.TrySendAsync(Wire.FrameOf(i == 0 ? Opcode.Text : Opcode.Continuation, new byte[Most - 1], final: false));
            Assert.Equal(1009, await wire.EndAsync());
        }
        using var joined = await Wire.JoinAsync(siege.Server, $"40{Auth(Most - 20)}");
        var text = new string('x', 10 * Most);
        await joined.TextAsync($"421[\"echo\",\"{text}\"]");
        Assert.Equal($"431[\"{text}\"]", await joined.TextAsync());
        await siege.AssertServedAsync();
    }

    [Fact]
    public async Task A_body_beyond_the_limit_is_413_and_passes_after_the_join()
    {
        await using var siege = await StartAsync(direct: true);
        var sid = await siege.PollingAsync();
        Assert.Equal(413, (await siege.PostAsync(sid, $"40{Auth(Most)}")).Status);
        Assert.Equal(200, (await siege.PostAsync(sid, $"40{Auth(Most - 20)}")).Status);
        Assert.StartsWith("40{", (await siege.PollAsync(sid)).Body, StringComparison.Ordinal);
        Assert.Equal(200, (await siege.PostAsync(sid, $"421[\"echo\",\"{new string('x', 10 * Most)}\"]")).Status);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Attachments_are_refused_before_one_of_them_has_come(bool direct)
    {
        await using var siege = await StartAsync(direct);
        using var wire = await Wire.OpenAsync(siege.Server);
        await wire.TextAsync("451-[\"echo\",{\"_placeholder\":true,\"num\":0}]");
        Assert.Equal(1005, await wire.EndAsync());
        await siege.AssertNothingLeftAsync();
    }

    [Fact]
    public async Task Requests_to_join_that_nobody_decides_are_limited_together()
    {
        var decision = new TaskCompletionSource<ConnectRefusal?>();
        await using var siege = await StartAsync(direct: true, io =>
        {
            foreach (var name in new[] { "/a", "/b", "/c" }) io.Of(name).Use(_ => new(decision.Task));
        });
        using (var wire = await Wire.OpenAsync(siege.Server))
        {
            foreach (var name in new[] { "/a", "/b", "/c" }) await wire.TextAsync($"40{name},{Auth(Most / 2 - 100)}");
            Assert.Equal(1005, await wire.EndAsync());
        }
        decision.SetResult(null);
        await siege.AssertNothingLeftAsync();
        await RunningServer.UntilAsync(() => siege.Engine.BufferedBytes == 0, "the requests are forgotten");
    }

    [Fact]
    public async Task The_send_queue_of_a_client_that_reads_nothing_is_small()
    {
        await using var siege = await StartAsync(direct: true);
        // A polling client that does not poll is refused again and again.
        var sid = await siege.PollingAsync();
        for (var i = 0; i < 100 && siege.Engine.ConnectionCount == 2; i++) await siege.PostAsync(sid, "40/nowhere,");
        await RunningServer.UntilAsync(() => siege.Engine.ConnectionCount == 1, "it is closed");
    }

    [Fact]
    public async Task A_request_to_join_stays_small_after_the_first()
    {
        await using var siege = await StartAsync(direct: true, io => io.Of("/more"));
        using var wire = await Wire.JoinAsync(siege.Server);
        await wire.TextAsync($"40/more,{Auth(Most)}");
        Assert.Equal(1005, await wire.EndAsync());
    }

    [Fact]
    public async Task Bare_connections_have_nothing_to_join_and_keep_their_limits()
    {
        await using var server = await RunningServer.StartEngineAsync(socket => socket.MessageReceived = message => socket.Send(message.Text));
        using var wire = await Wire.OpenAsync(server);
        var text = new string('x', 500_000);
        await wire.TextAsync($"4{text}");
        Assert.Equal($"4{text}", await wire.TextAsync());
    }

    static Task<Siege> StartAsync(bool direct, Action<SocketServer>? setUp = null) =>
        Siege.StartAsync(direct, options => options.MaxBytesBeforeJoin = Most, setUp);

    static string Auth(int length) => $"{{\"token\":\"{new string('t', length - 12)}\"}}";
}
