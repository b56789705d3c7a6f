using System.Security.Cryptography;
using Carillon.Features;
using Carillon.SocketIO.Engine;
using Carillon.SocketIO.Sockets;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Carillon.Hosting;

/// <summary>
/// How the server stops: readiness fails first, nobody new is let in, every client is told when to come back, others say goodbye, and the
/// connections are closed bit by bit. Clients see <c>transport close</c>, after which stock clients come back by themselves. When it is
/// done the Socket.IO server cuts who is left, and <see cref="HistoryHandover"/> comes last.
/// </summary>
internal sealed partial class Shutdown(
    SocketServer io, Readiness readiness, ShutdownTasks shutdownTasks, IOptions<CarillonOptions> options, TimeProvider clock,
        ILogger<Shutdown> logger) : IHostedLifecycleService
{
    static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(20);

    readonly ShutdownOptions _options = options.Value.Shutdown;
    readonly ShutdownPhases _times = ShutdownPhases.Of(options.Value.Shutdown);

    public async Task StoppingAsync(CancellationToken cancellationToken)
    {
        if (readiness.IsStopping) return;      // stopped twice: by a signal, and by the application
        readiness.Stop();
        LogBegan(io.Engine.ConnectionCount, _options.Timeout.TotalSeconds);
        try
        {
            // On another thread, because handlers that hear of the ends may block it.
            await Task.Run(() =>
                TakeLeaveAsync(cancellationToken), CancellationToken.None).WaitAsync(_times.UntilClosed, clock, cancellationToken);
        }
        catch (Exception ex) when (ex is TimeoutException or OperationCanceledException)
        {
            LogNotInTime(io.Engine.ConnectionCount);
        }
    }

    async Task TakeLeaveAsync(CancellationToken ct)
    {
        await WaitAsync(_times.Readiness, ct);
        io.Engine.StopAccepting();
        TellClients();
        await SayGoodbyesAsync(ct);
        await CloseConnectionsAsync(ct);
        await FlushAsync(ct);
    }

    void TellClients()
    {
        var clients = io.Root.Everyone.Sockets().ToArray();
        // The order in which they came says something about them: who came first would always be first.
        RandomNumberGenerator.Shuffle(clients.AsSpan());
        for (var i = 0; i < clients.Length; i++)
            clients[i].Emit("server:closing",
                new { reconnectInMs = ShutdownPhases.ReconnectInMs(i, clients.Length, _options.ReconnectSpread) });
        LogTold(clients.Length, _options.ReconnectSpread.TotalSeconds);
    }

    async Task SayGoodbyesAsync(CancellationToken ct)
    {
        using var time = CancellationTokenSource.CreateLinkedTokenSource(ct);
        try
        {
            await Task.WhenAll(shutdownTasks.All.Select(goodbye => SayAsync(goodbye, time.Token))).WaitAsync(_times.Tasks, clock, ct);
        }
        catch (Exception ex) when (ex is TimeoutException or OperationCanceledException)
        {
            await time.CancelAsync();
            LogTasksTimedOut(_times.Tasks.TotalSeconds);
        }
    }

    async Task SayAsync(Func<CancellationToken, Task> goodbye, CancellationToken ct)
    {
        try
        {
            await Task.Run(() => goodbye(ct), ct);
        }
        catch (Exception ex)
        {
            LogGoodbyeFailed(ex);     // one feature's, and not the others'
        }
    }

    // A client that does not know server:closing comes back a moment after its connection has ended: the ends are spread for their sake.
    async Task CloseConnectionsAsync(CancellationToken ct)
    {
        var connections = io.Engine.Connections.ToArray();
        RandomNumberGenerator.Shuffle(connections.AsSpan());
        var (size, pause) = _times.StepsFor(connections.Length);
        for (var i = 0; i < connections.Length; i++)
        {
            if (i > 0 && i % size == 0) await WaitAsync(pause, ct);
            connections[i].Close(DisconnectReason.ServerShuttingDown);
        }
    }

    // A connection ends when all that waits for it has left.
    async Task FlushAsync(CancellationToken ct)
    {
        var began = clock.GetTimestamp();
        while (io.Engine.ConnectionCount > 0 && clock.GetElapsedTime(began) < _times.Flushing && !ct.IsCancellationRequested)
        {
            // One that was let in just before the door was closed may have come since.
            foreach (var connection in io.Engine.Connections) connection.Close(DisconnectReason.ServerShuttingDown);
            await WaitAsync(LookEvery, ct);
        }
        LogClosed(io.Engine.ConnectionCount, io.Engine.WaitingBytes);
    }

    async Task WaitAsync(TimeSpan time, CancellationToken ct) =>
        await Task.Delay(time, clock, ct).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);

    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
