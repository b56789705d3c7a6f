using System.Collections.Concurrent;
using System.Text;

namespace Carillon.Channels.Tests;

/// <summary>
/// What every channel layer promises. An implementation's test class inherits this, says how a layer is made and how time passes for it.
/// Delivery may be asynchronous, so the tests wait for messages; silence is proved by a later message on the same channel.
/// </summary>
public abstract class ChannelLayerSpecification : IAsyncLifetime
{
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    readonly string channel = $"test:{Guid.CreateVersion7():N}";
    readonly ConcurrentQueue<Publication> received = new();
    readonly SemaphoreSlim arrived = new(0);

    protected IChannelLayer Layer { get; private set; } = null!;

    protected static CancellationToken Ct => TestContext.Current.CancellationToken;

    protected abstract ValueTask<IChannelLayer> CreateAsync();

    /// <summary>Lets time pass for the layer: by hand for a clock we hold, by waiting for a server's own.</summary>
    protected abstract ValueTask PassAsync(TimeSpan time);

    public virtual async ValueTask InitializeAsync()
    {
        Layer = await CreateAsync();
        Layer.OnMessage(message =>
        {
            received.Enqueue(message);
            arrived.Release();
        });
    }

    public virtual async ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        arrived.Dispose();
        if (Layer is IAsyncDisposable disposable) await disposable.DisposeAsync();
    }

    [Fact]
    public async Task A_subscribed_node_receives_what_is_published()
    {
        await Layer.SubscribeAsync(channel, Ct);

        var position = await Layer.PublishAsync(channel, "{\"n\":1}"u8.ToArray(), Keep() with { Id = "the-id", At = DateTimeOffset.UnixEpoch }, Ct);

        var message = await NextAsync();
        Assert.Equal(channel, message.Channel);
        Assert.Equal("said", message.Event);
        Assert.Equal(position, message.Position);
        Assert.Equal("the-id", message.Id);
        Assert.Equal(DateTimeOffset.UnixEpoch, message.At);
        Assert.Equal("{\"n\":1}", Encoding.UTF8.GetString(message.Body.Span));
    }

    [Fact]
    public async Task Without_id_and_time_a_publication_gets_its_own()
    {
        await Layer.SubscribeAsync(channel, Ct);
        await PublishAsync(1);
        await PublishAsync(2);

        var (first, second) = (await NextAsync(), await NextAsync());
        Assert.NotEmpty(first.Id);
        Assert.NotEqual(first.Id, second.Id);
        Assert.NotEqual(default, first.At);
        Assert.Equal(TimeSpan.Zero, first.At.Offset);
    }

    [Fact]
    public async Task Subscribing_twice_delivers_once_and_unsubscribing_ends_it()
    {
        await Layer.SubscribeAsync(channel, Ct);
        await Layer.SubscribeAsync(channel, Ct);
        await PublishAsync(1);
        await Layer.UnsubscribeAsync(channel, Ct);
        await PublishAsync(2);
        await Layer.SubscribeAsync(channel, Ct);
        await PublishAsync(3);

        Assert.Equal(["1", "3"], [Text(await NextAsync()), Text(await NextAsync())]);
        Assert.Empty(received);
    }

    [Fact]
    public async Task Unsubscribing_from_what_was_never_subscribed_changes_nothing()
    {
        await Layer.UnsubscribeAsync(channel, Ct);
        var position = await PublishAsync(1);
        Assert.Equal(1, position.Offset);
    }

    [Fact]
    public async Task Other_channels_are_not_heard_and_count_for_themselves()
    {
        await Layer.SubscribeAsync(channel, Ct);
        await Layer.PublishAsync(channel + ":other", Body(1), Keep(), Ct);
        var position = await PublishAsync(2);

        Assert.Equal("2", Text(await NextAsync()));
        Assert.Equal(1, position.Offset);
    }

    [Fact]
    public async Task A_channel_without_publications_has_a_position_and_one_can_recover_from_it()
    {
        var before = await Layer.HistoryAsync(channel, null, 100, Ct);
        Assert.Equal(0, before.Position.Offset);
        Assert.NotEmpty(before.Position.Epoch);
        Assert.False(before.Recovered);

        var still = await Layer.HistoryAsync(channel, before.Position, 100, Ct);
        Assert.True(still.Recovered);
        Assert.Empty(still.Publications);

        await PublishAsync(1);
        await PublishAsync(2);
        var after = await Layer.HistoryAsync(channel, before.Position, 100, Ct);
        Assert.True(after.Recovered);
        Assert.Equal(["1", "2"], after.Publications.Select(Text));
        Assert.Equal(before.Position with { Offset = 2 }, after.Position);
    }

    [Fact]
    public async Task A_position_told_at_subscription_can_be_recovered_from_after_unsubscription()
    {
        await Layer.SubscribeAsync(channel, Ct);
        var told = (await Layer.HistoryAsync(channel, null, 100, Ct)).Position;
        await Layer.UnsubscribeAsync(channel, Ct);
        await PublishAsync(1);

        var history = await Layer.HistoryAsync(channel, told, 100, Ct);
        Assert.True(history.Recovered);
        Assert.Equal(["1"], history.Publications.Select(Text));
    }

    [Fact]
    public async Task History_is_kept_whether_or_not_anybody_is_subscribed()
    {
        var start = await PublishAsync(1);
        await Layer.SubscribeAsync(channel, Ct);
        await PublishAsync(2);
        await Layer.UnsubscribeAsync(channel, Ct);
        await PublishAsync(3);

        var history = await Layer.HistoryAsync(channel, start, 100, Ct);
        Assert.True(history.Recovered);
        Assert.Equal(["2", "3"], history.Publications.Select(Text));
        Assert.Equal([2L, 3L], history.Publications.Select(message => message.Position.Offset));
    }

    [Fact]
    public async Task A_replayed_message_equals_the_delivered_one()
    {
        await Layer.SubscribeAsync(channel, Ct);
        var start = (await Layer.HistoryAsync(channel, null, 100, Ct)).Position;
        await PublishAsync(1);

        var hub = await NextAsync();
        var replayed = Assert.Single((await Layer.HistoryAsync(channel, start, 100, Ct)).Publications);
        Assert.Equal((hub.Channel, hub.Event, hub.Position, hub.Id, hub.At, Text(hub)),
            (replayed.Channel, replayed.Event, replayed.Position, replayed.Id, replayed.At, Text(replayed)));
    }

    [Fact]
    public async Task Nothing_missed_is_recovered_even_when_nothing_is_kept()
    {
        var last = await Layer.PublishAsync(channel, Body(1), new PublishOptions { Event = "said" }, Ct);

        Assert.True((await Layer.HistoryAsync(channel, last, 100, Ct)).Recovered);
        Assert.False((await Layer.HistoryAsync(channel, last with { Offset = 0 }, 100, Ct)).Recovered);
    }

    [Fact]
    public async Task What_exceeds_the_count_is_gone_and_said_to_be()
    {
        for (var n = 1; n <= 10; n++) await PublishAsync(n, Keep(count: 3));
        var now = (await Layer.HistoryAsync(channel, null, 100, Ct)).Position;

        Assert.Equal(10, now.Offset);
        Assert.Equal(["8", "9", "10"], (await Layer.HistoryAsync(channel, now with { Offset = 7 }, 100, Ct)).Publications.Select(Text));
        var gap = await Layer.HistoryAsync(channel, now with { Offset = 6 }, 100, Ct);
        Assert.False(gap.Recovered);
        Assert.Empty(gap.Publications);
        Assert.Equal(now, gap.Position);
    }

    [Fact]
    public async Task What_exceeds_the_age_is_gone_and_said_to_be()
    {
        var first = await PublishAsync(1, Keep(keepFor: TimeSpan.FromSeconds(1)));
        await PublishAsync(2, Keep(keepFor: TimeSpan.FromSeconds(1)));
        await PassAsync(TimeSpan.FromSeconds(2));

        var gap = await Layer.HistoryAsync(channel, first, 100, Ct);
        Assert.False(gap.Recovered);
        Assert.Empty(gap.Publications);

        var third = await PublishAsync(3);
        Assert.Equal(3, third.Offset);
        Assert.True((await Layer.HistoryAsync(channel, first with { Offset = 2 }, 100, Ct)).Recovered);
    }

    [Fact]
    public async Task More_than_the_limit_is_all_or_nothing()
    {
        var start = (await Layer.HistoryAsync(channel, null, 100, Ct)).Position;
        for (var n = 1; n <= 5; n++) await PublishAsync(n);

        Assert.Equal(5, (await Layer.HistoryAsync(channel, start, 5, Ct)).Publications.Count);
        var tooMany = await Layer.HistoryAsync(channel, start, 4, Ct);
        Assert.False(tooMany.Recovered);
        Assert.Empty(tooMany.Publications);
        Assert.Equal(5, tooMany.Position.Offset);
    }

    [Fact]
    public async Task A_position_ahead_negative_or_of_another_epoch_is_not_recovered()
    {
        var last = await PublishAsync(1);

        foreach (var odd in new[] { last with { Offset = 2 }, last with { Offset = -1 }, last with { Offset = long.MaxValue }, last with { Epoch = "another" }, last with { Epoch = "" } })
        {
            var history = await Layer.HistoryAsync(channel, odd, 100, Ct);
            Assert.False(history.Recovered);
            Assert.Empty(history.Publications);
            Assert.Equal(last, history.Position);
        }
    }

    [Fact]
    public async Task A_durable_publication_is_delivered_with_its_own_position_and_counts_nothing()
    {
        await Layer.SubscribeAsync(channel, Ct);
        var given = new Position("the-log", 41);

        Assert.Equal(given, await Layer.PublishAsync(channel, Body(1), Keep() with { Position = given }, Ct));

        Assert.Equal(given, (await NextAsync()).Position);
        Assert.Equal(0, (await Layer.HistoryAsync(channel, null, 100, Ct)).Position.Offset);
        Assert.False((await Layer.HistoryAsync(channel, given with { Offset = 40 }, 100, Ct)).Recovered);
    }

    [Fact]
    public async Task Many_publishers_at_once_get_dense_offsets_delivered_in_order()
    {
        const int publishers = 8, each = 250;
        await Layer.SubscribeAsync(channel, Ct);

        var positions = (await Task.WhenAll(Enumerable.Range(0, publishers).Select(publisher => Task.Run(async () =>
        {
            var mine = new List<long>();
            for (var n = 0; n < each; n++) mine.Add((await PublishAsync((publisher * each) + n, Keep(count: publishers * each))).Offset);
            Assert.Equal(mine.Order(), mine);
            return mine;
        }, Ct)))).SelectMany(mine => mine).Order();

        Assert.Equal(Enumerable.Range(1, publishers * each).Select(offset => (long)offset), positions);
        for (var offset = 1; offset <= publishers * each; offset++) Assert.Equal(offset, (await NextAsync()).Position.Offset);
        var start = (await Layer.HistoryAsync(channel, null, 0, Ct)).Position with { Offset = 0 };
        Assert.Equal(publishers * each, (await Layer.HistoryAsync(channel, start, publishers * each, Ct)).Publications.Count);
    }

    protected Task<Position> PublishAsync(int n, PublishOptions? options = null) =>
        Layer.PublishAsync(channel, Body(n), options ?? Keep(), Ct).AsTask();

    protected static PublishOptions Keep(int count = 1000, TimeSpan? keepFor = null) =>
        new() { Event = "said", HistorySize = count, HistoryTtl = keepFor ?? TimeSpan.FromMinutes(10) };

    protected static byte[] Body(int n) => Encoding.UTF8.GetBytes($"{n}");

    protected static string Text(Publication message) => Encoding.UTF8.GetString(message.Body.Span);

    async Task<Publication> NextAsync()
    {
        Assert.True(await arrived.WaitAsync(Patience, Ct), "no message came");
        Assert.True(received.TryDequeue(out var message));
        return message;
    }
}
