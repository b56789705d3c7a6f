using System.Net;
using System.Net.Sockets;
using Carillon.SocketIO.Engine;
using Carillon.SocketIO.Limits;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.HostFiltering;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Primitives;
using NetSocket = System.Net.Sockets.Socket;

namespace Carillon.SocketIO.Hosting;

/// <summary>
/// The socket transport of Kestrel with a door before it: a plain WebSocket handshake of a new client is answered here, on the bare socket,
/// and HTTP never hears of it. Everything
/// else (polling, upgrades of a session, TLS, other paths, anything to refuse) is handed on as it came, not a byte of it read.
/// Before that, whoever is banned or has too many half-open connections is turned away.
/// </summary>
sealed class DirectTransport(DirectRoutes routes, IOptions<SocketTransportOptions> options, TimeProvider clock, ILoggerFactory loggers)
    : IConnectionListenerFactory, IConnectionListenerFactorySelector
{
    public bool CanBind(EndPoint endpoint) => endpoint is IPEndPoint;

    const int Queues = 4;

    readonly Lock _gate = new();
    TcpConnectionLimit? _limit;

    public ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default)
    {
        List<NetSocket> sockets = [];
        try
        {
            sockets.Add(options.Value.CreateBoundListenSocket(endpoint));
            if (OperatingSystem.IsLinux()) AddQueues(sockets);
            foreach (var socket in sockets) socket.Listen(options.Value.Backlog);
        }
        catch (SocketException ex)
        {
            foreach (var socket in sockets) socket.Dispose();
            throw ex.SocketErrorCode == SocketError.AddressAlreadyInUse ? new AddressInUseException(ex.Message, ex) : ex;
        }
        return new(new DirectListener([.. sockets], options.Value, routes, Limit(), clock, loggers.CreateLogger<DirectTransport>()));
    }

    // The kernel keeps at most 4,096 connections in a queue (net.core.somaxconn) and turns the next one away for a second. When 10,000
    // clients
    // come back at once, one queue is not enough. The first socket is bound without SO_REUSEPORT, so that an address in use is still
    // noticed;
    // only then do the others share it.
    static void AddQueues(List<NetSocket> sockets)
    {
        const int socketLevel = 1, reusePort = 15;
        ReadOnlySpan<byte> on = [1, 0, 0, 0];
        var first = sockets[0];
        NetSocket? further = null;
        try
        {
            first.SetRawSocketOption(socketLevel, reusePort, on);
            while (sockets.Count < Queues)
            {
                further = new NetSocket(first.AddressFamily, first.SocketType, first.ProtocolType);
                if (first.AddressFamily == AddressFamily.InterNetworkV6) further.DualMode = first.DualMode;
                further.SetRawSocketOption(socketLevel, reusePort, on);
                further.Bind(first.LocalEndPoint!);
                sockets.Add(further);
                further = null;
            }
        }
        catch (SocketException)
        {
            further?.Dispose();      // a kernel that does not share addresses: the queues that there are do
        }
    }

    // Files are the process's: all addresses that it listens at share one limit.
    TcpConnectionLimit Limit()
    {
        lock (_gate)
        {
            if (_limit is not null) return _limit;
            _limit = new TcpConnectionLimit(routes.Door?.Options.Limits.TcpConnections);
            if (routes.Door is { } door)
                door.Addresses.SocketsPerAddress = TcpConnectionLimit.DerivePerAddress(_limit.Limit, door.Options.Limits);
            return _limit;
        }
    }
}

/// <summary>
/// Which Socket.IO servers stand under which paths, and by which names of the host they are reached (<c>AllowedHosts</c>).
/// </summary>
sealed class DirectRoutes
{
    volatile (string Prefix, EngineServer Engine)[] _routes = [];
    volatile StringSegment[] _hosts;      // none: every one

    public DirectRoutes(IOptionsMonitor<HostFilteringOptions> filtering)
    {
        _hosts = HostsOf(filtering.CurrentValue);
        filtering.OnChange(options => _hosts = HostsOf(options));
    }

    public void Add(string prefix, EngineServer engine)
    {
        lock (this) _routes = [.. _routes, (prefix, engine)];
    }

    /// <summary>
    /// The server whose ledger knows the addresses of connections that have not said yet for which server they are: the first that was
    /// mapped.
    /// </summary>
    public EngineServer? Door => _routes is [var (_, first), ..] ? first : null;

    /// <summary>Whether HTTP would serve a request for a host. What it would refuse is left to it.</summary>
    public bool IsServed(string host) => _hosts is var hosts && (hosts.Length == 0 || HostString.MatchesAny(host, hosts));

    // As the framework's host filtering reads them.
    static StringSegment[] HostsOf(HostFilteringOptions options) =>
        options.AllowedHosts.Any(host => host is "*" or "[::]" or "0.0.0.0")
            ? []
            : [.. options.AllowedHosts.Select(host => (StringSegment)new HostString(host).ToUriComponent())];

    /// <summary>
    /// The server that a request's target belongs to, if its path is the server's to the letter. Longer paths, escapes and dots are for
    /// HTTP to make sense of.
    /// </summary>
    public EngineServer? Find(ReadOnlySpan<char> target)
    {
        foreach (var (prefix, engine) in _routes)
            if (target.StartsWith(prefix, StringComparison.Ordinal) && target[prefix.Length..] is ['?', ..]) return engine;
        return null;
    }
}
