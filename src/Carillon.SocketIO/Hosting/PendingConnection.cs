using System.Net;
using System.Net.Sockets;
using Carillon.SocketIO.Engine;
using Carillon.SocketIO.WebSockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using NetSocket = System.Net.Sockets.Socket;

namespace Carillon.SocketIO.Hosting;

/// <summary>
/// A connection from its acceptance until it is known what it is: until then its address has one more half-open connection. It holds no
/// buffer while it says nothing.
/// </summary>
sealed class PendingConnection : TimerWheel.Deadline
{
    readonly DirectListener _listener;
    readonly EngineServer? _door;
    readonly IPAddress? _address;
    readonly NetSocket _socket;
    readonly FirstReceive _firstBytes;
    ConnectionContext? _http;      // where it went with a part of a request
    bool _isTls;
    bool _isOver;
    bool _isHandedOn;              // its place is given back by what serves it

    public PendingConnection(DirectListener listener, EngineServer? door, IPAddress? address, NetSocket socket) =>
        (_listener, _door, _address, _socket, _firstBytes) = (listener, door, address, socket, new(this));

    /// <summary>Waits for the first bytes. False: they are there already, and the caller says when to look at them.</summary>
    public bool Wait()
    {
        _listener.Wheel.Set(this, Patience);
        try
        {
            _firstBytes.SetBuffer(Memory<byte>.Empty);
            return _socket.ReceiveAsync(_firstBytes);
        }
        catch (Exception ex) when (WebSocketConnection.IsCut(ex))
        {
            Drop();
            return true;
        }
    }

    /// <summary>It goes to HTTP without a whole request, and is half-open until HTTP has seen one.</summary>
    public void GoOnWith(ConnectionContext connection)
    {
        _http = connection;
        connection.Features.Set(this);
        connection.ConnectionClosed.UnsafeRegister(static arrival => ((PendingConnection)arrival!).ComeToNothing(unfinished: false), this);
    }

    /// <summary>It has made a whole request: whoever serves it counts it.</summary>
    public void Settle()
    {
        if (Interlocked.Exchange(ref _isOver, true)) return;
        _listener.Wheel.Cancel(this);
        _door?.OnRequest(_address);
    }

    internal override void OnDue()
    {
        if (_http is not { } http)
        {
            _socket.Dispose();     // the wait ends with an error
        }
        else if (ComeToNothing(unfinished: !_isTls))     // a browser's spare connection is silent inside TLS, which is no offence
        {
            http.Abort(new ConnectionAbortedException("The first request was not finished in time."));
        }
    }

    TimeSpan Patience => _door?.Options.Limits.HandshakeTimeout ?? TimeSpan.FromSeconds(10);

    /// <summary>The first bytes are there, or there is an end.</summary>
    public void OnFirstBytes()
    {
        var failed = _firstBytes.SocketError != SocketError.Success;
        _firstBytes.Dispose();
        if (failed)
        {
            Drop();
            return;
        }
        try
        {
            var handshake = DirectHandshake.TryTake(_socket, _listener.Routes, out var beginning);
            if (handshake is not null || beginning == FirstBytes.Whole) Settle();
            switch (beginning)
            {
                case FirstBytes.Nothing:
                    Drop();
                    break;
                case FirstBytes.Whole when handshake is not null:
                    _isHandedOn = true;
                    _ = _listener.ServeAsync(handshake, _socket);
                    break;
                case FirstBytes.Whole:
                    _listener.HandOn(_socket, _address);
                    _isHandedOn = true;
                    break;
                case FirstBytes.Part:
                case FirstBytes.Tls:
                    _isTls = beginning == FirstBytes.Tls;
                    _listener.Wheel.Set(this, Patience);     // Kestrel waits two minutes for a request after a TLS handshake
                    _listener.HandOn(_socket, _address, this);
                    _isHandedOn = true;
                    break;
            }
        }
        catch (Exception ex) when (WebSocketConnection.IsCut(ex))
        {
            Drop();
        }
    }

    /// <summary>It comes to nothing.</summary>
    public void Drop()
    {
        _socket.Dispose();
        ComeToNothing(unfinished: false);
        if (!Interlocked.Exchange(ref _isHandedOn, true)) _listener.Disconnected(_address);
    }

    bool ComeToNothing(bool unfinished)
    {
        if (Interlocked.Exchange(ref _isOver, true)) return false;
        _listener.Wheel.Cancel(this);
        _door?.OnAborted(_address, unfinished);
        return true;
    }

    sealed class FirstReceive(PendingConnection arrival) : SocketAsyncEventArgs(unsafeSuppressExecutionContextFlow: true)
    {
        protected override void OnCompleted(SocketAsyncEventArgs e) => arrival._listener.Begin(arrival);
    }
}

/// <summary>Notifies connections that were passed to HTTP with part of a request when the request is complete.</summary>
sealed class WholeRequests : IStartupFilter
{
    public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
    {
        app.Use(static (context, next) =>
        {
            context.Features.Get<PendingConnection>()?.Settle();
            return next(context);
        });
        next(app);
    };
}
