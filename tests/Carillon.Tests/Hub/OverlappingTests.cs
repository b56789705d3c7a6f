using System.Text.Json;
using Carillon.Channels;
using Carillon.Channels.InProcess;
using Carillon.Hub;
using Microsoft.Extensions.DependencyInjection;

namespace Carillon.Tests.Live;

/// <summary>What one connection asks while an earlier request of its own still waits for a layer that is far away.</summary>
public class OverlappingTests
{
    [Fact]
    public async Task Who_leaves_while_joining_has_left()
    {
        var layer = new SlowLayer();
        await using var app = await StartAsync(layer);
        using var client = await app.ConnectAsync();
        layer.Close();
        await client.EmitAsync("subscribe", "news:sport");
        await layer.Waiting;
        await client.EmitAsync("unsubscribe", "news:sport");
        await app.Live.PublishAsync("news:sport", 1);
        layer.Open();

        var first = await client.NextAnyAsync();
        if (first[0].GetString() == "news") first = await client.NextAnyAsync();
        Assert.Equal("subscribed", first[0].GetString());
        Assert.Equal("unsubscribed", (await client.NextAnyAsync())[0].GetString());
        Assert.Equal(0, app.Live.CountOf("news:sport"));
        await app.Live.PublishAsync("news:sport", 2);
        Assert.Equal("unknown-event", (await client.AskAsync("nothing", null)).GetProperty("error").GetProperty("code").GetString());
        Assert.Equal("error", (await client.NextAnyAsync())[0].GetString());     // and not the publication
    }

    [Fact]
    public async Task A_channel_whose_layer_never_answers_holds_up_no_other()
    {
        var layer = new SlowLayer { NeverSubscribes = "news:stuck" };
        await using var app = await StartAsync(layer);
        using var stuck = await app.ConnectAsync();
        using var client = await app.ConnectAsync();
        await stuck.EmitAsync("subscribe", "news:stuck");
        await layer.Waiting;

        for (var i = 0; i < 1000; i++)      // whatever locks they may share
        {
            await client.AskAsync("subscribe", $"news:{i}");
            await client.AskAsync("unsubscribe", $"news:{i}");
        }
        layer.Release();
        Assert.Equal("subscribed", (await stuck.NextAnyAsync())[0].GetString());
    }

    [Fact]
    public async Task A_join_that_meets_the_last_leave_of_its_channel_subscribes_after_it()
    {
        var layer = new SlowLayer();
        await using var app = await StartAsync(layer);
        using var leaving = await app.ConnectAsync();
        using var joining = await app.ConnectAsync();
        for (var round = 1; round <= 20; round++)
        {
            await leaving.AskAsync("subscribe", "news:sport");
            layer.Close();
            await leaving.EmitAsync("unsubscribe", "news:sport");
            await layer.Waiting;      // the node is about to leave the channel
            await joining.EmitAsync("subscribe", "news:sport");
            layer.Open();
            await joining.UntilAsync("subscribed");
            Assert.Contains("news:sport", layer.Subscribed);
            await app.Live.PublishAsync("news:sport", round);
            Assert.Equal(round, (await joining.UntilAsync("news")).GetInt32());
            await joining.AskAsync("unsubscribe", "news:sport");
        }
        Assert.Equal((0, 0), (layer.Subscribed.Count, app.Live.Budget.Held));
    }

    // Measured at 0.4 s; with one lock for all channels it takes two minutes.
    [Fact]
    public async Task Subscribers_of_different_channels_join_at_once() =>
        Assert.InRange(await MicroBench.JoinBenchmark.RunAsync(20_000), TimeSpan.Zero, TimeSpan.FromSeconds(10));

