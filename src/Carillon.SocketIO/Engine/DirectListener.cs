using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.Logging;
using NetSocket = System.Net.Sockets.Socket;

namespace Carillon.SocketIO;

/// <summary>Takes connections from one address, looks at the first bytes of each, and serves it or hands it on to HTTP.</summary>
sealed partial class DirectListener : IConnectionListener
{
    static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(250);
    const int MostReady = 1024;
    static readonly TimeSpan RestAfterFailure = TimeSpan.FromMilliseconds(100);

    readonly NetSocket _listener;
    readonly SocketTransportOptions _options;
    readonly TimeProvider _clock;
    readonly ILogger _logger;
    readonly SocketConnectionContextFactory _toHttp;
    readonly Channel<ConnectionContext> _http = Channel.CreateUnbounded<ConnectionContext>();
    readonly ConcurrentQueue<Arrival> _ready = new();      // accepted, and their first bytes are there
    bool _isBeginning;
    readonly Task _accepting;
    volatile bool _unbound;

    public DirectListener(NetSocket listener, SocketTransportOptions options, DirectRoutes routes, TimeProvider clock, ILogger logger)
    {
        (_listener, _options, Routes, _clock, _logger) = (listener, options, routes, clock, logger);
        EndPoint = listener.LocalEndPoint!;
        _toHttp = new SocketConnectionContextFactory(new SocketConnectionFactoryOptions
        {
            IOQueueCount = options.IOQueueCount,
            MaxReadBufferSize = options.MaxReadBufferSize,
            MaxWriteBufferSize = options.MaxWriteBufferSize,
            UnsafePreferInlineScheduling = options.UnsafePreferInlineScheduling,
            WaitForDataBeforeAllocatingBuffer = options.WaitForDataBeforeAllocatingBuffer,
        }, logger);
        Wheel = new TimerWheel(clock, Tick, LogConnectionFailed);
        _accepting = AcceptClientsAsync();
    }

    public EndPoint EndPoint { get; }

    public DirectRoutes Routes { get; }

    /// <summary>How long whoever arrives may take.</summary>
    public TimerWheel Wheel { get; }

    public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default) =>
        await _http.Reader.WaitToReadAsync(cancellationToken) && _http.Reader.TryRead(out var connection) ? connection : null;

    public async ValueTask UnbindAsync(CancellationToken cancellationToken = default)
    {
        _unbound = true;
        _listener.Dispose();
        await _accepting;
        _http.Writer.TryComplete();
    }

    public async ValueTask DisposeAsync()
    {
        await UnbindAsync();
        _toHttp.Dispose();
    }

    async Task AcceptClientsAsync()
    {
        while (!_unbound)
        {
            NetSocket socket;
            try
            {
                var accepting = _listener.AcceptAsync();
                // Whom the kernel has queued comes before who has something to say: when its queue is full, it turns clients away for a second and more.
                // Not here: what they bring about is the application's, and others must not wait for it to be accepted.
                if ((!accepting.IsCompleted || _ready.Count >= MostReady) && !_ready.IsEmpty && !Interlocked.Exchange(ref _isBeginning, true))
                    ThreadPool.UnsafeQueueUserWorkItem(static listener => listener.BeginReady(), this, preferLocal: true);
                socket = await accepting;
            }
            catch (Exception ex) when (ex is SocketException or ObjectDisposedException)
            {
                if (_unbound) return;
                // A client that left before we looked, or no more files to open: others must not wait for it, nor the processor burn.
                LogAcceptFailed(ex);
                if (ex is SocketException { SocketErrorCode: not SocketError.ConnectionReset }) await Task.Delay(RestAfterFailure, _clock);
                continue;
            }
            Greet(socket);
        }
    }

    void Greet(NetSocket socket)
    {
        try
        {
            socket.NoDelay = _options.NoDelay;
            var address = (socket.RemoteEndPoint as IPEndPoint)?.Address;
            var door = Routes.Door;
            if (door?.Arrive(address) is { } refusal)
            {
                TurnAway(socket, refusal);
                return;
            }
            var arrival = new Arrival(this, door, address, socket);
            if (!arrival.Wait()) _ready.Enqueue(arrival);
        }
        catch (Exception ex)
        {
            if (!WebSocketConnection.IsCut(ex)) LogConnectionFailed(ex);
            socket.Dispose();
        }
    }

    void BeginReady()
    {
        do
        {
            while (_ready.TryDequeue(out var arrival)) Begin(arrival);
            Volatile.Write(ref _isBeginning, false);
        }
        while (!_ready.IsEmpty && !Interlocked.Exchange(ref _isBeginning, true));
    }

    /// <summary>Looks at what a connection has said first.</summary>
    public void Begin(Arrival arrival)
    {
        try
        {
            arrival.OnFirstBytes();
        }
        catch (Exception ex)
        {
            LogConnectionFailed(ex);     // one connection, and nobody else's
            arrival.Drop();
        }
    }

    // Nothing of its request is read, nor waited for: before it may be a TLS handshake, which costs more than all else.
    static void TurnAway(NetSocket socket, Refusal refusal)
    {
        using (socket)
        {
            if (refusal.Code == Refusal.Banned)
            {
                socket.Blocking = false;
                socket.Send(DirectHandshake.Refuse(EngineRefusal.Of(refusal)), SocketFlags.None, out _);
                socket.Shutdown(SocketShutdown.Send);
            }
            else
            {
                socket.LingerState = new LingerOption(enable: true, seconds: 0);     // not even the kernel is to remember it
            }
        }
    }

    /// <summary>Lets HTTP serve a connection, of whose first request perhaps a part is there only.</summary>
    public void HandOn(NetSocket socket, Arrival? unfinished = null)
    {
        var connection = _toHttp.Create(socket);
        unfinished?.GoOnWith(connection);
        if (!_http.Writer.TryWrite(connection)) connection.Abort();
    }

    public async Task ServeAsync(DirectHandshake handshake, NetSocket socket)
    {
        using (socket)
        {
            try
            {
                socket.Blocking = false;      // a send takes what it can and never waits
                using var connection = new DirectConnection(socket, handshake.Engine.Options.MaxPayload, handshake.Deflated);
                var refusal = await handshake.Engine.EnterAsync(handshake.Request);
                if (refusal is null) await handshake.Engine.ServeAsync(connection, handshake.Request, handshake.Accept());
                else await connection.WriteAsync(DirectHandshake.Refuse(refusal));
                // The client is to find our last words before the end, not a reset.
                socket.Shutdown(SocketShutdown.Send);
            }
            catch (Exception ex) when (WebSocketConnection.IsCut(ex))
            {
                // It has gone already.
            }
            catch (Exception ex)
            {
                LogConnectionFailed(ex);
            }
        }
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "A connection could not be accepted")]
    partial void LogAcceptFailed(Exception error);

    [LoggerMessage(Level = LogLevel.Error, Message = "Serving a connection failed")]
    partial void LogConnectionFailed(Exception error);
}
