using System.Collections.Concurrent;
using System.Text.Json;
using Carillon.Live;
using Carillon.SocketIO;
using Magasin.Base;

namespace Magasin.Connexions;

/// <summary>A till that is connected: its name, how, from where, since when.</summary>
internal sealed record Connexion(string Id, string Nom, string Transport, string? Adresse, string Depuis);

/// <summary>
/// Who is connected, for the test screen: on request, and told on a channel after each coming and going. Many at once are told together.
/// </summary>
internal sealed class QuiEstLa(SocketServer server, LiveChannels live, TimeProvider clock) : BackgroundService
{
    public const string Channel = "magasin:connexions";

    // Hundreds may come back at the same moment; nobody reads that fast.
    static readonly TimeSpan Together = TimeSpan.FromMilliseconds(200);

    readonly ConcurrentDictionary<string, (Socket Socket, string Since)> here = new();
    readonly SemaphoreSlim changed = new(0);

    public IReadOnlyList<Connexion> Now =>
        [.. here.Values.OrderBy(one => one.Since, StringComparer.Ordinal).Select(one =>
            new Connexion(one.Socket.Id, NameOf(one.Socket), one.Socket.Connection.TransportName, one.Socket.Handshake.Address?.MapToIPv4().ToString(), one.Since))];

    public override Task StartAsync(CancellationToken cancellationToken)
    {
        server.Root.OnConnection(socket =>
        {
            here[socket.Id] = (socket, Temps.Maintenant(clock));
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
        changed.Dispose();
        base.Dispose();
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (!stoppingToken.IsCancellationRequested)
        {
            await changed.WaitAsync(stoppingToken);
            await Task.Delay(Together, clock, stoppingToken);
            while (changed.Wait(0, CancellationToken.None)) { }
            await live.PublishAsync(Channel, Now, stoppingToken);
        }
    }

    static string NameOf(Socket socket) =>
        socket.Handshake.Auth.ValueKind == JsonValueKind.Object && socket.Handshake.Auth.TryGetProperty("nom", out var nom) && nom.ValueKind == JsonValueKind.String
            ? Caisse.Read(Uri.EscapeDataString(nom.GetString()!)) ?? "?"
            : "?";
}

internal static class ConnexionsApi
{
    public static void MapConnexions(this IEndpointRouteBuilder app) =>
        app.MapGet("/api/connexions", (QuiEstLa present) => Results.Ok(new Liste<Connexion>(present.Now, null)));
}
