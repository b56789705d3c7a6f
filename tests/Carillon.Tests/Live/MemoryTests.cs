using System.Net;
using System.Text.Json;
using Carillon.Channels;
using Carillon.Live;

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
        Assert.Equal(1, ReadHistory.CountFitting([Message(5 << 20), Message(1)]));
        Assert.Equal(3, ReadHistory.CountFitting([Message(1), Message(1), Message(1)]));
        Assert.Equal(2, ReadHistory.CountFitting([Message(1 << 19), Message(1 << 19), Message(1)]));
        await Task.CompletedTask;

        static ChannelMessage Message(int bytes) => new("a", "said", default, "", default, new byte[bytes]);
    }

    [Fact]
    public async Task An_area_keeps_so_many_bytes_of_a_channel()
    {
        await using var app = await TestApp.StartKnowingAsync([], options => options.Areas.Resources.HistoryBytes = 100_000);
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
        Assert.Equal(0, app.Live.HeldBytes);
        using (var client = await app.ConnectAsAsync("alice"))
        {
            for (var i = 0; i < 50; i++) await client.AskAsync("subscribe", $"resource:updates:{i}");
            using var other = await app.ConnectAsAsync("alice");
            await other.AskAsync("subscribe", "resource:updates:0");
            await client.AskAsync("unsubscribe", "resource:updates:1");
            Assert.InRange(app.Live.HeldBytes, 50 * 1000, 50 * 4000);
            await other.EndAsync();
            await client.EndAsync();
            using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(10));
            while (app.Live.HeldBytes > 0) patience.Token.ThrowIfCancellationRequested();
        }
        Assert.Equal(0, app.Live.HeldBytes);
    }
}
