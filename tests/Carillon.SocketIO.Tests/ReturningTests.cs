using System.Collections.Concurrent;
using System.Text.Json;
using Carillon.SocketIO.Engine;
using Carillon.SocketIO.Sockets;
using Carillon.SocketIO.Tests.Hostile;
using Carillon.SocketIO.WebSockets;
using Carillon.TestTools;

namespace Carillon.SocketIO.Tests;

/// <summary>A client that comes back gets its session and what it missed, whatever it had received before and however it was lost.</summary>
public class ReturningTests
{
    static readonly TimeSpan Kept = TimeSpan.FromSeconds(8);

    readonly HandDrivenClock _clock = new(timersToo: true);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Before_the_first_event(bool direct)
    {
        await using var siege = await StartAsync(direct);
        siege.Server.Io.Root.To("alerts").Emit("alert", 0);      // before it came
        var client = await JoinAsync(siege);
        await LoseAsync(siege, client);
        siege.Server.Io.Root.To("alerts").Emit("alert", 9);

        await AssertBackAsync(siege, client, offset: null, "[\"alert\",9");
    }

    [Theory]
    [InlineData(9.5)]
    [InlineData(600)]
    public async Task After_a_long_silence(double seconds)
    {
        await using var siege = await StartAsync(direct: true);
        var client = await JoinAsync(siege);
        var offset = await AlertAsync(siege, client, 1);
        await AliveForAsync(siege, client, seconds);
        await LoseAsync(siege, client);
        siege.Server.Io.Root.To("alerts").Emit("alert", 9);

        await AssertBackAsync(siege, client, offset, "[\"alert\",9");
    }

    [Fact]
    public async Task After_a_silence_in_its_rooms_while_others_were_busy_and_their_events_are_forgotten()
    {
        await using var siege = await StartAsync(direct: true);
        var client = await JoinAsync(siege);
        var offset = await AlertAsync(siege, client, 1);
        for (var i = 0; i < 30; i++)
        {
            siege.Server.Io.Root.To("elsewhere").Emit("noise", i);
            await AliveForAsync(siege, client, 26);
        }
        await LoseAsync(siege, client);
        siege.Server.Io.Root.To("alerts").Emit("alert", 9);

        await AssertBackAsync(siege, client, offset, "[\"alert\",9");
    }

