using System.Net;
using System.Text.Json;
using Carillon.Api;
using Carillon.Channels;
using Carillon.Hub;
using Carillon.SocketIO.Sockets;
using Microsoft.Extensions.DependencyInjection;

namespace Carillon.Tests.Live;

/// <summary>Publications that are large, many, or wait for a slow history cost no more than they may.</summary>
public class MemoryTests
{
    [Fact]
    public async Task A_page_of_history_is_bounded_by_bytes()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        string? epoch = null;
        for (var i = 1; i <= 7; i++)
            epoch = (await app.Live.PublishAsync("resource:updates:7", new { i, filler = new string('x', 400_000) })).Epoch;
        List<int> read = [];
        var pages = 0;
        for (var path = $"/api/channels/resource:updates:7/history?since={epoch}:0"; path is not null; pages++)
        {
            var (status, page) = await app.CallAsync("GET", path);
            Assert.Equal((HttpStatusCode.OK, true), (status, page.GetProperty("recovered").GetBoolean()));
            Assert.InRange(page.GetProperty("items").GetArrayLength(), 1, 2);
            read.AddRange(page.GetProperty("items").EnumerateArray().Select(Number));
            path = page.TryGetProperty("next", out var next) ? $"/api/channels/resource:updates:7/history?cursor={next.GetString()}" : null;
        }
        Assert.Equal(Enumerable.Range(1, 7), read);
        Assert.Equal(4, pages);
        // Without a position: the latest of them.
        var latest = (await app.CallAsync("GET", "/api/channels/resource:updates:7/history")).Body.GetProperty("items");
        Assert.Equal([6, 7], latest.EnumerateArray().Select(Number));

