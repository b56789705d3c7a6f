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
    // Whoever connects and says nothing is dropped, as HTTP would.
    static readonly TimeSpan FirstBytesWithin = TimeSpan.FromSeconds(30);
    static readonly TimeSpan RestAfterFailure = TimeSpan.FromMilliseconds(100);

    readonly NetSocket _listener;
    readonly SocketTransportOptions _options;
    readonly DirectRoutes _routes;
    readonly TimeProvider _clock;
    readonly ILogger _logger;
    readonly SocketConnectionContextFactory _toHttp;
    readonly Channel<ConnectionContext> _http = Channel.CreateUnbounded<ConnectionContext>();
    readonly TimerWheel _wheel;
    readonly Task _accepting;
    volatile bool _unbound;

    public DirectListener(NetSocket listener, SocketTransportOptions options, DirectRoutes routes, TimeProvider clock, ILogger logger)
    {
        (_listener, _options, _routes, _clock, _logger) = (listener, options, routes, clock, logger);
        EndPoint = listener.LocalEndPoint!;
        _toHttp = new SocketConnectionContextFactory(new SocketConnectionFactoryOptions
        {
            IOQueueCount = options.IOQueueCount,
            MaxReadBufferSize = options.MaxReadBufferSize,
            MaxWriteBufferSize = options.MaxWriteBufferSize,
            UnsafePreferInlineScheduling = options.UnsafePreferInlineScheduling,
            WaitForDataBeforeAllocatingBuffer = options.WaitForDataBeforeAllocatingBuffer,
        }, logger);
        _wheel = new TimerWheel(clock, TimerWheel.TickFor(FirstBytesWithin));
        _accepting = AcceptClientsAsync();
    }

    public EndPoint EndPoint { get; }

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
                socket = await _listener.AcceptAsync();
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
            new Arrival(this, socket).Wait();
        }
        catch (Exception ex) when (WebSocketConnection.IsCut(ex))
        {
            socket.Dispose();
        }
    }

    void HandOn(NetSocket socket)
    {
        ConnectionContext connection;
        try
        {
            connection = _toHttp.Create(socket);
        }
        catch (Exception ex) when (WebSocketConnection.IsCut(ex))
        {
            socket.Dispose();
            return;
        }
        if (!_http.Writer.TryWrite(connection)) connection.Abort();
    }

    async Task ServeAsync(DirectHandshake handshake, NetSocket socket)
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

    /// <summary>A connection that has said nothing yet. It holds no buffer.</summary>
    sealed class Arrival : TimerWheel.Deadline
    {
        readonly DirectListener _listener;
        readonly NetSocket _socket;
        readonly FirstBytes _firstBytes;

        public Arrival(DirectListener listener, NetSocket socket) => (_listener, _socket, _firstBytes) = (listener, socket, new(this));

        public void Wait()
        {
            _listener._wheel.Set(this, FirstBytesWithin);
            _firstBytes.SetBuffer(Memory<byte>.Empty);
            if (!_socket.ReceiveAsync(_firstBytes)) OnFirstBytes();
        }

        internal override void OnDue() => _socket.Dispose();   // the wait ends with an error

        void OnFirstBytes()
        {
            _listener._wheel.Cancel(this);
            var failed = _firstBytes.SocketError != SocketError.Success;
            _firstBytes.Dispose();
            if (failed)
            {
                _socket.Dispose();
                return;
            }
            try
            {
                if (DirectHandshake.TryTake(_socket, _listener._routes) is { } handshake) _ = _listener.ServeAsync(handshake, _socket);
                else _listener.HandOn(_socket);
            }
            catch (Exception ex) when (WebSocketConnection.IsCut(ex))
            {
                _socket.Dispose();
            }
        }

        sealed class FirstBytes(Arrival arrival) : SocketAsyncEventArgs(unsafeSuppressExecutionContextFlow: true)
        {
            protected override void OnCompleted(SocketAsyncEventArgs e) => arrival.OnFirstBytes();
        }
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "A connection could not be accepted")]
    partial void LogAcceptFailed(Exception error);

    [LoggerMessage(Level = LogLevel.Error, Message = "Serving a connection failed")]
    partial void LogConnectionFailed(Exception error);
}
