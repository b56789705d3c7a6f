using System.Diagnostics;
using System.Net.Sockets;
using System.Text;
using Carillon.Features;
using Carillon.Hosting;
using Carillon.SocketIO.Sockets;
using Carillon.Storage;
using Carillon.TestTools;
using Carillon.Tests.Live;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Logging.Abstractions;

namespace Carillon.Tests.Lifecycle;

/// <summary>The server stops in an order in which nobody loses anything, and in time.</summary>
public class ShutdownTests
{
    [Fact]
    public async Task Newcomers_are_refused_and_clients_know_before_others_say_goodbye_and_connections_end()
    {
        await using var app = await TestApp.StartAsync(options => options.AllowAnonymous = true);
        using var client = await app.ConnectAsync();
        var goodbye = new TaskCompletionSource();
        var mayGo = new TaskCompletionSource();
        app.Get<ShutdownTasks>().Add(_ =>
        {
            goodbye.SetResult();
            return mayGo.Task;
        });
        Assert.Equal(HealthStatus.Healthy, await HealthAsync(app));

        var stopping = app.StopAsync();
        await goodbye.Task.WaitAsync(TimeSpan.FromSeconds(10));

        Assert.Equal(HealthStatus.Unhealthy, await HealthAsync(app));
        using var refused = await app.Http.GetAsync("/socket.io/?EIO=4&transport=polling");
        Assert.Equal(503, (int)refused.StatusCode);
        Assert.Contains("server-closing", await refused.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.Equal(0, (await client.NextAsync("server:closing")).GetProperty("reconnectInMs").GetInt32());
        await client.EmitAsync("nothing", null);
        Assert.Equal("unknown-event", (await client.NextAsync("error")).GetProperty("code").GetString());     // still served

        mayGo.SetResult();
        Assert.Null(await client.RawAsync());     // the transport ends, and no packet 41: stock clients come back by themselves
        await client.EndAsync();
        await stopping;
    }

    [Fact]
    public async Task Readiness_fails_before_anything_else()
    {
        var clock = new HandDrivenClock(timersToo: true);
        await using var app = await TestApp.StartAsync(
            options => (options.AllowAnonymous, options.Shutdown.ReadinessDelay) = (true, TimeSpan.FromSeconds(1)), services => services.AddSingleton<TimeProvider>(clock));

        var goodbye = new TaskCompletionSource();
        app.Get<ShutdownTasks>().Add(_ =>
        {
            goodbye.SetResult();
            return Task.CompletedTask;
        });

        var stopping = app.StopAsync();
        await UntilAsync(async () => await HealthAsync(app) == HealthStatus.Unhealthy);
        using (var late = await app.ConnectAsync())
        {
            clock.Advance(TimeSpan.FromMilliseconds(900));
            await late.EmitAsync("nothing", null);
            await late.NextAsync("error");     // and not server:closing
            Assert.False(goodbye.Task.IsCompleted);
        }

        while (!stopping.IsCompleted)
        {
            clock.Advance(TimeSpan.FromMilliseconds(100));
            await Task.Yield();
        }
        await stopping;
        await goodbye.Task;
    }

    [Fact]
    public async Task Each_client_is_told_its_own_moment()
    {
        await using var app = await TestApp.StartAsync(options => (options.AllowAnonymous, options.Shutdown.ReconnectSpread) = (true, TimeSpan.FromSeconds(4)));
        var clients = new List<TestClient>();
        for (var i = 0; i < 8; i++) clients.Add(await app.ConnectAsync());

        var stopping = app.StopAsync();
        var moments = new List<int>();
        foreach (var client in clients) moments.Add((await client.NextAsync("server:closing")).GetProperty("reconnectInMs").GetInt32());
        foreach (var client in clients) await client.EndAsync();
        await stopping;

        Assert.Equal([0, 500, 1000, 1500, 2000, 2500, 3000, 3500], moments.Order());
        clients.ForEach(client => client.Dispose());
    }

    [Fact]
    public async Task It_is_done_in_time_although_a_client_never_reads_and_a_goodbye_never_ends()
    {
        await using var app = await TestApp.StartAsync(options => (options.AllowAnonymous, options.Shutdown.Timeout) = (true, TimeSpan.FromSeconds(3)));
        using var silent = await NeverReadsAsync(app);
        var socket = await UntilAsync(() => Task.FromResult(app.Get<SocketServer>().Root.Everyone.Sockets().SingleOrDefault()));
        var text = new string('x', 1_000_000);
        while (app.Get<SocketServer>().Engine.WaitingBytes < 5_000_000) socket.Emit("much", text);
        app.Get<ShutdownTasks>().Add(_ => new TaskCompletionSource().Task);
        app.Get<ShutdownTasks>().Add(_ => throw new InvalidOperationException("a bug"));

        var began = Stopwatch.GetTimestamp();
        await app.StopAsync();

        Assert.InRange(Stopwatch.GetElapsedTime(began), TimeSpan.Zero, TimeSpan.FromSeconds(4));     // what the web server does comes on top
        Assert.Equal(0, app.Get<SocketServer>().Engine.ConnectionCount);
    }

    [Fact]
    public async Task What_waits_leaves_before_the_connection_ends()
    {
        await using var app = await TestApp.StartAsync(options => options.AllowAnonymous = true);
        using var client = await app.ConnectAsync();
        var socket = app.Get<SocketServer>().Root.Everyone.Sockets().Single();
        var text = new string('x', 200_000);
        for (var i = 0; i < 50; i++) socket.Emit("much", text);

        var stopping = app.StopAsync();
        for (var i = 0; i < 50; i++) await client.NextAsync("much");
        await client.NextAsync("server:closing");
        Assert.Null(await client.RawAsync());
        await client.EndAsync();
        await stopping;
    }

    [Theory]
    [InlineData(10, 1, 1, 2, 2, 2, 2, 1)]
    [InlineData(9, 0, 0, 2, 2, 2, 2, 1)]
    public void The_steps_together_take_no_longer_than_they_may(
        double within, double readinessFirst, double readiness, double shutdownTasks, double closing, double flushing, double answers, double saving)
    {
        var options = new ShutdownOptions { Timeout = TimeSpan.FromSeconds(within), ReadinessDelay = TimeSpan.FromSeconds(readinessFirst) };

        var times = ShutdownPhases.Of(options);

        Assert.Equal([readiness, shutdownTasks, closing, flushing, answers, saving],
            new[] { times.Readiness, times.Tasks, times.Closing, times.Flushing, times.Answers, times.Saving }.Select(time => time.TotalSeconds));
    }

    [Theory]
    [InlineData(0, 20)]
    [InlineData(5, 20)]           // a few are no storm
    [InlineData(800, 20)]
    [InlineData(801, 21)]
    [InlineData(100_000, 2500)]
    public void Connections_are_closed_in_steps_that_fit_the_time(int connections, int size) =>
        Assert.Equal(size, ShutdownPhases.Of(new ShutdownOptions()).StepsFor(connections).Size);

    [Fact]
    public void Options_that_cannot_work_are_refused()
    {
        Assert.NotNull(new ShutdownOptions { Timeout = TimeSpan.Zero }.Problem());
        Assert.NotNull(new ShutdownOptions { ReadinessDelay = TimeSpan.FromSeconds(10) }.Problem());
        Assert.NotNull(new ShutdownOptions { ReconnectSpread = TimeSpan.FromSeconds(-1) }.Problem());
        Assert.Null(new ShutdownOptions().Problem());
    }

    [Fact]
    public async Task A_database_that_cannot_be_read_is_not_ready()
    {
        await using var db = new Database(Path.Combine(Path.GetTempPath(), "no-such-folder", "app.db"));
        var gate = new StorageGate();
        gate.Open();
        using var space = new FreeSpace(db, 0, TimeProvider.System, NullLogger<FreeSpace>.Instance);
        var readiness = new Readiness(db, new WriteProbe(db, TimeProvider.System), space, gate, TimeProvider.System);
        var context = new HealthCheckContext { Registration = new("carillon", readiness, HealthStatus.Unhealthy, tags: null) };
        Assert.Equal(HealthStatus.Unhealthy, (await readiness.CheckHealthAsync(context)).Status);
    }

    static async Task<HealthStatus> HealthAsync(TestApp app) =>
        (await app.Get<HealthCheckService>().CheckHealthAsync(check => check.Name == "carillon")).Status;

    static async Task<TcpClient> NeverReadsAsync(TestApp app)
    {
        var client = new TcpClient();
        await client.ConnectAsync(app.Http.BaseAddress!.Host, app.Http.BaseAddress.Port);
        await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes(
            $"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {app.Http.BaseAddress.Authority}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"));
        await client.GetStream().WriteAsync(new byte[] { 0x81, 0x82, 0, 0, 0, 0, (byte)'4', (byte)'0' });
        return client;
    }

    static async Task UntilAsync(Func<Task<bool>> condition) => await UntilAsync(async () => await condition() ? "" : null);

    static async Task<T> UntilAsync<T>(Func<Task<T?>> find) where T : class
    {
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        while (true)
        {
            if (await find() is { } found) return found;
            Assert.False(deadline.IsCancellationRequested, "It never came to be.");
            await Task.Delay(10, CancellationToken.None);
        }
    }
}
