using System.Collections.Concurrent;
using System.IO.Compression;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Carillon.SocketIO;

/// <summary>
/// An Engine.IO server (protocol 4): it opens sessions over long-polling and WebSocket, moves them from one to the other, and finds the session
/// that a request belongs to. Socket.IO stands on top of it; it can be used by itself for plain messages.
/// </summary>
public sealed partial class EngineServer
{
    readonly ConcurrentDictionary<string, EngineSocket> _sessions = new();
    readonly Action<EngineSocket> _connected;
    readonly ILogger _logger;
    volatile bool _stopping;

    /// <summary>Creates a server. It does nothing until it is mapped to a path.</summary>
    /// <param name="options">Transports, heartbeat and limits; checked here.</param>
    /// <param name="connected">Called for each new connection, before anything it sent is read: set its callbacks here.</param>
    /// <param name="clock">The time; the system's where left out.</param>
    /// <param name="logger">Where the life of connections is told, at Debug; nowhere where left out.</param>
    /// <exception cref="InvalidOperationException">An option has a value that cannot work; the message says which.</exception>
    public EngineServer(EngineOptions options, Action<EngineSocket> connected, TimeProvider? clock = null, ILogger? logger = null)
    {
        options.Validate();
        Options = options;
        _connected = connected;
        Clock = clock ?? TimeProvider.System;
        _logger = logger ?? NullLogger.Instance;
        Wheel = new TimerWheel(Clock, TimerWheel.TickFor(options.PingInterval, options.PingTimeout));
    }

    /// <summary>The settings.</summary>
    public EngineOptions Options { get; }

    /// <summary>How many connections are open.</summary>
    public int ConnectionCount => _sessions.Count;

    internal TimeProvider Clock { get; }

    /// <summary>The deadlines of all connections.</summary>
    internal TimerWheel Wheel { get; }

    internal bool IsStopping => _stopping;

    /// <summary>Closes every connection with the reason <c>server shutting down</c> and refuses new ones.</summary>
    public void Close()
    {
        _stopping = true;
        foreach (var session in _sessions.Values) session.Drop(DisconnectReason.ServerShuttingDown);
    }

    internal void Remove(EngineSocket session) => _sessions.TryRemove(KeyValuePair.Create(session.Id, session));

    /// <summary>Serves one request under the server's path.</summary>
    internal async Task HandleAsync(HttpContext context)
    {
        var request = context.Request;
        if (HttpMethods.IsOptions(request.Method) && Options.AllowedOrigins.Count > 0)
        {
            Origins.AnswerPreflight(context);
            return;
        }

        var upgrade = Admission.AsksForWebSocket(request);
        var refusal = Admission.Check(request, Options, upgrade, id => _sessions.GetValueOrDefault(id), out var session);
        if (refusal is null && upgrade && !Admission.IsValidWebSocketRequest(request)) refusal = EngineRefusal.BadRequest;
        if (refusal is not null)
            await RefuseAsync(context, refusal, upgrade);
        else if (session is null)
            await ShakeHandsAsync(context, upgrade);
        else if (upgrade)
            await session.ServeUpgradeAsync(() => StreamConnection.AcceptAsync(context, Options.MaxPayload));
        else if (HttpMethods.IsGet(request.Method))
            await session.ServePollAsync(context);
        else if (HttpMethods.IsPost(request.Method))
            await session.ServePostAsync(context);
        else
            await RefuseAsync(context, EngineRefusal.BadHandshakeMethod, upgrade: false);
    }

    async Task ShakeHandsAsync(HttpContext context, bool webSocket)
    {
        var handshake = new Handshake(context, Clock.GetUtcNow());
        var refusal = await AdmitAsync(handshake) ?? Admission.CheckVersion(context.Request) ?? (HasRoom ? null : EngineRefusal.TooManyConnections);
        if (refusal is not null)
            await RefuseAsync(context, refusal, webSocket);
        else if (webSocket)
            await OpenWebSocketAsync(context, handshake);
        else
            await OpenPollingAsync(context, handshake);
    }

    /// <summary>Asks the application whether it lets a client in.</summary>
    internal async ValueTask<EngineRefusal?> AdmitAsync(Handshake handshake) =>
        Options.AllowRequest is { } allow && await allow(handshake) is { } reason ? EngineRefusal.Forbidden(reason) : null;

    bool HasRoom => !_stopping && _sessions.Count < Options.MaxConnections;

