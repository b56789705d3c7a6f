using System.Text.Json;
using Carillon.Channels;
using Carillon.Hosting;
using Carillon.Hub;
using Microsoft.Extensions.DependencyInjection;

namespace Carillon.Tests.Live;

public class ChannelsTests
{
    static readonly Area News = new("news:{topic}", "news") { Subscribe = Grant.Everyone, HistorySize = 100 };

    static void Open(CarillonOptions options)
    {
        options.AllowAnonymous = true;
        options.Areas.Add(News);
    }

    [Fact]
    public async Task Without_a_token_nobody_comes_in_unless_the_host_says_so()
    {
        await using var app = await TestApp.StartAsync(_ => { });
        using var client = await app.OpenAsync();
        Assert.StartsWith("0", await client.RawAsync(), StringComparison.Ordinal);
        Assert.Equal("44{\"message\":\"unauthorized\",\"data\":{\"code\":\"unauthorized\",\"message\":\"A valid token is needed.\",\"retryable\":false}}",
            await client.RawAsync());
        Assert.Null(await client.RawAsync());     // a refused client is not kept open
    }

    [Fact]
    public async Task A_session_tells_who_one_is()
    {
        await using var app = await TestApp.StartAsync(Open);
        using var client = await app.ConnectAsync();
        Assert.Equal(JsonValueKind.Null, client.Session.GetProperty("user").ValueKind);
        Assert.Equal(20, client.Session.GetProperty("connectionId").GetString()!.Length);
        Assert.Equal(0, client.Session.GetProperty("unread").GetProperty("notifications").GetInt32());
        Assert.EndsWith("Z", client.Session.GetProperty("serverTime").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_publication_reaches_who_joined_and_nobody_else()
    {
        await using var app = await TestApp.StartAsync(Open);
        using var reader = await app.ConnectAsync();
        using var other = await app.ConnectAsync();
        await reader.AskAsync("subscribe", "news:sport");
        await other.AskAsync("subscribe", "news:weather");
        await reader.NextAsync("subscribed");
        await other.NextAsync("subscribed");

        var position = await app.Live.PublishAsync("news:sport", new { Title = "Goal" });
        await app.Live.PublishAsync("news:weather", new { Title = "Rain" });

        var accessChanges = await reader.NextWithMetaAsync("news");
        Assert.Equal("Goal", accessChanges[1].GetProperty("title").GetString());
        Assert.Equal(("news:sport", position.Epoch, position.Offset),
            (accessChanges[2].GetProperty("channel").GetString()!, accessChanges[2].GetProperty("epoch").GetString()!, accessChanges[2].GetProperty("offset").GetInt64()));
        Assert.Equal("Rain", (await other.NextAsync("news")).GetProperty("title").GetString());
    }

    [Fact]
    public async Task Who_left_hears_no_more_and_may_come_back_to_what_was_missed()
    {
        await using var app = await TestApp.StartAsync(Open);
        using var client = await app.ConnectAsync();
        var joined = await client.AskAsync("subscribe", "news:sport");
        await client.NextAsync("subscribed");
        await client.AskAsync("unsubscribe", "news:sport");
        await client.NextAsync("unsubscribed");
        for (var i = 1; i <= 3; i++) await app.Live.PublishAsync("news:sport", i);

        var back = await client.AskAsync("subscribe", new { channel = "news:sport", since = joined.GetProperty("position") });
        Assert.True(back.GetProperty("recovered").GetBoolean());
        Assert.Equal(3, back.GetProperty("position").GetProperty("offset").GetInt64());
        for (var i = 1; i <= 3; i++) Assert.Equal(i, (await client.NextAsync("news")).GetInt32());
        await client.NextAsync("subscribed");
    }

    [Fact]
    public async Task Nothing_is_lost_or_doubled_for_those_who_join_while_others_publish()
    {
        await using var app = await TestApp.StartAsync(options =>
        {
            Open(options);
            News.HistorySize = 10_000;
            options.MaxRecovered = 10_000;
        });
        using var first = await app.ConnectAsync();
        var start = (await first.AskAsync("subscribe", "news:race")).GetProperty("position");

        using var stop = new CancellationTokenSource();
        var published = 0;
        var publishing = Task.Run(async () =>
        {
            while (!stop.IsCancellationRequested && published < 9000)
            {
                await app.Live.PublishAsync("news:race", ++published, CancellationToken.None);
                if (published % 50 == 0) await Task.Delay(1, CancellationToken.None);
            }
        });
        var readers = await Task.WhenAll(Enumerable.Range(0, 8).Select(async i =>
        {
            using var client = await app.ConnectAsync();
            var joined = await client.AskAsync("subscribe", new { channel = "news:race", since = start });
            Assert.True(joined.GetProperty("recovered").GetBoolean());
            List<int> heard = [];
            while (heard.Count < joined.GetProperty("position").GetProperty("offset").GetInt64() + 200)
            {
                var packet = await client.NextAnyAsync();
                if (packet[0].GetString() == "news") heard.Add(packet[1].GetInt32());
            }
            return heard;
        }));
        await stop.CancelAsync();
        await publishing;
        Assert.All(readers, heard => Assert.Equal(Enumerable.Range(1, heard.Count), heard));
    }

    [Fact]
    public async Task A_layer_that_cannot_answer_refuses_and_leaves_nothing_joined()
    {
        var layer = new BrokenLayer();
        await using var app = await TestApp.StartAsync(Open, services => services.AddSingleton<IChannelLayer>(layer));
        using var client = await app.ConnectAsync();
        var refused = await client.AskAsync("subscribe", "news:sport");
        Assert.Equal("unavailable", refused.GetProperty("error").GetProperty("code").GetString());
        Assert.True(refused.GetProperty("error").GetProperty("retryable").GetBoolean());
        Assert.Equal(0, app.Live.CountOf("news:sport"));
        Assert.Equal(["news:sport"], layer.Left);
    }

    [Fact]
    public async Task The_last_one_who_leaves_takes_the_channel_off_the_node()
    {
        await using var app = await TestApp.StartAsync(Open);
        var first = await app.ConnectAsync();
        var second = await app.ConnectAsync();
        foreach (var client in new[] { first, second, second }) await client.AskAsync("subscribe", "news:sport");
        Assert.Equal(2, app.Live.CountOf("news:sport"));
        first.Dispose();
        second.Dispose();
        await Until(() => app.Live.CountOf("news:sport") == 0);
        using var third = await app.ConnectAsync();
        await third.AskAsync("subscribe", "news:sport");
        await third.NextAsync("subscribed");
        await app.Live.PublishAsync("news:sport", 1);
        Assert.Equal(1, (await third.NextAsync("news")).GetInt32());
    }

    [Fact]
    public async Task A_new_epoch_is_told_to_those_who_listen()
    {
        await using var app = await TestApp.StartAsync(Open);
        using var client = await app.ConnectAsync();
        await client.AskAsync("subscribe", "news:sport");
        await client.NextAsync("subscribed");
        app.Live.BeginEpoch("news:sport", new Position("new", 0));
        var told = await client.NextAsync("subscribed");
        Assert.False(told.GetProperty("recovered").GetBoolean());
        Assert.Equal("new", told.GetProperty("position").GetProperty("epoch").GetString());
    }

    static async Task Until(Func<bool> condition)
    {
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        while (!condition()) await Task.Delay(10, deadline.Token);
    }

    sealed class BrokenLayer : IChannelLayer
    {
        public List<string> Left { get; } = [];

        public void OnMessage(Action<Publication> deliver)
        {
        }

        public ValueTask SubscribeAsync(string channel, CancellationToken ct) => default;

        public ValueTask UnsubscribeAsync(string channel, CancellationToken ct)
        {
            Left.Add(channel);
            return default;
        }

        public ValueTask<Position> PublishAsync(string channel, ReadOnlyMemory<byte> body, PublishOptions options, CancellationToken ct) =>
            throw new IOException("out of reach");

        public ValueTask<History> HistoryAsync(string channel, Position? since, int limit, CancellationToken ct) => throw new IOException("out of reach");
    }
}
