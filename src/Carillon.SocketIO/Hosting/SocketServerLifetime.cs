using Carillon.SocketIO.Engine;
using Carillon.SocketIO.Sockets;
using Microsoft.Extensions.Hosting;

namespace Carillon.SocketIO.Hosting;

/// <summary>
/// Closes the connections when the application stops: before the web server waits for its requests, which polls and WebSockets are, and
/// after whatever the application itself does while it
/// is stopping. For that it must not listen to <c>ApplicationStopping</c>, which a signal raises at once; services that are registered
/// later stop earlier.
/// </summary>
sealed class SocketServerLifetime(SocketServer server) : IHostedLifecycleService
{
    public Task StoppingAsync(CancellationToken cancellationToken)
    {
        server.Engine.Close(DisconnectReason.ServerShuttingDown);
        return Task.CompletedTask;
    }

    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
