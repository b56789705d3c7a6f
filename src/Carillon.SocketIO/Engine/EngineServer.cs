using System.Collections.Concurrent;
using System.IO.Compression;
using System.Net;
using System.Text;
using System.Text.Json;
using Carillon.SocketIO.Diagnostics;
using Carillon.SocketIO.Limits;
using Carillon.SocketIO.WebSockets;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Carillon.SocketIO.Engine;

/// <summary>
/// An Engine.IO server (protocol 4): it opens sessions over long-polling and WebSocket, moves them from one to the other, and finds the
/// session
/// that a request belongs to. Socket.IO stands on top of it; it can be used by itself for plain messages.
/// </summary>
public sealed partial class EngineServer
{
    readonly ConcurrentDictionary<string, EngineSocket> _sessions = new();
    readonly Action<EngineSocket> _connected;
    readonly ILogger _logger;
    readonly NetworkList _proxies;
    int _places;      // taken by connections, from their admission to their end
    volatile bool _closed;         // to newcomers
    volatile string? _ended;       // the reason with which all connections were closed

    /// <summary>Creates a server. It does nothing until it is mapped to a path.</summary>
    /// <param name="options">Transports, heartbeat and limits; checked here.</param>
    /// <param name="connected">Called for each new connection, before anything it sent is read: set its callbacks here.</param>
    /// <param name="clock">The time; the system's where left out.</param>
    /// <param name="logger">The log of connections, at Debug; none if omitted.</param>
    /// <exception cref="InvalidOperationException">An option has a value that cannot work; the message says which.</exception>
    public EngineServer(EngineOptions options, Action<EngineSocket> connected, TimeProvider? clock = null, ILogger? logger = null)
    {
        options.Validate();
        Options = options;
        _connected = connected;
        Clock = clock ?? TimeProvider.System;
        _logger = logger ?? NullLogger.Instance;
        Wheel = new TimerWheel(
            Clock, TimerWheel.TickFor(options.PingInterval, options.MinPingTimeout ?? options.PingTimeout), LogDeadlineFailed);
        _proxies = new NetworkList(options.Limits.TrustedProxies, nameof(options.Limits.TrustedProxies));
        Addresses = new AddressLimiter(options.Limits, Clock, _logger);
        Accounts = new Accounts(options.Limits, Clock);
        RateLimits = new RateLimits(options.Limits, Clock);
        Buffers = new BufferBudget(BufferBudget.LimitOf(options.Limits.MaxBufferedBytes), BeginShedding, WatchReaders);
        Memory = new MemoryWatch(options.Limits.MemoryThreshold, Clock, _logger);
        ServerGauges.Watch(this);
    }

    /// <summary>The settings.</summary>
    public EngineOptions Options { get; }

    /// <summary>The counts and bans of addresses.</summary>
    public AddressLimiter Addresses { get; }

    /// <summary>How many connections are open.</summary>
    public int ConnectionCount => _sessions.Count;

    /// <summary>
    /// Whether the process holds more memory than it should: new connections are refused, and what matters least is to be dropped.
    /// </summary>
    public bool IsShortOfMemory => IsOverBuffered || Memory.IsOver;

    /// <summary>
    /// Whether all connections together hold more than they may (<see cref="LimitOptions.MaxBufferedBytes"/>): the largest holders are
    /// being closed, and whatever adds to it should be
    /// refused with the code <c>unavailable</c>.
    /// </summary>
    public bool IsOverBuffered => Buffers.IsExceeded;

    /// <summary>
    /// How many bytes all connections together hold: messages that wait or are half received, arguments of unfinished handlers, and events
    /// that are kept for recovery.
    /// </summary>
    public long BufferedBytes => Buffers.Held;

    /// <summary>How many bytes all connections together may hold; <see langword="null"/> where there is no limit.</summary>
    public long? MaxBufferedBytes => Buffers.Limit;

    /// <summary>From how many bytes of managed memory on that is; <see langword="null"/> where it is not watched.</summary>
    public long? MemoryThreshold => Memory.Threshold;

