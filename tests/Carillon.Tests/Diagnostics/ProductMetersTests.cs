using Carillon.Hub;
using Carillon.Tests.Live;

namespace Carillon.Tests.Diagnostics;

public sealed class ProductMetersTests : IDisposable
{
    readonly Measurements _measured = new();

    public void Dispose() => _measured.Dispose();

    static Task<TestApp> StartAsync(string area) => TestApp.StartAsync(options =>
    {
        options.AllowAnonymous = true;
        options.Areas.Add(new Area(area, "stock") { Subscribe = Grant.Everyone, HistorySize = 10 });
    });

    [Fact]
    public async Task Publications_deliveries_and_subscriptions_are_counted_by_area()
    {
        await using var app = await StartAsync("metered:{id}");
        using var phone = await app.ConnectAsync();
        using var laptop = await app.ConnectAsync();
        await phone.AskAsync("subscribe", "metered:1");
        await laptop.AskAsync("subscribe", "metered:1");
        await laptop.AskAsync("subscribe", "metered:2");

        for (var i = 0; i < 3; i++) await app.Live.PublishAsync("metered:1", new { i });
        await app.Live.PublishAsync("metered:3", new { });      // to nobody

        _measured.Observe();
        var area = Measurements.Area("metered:{id}");
        Assert.Equal((4, 6), (_measured["carillon.publications", area], _measured["carillon.deliveries", area]));
        Assert.Equal(3, _measured["carillon.subscriptions", area]);

        await laptop.AskAsync("unsubscribe", "metered:2");
        _measured.Observe();
        Assert.Equal(2, _measured["carillon.subscriptions", area]);
    }

    [Fact]
    public async Task Recoveries_and_gaps_are_counted_by_area()
    {
        await using var app = await StartAsync("missed:{id}");
        using var client = await app.ConnectAsync();
        var position = (await client.AskAsync("subscribe", "missed:1")).GetProperty("position");
        await app.Live.PublishAsync("missed:1", new { });

        await client.AskAsync("subscribe", new { channel = "missed:1", since = position });
        await client.AskAsync("subscribe", new { channel = "missed:1", since = new { epoch = "another", offset = 0 } });
        await client.AskAsync("subscribe", new { channel = "missed:1", since = new { epoch = "another", offset = 7 } });

        var area = Measurements.Area("missed:{id}");
        Assert.Equal((1, 2), (_measured["carillon.subscriptions.recovered", area], _measured["carillon.subscriptions.gaps", area]));
    }

    [Fact]
    public async Task Refusals_are_counted_by_code_and_rejected_tokens_too()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        using var client = await app.ConnectAsAsync("alice");
        await client.AskAsync("subscribe", "nowhere:1");
        await app.CallAsync("POST", "/api/publish", new { });
        await app.RefusedAsync("rubbish");
        await app.RefusedAsync(app.TokenOf("mallory"));

        Assert.True(_measured["carillon.refusals", new("code", "unknown-channel"), new("door", "event")] >= 1);
        Assert.True(_measured["carillon.refusals", new("code", "invalid-payload"), new("door", "http")] >= 1);
        Assert.True(_measured["carillon.tokens.rejected", new KeyValuePair<string, object?>("code", "unauthorized")] >= 1);
        Assert.True(_measured["carillon.tokens.rejected", new KeyValuePair<string, object?>("code", "unknown-user")] >= 1);
    }

    [Fact]
    public async Task The_pump_measures_its_lag_and_the_size_of_the_log()
    {
        await using var app = await TestApp.StartAsync(options => options.Changes.Tables = ["lagging"]);
        await using (var tx = await app.Database.BeginAsync(null, CancellationToken.None))
        {
            await tx.ExecuteAsync("CREATE TABLE lagging (id INTEGER PRIMARY KEY)");
            await tx.CommitAsync(CancellationToken.None);
        }
        await Wait.UntilAsync(async () =>
        {
            await using var tx = await app.Database.BeginAsync(null, CancellationToken.None);
            await tx.ExecuteAsync("INSERT INTO lagging DEFAULT VALUES");
            await tx.CommitAsync(CancellationToken.None);
            return _measured["carillon.pump.lag"] >= 1 && _measured["carillon.log.size"] >= 1;
        });
        Assert.True(_measured["carillon.publications", Measurements.Area("changes:{table}")] >= 1);
    }

    [Fact]
    public async Task No_tag_names_a_channel_or_a_user()
    {
        await using var app = await TestApp.StartKnowingAsync(
            ["secret-person"], options => options.Areas.Add(new Area("tagged:{id}", "stock") { Subscribe = Grant.Everyone }));
        using var client = await app.ConnectAsAsync("secret-person");
        await client.AskAsync("subscribe", "tagged:secret-part");
        await app.Live.PublishAsync("tagged:secret-part", new { });
        await app.CallAsync("POST", "/api/publish", new { channel = "unplanned:secret-part", data = 1 });

        _measured.Observe();
        Assert.Contains("carillon.publications area=tagged:{id}", _measured.Series);
        Assert.Contains("carillon.publications area=none", _measured.Series);
        Assert.DoesNotContain(_measured.Series, series => series.Contains("secret-", StringComparison.Ordinal));
    }
}
