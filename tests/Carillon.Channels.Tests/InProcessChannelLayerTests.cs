using Carillon.Channels.InProcess;
using Carillon.TestTools;

namespace Carillon.Channels.Tests;

public sealed class InProcessChannelLayerTests : ChannelLayerSpecification
{
    readonly HandDrivenClock clock = new();

    protected override ValueTask<IChannelLayer> CreateAsync() => ValueTask.FromResult<IChannelLayer>(new InProcessChannelLayer(clock));

    protected override ValueTask PassAsync(TimeSpan time)
    {
        clock.Advance(time);
        return ValueTask.CompletedTask;
    }

    InProcessChannelLayer InProcess => (InProcessChannelLayer)Layer;

    [Fact]
    public async Task A_forgotten_channel_is_never_recovered_from_its_old_positions()
    {
        var never = (await Layer.HistoryAsync("once", null, 100, Ct)).Position;
        var last = await Layer.PublishAsync("once", Body(1), Keep(), Ct);
        clock.Advance(TimeSpan.FromHours(2));
        await Layer.PublishAsync("sweeps", Body(1), Keep(), Ct);
        Assert.Equal(1, InProcess.Count);

        foreach (var old in new[] { never, last, last with { Offset = 0 } })
            Assert.False((await Layer.HistoryAsync("once", old, 100, Ct)).Recovered);

        var reborn = await Layer.PublishAsync("once", Body(2), Keep(), Ct);
        Assert.Equal(1, reborn.Offset);
        Assert.NotEqual(last.Epoch, reborn.Epoch);
        foreach (var old in new[] { never, last, last with { Offset = 0 } })
            Assert.False((await Layer.HistoryAsync("once", old, 100, Ct)).Recovered);
    }

    [Fact]
    public async Task A_subscribed_channel_is_not_forgotten()
    {
        await Layer.SubscribeAsync("held", Ct);
        var last = await Layer.PublishAsync("held", Body(1), Keep(), Ct);
        clock.Advance(TimeSpan.FromHours(2));
        await Layer.PublishAsync("sweeps", Body(1), Keep(), Ct);

        Assert.True((await Layer.HistoryAsync("held", last, 100, Ct)).Recovered);
    }

    [Fact]
    public async Task A_hundred_thousand_asked_for_names_leave_nothing_behind()
    {
        for (var n = 0; n < 100_000; n++)
        {
            await Layer.HistoryAsync($"hostile:{n}", new Position("made-up", n), 100, Ct);
            await Layer.UnsubscribeAsync($"hostile:{n}", Ct);
        }

        for (var n = 0; n < 1_000; n++)
        {
            await Layer.SubscribeAsync($"hostile:{n}", Ct);
            await Layer.UnsubscribeAsync($"hostile:{n}", Ct);
        }

        Assert.Equal(0, InProcess.Count);
    }

    [Fact]
    public async Task Two_layers_never_share_an_epoch()
    {
        var here = await Layer.PublishAsync("same", Body(1), Keep(), Ct);
        var after = await new InProcessChannelLayer(clock).HistoryAsync("same", here, 100, Ct);
        Assert.False(after.Recovered);
    }

    [Fact]
    public async Task Publishing_while_others_come_and_go_loses_no_offset()
    {
        // A sweep a minute of fake time runs against publishers and subscribers: the state they hold may be forgotten under them.
        var publisher = Task.Run(async () =>
        {
            for (var n = 0; n < 2_000; n++)
            {
                await Layer.PublishAsync("busy", Body(n), Keep(keepFor: TimeSpan.FromMinutes(1)), Ct);
                clock.Advance(TimeSpan.FromMinutes(n % 100 == 0 ? 90 : 1));
            }
        }, Ct);
        var visitor = Task.Run(async () =>
        {
            while (!publisher.IsCompleted)
            {
                await Layer.SubscribeAsync("busy", Ct);
                await Layer.UnsubscribeAsync("busy", Ct);
            }
        }, Ct);
        await Task.WhenAll(publisher, visitor);

        var now = (await Layer.HistoryAsync("busy", null, 0, Ct)).Position;
        Assert.Equal(now with { Offset = now.Offset + 1 }, await Layer.PublishAsync("busy", Body(0), Keep(), Ct));
    }
}
