using System.Text.Json;
using Carillon.Channels;
using Carillon.Hub;
using Carillon.SocketIO.Sockets;

namespace Carillon.Tests.Live;

/// <summary>One channel of a node: what is held for a subscriber that reads the history, and what becomes of it.</summary>
public class HoldsTests
{
    const int Megabyte = 1 << 20;

    [Fact]
    public async Task A_hold_ends_with_its_release_and_with_its_failure()
    {
        await using var app = await TestApp.StartAsync(options => options.AllowAnonymous = true);
        using var client = await app.ConnectAsync();
        var (channel, socket) = ChannelOf(app);
        var failed = channel.BeginJoin(socket);
        Assert.Equal(1, channel.Deliver(Message(1)));
        channel.Cancel(failed);
        Assert.Equal(0, channel.Deliver(Message(2)));
        var hold = channel.BeginJoin(socket);
        channel.Complete(hold, new History(new Position("e", 2), true, []), recovered: true, (_, _) => { });
        Assert.Equal(1, channel.Deliver(Message(3)));
        Assert.Empty(hold.Waiting);
        Assert.Equal(3, (await client.NextAsync("entry")).GetInt32());
        channel.End();
        Assert.Equal(0, channel.Deliver(Message(4)));
        await AssertNothingElseAsync(client);
    }

    [Fact]
    public async Task A_subscriber_that_joins_again_hears_each_publication_once()
    {
        await using var app = await TestApp.StartAsync(options => options.AllowAnonymous = true);
        using var client = await app.ConnectAsync();
        var (channel, socket) = ChannelOf(app);
        var nothing = new History(new Position("e", 0), true, []);
        channel.Complete(channel.BeginJoin(socket), nothing, recovered: true, (_, _) => { });
        var again = channel.BeginJoin(socket);
        Assert.Equal(1, channel.Deliver(Message(1)));
        Assert.Single(again.Waiting);
        channel.Complete(again, nothing, recovered: true, (_, _) => { });
        Assert.Equal(1, (await client.NextAsync("entry")).GetInt32());
        await AssertNothingElseAsync(client);
    }

    [Fact]
    public async Task More_than_can_be_held_is_a_gap_and_none_of_it_is_sent()
    {
        await using var app = await TestApp.StartAsync(options => options.AllowAnonymous = true);
        using var client = await app.ConnectAsync();
        var (channel, socket) = ChannelOf(app);
        var hold = channel.BeginJoin(socket);
        for (var offset = 2; offset <= 10; offset++) channel.Deliver(Message(offset, Megabyte));
        Assert.Empty(hold.Waiting);
        (Position, bool)? told = null;
        channel.Complete(hold, new History(new Position("e", 1), true, [Message(1)]), recovered: true, (position, recovered) => told = (position, recovered));
        Assert.Equal((new Position("e", 10), false), told);
        channel.Deliver(Message(11));
        Assert.Equal(11, (await client.NextAsync("entry")).GetInt32());
    }

    [Fact]
    public async Task A_new_epoch_begins_a_hold_anew_that_had_overflowed()
    {
        await using var app = await TestApp.StartAsync(options => options.AllowAnonymous = true);
        using var client = await app.ConnectAsync();
        var (channel, socket) = ChannelOf(app);
        var hold = channel.BeginJoin(socket);
        for (var offset = 1; offset <= 10; offset++) channel.Deliver(Message(offset, Megabyte));
        channel.BeginEpoch(new Position("f", 0));
        channel.Deliver(Message(1) with { Position = new Position("f", 1) });
        (Position, bool)? told = null;
        channel.Complete(hold, new History(new Position("e", 10), true, []), recovered: true, (position, recovered) => told = (position, recovered));
        Assert.Equal((new Position("f", 1), false), told);
        Assert.Equal(1, (await client.NextAsync("entry")).GetInt32());
    }

    [Fact]
    public async Task More_than_fits_half_a_client_s_queue_is_not_replayed()
    {
        await using var app = await TestApp.StartAsync(options => options.AllowAnonymous = true);
        using var client = await app.ConnectAsync();
        var (channel, socket) = ChannelOf(app);
        var most = app.Get<SocketServer>().Engine.Options.MaxQueuedBytes / 2;
        bool? recovered = null;
        Publication[] missed = [.. Enumerable.Range(1, 1 + (int)(most / Megabyte)).Select(offset => Message(offset, Megabyte))];
        channel.Complete(channel.BeginJoin(socket), new History(missed[^1].Position, true, missed), recovered: true, (_, whether) => recovered = whether);
        Assert.False(recovered);
        channel.Deliver(Message(missed.Length + 1));
        Assert.Equal(missed.Length + 1, (await client.NextAsync("entry")).GetInt32());
    }

    static (LocalChannel Channel, Socket Socket) ChannelOf(TestApp app)
    {
        var server = app.Get<SocketServer>();
        return (new LocalChannel(server, "log:1", new Area("log:{x}", "entry"), TimeProvider.System), server.Root.Everyone.Sockets().Single());
    }

    static Publication Message(long offset, int size = 0) =>
        new("log:1", "entry", new Position("e", offset), $"id{offset}", DateTimeOffset.UnixEpoch, JsonSerializer.SerializeToUtf8Bytes<object>(size == 0 ? offset : new string('x', size)));

    static async Task AssertNothingElseAsync(TestClient client)
    {
        await client.AskAsync("nothing", null);
        await client.NextAsync("error");      // what the server says of an unknown event, and no publication before it
    }
}
