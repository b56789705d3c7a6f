using System.Text.Json;
using Carillon.Hub;
using Carillon.TestTools;
using Carillon.Tests.Live;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Carillon.Tests.Lifecycle;

/// <summary>A restart that was planned loses nothing, and one that was not says so.</summary>
public sealed class HistoryHandoverTests : IDisposable
{
    readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("carillon-");
    readonly HandDrivenClock _clock = new();

    [Fact]
    public async Task Who_comes_back_after_a_planned_restart_gets_what_it_missed()
    {
        JsonElement position;
        await using (var app = await StartAsync())
        {
            using var client = await app.ConnectAsync();
            position = (await client.AskAsync("subscribe", "news:sport")).GetProperty("position");
            await app.Live.PublishAsync("news:sport", new { Title = "seen" });
            await client.NextAsync("subscribed");
            position = Position((await client.NextWithMetaAsync("news"))[2]);
            client.Dispose();
            await app.Live.PublishAsync("news:sport", new { Title = "missed" });
        }

        await using var next = await StartAsync();
        await next.Live.PublishAsync("news:sport", new { Title = "also missed" });
        using var returned = await next.ConnectAsync();
        var answer = await returned.AskAsync("subscribe", new { channel = "news:sport", since = position });

        Assert.True(answer.GetProperty("recovered").GetBoolean());
        Assert.Equal(position.GetProperty("epoch").GetString(), answer.GetProperty("position").GetProperty("epoch").GetString());
        Assert.Equal(3, answer.GetProperty("position").GetProperty("offset").GetInt64());
        Assert.Equal("missed", (await returned.NextAsync("news")).GetProperty("title").GetString());
        Assert.Equal("also missed", (await returned.NextAsync("news")).GetProperty("title").GetString());
    }

    [Fact]
    public async Task After_a_crash_no_older_history_comes_back()
    {
        await using (var planned = await StartAsync()) await planned.Live.PublishAsync("news:sport", new { Title = "kept" });
        var crashed = await StartAsync();
        var position = await crashed.Live.PublishAsync("news:sport", new { Title = "lost" });
        Assert.Equal(2, position.Offset);
        await crashed.KillAsync();

        await using var next = await StartAsync();
        using var client = await next.ConnectAsync();
        var answer = await client.AskAsync("subscribe", new { channel = "news:sport", since = new { epoch = position.Epoch, offset = 1 } });

        Assert.False(answer.GetProperty("recovered").GetBoolean());
        Assert.NotEqual(position.Epoch, answer.GetProperty("position").GetProperty("epoch").GetString());
    }

    [Fact]
    public async Task What_is_published_until_the_last_service_has_stopped_is_kept()
    {
        await using (await StartAsync(services => services.AddHostedService<LastWords>()))
        {
        }

        await using var next = await StartAsync();
        Assert.Equal(2, (await next.Live.PublishAsync("news:sport", new { Title = "first" })).Offset);
    }

    [Fact]
    public async Task A_history_that_lay_for_long_came_with_a_backup_and_is_forgotten()
    {
        await using (var app = await StartAsync()) await app.Live.PublishAsync("news:sport", new { Title = "old" });
        _clock.Advance(TimeSpan.FromHours(2));

        await using var next = await StartAsync();

        Assert.Equal(1, (await next.Live.PublishAsync("news:sport", new { Title = "new" })).Offset);
        Assert.Equal(0, await next.Database.QuerySingleOrDefaultAsync<int>("SELECT count(*) FROM carillon_kept_history"));
    }

    [Fact]
    public async Task A_history_that_cannot_be_read_does_not_keep_the_server_from_starting()
    {
        await using (var app = await StartAsync())
        {
            await app.StopAsync();
            await using var tx = await app.Database.BeginAsync(null, default);
            await tx.ExecuteAsync("INSERT INTO carillon_kept_history VALUES ('news:sport', 'e', 7, CAST('no list' AS BLOB), @now)", new { now = _clock.GetUtcNow().ToUnixTimeMilliseconds() });
            await tx.CommitAsync();
        }

        await using var next = await StartAsync();
        Assert.Equal(1, (await next.Live.PublishAsync("news:sport", new { Title = "new" })).Offset);
    }

    [Fact]
    public async Task A_fault_that_would_have_stopped_the_start_stops_the_process_when_it_shows_later()
    {
        await using (await StartAsync())
        {
        }
        await using var foreign = new SqliteConnection($"Data Source={Path.Combine(_folder.FullName, "app.db")};Pooling=False");
        await foreign.OpenAsync();
        await ExecuteAsync("BEGIN EXCLUSIVE; INSERT INTO carillon_kept_history VALUES ('news:sport', 'e', 'no number', x'00', 0)");

        await using var waiting = await TestApp.StartAsync(options => options.AllowAnonymous = true, at: _folder);
        var stopping = waiting.Get<IHostApplicationLifetime>().ApplicationStopping;
        Assert.False(stopping.IsCancellationRequested);
        await ExecuteAsync("COMMIT");

        var stopped = new TaskCompletionSource();
        await using (stopping.Register(stopped.SetResult)) await stopped.Task.WaitAsync(TimeSpan.FromSeconds(20));

        async Task ExecuteAsync(string sql)
        {
            await using var command = foreign.CreateCommand();
            command.CommandText = sql;
            await command.ExecuteNonQueryAsync();
        }
    }

    public void Dispose() => _folder.Delete(recursive: true);

    Task<TestApp> StartAsync(Action<IServiceCollection>? services = null) => TestApp.StartAsync(
        options =>
        {
            options.AllowAnonymous = true;
            options.Areas.Add(new Area("news:{topic}", "news") { Subscribe = Grant.Everyone, HistorySize = 100, HistoryTtl = TimeSpan.FromHours(3) });
        },
        all =>
        {
            all.AddSingleton<TimeProvider>(_clock);
            services?.Invoke(all);
        },
        _folder);

    static JsonElement Position(JsonElement meta) =>
        JsonSerializer.SerializeToElement(new { epoch = meta.GetProperty("epoch").GetString(), offset = meta.GetProperty("offset").GetInt64() });

    sealed class LastWords(ChannelHub hub) : Microsoft.Extensions.Hosting.IHostedService
    {
        public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => hub.PublishAsync("news:sport", new { Title = "Closed" }, cancellationToken).AsTask();
    }
}
