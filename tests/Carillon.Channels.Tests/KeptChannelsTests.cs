using Carillon.Channels.InProcess;
using Carillon.TestTools;

namespace Carillon.Channels.Tests;

/// <summary>What a layer remembers survives a restart that was planned, and ages meanwhile.</summary>
public sealed class KeptChannelsTests
{
    static readonly CancellationToken Ct = TestContext.Current.CancellationToken;
    readonly HandDrivenClock clock = new();
    readonly InProcessChannelLayer before;
    readonly InProcessChannelLayer after;

    public KeptChannelsTests() => (before, after) = (new(clock), new(clock));

    [Fact]
    public async Task An_old_position_recovers_and_offsets_go_on()
    {
        var seen = await PublishAsync(before, "news", 1);
        await PublishAsync(before, "news", 2);

        after.Import(before.Export());
        var last = await PublishAsync(after, "news", 3);

        Assert.Equal(seen with { Offset = 3 }, last);
        var history = await after.HistoryAsync("news", seen, 100, Ct);
        Assert.True(history.Recovered);
        Assert.Equal([2, 3], history.Publications.Select(message => (int)message.Body.Span[0]));
        Assert.Equal([2, 3], history.Publications.Select(message => message.Position.Offset));
    }

    [Fact]
    public async Task Messages_age_while_no_process_keeps_them()
    {
        var first = await PublishAsync(before, "news", 1, TimeSpan.FromMinutes(10));
        clock.Advance(TimeSpan.FromMinutes(6));
        var second = await PublishAsync(before, "news", 2, TimeSpan.FromMinutes(10));
        var kept = before.Export();

        clock.Advance(TimeSpan.FromMinutes(5));
        after.Import(kept);

        Assert.Equal(2, (await after.HistoryAsync("news", first, 100, Ct)).Publications.Single().Position.Offset);
        clock.Advance(TimeSpan.FromMinutes(5));
        Assert.False((await after.HistoryAsync("news", first, 100, Ct)).Recovered);
        Assert.True((await after.HistoryAsync("news", second, 100, Ct)).Recovered);
    }

    [Fact]
    public async Task What_is_kept_for_ever_is_kept_for_ever()
    {
        await PublishAsync(before, "news", 1, TimeSpan.MaxValue);

        Assert.Equal(DateTimeOffset.MaxValue, before.Export().Channels.Single().Publications.Single().Until);
        after.Import(before.Export());

        Assert.Single(after.Export().Channels.Single().Publications);
    }

    [Fact]
    public async Task A_channel_that_has_been_published_to_keeps_its_own_history()
    {
        var old = await PublishAsync(before, "news", 1);
        var own = await PublishAsync(after, "news", 7);

        after.Import(before.Export());

        Assert.Equal(own with { Offset = 2 }, await PublishAsync(after, "news", 8));
        Assert.False((await after.HistoryAsync("news", old, 100, Ct)).Recovered);
    }

    [Fact]
    public async Task A_channel_that_is_already_listened_to_goes_on_where_it_was()
    {
        var seen = await PublishAsync(before, "news", 1);
        List<Position> heard = [];
        after.OnMessage(message => heard.Add(message.Position));
        await after.SubscribeAsync("news", Ct);

        after.Import(before.Export());
        await PublishAsync(after, "news", 2);

        Assert.Equal([seen with { Offset = 2 }], heard);
    }

    [Fact]
    public async Task A_history_with_a_gap_is_not_taken_for_whole()
    {
        var seen = await PublishAsync(before, "news", 1);
        for (byte i = 2; i <= 4; i++) await PublishAsync(before, "news", i);
        var exported = before.Export();
        var kept = exported.Channels.Single();

        after.Import(exported with { Channels = [kept with { Publications = [kept.Publications[1], kept.Publications[3]] }] });

        var history = await after.HistoryAsync("news", seen, 100, Ct);
        Assert.Equal((seen with { Offset = 4 }, false), (history.Position, history.Recovered));
        Assert.Empty(history.Publications);
    }

    [Fact]
    public async Task The_position_of_a_channel_without_publications_recovers_too()
    {
        var quiet = (await before.HistoryAsync("quiet", null, 100, Ct)).Position;
        var forgotten = await PublishAsync(before, "forgotten", 1, TimeSpan.FromMinutes(1));
        clock.Advance(TimeSpan.FromHours(2));
        await PublishAsync(before, "news", 1);       // sweeps
        after.Import(before.Export());

        Assert.True((await after.HistoryAsync("quiet", quiet, 100, Ct)).Recovered);
        Assert.False((await after.HistoryAsync("forgotten", forgotten, 100, Ct)).Recovered);
        Assert.False((await after.HistoryAsync("forgotten", forgotten with { Offset = 0 }, 100, Ct)).Recovered);
        await PublishAsync(after, "quiet", 1);
        Assert.Single((await after.HistoryAsync("quiet", quiet, 100, Ct)).Publications);
    }

    [Fact]
    public async Task Channels_without_publications_and_those_of_a_table_are_not_taken()
    {
        await before.SubscribeAsync("quiet", Ct);
        await before.PublishAsync("changes:orders", new byte[] { 1 }, new PublishOptions { Event = "change", Position = new("e", 7) }, Ct);

        Assert.Empty(before.Export().Channels);
    }

    static ValueTask<Position> PublishAsync(InProcessChannelLayer layer, string channel, byte body, TimeSpan? keepFor = null) =>
        layer.PublishAsync(channel, new[] { body }, new PublishOptions { Event = "told", HistorySize = 100, HistoryTtl = keepFor ?? TimeSpan.FromHours(1) }, Ct);
}
