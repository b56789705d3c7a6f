using Carillon.Channels;
using Carillon.Hub;

namespace Carillon.Tests.Live;

/// <summary>Areas that gather their publications, and publications that must not wait.</summary>
public class GatheringTests
{
    static readonly TimeSpan VeryLong = TimeSpan.FromHours(1);

    static Task<TestApp> StartAsync(TimeSpan gatherFor) => TestApp.StartAsync(options =>
    {
        options.AllowAnonymous = true;
        options.Areas.Add(new Area("stock:{part}", "stock") { Subscribe = Grant.Everyone, HistorySize = 100, BatchWindow = gatherFor });
    });

    [Fact]
    public async Task Publications_come_in_their_order_when_their_moment_has_come()
    {
        await using var app = await StartAsync(TimeSpan.FromMilliseconds(50));
        using var client = await app.ConnectAsync();
        await client.AskAsync("subscribe", "stock:7");
        await client.NextAsync("subscribed");

        for (var i = 1; i <= 20; i++) await app.Live.PublishAsync("stock:7", new { i });

        for (var i = 1; i <= 20; i++)
        {
            var stock = await client.NextWithMetaAsync("stock");
            Assert.Equal((i, i), (stock[1].GetProperty("i").GetInt32(), stock[2].GetProperty("offset").GetInt32()));
        }
    }

    [Fact]
    public async Task A_critical_one_does_not_wait_and_takes_the_earlier_ones_of_its_channel_along()
    {
        await using var app = await StartAsync(VeryLong);
        using var client = await app.ConnectAsync();
        await client.AskAsync("subscribe", "stock:7");
        await client.NextAsync("subscribed");

        await app.Live.PublishAsync("stock:7", new { i = 1 });
        await app.Live.PublishAsync("stock:7", new { i = 2 }, Importance.Critical);

        Assert.Equal(1, (await client.NextAsync("stock")).GetProperty("i").GetInt32());
        Assert.Equal(2, (await client.NextAsync("stock")).GetProperty("i").GetInt32());
    }

    [Fact]
    public async Task Who_joins_while_others_wait_gets_everything_once()
    {
        await using var app = await StartAsync(VeryLong);
        using var early = await app.ConnectAsync();
        var position = (await early.AskAsync("subscribe", "stock:7")).GetProperty("position");
        await early.NextAsync("subscribed");
        await app.Live.PublishAsync("stock:7", new { i = 1 });
        await app.Live.PublishAsync("stock:7", new { i = 2 });

        using var late = await app.ConnectAsync();
        var joined = await late.AskAsync("subscribe", new { channel = "stock:7", since = position });
        Assert.True(joined.GetProperty("recovered").GetBoolean());
        await app.Live.PublishAsync("stock:7", new { i = 3 }, Importance.Critical);

        Assert.Equal([1, 2, 3], await NumbersAsync(early));
        Assert.Equal([1, 2, 3], await NumbersAsync(late));
    }

    [Fact]
    public async Task Who_joins_again_hears_nothing_twice()
    {
        await using var app = await StartAsync(VeryLong);
        using var client = await app.ConnectAsync();
        await client.AskAsync("subscribe", "stock:7");
        await app.Live.PublishAsync("stock:7", new { i = 1 });
        await client.AskAsync("subscribe", "stock:7");
        await app.Live.PublishAsync("stock:7", new { i = 2 });
        await app.Live.PublishAsync("stock:7", new { i = 3 }, Importance.Critical);

        Assert.Equal([1, 2, 3], await NumbersAsync(client));
    }

    // The numbers up to the third, whatever other events stand between.
    static async Task<List<int>> NumbersAsync(TestClient client)
    {
        List<int> numbers = [];
        while (numbers.LastOrDefault() != 3)
        {
            var e = await client.NextAnyAsync();
            if (e[0].GetString() == "stock") numbers.Add(e[1].GetProperty("i").GetInt32());
        }
        return numbers;
    }
}