        static int Number(JsonElement item) => item.GetProperty("data").GetProperty("i").GetInt32();
    }

    [Fact]
    public async Task One_publication_is_a_page_however_large_it_is()
    {
        Assert.Equal(1, HistoryEndpoint.CountFitting([Message(5 << 20), Message(1)]));
        Assert.Equal(3, HistoryEndpoint.CountFitting([Message(1), Message(1), Message(1)]));
        Assert.Equal(2, HistoryEndpoint.CountFitting([Message(1 << 19), Message(1 << 19), Message(1)]));
        await Task.CompletedTask;

        static Publication Message(int bytes) => new("a", "said", default, "", default, new byte[bytes]);
    }

    [Fact]
    public async Task An_area_keeps_so_many_bytes_of_a_channel()
    {
        await using var app = await TestApp.StartKnowingAsync([], options => options.Areas["resource:updates:{resourceId}"].HistoryBytes = 100_000);
        Position last = default;
        for (var i = 0; i < 10; i++) last = await app.Live.PublishAsync("resource:updates:7", new { filler = new string('x', 30_000) });
        Assert.True(await RecoveredAsync(last.Offset - 3));
        Assert.False(await RecoveredAsync(last.Offset - 4));

        async Task<bool> RecoveredAsync(long offset) =>
            (await app.CallAsync("GET", $"/api/channels/resource:updates:7/history?since={last.Epoch}:{offset}")).Body.GetProperty("recovered").GetBoolean();
    }

    [Fact]
    public async Task What_is_published_while_a_history_is_read_is_held_up_to_a_bound_and_then_told_as_a_gap()
    {
        TaskCompletionSource begun = new(), read = new();
        await using var app = await TestApp.StartAsync(options =>
        {
            options.AllowAnonymous = true;
            options.Areas.Add(new Area("news:{id}", "news")
            {
                Subscribe = Grant.Everyone,
                ReadHistory = async (_, since, _, _) =>
                {
                    begun.TrySetResult();
                    await read.Task;
                    return new History(new Position("e", 0), true, []);
                },
            });
        });
        using var client = await app.ConnectAsync();
        await client.EmitAsync("subscribe", new { channel = "news:sport", since = new { epoch = "e", offset = 0 } });
        await begun.Task.WaitAsync(TimeSpan.FromSeconds(10));
        Assert.True(ChannelName.TryParse("news:sport", out var name));
        for (var offset = 1; offset <= 10; offset++)
            await app.Live.PublishAsync(name, app.Live.AreaOf(name)!, new { filler = new string('x', 1_000_000) }, new Position("e", offset), default);
        read.SetResult();
        var subscribed = await client.NextAsync("subscribed");      // and none of those that were held
        Assert.Equal((10, false), (subscribed.GetProperty("position").GetProperty("offset").GetInt32(), subscribed.GetProperty("recovered").GetBoolean()));
        await app.Live.PublishAsync(name, app.Live.AreaOf(name)!, new { after = true }, new Position("e", 11), default);
        Assert.True((await client.NextAsync("news")).GetProperty("after").GetBoolean());
    }

    [Fact]
    public async Task Subscriptions_that_end_are_not_counted_any_more()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        Assert.Equal(0, app.Live.Budget.Held);
        using (var client = await app.ConnectAsAsync("alice"))
        {
            for (var i = 0; i < 50; i++) await client.AskAsync("subscribe", $"resource:updates:{i}");
            using var other = await app.ConnectAsAsync("alice");
            await other.AskAsync("subscribe", "resource:updates:0");
            await client.AskAsync("unsubscribe", "resource:updates:1");
            Assert.InRange(app.Live.Budget.Held, 50 * 1000, 50 * 4000);
            await other.EndAsync();
            await client.EndAsync();
            using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(10));
            while (app.Live.Budget.Held > 0) await Task.Delay(10, patience.Token);
        }
        Assert.Equal((0, 0), (app.Live.Budget.Held, app.Live.Budget.Accounts));
    }

    [Fact]
    public async Task While_memory_is_short_publications_are_refused_wherever_they_come_from()
    {
        await using var app = await TestApp.StartKnowingAsync([], services: services => services.Configure<SocketIOOptions>(io => io.Engine.Limits.MemoryThreshold = 1));
        await Assert.ThrowsAsync<ChannelsFullException>(async () => await app.Live.PublishAsync("resource:updates:7", new { }));
        var (status, problem) = await app.CallAsync("POST", "/api/publish", new { channel = "resource:updates:7", data = 1 });
        Assert.Equal((HttpStatusCode.ServiceUnavailable, "unavailable"), (status, problem.GetProperty("code").GetString()));
    }

    [Fact]
    public async Task An_account_that_invents_channels_fills_its_own_share_and_others_go_on_joining()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice", "bob", "carol"]);
        app.Live.Budget = new SubscriptionBudget(8 * 10_000);
        using var alice = await app.ConnectAsAsync("alice");
        using var bob = await app.ConnectAsAsync("bob");
        var joined = 0;
        while ((await alice.AskAsync("subscribe", $"resource:updates:{joined}")).GetProperty("ok").GetBoolean()) joined++;
        Assert.InRange(joined, 2, 4);
        Assert.True((await bob.AskAsync("subscribe", "resource:updates:bob")).GetProperty("ok").GetBoolean());

        // Those who come when all is taken have their own channels, and no others.
        app.Live.Budget.Take("others", 100_000);
        using var carol = await app.ConnectAsAsync("carol");
        Assert.Contains("notifications:carol", carol.Session.GetProperty("channels").EnumerateArray().Select(channel => channel.GetString()));
        var refused = await carol.AskAsync("subscribe", "resource:updates:carol");
        Assert.Equal("unavailable", refused.GetProperty("error").GetProperty("code").GetString());
    }

    [Fact]
    public void What_an_account_takes_is_given_back_and_the_account_forgotten()
    {
        var budget = new SubscriptionBudget(8_000);
        Assert.True(budget.TryTake("alice", 1_000));
        Assert.False(budget.TryTake("alice", 1));
        for (var i = 0; i < 7; i++) Assert.True(budget.TryTake($"user {i}", 1_000));
        Assert.False(budget.TryTake("one more", 1));
        budget.Take("one more", 5);
        budget.GiveBack("one more", 5);
        budget.GiveBack("alice", 400);
        Assert.Equal((7_600, 8), (budget.Held, budget.Accounts));
        Assert.True(budget.TryTake("alice", 400));
        budget.GiveBack("alice", 1_000);
        Assert.Equal((7_000, 7), (budget.Held, budget.Accounts));
    }

    [Fact]
    public async Task A_client_that_can_be_in_no_more_rooms_is_told_so_before_anything_else()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"], services: services => services.Configure<SocketIOOptions>(io => io.MaxRoomsPerSocket = 8));
        using var alice = await app.ConnectAsAsync("alice");
        for (var i = 0; i < 8; i++) await alice.EmitAsync("subscribe", $"resource:updates:{i}");
        await alice.AskAsync("ping", null);      // all that was said before has come
        List<(string Event, string? Channel)> told = [];
        while (alice.HasWaiting)
            if (await alice.NextAnyAsync() is var message) told.Add((message[0].GetString()!, message[1].GetProperty("channel").GetString()));
        // It hears of each channel once: that it has joined it, or that it has not.
        Assert.Equal(Enumerable.Range(0, 8).Select(i => $"resource:updates:{i}"), told.Select(one => one.Channel));
        Assert.Equal(["error", "subscribed"], told.Select(one => one.Event).Distinct().Order());
    }
}
