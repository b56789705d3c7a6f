namespace Carillon.Channels.Tests;

/// <summary>What the layer holds is counted exactly and bounded, and what it gives up is what nobody uses.</summary>
public sealed class LayerMemoryTests
{
    const long Megabyte = 1 << 20;

    readonly HandDrivenClock _clock = new();

    static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(new long[] { 100, 100, 100 }, 0, 100)]
    [InlineData(new long[] { 100, 100, 100 }, 30, 90)]
    [InlineData(new long[] { 10, 50, 100 }, 50, 50)]
    [InlineData(new long[] { 10, 50, 100 }, 51, 49)]       // the two largest share it
    [InlineData(new long[] { 10, 50, 100 }, 130, 10)]
    [InlineData(new long[] { 10, 50, 100 }, 133, 9)]
    [InlineData(new long[] { 10, 50, 100 }, 160, 0)]
    [InlineData(new long[] { 10, 50, 100 }, 1000, 0)]
    [InlineData(new long[0], 1, 0)]
    public void Those_with_most_give_up_most(long[] kept, long excess, long ceiling) => Assert.Equal(ceiling, InProcessChannelLayer.CeilingFor(kept, excess));

    [Fact]
    public async Task A_channel_keeps_as_many_bytes_as_it_may()
    {
        var layer = new InProcessChannelLayer(_clock);
        var start = await layer.HistoryAsync("a", null, 0, Ct);
        for (var i = 0; i < 100; i++) await layer.PublishAsync("a", new byte[1000], Keep() with { KeepBytes = 20_000 }, Ct);
        var kept = 0;
        while ((await layer.HistoryAsync("a", start.Position with { Offset = 100 - kept - 1 }, 1000, Ct)).Recovered) kept++;
        Assert.InRange(kept, 10, 20);
        Assert.InRange(layer.HeldBytes, kept * 1000, 22_000);
    }

    [Theory]
    [InlineData("ages")]
    [InlineData("is pushed out")]
    [InlineData("is forgotten")]
    public async Task Everything_that_is_given_up_is_given_back(string how)
    {
        var layer = new InProcessChannelLayer(_clock);
        await layer.PublishAsync("sweeps", new byte[1], new PublishOptions { Event = "e" }, Ct);
        var empty = layer.HeldBytes;
        for (var round = 0; round < 20; round++)
        {
            for (var i = 0; i < 10; i++) await layer.PublishAsync($"channel {round}", new byte[1000], Keep(how == "is pushed out" ? 2 : 1000), Ct);
            Assert.InRange(layer.HeldBytes, empty + 2000, empty + 20_000);
            _clock.Advance(TimeSpan.FromMinutes(how == "is forgotten" ? 90 : 11));
            if (how != "is forgotten") await layer.HistoryAsync($"channel {round}", null, 0, Ct);
            _clock.Advance(TimeSpan.FromMinutes(90));
            await layer.PublishAsync("sweeps", new byte[1], new PublishOptions { Event = "e" }, Ct);
            Assert.Equal((1, empty), (layer.Count, layer.HeldBytes));
        }
    }

    [Fact]
    public async Task Above_the_limit_the_largest_histories_are_cut_and_subscribers_still_hear_everything()
    {
        var layer = new InProcessChannelLayer(_clock, 2 * Megabyte);
        var heard = 0;
        layer.OnMessage(_ => heard++);
        await layer.SubscribeAsync("large", Ct);
        var small = await layer.PublishAsync("small", new byte[1000], Keep(), Ct);
        for (var i = 0; i < 5000; i++)
        {
            await layer.PublishAsync("large", new byte[1000], Keep(100_000), Ct);
            Assert.InRange(layer.HeldBytes, 0, 2 * Megabyte);
        }
        Assert.Equal(5000, heard);
        Assert.True((await layer.HistoryAsync("small", small with { Offset = 0 }, 10, Ct)).Recovered);
        // Trimmed to four fifths at a time, and not again by each publication that follows.
        var before = layer.HeldBytes;
        for (var i = 0; i < 1000 && layer.HeldBytes >= before; i++)
        {
            before = layer.HeldBytes;
            await layer.PublishAsync("large", new byte[1000], Keep(100_000), Ct);
        }
        Assert.InRange(layer.HeldBytes, 3 * Megabyte / 2, (long)(1.62 * Megabyte));
    }

    [Fact]
    public async Task Above_the_limit_channels_that_nobody_uses_are_forgotten_the_longest_unused_first_and_subscribed_ones_never()
    {
        const int count = 5000;
        var layer = new InProcessChannelLayer(_clock, 2 * Megabyte);
        List<string> heard = [];
        layer.OnMessage(message => heard.Add(message.Channel));
        await layer.SubscribeAsync("subscribed", Ct);
        await layer.PublishAsync("subscribed", new byte[1], Nothing, Ct);
        var positions = new Position[count];
        for (var i = 0; i < count; i++)
        {
            _clock.Advance(TimeSpan.FromMilliseconds(1));
            positions[i] = await layer.PublishAsync($"idle:{i}", new byte[1], Nothing, Ct);
        }
        Assert.InRange(layer.Count, 1000, count);      // some were forgotten, and not all
        Assert.False((await layer.HistoryAsync("idle:0", positions[0], 10, Ct)).Recovered);
        Assert.True((await layer.HistoryAsync($"idle:{count - 1}", positions[^1], 10, Ct)).Recovered);
        heard.Clear();
        await layer.PublishAsync("subscribed", new byte[1], Nothing, Ct);
        Assert.Equal(["subscribed"], heard);
    }

    [Fact]
    public async Task New_channels_are_refused_where_all_memory_is_held_by_subscribed_ones_and_those_go_on()
    {
        var layer = new InProcessChannelLayer(_clock, 2 * Megabyte);
        var heard = 0;
        layer.OnMessage(_ => heard++);
        var subscribed = 0;
        await Assert.ThrowsAsync<ChannelsFullException>(async () =>
        {
            for (; subscribed < 100_000; subscribed++) await layer.SubscribeAsync($"channel:{subscribed}", Ct);
        });
        Assert.InRange(subscribed, 2000, 4000);
        await layer.PublishAsync("channel:0", new byte[1], Keep(), Ct);
        Assert.Equal(1, heard);
        for (var i = 0; i < subscribed; i++) await layer.UnsubscribeAsync($"channel:{i}", Ct);
        await layer.SubscribeAsync("new", Ct);
    }

    static PublishOptions Nothing => new() { Event = "said" };

    static PublishOptions Keep(int count = 1000) => new() { Event = "said", KeepCount = count, KeepFor = TimeSpan.FromMinutes(10) };
}
