using System.Net;
using Carillon.Audit;
using Carillon.Channels;
using Carillon.Channels.InProcess;
using Carillon.Hosting;
using Carillon.Hub;
using Carillon.Tests.Live;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Carillon.Tests.Delivery;

/// <summary>Nothing is acknowledged that cannot be published, and what was acknowledged is published in the end.</summary>
public sealed class AfterCommitPublisherTests : IDisposable
{
    readonly InProcessChannelLayer _layer = new(TimeProvider.System, maxBytes: 64 * 1024);
    readonly Lines _lines = new();
    int _fillers;

    public void Dispose() => _lines.Dispose();

    [Fact]
    public async Task An_update_or_a_vote_that_could_not_be_published_is_refused_before_it_is_stored()
    {
        await using var app = await StartAsync();
        var (_, suggestion) = await app.CallAsAsync("alice", "POST", "/api/suggestions", new { title = "Open on Sundays" });
        var vote = $"/api/suggestions/{suggestion.GetProperty("id").GetString()}/vote";
        await FillAsync();
        foreach (var answer in new[]
        {
            await app.CallAsync("POST", "/api/resources/7/updates", new { operation = "renamed" }),
            await app.CallAsAsync("alice", "POST", vote, new { value = 1 }),
        })
            Assert.Equal((HttpStatusCode.ServiceUnavailable, "unavailable", true), (answer.Status, answer.Body.GetProperty("code").GetString(), answer.Body.GetProperty("retryable").GetBoolean()));
        Assert.Equal(0, await app.Database.QuerySingleOrDefaultAsync<int>("SELECT (SELECT count(*) FROM carillon_resources) + (SELECT count(*) FROM carillon_votes)"));
        await EmptyAsync();
        Assert.Equal(HttpStatusCode.Created, (await app.CallAsync("POST", "/api/resources/7/updates", new { operation = "renamed" })).Status);
        Assert.Equal(HttpStatusCode.OK, (await app.CallAsAsync("alice", "POST", vote, new { value = 1 })).Status);
    }

    [Fact]
    public async Task What_was_committed_is_published_in_its_order_when_there_is_room_again()
    {
        await using var app = await StartAsync();
        await FillAsync();
        await using (var tx = await app.Database.BeginAsync(null, default))
        {
            for (var i = 1; i <= 3; i++) app.Get<AfterCommitPublisher>().Add(tx, "resource:updates:7", new { i }, key: null);
            await tx.CommitAsync();
        }
        await Wait.UntilAsync(() => _lines.At(LogLevel.Warning).Any(line => line.Contains("resource:updates:7", StringComparison.Ordinal)));
        await EmptyAsync();
        await Wait.UntilAsync(async () => (await ItemsAsync("resource:updates:7")).Length == 3);
        Assert.Equal([1, 2, 3], (await ItemsAsync("resource:updates:7")).Select(item => item.GetProperty("data").GetProperty("i").GetInt32()));
        Assert.Empty(_lines.At(LogLevel.Error));

        async Task<System.Text.Json.JsonElement[]> ItemsAsync(string channel) =>
            [.. (await app.CallAsync("GET", $"/api/channels/{channel}/history")).Body.GetProperty("items").EnumerateArray()];
    }

    [Fact]
    public async Task An_audit_log_that_cannot_be_published_is_written_and_pruned_and_published_later()
    {
        await FillAsync();
        await using var app = await StartAsync(options => options.Access.AuditMaxEntries = 1000);
        var audit = app.Get<AuditLog>();
        for (var i = 0; i < 1500; i++) audit.Note($"u{i}", "flood", null, null, AuditEntry.Allowed);
        await audit.FlushAsync(default);
        await audit.PruneAsync(default);
        Assert.Equal(1000, await app.Database.QuerySingleOrDefaultAsync<int>("SELECT count(*) FROM carillon_audit"));
        Assert.Single(_lines.At(LogLevel.Warning), line => line.Contains("audit log", StringComparison.Ordinal));
        Assert.DoesNotContain(_lines.At(LogLevel.Error), line => line.Contains("audit log", StringComparison.Ordinal));
        await EmptyAsync();
        await Wait.UntilAsync(async () => (await app.CallAsync("GET", "/api/channels/audit/history")).Body.GetProperty("items").GetArrayLength() > 0);
    }

    Task<TestApp> StartAsync(Action<CarillonOptions>? configure = null) => TestApp.StartKnowingAsync(["alice"], configure,
        services => services.AddSingleton<IChannelLayer>(_layer).AddLogging(logging => logging.AddProvider(_lines)));

    // Channels that nobody reads, until there is no memory for one more.
    async Task FillAsync()
    {
        while (_layer.HeldBytes <= _layer.MaxBytes) await _layer.SubscribeAsync($"fill:{_fillers++}", default);
    }

    async Task EmptyAsync()
    {
        for (; _fillers > 0; _fillers--) await _layer.UnsubscribeAsync($"fill:{_fillers - 1}", default);
    }
}
