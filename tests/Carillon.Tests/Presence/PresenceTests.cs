using System.Net;
using System.Text.Json;
using Carillon.Access;
using Carillon.Channels;
using Carillon.Channels.InProcess;
using Carillon.Hub;
using Carillon.Presence;
using Carillon.SocketIO.Sockets;
using Carillon.TestTools;
using Carillon.Tests.Live;
using Microsoft.Extensions.DependencyInjection;

namespace Carillon.Tests.Presence;

public class PresenceTests
{
    const string Channel = "resource:updates:7";

    static Task<TestApp> StartAsync(string[] users, TimeSpan? leaveAfter = null) => TestApp.StartKnowingAsync(users, options =>
    {
        options.Presence.LeaveAfter = leaveAfter ?? TimeSpan.Zero;
        options.Presence.PresenceInterval = TimeSpan.FromMilliseconds(20);
    });

    [Fact]
    public async Task Several_pages_of_one_person_are_one_person()
    {
        await using var app = await StartAsync(["alice", "bob"]);
        using var watcher = await WatchAsync(app, "bob");
        using var phone = await JoinAsync(app, "alice");
        Assert.Equal(("alice", 2), await MovedAsync(watcher, "joined"));
        using var laptop = await JoinAsync(app, "alice");
        var alice = (await ReadAsync(app, "bob")).GetProperty("items")[0];
        Assert.Equal(("alice", "ALICE", "active", 2), (alice.GetProperty("id").GetString(), alice.GetProperty("name").GetString(), alice.GetProperty("state").GetString(), alice.GetProperty("connections").GetInt32()));

        await phone.AskAsync("unsubscribe", Channel);
        using var carol = await JoinAsync(app, "bob");       // known already: nothing is told of it either
        await laptop.EndAsync();
        Assert.Equal(("alice", 1), await MovedAsync(watcher, "left"));
    }

    [Fact]
    public async Task Who_comes_back_within_seconds_has_never_been_away()
    {
        await using var app = await StartAsync(["alice", "bob", "carol"], leaveAfter: TimeSpan.FromMinutes(1));
        using var watcher = await WatchAsync(app, "bob");
        var alice = await JoinAsync(app, "alice");
        Assert.Equal(("alice", 2), await MovedAsync(watcher, "joined"));
        await alice.EndAsync();
        using var again = await JoinAsync(app, "alice");
        using var carol = await JoinAsync(app, "carol");
        Assert.Equal(("carol", 3), await MovedAsync(watcher, "joined"));      // and nothing of alice in between
    }

    [Fact]
    public async Task Who_reloads_a_page_is_present_when_the_time_of_the_first_leaving_is_over()
    {
        var clock = new HandDrivenClock();
        await using var app = await TestApp.StartKnowingAsync(["alice", "bob"], options =>
            (options.Presence.LeaveAfter, options.Presence.PresenceInterval) = (TimeSpan.FromSeconds(5), TimeSpan.FromHours(1)), services => services.AddSingleton<TimeProvider>(clock));
        using var watcher = await WatchAsync(app, "bob");
        var alice = await JoinAsync(app, "alice");
        await TellAsync();
        Assert.Equal(("alice", 2), await MovedAsync(watcher, "joined"));

        await LeaveAsync(alice);                          // 0 s
        clock.Advance(TimeSpan.FromSeconds(3));
        var again = await JoinAsync(app, "alice");
        clock.Advance(TimeSpan.FromSeconds(3));           // 6 s: she is back for longer than she was away
        await TellAsync();
        Assert.Equal(1, await ConnectionsAsync());

        await LeaveAsync(again);                          // 6 s
        clock.Advance(TimeSpan.FromSeconds(3));
        again = await JoinAsync(app, "alice");
        await LeaveAsync(again);                          // 9 s: from here on she has five seconds once more
        clock.Advance(TimeSpan.FromSeconds(4));
        await TellAsync();
        Assert.Equal(0, await ConnectionsAsync());        // absent, and not gone yet
        clock.Advance(TimeSpan.FromSeconds(1));
        await TellAsync();
        Assert.Equal(("alice", 1), await MovedAsync(watcher, "left"));      // the first that is told of her since she came
        Assert.Null(await ConnectionsAsync());

        Task TellAsync() => app.Get<PresenceTracker>().SendAsync(CancellationToken.None);

        async Task LeaveAsync(TestClient client)
        {
            Assert.True((await client.AskAsync("unsubscribe", Channel)).GetProperty("ok").GetBoolean());
            Assert.Equal(0, await ConnectionsAsync());
            client.Dispose();
        }

        async Task<int?> ConnectionsAsync() => (await ReadAsync(app, "bob")).GetProperty("items").EnumerateArray()
            .Where(item => item.GetProperty("id").GetString() == "alice").Select(item => (int?)item.GetProperty("connections").GetInt32()).SingleOrDefault();
    }