    [Fact]
    public async Task Who_joins_leaves_and_joins_again_hears_each_publication_once_and_in_order()
    {
        var layer = new SlowLayer();
        await using var app = await StartAsync(layer);
        using var client = await app.ConnectAsync();
        for (var round = 0; round < 20; round++)
        {
            var channel = $"news:round{round}";
            var start = (await client.AskAsync("subscribe", channel)).GetProperty("position");
            await client.NextAsync("subscribed");
            layer.Close();
            await client.EmitAsync("unsubscribe", channel);
            await client.EmitAsync("subscribe", new { channel, since = start });
            await client.EmitAsync("unsubscribe", channel);
            await client.EmitAsync("subscribe", new { channel, since = start });
            var publishing = Task.Run(async () =>
            {
                for (var i = 1; i <= 100; i++) await app.Live.PublishAsync(channel, i);
            });
            layer.Open();
            await publishing;

            List<int> heard = [];
            for (var joins = 0; joins < 2 || heard.Count == 0 || heard[^1] < 100;)
            {
                var packet = await client.NextAnyAsync();
                switch (packet[0].GetString())
                {
                    case "subscribed": joins++; break;
                    case "unsubscribed": heard.Clear(); break;     // the next join replays from the start
                    case "news": heard.Add(packet[1].GetInt32()); break;
                }
            }
            Assert.Equal(Enumerable.Range(1, 100), heard);
        }
    }

    [Fact]
    public async Task Who_goes_while_joining_leaves_nothing_behind()
    {
        var layer = new SlowLayer();
        await using var app = await StartAsync(layer);
        for (var i = 0; i < 20; i++)
        {
            var client = await app.ConnectAsync();
            layer.Close();
            await client.EmitAsync("subscribe", "news:sport");
            await layer.Waiting;
            client.Dispose();
            layer.Open();
        }
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        while (layer.Subscribed.Count > 0) await Task.Delay(10, deadline.Token);
    }

    [Fact]
    public async Task A_layer_that_fails_once_is_asked_again()
    {
        var layer = new SlowLayer { FailsNext = true };
        await using var app = await StartAsync(layer);
        using var client = await app.ConnectAsync();
        Assert.False((await client.AskAsync("subscribe", "news:sport")).GetProperty("ok").GetBoolean());
        await client.NextAsync("error");
        Assert.True((await client.AskAsync("subscribe", "news:sport")).GetProperty("ok").GetBoolean());
        await client.NextAsync("subscribed");
        await app.Live.PublishAsync("news:sport", 7);
        Assert.Equal(7, (await client.NextAsync("news")).GetInt32());
    }

