using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using NetSocket = System.Net.Sockets.Socket;

namespace Carillon.SocketIO;

/// <summary>
/// The socket transport of Kestrel with a door before it: a plain WebSocket handshake of a new client is answered here, on the bare socket, and HTTP never hears of it. Everything
/// else (polling, upgrades of a session, TLS, other paths, anything to refuse) is handed on as it came, not a byte of it read.
/// Before that, whoever is banned or has too many half-open connections is turned away.
/// </summary>
sealed class DirectTransport(DirectRoutes routes, IOptions<SocketTransportOptions> options, TimeProvider clock, ILoggerFactory loggers)
    : IConnectionListenerFactory, IConnectionListenerFactorySelector
{
    public bool CanBind(EndPoint endpoint) => endpoint is IPEndPoint;

    public ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default)
    {
        NetSocket? socket = null;
        try
        {
            socket = options.Value.CreateBoundListenSocket(endpoint);
            socket.Listen(options.Value.Backlog);
        }
        catch (SocketException ex)
        {
            socket?.Dispose();
            throw ex.SocketErrorCode == SocketError.AddressAlreadyInUse ? new AddressInUseException(ex.Message, ex) : ex;
        }
        return new(new DirectListener(socket, options.Value, routes, clock, loggers.CreateLogger<DirectTransport>()));
    }
}

/// <summary>Which Socket.IO servers stand under which paths.</summary>
sealed class DirectRoutes
{
    volatile (string Prefix, EngineServer Engine)[] _routes = [];

    public void Add(string prefix, EngineServer engine)
    {
        lock (this) _routes = [.. _routes, (prefix, engine)];
    }

    /// <summary>The server whose ledger knows the addresses of connections that have not said yet for which server they are: the first that was mapped.</summary>
    public EngineServer? Door => _routes is [var (_, first), ..] ? first : null;

    /// <summary>The server that a request's target belongs to, if its path is the server's to the letter. Longer paths, escapes and dots are for HTTP to make sense of.</summary>
    public EngineServer? Find(ReadOnlySpan<char> target)
    {
        foreach (var (prefix, engine) in _routes)
            if (target.StartsWith(prefix, StringComparison.Ordinal) && target[prefix.Length..] is ['?', ..]) return engine;
        return null;
    }
}