    internal TimeProvider Clock { get; }

    internal ILogger Logger => _logger;

    /// <summary>The deadlines of all connections.</summary>
    internal TimerWheel Wheel { get; }

    internal string? Ended => _ended;

    internal Accounts Accounts { get; }

    internal RateLimits RateLimits { get; }

    internal MemoryWatch Memory { get; }

    internal BufferBudget Buffers { get; }

    /// <summary>How many bytes one message may have, and how many may wait, while a connection has not joined.</summary>
    internal int MaxBytesBeforeJoin { get; init; } = int.MaxValue;

    /// <summary>Gives up what is kept for later, oldest first, while a condition holds and more than a number of bytes is kept.</summary>
    internal Action<Func<bool>, long>? ForgetKept { get; init; }

    /// <summary>Called each time that a ping was answered.</summary>
    internal Action<EngineSocket>? LatencyMeasured { get; init; }

    /// <summary>Whether connections have something to join after they were let in. Until then they are half-open.</summary>
    internal bool AwaitsJoin { get; init => field = Addresses.AwaitsJoin = value; }

    /// <summary>How many bytes wait for clients, over all connections: zero once all that was sent has left.</summary>
    public long WaitingBytes => _sessions.Values.Sum(session => (long)session.Waiting);

    /// <summary>
    /// Lets no new client in any more: handshakes are answered with 503, the code <c>server-closing</c> and when to come back. Connections
    /// that are open go on, with their polls and
    /// upgrades.
    /// </summary>
    public void StopAccepting() => _closed = true;

    /// <summary>Closes every connection and refuses new ones.</summary>
    /// <param name="reason">The reason that <see cref="EngineSocket.Closed"/> receives.</param>
    public void Close(string reason = DisconnectReason.ForcedClose)
    {
        StopAccepting();
        _ended = reason;
        foreach (var session in _sessions.Values) session.Drop(reason);
    }

    internal EngineSocket? Find(string id) => _sessions.GetValueOrDefault(id);

    /// <summary>The connections that are open, as of a moment ago, in no order.</summary>
    public IEnumerable<EngineSocket> Connections => _sessions.Values;

    /// <summary>A ping was answered: notifies the layer above, then the application.</summary>
    internal void OnLatency(EngineSocket session)
    {
        try
        {
            LatencyMeasured?.Invoke(session);
            Options.OnLatency?.Invoke(session);
        }
        catch (Exception ex)
        {
            LogHandlerFailed(ex, session.Id);
            session.Drop(DisconnectReason.TransportError);
        }
    }

    internal void Remove(EngineSocket session)
    {
        // Given back first: whoever sees that the connection is gone finds its share free.
        session.EndCounting();
        if (_sessions.TryRemove(KeyValuePair.Create(session.Id, session))) Interlocked.Decrement(ref _places);
    }

    /// <summary>
    /// Decides about each accepted connection before anything is read. Unless it is refused, it is half-open until <see cref="OnRequest"/>
    /// or <see cref="OnAborted"/>. The address of a trusted proxy is not limited: its clients are known only from the request.
    /// </summary>
    internal Refusal? OnAccepted(IPAddress? address)
    {
        var refusal = address is null || IsTrustedProxy(address) ? null : Addresses.OnAccepted(address);
        if (refusal is not null) Meters.Refused.Add(1, Meters.Code(refusal.Code));
        return refusal;
    }

    /// <summary>A connection that arrived has been closed.</summary>
    internal void Disconnected(IPAddress? address)
    {
        if (address is not null && !IsTrustedProxy(address)) Addresses.Disconnected(address);
    }

    /// <summary>A connection has made a whole request: whoever serves it counts it.</summary>
    internal void OnRequest(IPAddress? address)
    {
        if (address is not null && !IsTrustedProxy(address)) Addresses.OnRequest(address);
    }

