using System.Collections.Concurrent;
using System.Net;
using Carillon.Hub;
using Carillon.SocketIO.Sockets;
using Magasin.Data;

namespace Magasin.Connections;

/// <summary>A till that is connected: its name, how, from where, since when.</summary>
internal sealed record TillConnection(string Id, string Nom, string Transport, string? Adresse, string Depuis);

/// <summary>
/// The connected tills, for the test screen: on request, and on a channel after each connect and disconnect. Bursts are sent together.
/// </summary>
internal sealed partial class ConnectedTills(
    SocketServer server, ChannelHub hub, TimeProvider clock, ILogger<ConnectedTills> logger) : BackgroundService
{
    public const string Channel = "magasin:connexions";

    // Hundreds may come back at the same moment; nobody reads that fast.
    static readonly TimeSpan Together = TimeSpan.FromMilliseconds(200);

    readonly ConcurrentDictionary<string, (Socket Socket, string Name, string Since)> here = new();
    readonly SemaphoreSlim changed = new(0);

    public IReadOnlyList<TillConnection> Now =>
        [.. here.Values.OrderBy(one => one.Since, StringComparer.Ordinal).Select(one =>
            new TillConnection(one.Socket.Id, one.Name, one.Socket.Connection.TransportName, Written(one.Socket.Handshake.Address),
                one.Since))];

    public override Task StartAsync(CancellationToken cancellationToken)
    {
        server.Root.OnConnection(socket =>
        {
            here[socket.Id] = (socket, Till.Read(socket.Handshake.Auth) ?? "?", ShopTime.Now(clock));
            changed.Release();
        });
        server.Root.OnDisconnect((socket, _) =>
        {
            here.TryRemove(socket.Id, out var _);
            changed.Release();
        });
        return base.StartAsync(cancellationToken);
    }

    public override void Dispose()
    {
        base.Dispose();      // the loop first, which still runs where the host could not start
        changed.Dispose();
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (!stoppingToken.IsCancellationRequested)
        {
            await changed.WaitAsync(stoppingToken);
            await Task.Delay(Together, clock, stoppingToken);
            while (changed.Wait(0, CancellationToken.None)) { }
            try
            {
                await hub.PublishAsync(Channel, Now, stoppingToken);
            }
            catch (Exception ex) when (!stoppingToken.IsCancellationRequested)
            {
                LogNotTold(logger, ex);   // the whole list is published with the next connect or disconnect; the shop stays open
            }
        }
    }

    /// <summary>An address as people know it: one of IPv4 without the clothes of IPv6.</summary>
    internal static string? Written(IPAddress? address) =>
        (address is { IsIPv4MappedToIPv6: true } ? address.MapToIPv4() : address)?.ToString();

    [LoggerMessage(LogLevel.Warning, "Could not publish the connected tills")]
    static partial void LogNotTold(ILogger logger, Exception ex);
}

internal static class ConnectionsApi
{
    public static void MapConnections(this IEndpointRouteBuilder app) =>
        app.MapGet("/api/connexions", (ConnectedTills present) => Results.Ok(new PageOf<TillConnection>(present.Now, null)));
}
