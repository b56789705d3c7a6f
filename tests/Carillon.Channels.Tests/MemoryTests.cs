using System.Text;
using Carillon.Channels.InProcess;
using Carillon.TestTools;

namespace Carillon.Channels.Tests;

/// <summary>What the layer holds is bounded by bytes, and what it gives up is told to readers.</summary>
public sealed class MemoryTests
{
    const long Megabyte = 1 << 20;

    readonly HandDrivenClock _clock = new();

    static CancellationToken Ct => TestContext.Current.CancellationToken;

    static readonly PublishOptions Kept = new() { Event = "said", HistorySize = 1000, HistoryTtl = TimeSpan.FromHours(1) };

    static readonly PublishOptions Passing = new() { Event = "said" };

    static PublishOptions TenMinutes(int count) => Kept with { HistorySize = count, HistoryTtl = TimeSpan.FromMinutes(10) };

    static byte[] Body(int bytes) => Encoding.ASCII.GetBytes($"\"{new string('x', bytes - 2)}\"");

    [Fact]
    public async Task A_channel_keeps_so_many_bytes_and_loses_the_oldest()
    {
        var layer = new InProcessChannelLayer(_clock);
        for (var i = 0; i < 10; i++) await layer.PublishAsync("a", Body(1000), Kept with { HistoryBytes = 5000 }, Ct);
        var now = (await layer.HistoryAsync("a", null, 100, Ct)).Position;
        Assert.True((await layer.HistoryAsync("a", now with { Offset = 7 }, 100, Ct)).Recovered);
        Assert.False((await layer.HistoryAsync("a", now with { Offset = 6 }, 100, Ct)).Recovered);
        // One that is larger than the channel may keep is delivered and not kept.
        await layer.PublishAsync("a", Body(6000), Kept with { HistoryBytes = 5000 }, Ct);
        Assert.False((await layer.HistoryAsync("a", now, 100, Ct)).Recovered);
    }

    [Fact]
    public async Task Beyond_the_bound_of_the_layer_the_channels_that_hold_most_lose_their_oldest()
    {
        const long most = 1_000_000;
        var layer = new InProcessChannelLayer(_clock, most);
        var small = await layer.PublishAsync("small", Body(1000), Kept, Ct);
        await layer.PublishAsync("small", Body(1000), Kept, Ct);
        for (var i = 0; i < 5000; i++)
        {
            await layer.PublishAsync($"large:{i % 3}", Body(10_000), Kept, Ct);
            Assert.InRange(layer.HeldBytes, 0, most + 20_000);
        }
        Assert.True((await layer.HistoryAsync("small", small, 100, Ct)).Recovered);
        var large = (await layer.HistoryAsync("large:0", null, 100, Ct)).Position;
        Assert.False((await layer.HistoryAsync("large:0", large with { Offset = 0 }, 10_000, Ct)).Recovered);
        Assert.True((await layer.HistoryAsync("large:0", large with { Offset = large.Offset - 10 }, 100, Ct)).Recovered);
    }

    [Fact]
    public async Task Channels_that_nobody_uses_are_forgotten_before_new_ones_are_refused()
    {
        var layer = new InProcessChannelLayer(_clock, 100_000);
        var first = await layer.PublishAsync("invented:0", Body(2), new PublishOptions { Event = "said" }, Ct);
        for (var i = 1; i < 10_000; i++) await layer.PublishAsync($"invented:{i}", Body(2), new PublishOptions { Event = "said" }, Ct);
        Assert.InRange(layer.Count, 1, 200);
        // Its old position is told to be worth nothing.
        Assert.False((await layer.HistoryAsync("invented:0", first, 100, Ct)).Recovered);
        Assert.NotEqual(first.Epoch, (await layer.HistoryAsync("invented:0", null, 100, Ct)).Position.Epoch);
    }

    [Fact]
    public async Task Subscribed_channels_stay_and_new_ones_are_refused_until_there_is_room()
    {
        var layer = new InProcessChannelLayer(_clock, 100_000);
        var joined = 0;
        await Assert.ThrowsAsync<ChannelsFullException>(async () =>
        {
            for (; joined < 10_000; joined++) await layer.SubscribeAsync($"invented:{joined}", Ct);
        });
        Assert.InRange(joined, 50, 200);
        await Assert.ThrowsAsync<ChannelsFullException>(async () => await layer.PublishAsync("one:more", Body(2), Kept, Ct));
        await layer.PublishAsync("invented:0", Body(2), Kept, Ct);       // those that are there go on
        for (var i = 0; i < joined; i++) await layer.UnsubscribeAsync($"invented:{i}", Ct);
        await layer.SubscribeAsync("one:more", Ct);
    }

    [Fact]
    public async Task What_is_forgotten_is_not_counted_any_more()
    {
        var layer = new InProcessChannelLayer(_clock);
        for (var i = 0; i < 50; i++)
        {
            await layer.SubscribeAsync($"a:{i}", Ct);
            await layer.PublishAsync($"a:{i}", Body(100), Kept, Ct);
            await layer.PublishAsync($"a:{i}", Body(100), Kept with { HistorySize = 1 }, Ct);
            await layer.UnsubscribeAsync($"a:{i}", Ct);
        }
        var next = new InProcessChannelLayer(_clock);
        next.Import(layer.Export());
        foreach (var each in new[] { layer, next })
        {
            Assert.True(each.HeldBytes > 50 * 100);
            _clock.Advance(TimeSpan.FromHours(3));
            await each.PublishAsync("sweeps", Body(2), new PublishOptions { Event = "said" }, Ct);
            _clock.Advance(TimeSpan.FromHours(3));
            await each.SubscribeAsync("sweeps", Ct);
            await each.UnsubscribeAsync("sweeps", Ct);
            await each.PublishAsync("last", Body(2), new PublishOptions { Event = "said" }, Ct);
            Assert.InRange(each.Count, 1, 2);       // those that were published to just now
            Assert.InRange(each.HeldBytes, 1, 2 * 1000);
        }
    }

