using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;
using Carillon.SocketIO.Engine;
using Carillon.SocketIO.Limits;
using Carillon.SocketIO.WebSockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.Logging;
using NetSocket = System.Net.Sockets.Socket;

namespace Carillon.SocketIO.Hosting;

/// <summary>Takes connections from one address, looks at the first bytes of each, and serves it or hands it on to HTTP.</summary>
sealed partial class DirectListener : IConnectionListener
{
    static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(250);
    static readonly TimeSpan FullLoggedEvery = TimeSpan.FromMinutes(1);
    const int MostReady = 16 * 1024;
    static readonly TimeSpan RestAfterFailure = TimeSpan.FromMilliseconds(100);

    readonly NetSocket[] _listeners;                       // of one address; the kernel spreads clients over their queues
    readonly SocketTransportOptions _options;
    readonly TcpConnectionLimit _limit;
    readonly TimeProvider _clock;
    readonly ILogger _logger;
    readonly SocketConnectionContextFactory _toHttp;
    readonly Channel<ConnectionContext> _http = Channel.CreateUnbounded<ConnectionContext>();
    readonly ConcurrentQueue<PendingConnection> _ready = new();      // accepted, and their first bytes are there
    bool _isBeginning;
    readonly Task _accepting;
    volatile bool _unbound;
    long _fullLoggedAt;

    public DirectListener(
        NetSocket[] listeners, SocketTransportOptions options, DirectRoutes routes, TcpConnectionLimit limit, TimeProvider clock,
            ILogger logger)
    {
        (_listeners, _options, Routes, _limit, _clock, _logger) = (listeners, options, routes, limit, clock, logger);
        EndPoint = listeners[0].LocalEndPoint!;
        _toHttp = new SocketConnectionContextFactory(new SocketConnectionFactoryOptions
        {
            IOQueueCount = options.IOQueueCount,
            MaxReadBufferSize = options.MaxReadBufferSize,
            MaxWriteBufferSize = options.MaxWriteBufferSize,
            UnsafePreferInlineScheduling = options.UnsafePreferInlineScheduling,
            WaitForDataBeforeAllocatingBuffer = options.WaitForDataBeforeAllocatingBuffer,
        }, logger);
        Wheel = new TimerWheel(clock, Tick, LogConnectionFailed);
        _accepting = Task.WhenAll(listeners.Select(AcceptClientsAsync));
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
        foreach (var listener in _listeners) listener.Dispose();
        await _accepting;
        _http.Writer.TryComplete();
    }

    public async ValueTask DisposeAsync()
    {
        await UnbindAsync();
        _toHttp.Dispose();
    }