    internal static async Task RefuseAsync(HttpContext context, EngineRefusal refusal, bool upgrade)
    {
        var response = context.Response;
        if (refusal.Status == StatusCodes.Status503ServiceUnavailable)
        {
            response.StatusCode = refusal.Status;
            response.Headers.RetryAfter = "5";
        }
        else
        {
            // Clients of WebSocket are told 400 whatever the reason, as they are by the reference server.
            response.StatusCode = upgrade ? StatusCodes.Status400BadRequest : refusal.Status;
        }
        byte[] body;
        if (upgrade)
        {
            response.ContentType = "text/plain; charset=UTF-8";
            body = Encoding.UTF8.GetBytes(refusal.Message);
        }
        else
        {
            response.ContentType = "application/json";
            body = JsonSerializer.SerializeToUtf8Bytes(new { code = refusal.Code, message = refusal.Message }, CompactJson.Options);
        }
        response.ContentLength = body.Length;
        await response.Body.WriteAsync(body, context.RequestAborted);
    }

    async Task OpenPollingAsync(HttpContext context, Handshake handshake)
    {
        Options.OnHandshakeResponse?.Invoke(context);
        var session = Open(handshake, webSocket: false);
        if (Options.CookieName is { } cookie)
            context.Response.Headers.Append("Set-Cookie", $"{cookie}={session.Id}; Path=/; HttpOnly; SameSite=Lax");
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
        // The open packet alone: whatever the application sent on connection waits for the next poll.
        var open = OpenPacket(session, Options.AllowUpgrades && Options.AllowWebSocket);
        await WritePayloadAsync(context, open.Polling, mayCompress: true);
    }

    async Task OpenWebSocketAsync(HttpContext context, Handshake handshake)
    {
        Options.OnHandshakeResponse?.Invoke(context);
        // Only then is a session made: the 101 is on its way, so nothing can leave before it.
        await ServeAsync(await StreamConnection.AcceptAsync(context, Options.MaxPayload), handshake, accept: []);
    }

    /// <summary>Whether a client may come in before HTTP sees it: the application adds no headers to the answer, and there is room.</summary>
    internal bool TakesDirect => Options is { AllowWebSocket: true, OnHandshakeResponse: null } && HasRoom;

    /// <summary>Serves a new client over a WebSocket, until it ends. The answer to its request, where it has not left yet, leaves with the first packet.</summary>
    internal Task ServeAsync(WebSocketConnection connection, Handshake handshake, byte[] accept)
    {
        var session = Open(handshake, webSocket: true);
        var open = OpenPacket(session, upgrades: false);
        return session.ServeWebSocketAsync(connection, accept.Length == 0 ? open : SharedFrame.OfBytes([.. accept, .. open.WebSocket]), _connected);
    }

    EngineSocket Open(Handshake handshake, bool webSocket)
    {
        var session = new EngineSocket(this, handshake, webSocket, base64: handshake.QueryValue("b64") is { Length: > 0 });
        _sessions[session.Id] = session;
        LogOpened(session.Id, session.TransportName);
        return session;
    }

    SharedFrame OpenPacket(EngineSocket session, bool upgrades)
    {
        // The session's id is URL-safe text: nothing in it needs escaping.
        return SharedFrame.OfText(Encoding.ASCII.GetBytes(
            $$"""0{"sid":"{{session.Id}}","upgrades":{{(upgrades ? "[\"websocket\"]" : "[]")}},"pingInterval":{{(long)Options.PingInterval.TotalMilliseconds}},"pingTimeout":{{(long)Options.PingTimeout.TotalMilliseconds}},"maxPayload":{{Options.MaxPayload}}}"""));
    }

    /// <summary>Answers a poll, compressed where the client takes it and it is worth it.</summary>
    internal async Task WritePayloadAsync(HttpContext context, ReadOnlyMemory<byte> payload, bool mayCompress)
    {
        var response = context.Response;
        response.ContentType = "text/plain; charset=UTF-8";
        response.Headers.CacheControl = "no-store";
        if (mayCompress && Options.CompressionThreshold > 0 && payload.Length >= Options.CompressionThreshold
            && ContentCoding.Choose(context.Request.Headers.AcceptEncoding.ToString(), "gzip", "deflate") is { } encoding)
        {
            payload = Compress(payload.Span, encoding);
            response.Headers.ContentEncoding = encoding;
            response.Headers.Append("Vary", "Accept-Encoding");
        }
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