    [Fact]
    public async Task Not_where_an_event_is_forgotten_that_may_not_have_arrived()
    {
        await using var siege = await StartAsync(direct: true, options => options.MaxRecoverableBytes = 1000);
        var client = await JoinAsync(siege);
        var offset = await AlertAsync(siege, client, 1);
        await LoseAsync(siege, client);
        for (var i = 0; i < 5; i++) siege.Server.Io.Root.To("alerts").Emit("alert", new string('x', 500));

        using var again = await Wire.JoinAsync(siege.Server, $"40{Auth(client.Pid, offset)}");
        Assert.DoesNotContain(client.Sid, again.Joined, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task While_the_server_still_holds_the_old_connection_which_ends(bool direct)
    {
        ConcurrentQueue<string> ends = [];
        await using var siege = await StartAsync(direct, setUp: io => io.Root.OnDisconnect((_, reason) => ends.Enqueue(reason)));
        var client = await JoinAsync(siege);
        var offset = await AlertAsync(siege, client, 1);
        // It does not read any more, and nobody knows.
        siege.Server.Io.Root.To("alerts").Emit("alert", 8);
        siege.Server.Io.Root.Everyone.Sockets().Single(socket => socket.Id == client.Sid).Data["remembered"] = "yes";

        using var wire = await AssertBackAsync(siege, client, offset, "[\"alert\",8");
        Assert.Equal([DisconnectReason.TransportClose], ends);
        Assert.Equal(2, siege.Engine.ConnectionCount);
        Assert.Equal("yes", siege.Server.Io.Root.Everyone.Sockets().Single(socket => socket.Id == client.Sid).Data["remembered"]);
        siege.Server.Io.Root.To("alerts").Emit("alert", 10);
        Assert.StartsWith("42[\"alert\",10", await wire.TextAsync(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task After_the_server_closed_the_engine_whose_reason_is_forced_close(bool unread)
    {
        ConcurrentQueue<string> ends = [];
        await using var siege = await StartAsync(direct: true, setUp: io => io.Root.OnDisconnect((_, reason) => ends.Enqueue(reason)));
        var client = await JoinAsync(siege);
        var offset = await AlertAsync(siege, client, 1);
        var socket = siege.Server.Io.Root.Everyone.Sockets().Single(socket => socket.Id == client.Sid);
        // The client may answer our close frame before its last write is seen to have ended.
        if (unread) for (var i = 0; i < 14; i++) siege.Server.Io.Root.To("nobody else", socket.Id).Emit("much", new string('x', 500_000));
        socket.Connection.Close();
        if (unread) await client.Wire.SendAsync(Wire.FrameOf(Opcode.Close, []));
        while (await client.Wire.FrameAsync() is { } frame && frame.Opcode != Opcode.Close) { }
        client.Wire.Dispose();
        await RunningServer.UntilAsync(() => ends.Count == 1, "it has ended");
        Assert.Equal([DisconnectReason.ForcedClose], ends);

        using var wire = await Wire.OpenAsync(siege.Server);
        await wire.TextAsync($"40{Auth(client.Pid, offset)}");
        var answer = await wire.TextAsync();
        while (!answer.StartsWith("40", StringComparison.Ordinal)) answer = await wire.TextAsync();
        Assert.Contains(client.Sid, answer, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_engine_that_is_closed_as_a_whole_says_forced_close_and_one_that_stops_with_its_host_says_so()
    {
        ConcurrentQueue<string> ends = [];
        await using (var siege = await StartAsync(direct: true, setUp: io => io.Root.OnDisconnect((_, reason) => ends.Enqueue(reason)))) siege.Engine.Close();
        await RunningServer.UntilAsync(() => ends.Count == 1, "closed");
        await using (var siege = await StartAsync(direct: true, setUp: io => io.Root.OnDisconnect((_, reason) => ends.Enqueue(reason))))
        {
            var stopping = siege.Server.Host.StopAsync();
            await RunningServer.UntilAsync(() =>
            {
                _clock.Advance(TimeSpan.FromSeconds(1));      // the bystander does not answer the close frame
                return stopping.IsCompleted;
            }, "it has stopped");
            await stopping;
        }
        Assert.Equal([DisconnectReason.ForcedClose, DisconnectReason.ServerShuttingDown], ends);
    }

    sealed record Client(Wire Wire, string Pid, string Sid);

    Task<Siege> StartAsync(bool direct, Action<SocketIOOptions>? configure = null, Action<SocketServer>? setUp = null) => Siege.StartAsync(direct, options =>
    {
        options.RecoveryWindow = Kept;
        configure?.Invoke(options);
    }, io =>
    {
        io.Root.OnConnection(socket => socket.Join("alerts"));
        setUp?.Invoke(io);
    }, _clock);

    static async Task<Client> JoinAsync(Siege siege)
    {
        var wire = await Wire.JoinAsync(siege.Server);
        var joined = JsonElement.Parse(wire.Joined[2..]);
        var sid = joined.GetProperty("sid").GetString()!;
        await RunningServer.UntilAsync(() => siege.Server.Io.Root.Everyone.Sockets().Any(socket => socket.Id == sid && socket.Rooms.Contains("alerts")), "it is in");
        return new Client(wire, joined.GetProperty("pid").GetString()!, sid);
    }

    static async Task<string> AlertAsync(Siege siege, Client client, int number)
    {
        siege.Server.Io.Root.To(client.Sid).Emit("alert", number);
        return JsonElement.Parse((await client.Wire.TextAsync())[2..])[2].GetString()!;
    }

    // The bystander and the client answer their pings, which come every 25 seconds.
    async Task AliveForAsync(Siege siege, Client client, double seconds)
    {
        var socket = siege.Server.Io.Root.Everyone.Sockets().Single(socket => socket.Id == client.Sid);
        for (; seconds > 0; seconds -= 26)
        {
            var before = socket.Connection.RoundTrip.Count;
            _clock.Advance(TimeSpan.FromSeconds(Math.Min(seconds, 26)));
            if (seconds >= 26)
            {
                Assert.Equal("2", (await client.Wire.FrameAsync())?.Text);
                await client.Wire.TextAsync("3");
                await RunningServer.UntilAsync(() => socket.Connection.RoundTrip.Count > before, "it is answered");
            }
            await siege.AssertServedAsync();
        }
    }

    static async Task LoseAsync(Siege siege, Client client)
    {
        client.Wire.Reset();
        await RunningServer.UntilAsync(() => siege.Server.Io.Root.Recovery!.Lost == 1, "the session is kept");
    }

    static async Task<Wire> AssertBackAsync(Siege siege, Client client, string? offset, string missed)
    {
        var wire = await Wire.OpenAsync(siege.Server);
        await wire.TextAsync($"40{Auth(client.Pid, offset)}");
        Assert.StartsWith($"42{missed}", await wire.TextAsync(), StringComparison.Ordinal);
        Assert.Contains(client.Sid, await wire.TextAsync(), StringComparison.Ordinal);
        return wire;
    }

    static string Auth(string pid, string? offset) => offset is null ? $"{{\"pid\":\"{pid}\"}}" : $"{{\"pid\":\"{pid}\",\"offset\":\"{offset}\"}}";
}