    async Task AcceptClientsAsync(NetSocket listener)
    {
        while (!_unbound)
        {
            NetSocket socket;
            try
            {
                var accepting = listener.AcceptAsync();
                // Accept what the kernel has queued before anything is read: when its queue is full, it turns clients away for a
                // second and more.
                // Not here: what they bring about is the application's, and others must not wait for it to be accepted.
                if (!accepting.IsCompleted || _ready.Count >= MostReady) BeginReadySoon();
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
            OnAccepted(socket);
        }
    }

    void OnAccepted(NetSocket socket)
    {
        PendingConnection? arrival = null;
        var (hasPlace, hasArrived) = (false, false);
        var door = Routes.Door;
        IPAddress? address = null;
        try
        {
            socket.NoDelay = _options.NoDelay;
            address = (socket.RemoteEndPoint as IPEndPoint)?.Address;
            hasPlace = _limit.TryTake();
            if (!hasPlace)
            {
                LogFullNowAndThen();
                TurnAway(socket, EngineRefusal.TooManyConnections);
                return;
            }
            if (door?.OnAccepted(address) is { } refusal)
            {
                hasPlace = false;
                _limit.Release();
                TurnAway(socket, EngineRefusal.Of(refusal));
                return;
            }
            hasArrived = true;
            arrival = new PendingConnection(this, door, address, socket);     // it gives the place back from now on
            if (!arrival.Wait()) _ready.Enqueue(arrival);
        }
        catch (Exception ex)
        {
            if (!WebSocketConnection.IsCut(ex)) LogConnectionFailed(ex);
            if (arrival is not null)
            {
                arrival.Drop();
                return;
            }
            socket.Dispose();
            if (hasPlace) _limit.Release();
            if (!hasArrived) return;
            door?.OnAborted(address, unfinished: false);
            door?.Disconnected(address);
        }
    }

    /// <summary>A connection is closed, whatever it has carried.</summary>
    public void Disconnected(IPAddress? address)
    {
        _limit.Release();
        Routes.Door?.Disconnected(address);
    }

    void LogFullNowAndThen()
    {
        var now = _clock.GetTimestamp();
        var last = Volatile.Read(ref _fullLoggedAt);
        if (last != 0 && _clock.GetElapsedTime(last, now) < FullLoggedEvery) return;
        if (Interlocked.CompareExchange(ref _fullLoggedAt, now, last) == last) LogFull(_limit.Limit);
    }

    void BeginReadySoon()
    {
        if (!_ready.IsEmpty && !Interlocked.Exchange(ref _isBeginning, true))
            ThreadPool.UnsafeQueueUserWorkItem(static listener => listener.BeginAllReady(), this, preferLocal: false);
    }

    // Before each of them a work item is queued that goes on with the next: the code of the application runs here and may block, and the
    // other newcomers must not wait for that.
    void BeginAllReady()
    {
        Interlocked.Exchange(ref _isBeginning, false);
        while (_ready.TryDequeue(out var arrival))
        {
            BeginReadySoon();
            Begin(arrival);
        }
    }

    /// <summary>Looks at what a connection has said first.</summary>
    public void Begin(PendingConnection arrival)
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
    static void TurnAway(NetSocket socket, EngineRefusal refusal)
    {
        using (socket)
        {
            if (refusal.NotNow is { Code: Refusal.Banned or Refusal.TooManyConnections })
            {
                socket.Blocking = false;
                socket.Send(DirectHandshake.Refuse(refusal), SocketFlags.None, out _);
                socket.Shutdown(SocketShutdown.Send);
            }
            else
            {
                socket.LingerState = new LingerOption(enable: true, seconds: 0);     // not even the kernel is to remember it
            }
        }
    }

    /// <summary>Lets HTTP serve a connection, of whose first request perhaps a part is there only.</summary>
    public void HandOn(NetSocket socket, IPAddress? address, PendingConnection? unfinished = null)
    {
        var connection = new CountedConnection(_toHttp.Create(socket), this, address);
        unfinished?.GoOnWith(connection);
        if (_http.Writer.TryWrite(connection)) return;
        connection.Abort();
        _ = connection.DisposeAsync().AsTask();
    }

    public async Task ServeAsync(DirectHandshake handshake, NetSocket socket)
    {
        try
        {
            using (socket)
            {
                socket.Blocking = false;      // a send takes what it can and never waits
                using var connection = new DirectConnection(socket, handshake.Engine.Options.MaxPayload, handshake.Deflated);
                var refusal = await handshake.Engine.EnterAsync(handshake.Request);
                if (refusal is null) await handshake.Engine.ServeAsync(connection, handshake.Request, handshake.Accept());
                else await connection.WriteAsync(DirectHandshake.Refuse(refusal));
                // The client is to find our last words before the end, not a reset.
                socket.Shutdown(SocketShutdown.Send);
            }
        }
        catch (Exception ex) when (WebSocketConnection.IsCut(ex))
        {
            // It has gone already.
        }
        catch (Exception ex)
        {
            LogConnectionFailed(ex);
        }
        finally
        {
            Disconnected(handshake.Request.Address);
        }
    }

    [LoggerMessage(Level = LogLevel.Warning,
        Message = "Refused a new connection: {Count} are open, as many as the limit of open files allows. "
            + "Raise it (ulimit -n, LimitNOFILE)")]
    partial void LogFull(int count);

    [LoggerMessage(Level = LogLevel.Debug, Message = "A connection could not be accepted")]
    partial void LogAcceptFailed(Exception error);

    [LoggerMessage(Level = LogLevel.Error, Message = "Serving a connection failed")]
    partial void LogConnectionFailed(Exception error);
}