    /// <summary>A connection ended without a whole request.</summary>
    /// <param name="address">Where it came from.</param>
    /// <param name="unfinished">Whether it had begun one and was ended because it took too long, which counts against the address.</param>
    internal void OnAborted(IPAddress? address, bool unfinished)
    {
        if (address is null || IsTrustedProxy(address)) return;
        Addresses.OnAborted(address);
        if (unfinished) Addresses.Refused(address);
    }

    /// <summary>
    /// The first question for each new client, before anything is done for its request: is there room for it, and does its address get its
    /// fair share? Who is not
    /// refused takes a place, and gives it back by <see cref="Leave"/>, or with the end of the session that is opened for it.
    /// </summary>
    /// <param name="address">Where the client is.</param>
    /// <param name="webSocket">Whether it asks for a WebSocket, which no image of a page does.</param>
    internal EngineRefusal? Enter(IPAddress? address, bool webSocket)
    {
        var refusal = Admit(address, webSocket, out var displaced);
        (displaced as EngineSocket)?.Drop(DisconnectReason.TransportClose);
        if (refusal is not null) Meters.Refused.Add(1, Meters.Code(refusal.Message));
        return refusal;
    }

    EngineRefusal? Admit(IPAddress? address, bool webSocket, out object? displaced)
    {
        displaced = null;
        if (_closed) return EngineRefusal.ServerClosing;
        if (!TryTakePlace()) return EngineRefusal.TooManyConnections;
        var refusal = IsShortOfMemory ? EngineRefusal.ShortOfMemory
            : (webSocket ? Addresses.AdmitWebSocket(address, out displaced) : Addresses.AdmitRequest(address, out displaced)) is { } notNow
                ? EngineRefusal.Of(notNow)
            : null;
        if (refusal is not null) Interlocked.Decrement(ref _places);
        return refusal;
    }

    /// <summary>Gives back the place of a client for whom no session was opened.</summary>
    /// <param name="address">The address that entered.</param>
    /// <param name="refused">Whether its handshake was refused.</param>
    /// <param name="webSocket">Whether it asked for a WebSocket: then a refusal counts against the address.</param>
    internal void Leave(IPAddress? address, bool refused, bool webSocket)
    {
        Addresses.Closed(address, halfOpen: true);
        if (refused)
        {
            if (webSocket) Addresses.Refused(address);
            Meters.Refused.Add(1, Meters.Code("refused"));
        }
        Interlocked.Decrement(ref _places);
    }

    /// <summary>
    /// Whether an address is that of a proxy whose word on the client's address is believed; only HTTP reads what it says.
    /// </summary>
    internal bool IsTrustedProxy(IPAddress address) => _proxies.Contains(address);

    bool TryTakePlace()
    {
        while (Volatile.Read(ref _places) is var taken && taken < Options.MaxConnections)
            if (Interlocked.CompareExchange(ref _places, taken + 1, taken) == taken) return true;
        return false;
    }

    /// <summary>For a client that HTTP does not see: enters, and asks the application. Who is not refused is to be served.</summary>
    internal async ValueTask<EngineRefusal?> EnterAsync(Handshake handshake)
    {
        if (Enter(handshake.Address, webSocket: true) is { } notNow) return notNow;
        EngineRefusal? refusal = null;
        var ready = false;
        try
        {
            refusal = await AdmitAsync(handshake);
            ready = refusal is null;
        }
        finally
        {
            if (!ready) Leave(handshake.Address, refused: refusal is not null, webSocket: true);
        }
        return refusal;
    }

    /// <summary>Asks the application whether it lets a client in.</summary>
    internal async ValueTask<EngineRefusal?> AdmitAsync(Handshake handshake) =>
        Options.AllowRequest is { } allow && await allow(handshake) is { } reason ? EngineRefusal.Forbidden(reason) : null;