    [Fact]
    public async Task Somebody_without_a_sign_of_life_for_five_minutes_is_idle()
    {
        var clock = new HandDrivenClock();
        await using var app = await TestApp.StartKnowingAsync(["alice"], services: services => services.AddSingleton<TimeProvider>(clock));
        using var alice = await JoinAsync(app, "alice");
        clock.Advance(TimeSpan.FromMinutes(5) - TimeSpan.FromSeconds(1));
        Assert.Equal("active", await StateAsync());
        clock.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal("idle", await StateAsync());
        await alice.AskAsync("presence", Channel);
        Assert.Equal("active", await StateAsync());

        async Task<string?> StateAsync() => (await app.CallAsync("GET", $"/api/channels/{Channel}/presence")).Body.GetProperty("items")[0].GetProperty("state").GetString();
    }

    [Fact]
    public async Task Comings_and_goings_that_are_followed_keep_their_epoch_while_nobody_is_there()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice", "bob"], options =>
        {
            options.Presence.PresenceInterval = TimeSpan.FromHours(1);
            options.Areas.Add(new Area("room:{id}", "said") { Subscribe = Grant.Users, Presence = Grant.Users });
        });
        var board = app.Get<PresenceTracker>();
        using var bob = await app.ConnectAsAsync("bob");
        var epoch = (await bob.AskAsync("subscribe", "presence:room:1")).GetProperty("position").GetProperty("epoch").GetString();
        await board.SendAsync(CancellationToken.None);
        using var alice = await app.ConnectAsAsync("alice");
        await alice.AskAsync("subscribe", "room:1");
        await board.SendAsync(CancellationToken.None);
        await bob.NextAsync("subscribed");
        var told = await bob.NextWithMetaAsync("presence");
        Assert.Equal((epoch, 1), (told[2].GetProperty("epoch").GetString(), told[2].GetProperty("offset").GetInt32()));
    }

    [Theory]
    [InlineData(typeof(IOException))]
    [InlineData(typeof(OperationCanceledException))]      // the layer's own time-out
    public async Task A_channel_whose_comings_and_goings_cannot_be_told_keeps_no_other_from_being_told(Type fault)
    {
        await using var app = await TestApp.StartKnowingAsync(["alice", "bob"], options =>
        {
            options.Presence.PresenceInterval = TimeSpan.FromHours(1);
            options.Areas.Add(new Area("room:{id}", "said") { Subscribe = Grant.Users, Presence = Grant.Users });
        }, services => services.AddSingleton<IChannelLayer>(new FaultyLayer("presence:room:1", fault)));
        using var bob = await app.ConnectAsAsync("bob");
        using var alice = await app.ConnectAsAsync("alice");
        foreach (var room in new[] { "room:1", "room:2" })
        {
            await bob.AskAsync("subscribe", "presence:" + room);
            await alice.AskAsync("subscribe", room);
        }
        await app.Get<PresenceTracker>().SendAsync(CancellationToken.None);
        Assert.Equal("alice", (await bob.UntilAsync("presence")).GetProperty("joined")[0].GetProperty("id").GetString());
    }

    sealed class FaultyLayer(string channel, Type fault) : IChannelLayer
    {
        readonly InProcessChannelLayer _inner = new(TimeProvider.System);

        public void OnMessage(Action<Publication> deliver) => _inner.OnMessage(deliver);

        public ValueTask SubscribeAsync(string name, CancellationToken ct) => _inner.SubscribeAsync(name, ct);

        public ValueTask UnsubscribeAsync(string name, CancellationToken ct) => _inner.UnsubscribeAsync(name, ct);

        public ValueTask<Position> PublishAsync(string name, ReadOnlyMemory<byte> body, PublishOptions options, CancellationToken ct) =>
            name == channel ? throw (Exception)Activator.CreateInstance(fault)! : _inner.PublishAsync(name, body, options, ct);

        public ValueTask<History> HistoryAsync(string name, Position? since, int limit, CancellationToken ct) => _inner.HistoryAsync(name, since, limit, ct);
    }

    [Fact]
    public async Task A_ghost_is_missed_and_has_left()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice", "bob"], options =>
        {
            options.Presence.LeaveAfter = TimeSpan.Zero;
            options.Presence.PresenceInterval = TimeSpan.FromMilliseconds(20);
        }, services => services.Configure<SocketIOOptions>(io => (io.Engine.PingInterval, io.Engine.PingTimeout, io.Engine.FirstPingAfter, io.Engine.MinPingTimeout) =
            (TimeSpan.FromMilliseconds(300), TimeSpan.FromSeconds(2), TimeSpan.FromMilliseconds(300), TimeSpan.FromSeconds(2))));
        using var watcher = await WatchAsync(app, "bob");
        using var ghost = await JoinAsync(app, "alice");
        Assert.Equal(("alice", 2), await MovedAsync(watcher, "joined"));
        // It says nothing any more and answers no ping: its network is gone, and nobody was told.
        Assert.Equal(("alice", 1), await MovedAsync(watcher, "left"));
    }

    [Fact]
    public async Task Presence_is_seen_by_those_who_are_there()
    {
        await using var app = await StartAsync(["alice", "bob"]);
        using var stranger = await app.ConnectAsAsync("bob");
        Assert.Equal("forbidden", Code(await stranger.AskAsync("subscribe", "presence:" + Channel)));
        Assert.Equal("forbidden", Code(await stranger.AskAsync("presence", new { channel = Channel })));
        Assert.Equal("forbidden", (await app.CallAsAsync("bob", "GET", $"/api/channels/{Channel}/presence")).Body.GetProperty("code").GetString());
        Assert.Equal(0, (await app.CallAsync("GET", $"/api/channels/{Channel}/presence")).Body.GetProperty("count").GetInt32());     // a back end reads any

        using var alice = await JoinAsync(app, "alice");
        var answer = await alice.AskAsync("presence", new { channel = Channel });
        Assert.Equal((true, 1, "alice"), (answer.GetProperty("ok").GetBoolean(), answer.GetProperty("count").GetInt32(), answer.GetProperty("items")[0].GetProperty("id").GetString()));
    }

    [Fact]
    public async Task Who_leaves_does_not_see_the_others_any_more()
    {
        await using var app = await StartAsync(["alice", "bob"]);
        using var alice = await WatchAsync(app, "alice");
        await alice.AskAsync("unsubscribe", Channel);
        var lost = await alice.UntilAsync("unsubscribed");
        while (lost.GetProperty("channel").GetString() == Channel) lost = await alice.UntilAsync("unsubscribed");
        Assert.Equal(("presence:" + Channel, "forbidden"), (lost.GetProperty("channel").GetString(), lost.GetProperty("code").GetString()));
    }

    [Theory]
    [InlineData("presence:nothing:7", "unknown-channel")]
    [InlineData("presence:notifications:alice", "unknown-channel")]
    [InlineData("presence:presence:resource:updates:7", "unknown-channel")]
    [InlineData("presence:", "invalid-payload")]
    [InlineData("presence", "unknown-channel")]
    public async Task Where_nobody_is_told_there_is_no_such_channel(string channel, string code)
    {
        await using var app = await StartAsync(["alice"]);
        using var alice = await app.ConnectAsAsync("alice");
        Assert.Equal(code, Code(await alice.AskAsync("subscribe", channel)));
    }

    [Fact]
    public async Task Who_missed_comings_and_goings_is_told_so()
    {
        await using var app = await StartAsync(["alice", "bob", "carol"]);
        using var keeper = await WatchAsync(app, "carol");
        using var bob = await JoinAsync(app, "bob");
        await MovedAsync(keeper, "joined");
        var at = (await bob.AskAsync("subscribe", "presence:" + Channel)).GetProperty("position");
        Assert.True((await bob.AskAsync("subscribe", new { channel = "presence:" + Channel, since = at })).GetProperty("recovered").GetBoolean());
        await bob.AskAsync("unsubscribe", "presence:" + Channel);
        using var alice = await JoinAsync(app, "alice");
        await MovedAsync(keeper, "joined");
        Assert.False((await bob.AskAsync("subscribe", new { channel = "presence:" + Channel, since = at })).GetProperty("recovered").GetBoolean());
    }

    [Fact]
    public async Task Names_that_were_only_asked_about_are_forgotten()
    {
        await using var app = await StartAsync([]);
        for (var i = 0; i < 200; i++) Assert.Equal(HttpStatusCode.OK, (await app.CallAsync("GET", $"/api/channels/presence:resource:updates:{i}/history")).Status);
        await app.Get<PresenceTracker>().SendAsync(CancellationToken.None);
        Assert.Equal(0, app.Get<PresenceTracker>().Count);
    }

    [Fact]
    public async Task A_name_that_changed_is_told_as_it_is()
    {
        await using var app = await StartAsync(["alice"]);
        using var alice = await JoinAsync(app, "alice");
        await app.PutUserAsync("alice", new { name = "Alicia" });
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        while ((await ReadAsync(app, "alice")).GetProperty("items")[0].GetProperty("name").GetString() != "Alicia") patience.Token.ThrowIfCancellationRequested();
        var person = (await ReadAsync(app, "alice")).GetProperty("items")[0];
        Assert.True(string.CompareOrdinal(person.GetProperty("since").GetString(), person.GetProperty("lastSeen").GetString()) <= 0);
    }

    [Fact]
    public async Task A_large_channel_is_read_in_parts()
    {
        string[] users = [.. Enumerable.Range(0, 25).Select(i => $"user{i:00}")];
        await using var app = await StartAsync(users);
        List<TestClient> clients = [];
        foreach (var user in users) clients.Add(await JoinAsync(app, user));
        List<string> read = [];
        for (var path = $"/api/channels/{Channel}/presence?limit=10"; path is not null;)
        {
            var part = (await app.CallAsync("GET", path)).Body;
            Assert.Equal(25, part.GetProperty("count").GetInt32());
            read.AddRange(part.GetProperty("items").EnumerateArray().Select(item => item.GetProperty("id").GetString()!));
            path = part.TryGetProperty("next", out var next) ? $"/api/channels/{Channel}/presence?limit=10&cursor={next.GetString()}" : null;
        }
        Assert.Equal(users, read);
        clients.ForEach(client => client.Dispose());
    }

    [Fact]
    public async Task An_area_whose_pattern_begins_with_a_placeholder_leaves_presence_alone()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice", "bob"], options =>
        {
            (options.Presence.LeaveAfter, options.Presence.PresenceInterval) = (TimeSpan.Zero, TimeSpan.FromMilliseconds(20));
            options.Areas.Add(new Carillon.Hub.Area("{tenant}:{list}", "item") { Subscribe = Carillon.Hub.Grant.Users });
            options.Areas.Add(new Carillon.Hub.Area("{tenant}", "note") { Subscribe = Carillon.Hub.Grant.Users });
        });
        // Names of the server's own areas belong to no other area, though nothing has such a name.
        using (var odd = await app.ConnectAsAsync("alice"))
        {
            foreach (var name in new[] { "presence:a:b:c", "presence:notifications:alice", "changes:nothing" })
                Assert.Equal("unknown-channel", Code(await odd.AskAsync("subscribe", name)));
            foreach (var name in new[] { "shop:7", "presence", "presence:shop:7" }) Assert.True((await odd.AskAsync("subscribe", name)).GetProperty("ok").GetBoolean());
            await odd.EndAsync();
        }
        using var watcher = await WatchAsync(app, "bob");
        using var alice = await JoinAsync(app, "alice");
        Assert.Equal(("alice", 2), await MovedAsync(watcher, "joined"));
    }

    [Fact]
    public void A_page_begins_after_an_id_in_the_order_of_the_ids_and_follows_who_comes_and_goes()
    {
        var attendance = new ChannelPresence();
        string[] ids = ["a", "B", "é", "b", "zz", "Z", "bb"];
        var connections = ids.ToDictionary(id => id, Connection);
        foreach (var id in ids) attendance.Join(connections[id], id, default);
        AssertPages();
        foreach (var id in new[] { "b", "zz" }) attendance.Leave(connections[id], id, default, stamp: 7);
        AssertPages();       // may be back still
        attendance.LetGo(7);
        ids = ["a", "B", "é", "Z", "bb"];
        AssertPages();

        void AssertPages()
        {
            string[] sorted = [.. ids.Order(StringComparer.Ordinal)];
            Assert.Equal(sorted, attendance.MembersAfter(null).Select(member => member.Id));
            foreach (var after in ids.Concat(["", "0", "b", "c", "zzz", "ü"]))
                Assert.Equal(sorted.Where(id => string.CompareOrdinal(id, after) > 0), attendance.MembersAfter(after).Select(member => member.Id));
        }
    }

    [Fact]
    public async Task A_clock_that_is_set_does_not_make_anybody_leave()
    {
        var clock = new WallClockThatIsSet();
        await using var app = await TestApp.StartKnowingAsync(["alice", "bob", "carol"], options =>
        {
            options.Presence.LeaveAfter = TimeSpan.FromMinutes(1);
            options.Presence.PresenceInterval = TimeSpan.FromMilliseconds(20);
        }, services => services.AddSingleton<TimeProvider>(clock));
        using var watcher = await WatchAsync(app, "bob");
        using (var alice = await JoinAsync(app, "alice"))
        {
            Assert.Equal(("alice", 2), await MovedAsync(watcher, "joined"));
            await alice.EndAsync();
        }
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        while ((await ReadAsync(app, "bob")).GetProperty("items").EnumerateArray().All(user => user.GetProperty("connections").GetInt32() > 0)) patience.Token.ThrowIfCancellationRequested();
        clock.Offset = TimeSpan.FromMinutes(30);
        await app.Get<PresenceTracker>().SendAsync(patience.Token);
        using var carol = await JoinAsync(app, "carol");
        Assert.Equal(("carol", 3), await MovedAsync(watcher, "joined"));      // and nothing of alice
    }

    sealed class WallClockThatIsSet : TimeProvider
    {
        public TimeSpan Offset { get; set; }

        public override DateTimeOffset GetUtcNow() => System.GetUtcNow() + Offset;
    }

    static Carillon.Hub.Subscriber Connection(string userId) => new(null!, new Carillon.Access.Caller(userId, null, [], null), 0);

    static async Task<TestClient> JoinAsync(TestApp app, string user)
    {
        var client = await app.ConnectAsAsync(user);
        Assert.True((await client.AskAsync("subscribe", Channel)).GetProperty("ok").GetBoolean());
        return client;
    }

    /// <summary>Somebody who is there, and has heard of it.</summary>
    static async Task<TestClient> WatchAsync(TestApp app, string user)
    {
        var client = await JoinAsync(app, user);
        Assert.True((await client.AskAsync("subscribe", "presence:" + Channel)).GetProperty("ok").GetBoolean());
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        // Its own arrival is told before or after it began to listen: what comes after the mark is about others.
        await app.Get<PresenceTracker>().SendAsync(patience.Token);
        await app.CallAsync("POST", "/api/publish", new { channel = Channel, @event = "mark", data = 1 });
        await client.UntilAsync("mark");
        return client;
    }

    static async Task<(string Id, int Count)> MovedAsync(TestClient watcher, string how)
    {
        var movement = await watcher.UntilAsync("presence");
        var person = Assert.Single(movement.GetProperty(how).EnumerateArray());
        Assert.Empty(movement.GetProperty(how == "joined" ? "left" : "joined").EnumerateArray());
        return (person.GetProperty("id").GetString()!, movement.GetProperty("count").GetInt32());
    }

    static async Task<JsonElement> ReadAsync(TestApp app, string user)
    {
        var (status, body) = await app.CallAsAsync(user, "GET", $"/api/channels/{Channel}/presence");
        Assert.Equal(HttpStatusCode.OK, status);
        return body;
    }

    static string? Code(JsonElement answer) => answer.GetProperty("error").GetProperty("code").GetString();
}