    [Theory]
    [InlineData("ages")]
    [InlineData("is pushed out")]
    [InlineData("is forgotten")]
    public async Task Everything_that_is_given_up_is_given_back(string how)
    {
        var layer = new InProcessChannelLayer(_clock);
        await layer.PublishAsync("sweeps", new byte[1], Passing, Ct);
        var empty = layer.HeldBytes;
        for (var round = 0; round < 20; round++)
        {
            for (var i = 0; i < 10; i++) await layer.PublishAsync($"channel {round}", new byte[1000], TenMinutes(how == "is pushed out" ? 2 : 1000), Ct);
            Assert.InRange(layer.HeldBytes, empty + 2000, empty + 20_000);
            _clock.Advance(TimeSpan.FromMinutes(how == "is forgotten" ? 90 : 11));
            if (how != "is forgotten") await layer.HistoryAsync($"channel {round}", null, 0, Ct);
            _clock.Advance(TimeSpan.FromMinutes(90));
            await layer.PublishAsync("sweeps", new byte[1], Passing, Ct);
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
        var small = await layer.PublishAsync("small", new byte[1000], Kept, Ct);
        for (var i = 0; i < 5000; i++)
        {
            await layer.PublishAsync("large", new byte[1000], TenMinutes(100_000), Ct);
            Assert.InRange(layer.HeldBytes, 0, 2 * Megabyte);
        }
        Assert.Equal(5000, heard);
        Assert.True((await layer.HistoryAsync("small", small with { Offset = 0 }, 10, Ct)).Recovered);
        // Trimmed to four fifths at a time, and not again by each publication that follows.
        var before = layer.HeldBytes;
        for (var i = 0; i < 1000 && layer.HeldBytes >= before; i++)
        {
            before = layer.HeldBytes;
            await layer.PublishAsync("large", new byte[1000], TenMinutes(100_000), Ct);
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
        await layer.PublishAsync("subscribed", new byte[1], Passing, Ct);
        var positions = new Position[count];
        for (var i = 0; i < count; i++)
        {
            _clock.Advance(TimeSpan.FromMilliseconds(1));
            positions[i] = await layer.PublishAsync($"idle:{i}", new byte[1], Passing, Ct);
        }
        Assert.InRange(layer.Count, 1000, count);      // some were forgotten, and not all
        Assert.False((await layer.HistoryAsync("idle:0", positions[0], 10, Ct)).Recovered);
        Assert.True((await layer.HistoryAsync($"idle:{count - 1}", positions[^1], 10, Ct)).Recovered);
        heard.Clear();
        await layer.PublishAsync("subscribed", new byte[1], Passing, Ct);
        Assert.Equal(["subscribed"], heard);
    }

    [Theory]
    [InlineData(new long[] { 100, 50, 10 }, 0, 100)]
    [InlineData(new long[] { 100, 50, 10 }, 40, 60)]
    [InlineData(new long[] { 100, 50, 10 }, 60, 45)]
    [InlineData(new long[] { 100, 50, 10 }, 160, 0)]
    [InlineData(new long[] { 100, 50, 10 }, 1000, 0)]
    [InlineData(new long[] { 40, 40, 40, 40 }, 80, 20)]
    [InlineData(new long[] { }, 10, 0)]
    public void Those_with_most_give_up_most(long[] kept, long excess, long ceiling) => Assert.Equal(ceiling, InProcessChannelLayer.CeilingFor(kept, excess));

    [Fact]
    public async Task Deliveries_that_publish_to_each_other_s_channel_while_the_layer_is_full_do_not_wait_for_each_other()
    {
        var layer = new InProcessChannelLayer(_clock, Megabyte);
        using var both = new Barrier(2);
        var met = 0;
        layer.OnMessage(message =>
        {
            // Each thread holds the gate of its channel here. Then what it publishes makes the layer trim.
            if (Interlocked.Increment(ref met) > 2) return;
            both.SignalAndWait(TimeSpan.FromSeconds(10));
            layer.PublishAsync("kept by " + message.Channel, Body((int)Megabyte / 2), Kept, Ct).AsTask().Wait(Ct);
        });
        foreach (var channel in new[] { "a", "b" })
        {
            // It exists already: a full layer refuses new channels, and either thread may be the one that finds it full.
            await layer.PublishAsync("kept by " + channel, Body(100), Kept, Ct);
            for (var i = 0; i < 4; i++) await layer.PublishAsync(channel, Body((int)Megabyte / 10), Kept, Ct);
            await layer.SubscribeAsync(channel, Ct);
        }
        var threads = new[] { "a", "b" }.Select(channel => Task.Run(async () => await layer.PublishAsync(channel, Body(100), Kept, Ct), Ct));
        await Task.WhenAll(threads).WaitAsync(TimeSpan.FromSeconds(10), Ct);
        Assert.Equal(2, met);
    }
}