    /// <summary>Opens a session for a client of long-polling, which has entered.</summary>
    /// <returns>The session, and the packet that opens it.</returns>
    internal (EngineSocket Session, SharedFrame Open) OpenPolling(Handshake handshake)
    {
        var session = Open(handshake, webSocket: false);
        session.IdlePlace = Addresses.AddIdle(handshake.Address, session);
        try
        {
            _connected(session);
        }
        catch
        {
            session.Drop(DisconnectReason.TransportError);   // nobody else knows of it yet
            throw;
        }
        session.StartHeartbeat();
        return (session, OpenPacket(session, Options.AllowUpgrades && Options.AllowWebSocket));
    }

    /// <summary>Whether clients may be accepted before HTTP sees them: the application adds no headers to the answer.</summary>
    internal bool TakesDirect => Options is { AllowWebSocket: true, OnHandshakeResponse: null };

    /// <summary>
    /// Serves a new client over a WebSocket, until it ends. The client has entered; its place is its session's from now on. The answer to
    /// its request, where it has not left
    /// yet, leaves with the first packet.
    /// </summary>
    internal Task ServeAsync(WebSocketConnection connection, Handshake handshake, byte[] accept)
    {
        var session = Open(handshake, webSocket: true);
        var open = OpenPacket(session, upgrades: false);
        return session.ServeWebSocketAsync(connection, accept.Length == 0 ? open
            : SharedFrame.OfBytes([.. accept, .. open.WebSocket]), _connected);
    }

    EngineSocket Open(Handshake handshake, bool webSocket)
    {
        var session = new EngineSocket(this, handshake, webSocket, base64: handshake.QueryValue("b64") is { Length: > 0 });
        if (!AwaitsJoin) session.CountAsJoined();
        session.HoldHandshake();
        _sessions[session.Id] = session;
        Meters.Handshakes.Add(1, Meters.Transport(session.TransportName));
        LogOpened(session.Id, session.TransportName);
        return session;
    }

    SharedFrame OpenPacket(EngineSocket session, bool upgrades)
    {
        var interval = (long)Options.PingInterval.TotalMilliseconds;
        var timeout = (long)(Options.MinPingTimeout ?? Options.PingTimeout).TotalMilliseconds;
        // The session's id is URL-safe text: nothing in it needs escaping.
        return SharedFrame.OfText(Encoding.ASCII.GetBytes(
            $$"""0{"sid":"{{session.Id}}","upgrades":{{(upgrades ? "[\"websocket\"]" : "[]")}},"pingInterval":{{interval}},"""
            + $"\"pingTimeout\":{timeout},\"maxPayload\":{Options.MaxPayload}}}"));
    }

    /// <summary>Compresses the answer to a poll, where the client takes it and it is worth it.</summary>
    internal ReadOnlyMemory<byte> Encode(HttpContext context, ReadOnlyMemory<byte> payload, bool mayCompress)
    {
        if (!mayCompress || Options.CompressionThreshold <= 0 || payload.Length < Options.CompressionThreshold
            || ContentCoding.Choose(
                context.Request.Headers.AcceptEncoding.ToString(), "gzip", "deflate") is not { } encoding) return payload;
        context.Response.Headers.ContentEncoding = encoding;
        context.Response.Headers.Append("Vary", "Accept-Encoding");
        return Compress(payload.Span, encoding);
    }

    /// <summary>Answers a poll.</summary>
    internal static async Task WriteAnswerAsync(HttpContext context, ReadOnlyMemory<byte> payload)
    {
        var response = context.Response;
        response.ContentType = "text/plain; charset=UTF-8";
        response.Headers.CacheControl = "no-store";
        Meters.BytesSent.Add(payload.Length);
        response.ContentLength = payload.Length;
        await response.Body.WriteAsync(payload, context.RequestAborted);
    }

    static ReadOnlyMemory<byte> Compress(ReadOnlySpan<byte> payload, string encoding)
    {
        var target = new MemoryStream(payload.Length / 2);
        using (Stream stream = encoding == "gzip"
            ? new GZipStream(target, CompressionLevel.Fastest, leaveOpen: true)
            : new ZLibStream(target, CompressionLevel.Fastest, leaveOpen: true))
            stream.Write(payload);
        return target.GetBuffer().AsMemory(0, (int)target.Length);
    }
}