    [Fact]
    public async Task What_was_read_in_the_table_before_it_was_delivered_does_not_come_twice()
    {
        var log = new Area("log:{x}", "entry") { Subscribe = Grant.Everyone };
        Publication Entry(long offset) => new("log:1", "entry", new Position("e", offset), $"id{offset}", DateTimeOffset.UnixEpoch, JsonSerializer.SerializeToUtf8Bytes(offset));
        log.ReadHistory = (_, since, _, _) => new(new History(new Position("e", 3), since is not null, since is { } seen ? [.. Enumerable.Range((int)seen.Offset + 1, 3 - (int)seen.Offset).Select(n => Entry(n))] : []));
        await using var app = await TestApp.StartAsync(options =>
        {
            options.AllowAnonymous = true;
            options.Areas.Add(log);
        });
        Assert.True(ChannelName.TryParse("log:1", out var name));
        using var returning = await app.ConnectAsync();
        using var fresh = await app.ConnectAsync();
        using var gone = await app.ConnectAsync();
        Assert.True((await returning.AskAsync("subscribe", new { channel = "log:1", since = new { epoch = "e", offset = 0 } })).GetProperty("recovered").GetBoolean());
        await fresh.AskAsync("subscribe", "log:1");
        await gone.AskAsync("subscribe", "log:1");
        await gone.EndAsync();

        // The pump comes behind: what both know already, and then what they do not.
        for (var offset = 2; offset <= 5; offset++) await app.Live.PublishAsync(name, log, offset, new Position("e", offset), CancellationToken.None);

        foreach (var n in new[] { 1, 2, 3, 4, 5 }) Assert.Equal(n, (await returning.UntilAsync("entry")).GetInt32());
        foreach (var n in new[] { 4, 5 }) Assert.Equal(n, (await fresh.UntilAsync("entry")).GetInt32());
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task What_is_published_while_the_history_is_read_follows_it(bool isInTheLayer)
    {
        var layer = new SlowLayer();
        var log = new Area("log:{x}", "entry") { Subscribe = Grant.Everyone, HistorySize = 10 };
        await using var app = await StartAsync(layer, log);
        Assert.True(ChannelName.TryParse("log:1", out var name));
        if (isInTheLayer)
        {
            var first = await app.Live.PublishAsync("log:1", 1);
            layer.AfterReading = async () => await app.Live.PublishAsync("log:1", 2);
            await AssertFollowsAsync(first with { Offset = 0 }, first with { Offset = 2 });
            return;
        }
        log.ReadHistory = async (_, _, _, ct) =>
        {
            await app.Live.PublishAsync(name, log, 2, new Position("e", 2), ct);
            return new History(new Position("e", 1), true, [Entry("e", 1)]);
        };
        await AssertFollowsAsync(new Position("e", 0), new Position("e", 2));

        async Task AssertFollowsAsync(Position since, Position now)
        {
            using var client = await app.ConnectAsync();
            var answer = await client.AskAsync("subscribe", new { channel = "log:1", since = new { epoch = since.Epoch, offset = since.Offset } });
            Assert.True(answer.GetProperty("recovered").GetBoolean());
            Assert.Equal(now.Offset, answer.GetProperty("position").GetProperty("offset").GetInt64());
            foreach (var n in new[] { 1, 2 }) Assert.Equal(n, (await client.NextAsync("entry")).GetInt32());
            await client.NextAsync("subscribed");
        }
    }

    [Fact]
    public async Task A_history_that_is_replaced_while_it_is_read_is_not_recovered()
    {
        var log = new Area("log:{x}", "entry") { Subscribe = Grant.Everyone };
        await using var app = await StartAsync(new SlowLayer(), log);
        Assert.True(ChannelName.TryParse("log:1", out var name));
        log.ReadHistory = async (_, _, _, ct) =>
        {
            await app.Live.PublishAsync(name, log, 2, new Position("old", 2), ct);
            app.Live.BeginEpoch("log:1", new Position("new", 0));
            await app.Live.PublishAsync(name, log, 3, new Position("new", 1), ct);
            return new History(new Position("old", 1), true, [Entry("old", 1)]);
        };
        using var client = await app.ConnectAsync();
        var answer = await client.AskAsync("subscribe", new { channel = "log:1", since = new { epoch = "old", offset = 0 } });
        Assert.False(answer.GetProperty("recovered").GetBoolean());
        Assert.Equal(("new", 1), (answer.GetProperty("position").GetProperty("epoch").GetString(), answer.GetProperty("position").GetProperty("offset").GetInt32()));
        Assert.Equal(3, (await client.NextAsync("entry")).GetInt32());      // and nothing of the old epoch
        await client.NextAsync("subscribed");
    }

    [Fact]
    public async Task A_join_that_fails_while_the_history_is_read_leaves_nothing_on_the_node()
    {
        var layer = new SlowLayer { AfterReading = () => throw new IOException("out of reach") };
        await using var app = await StartAsync(layer);
        using var client = await app.ConnectAsync();
        Assert.False((await client.AskAsync("subscribe", "news:sport")).GetProperty("ok").GetBoolean());
        Assert.Empty(layer.Subscribed);
        Assert.Equal(0, app.Live.Budget.Held);
    }

    [Fact]
    public async Task A_channel_that_cannot_be_left_keeps_no_other_from_being_left()
    {
        var layer = new SlowLayer();
        await using var app = await StartAsync(layer);
        using (var client = await app.ConnectAsync())
        {
            foreach (var topic in new[] { "a", "b", "c" }) await client.AskAsync("subscribe", "news:" + topic);
            layer.FailsToLeave = "news:a";
            await client.EndAsync();
        }
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        while (app.Live.Budget.Held > 0) await Task.Delay(10, patience.Token);
        Assert.Equal(["news:a"], layer.Subscribed);
    }

    [Fact]
    public async Task A_connection_has_as_many_subscriptions_as_it_may_and_joins_those_it_has_again()
    {
        await using var app = await TestApp.StartAsync(options =>
        {
            options.AllowAnonymous = true;
            options.MaxSubscriptions = 2;
            options.Areas.Add(new Area("news:{topic}", "news") { Subscribe = Grant.Everyone });
        });
        using var client = await app.ConnectAsync();
        foreach (var (channel, ok) in new[] { ("news:a", true), ("news:b", true), ("news:c", false), ("news:a", true) })
            Assert.Equal(ok, (await client.AskAsync("subscribe", channel)).GetProperty("ok").GetBoolean());
    }

    [Fact]
    public async Task A_subscriber_that_names_no_position_has_recovered_nothing()
    {
        var log = new Area("log:{x}", "entry") { Subscribe = Grant.Everyone };
        log.ReadHistory = (_, _, _, _) => new(new History(new Position("e", 1), true, [Entry("e", 1)]));
        await using var app = await StartAsync(new SlowLayer(), log);
        using var client = await app.ConnectAsync();
        Assert.False((await client.AskAsync("subscribe", "log:1")).GetProperty("recovered").GetBoolean());
        await client.NextAsync("subscribed");      // and no entry before it
    }

    static Publication Entry(string epoch, long offset) =>
        new("log:1", "entry", new Position(epoch, offset), $"id{offset}", DateTimeOffset.UnixEpoch, JsonSerializer.SerializeToUtf8Bytes(offset));

    static Task<TestApp> StartAsync(SlowLayer layer, Area area) => TestApp.StartAsync(options =>
    {
        options.AllowAnonymous = true;
        options.Areas.Add(area);
    }, services => services.AddSingleton<IChannelLayer>(layer));

    static Task<TestApp> StartAsync(SlowLayer layer) => TestApp.StartAsync(options =>
    {
        options.AllowAnonymous = true;
        options.Areas.Add(new Area("news:{topic}", "news") { Subscribe = Grant.Everyone, HistorySize = 1000 });
    }, services => services.AddSingleton<IChannelLayer>(layer));

    /// <summary>The layer of one process behind a network that a test can hold up.</summary>
    sealed class SlowLayer : IChannelLayer
    {
        readonly InProcessChannelLayer _inner = new(TimeProvider.System);
        TaskCompletionSource _open = Opened();
        TaskCompletionSource _waiting = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public HashSet<string> Subscribed { get; } = [];

        public bool FailsNext { get; set; }

        /// <summary>A channel that is not subscribed to before <see cref="Release"/>.</summary>
        public string? NeverSubscribes { get; set; }

        readonly TaskCompletionSource _released = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public void Release() => _released.TrySetResult();

        public string? FailsToLeave { get; set; }

        /// <summary>What happens between the reading of a history and its answer.</summary>
        public Func<Task> AfterReading { get; set; } = () => Task.CompletedTask;

        /// <summary>Somebody waits before the closed gate.</summary>
        public Task Waiting => _waiting.Task.WaitAsync(TimeSpan.FromSeconds(10));

        public void Close() => (_open, _waiting) =
            (new(TaskCreationOptions.RunContinuationsAsynchronously), new(TaskCreationOptions.RunContinuationsAsynchronously));

        public void Open() => _open.TrySetResult();

        public void OnMessage(Action<Publication> deliver) => _inner.OnMessage(deliver);

        public async ValueTask SubscribeAsync(string channel, CancellationToken ct)
        {
            await PassAsync();
            if (channel == NeverSubscribes)
            {
                _waiting.TrySetResult();
                await _released.Task;
            }
            if (FailsNext)
            {
                FailsNext = false;
                throw new IOException("out of reach");
            }
            Subscribed.Add(channel);
            await _inner.SubscribeAsync(channel, ct);
        }

        public async ValueTask UnsubscribeAsync(string channel, CancellationToken ct)
        {
            await PassAsync();
            if (channel == FailsToLeave) throw new IOException("out of reach");
            Subscribed.Remove(channel);
            await _inner.UnsubscribeAsync(channel, ct);
        }

        public ValueTask<Position> PublishAsync(string channel, ReadOnlyMemory<byte> body, PublishOptions options, CancellationToken ct) =>
            _inner.PublishAsync(channel, body, options, ct);

        public async ValueTask<History> HistoryAsync(string channel, Position? since, int limit, CancellationToken ct)
        {
            await PassAsync();
            var history = await _inner.HistoryAsync(channel, since, limit, ct);
            await AfterReading();
            return history;
        }

        async Task PassAsync()
        {
            var (open, waiting) = (_open, _waiting);
            if (!open.Task.IsCompleted) waiting.TrySetResult();
            await open.Task;
            await Task.Yield();
        }

        static TaskCompletionSource Opened()
        {
            var open = new TaskCompletionSource();
            open.SetResult();
            return open;
        }
    }
}
