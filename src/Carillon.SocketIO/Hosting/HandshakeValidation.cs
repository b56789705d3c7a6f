using Carillon.SocketIO.Engine;
using Carillon.SocketIO.WebSockets;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Net.Http.Headers;

namespace Carillon.SocketIO.Hosting;

/// <summary>
/// Decides whether a request may reach a session, or open one. The order of the questions is the protocol's: clients see the first that
/// fails.
/// </summary>
static class HandshakeValidation
{
    /// <summary>Checks that need nothing but the request and the session it names.</summary>
    /// <param name="request">The request.</param>
    /// <param name="options">The server's settings.</param>
    /// <param name="upgrade">Whether the request asks to become a WebSocket.</param>
    /// <param name="find">Finds an open session by its id.</param>
    /// <param name="session">The session that the request belongs to; <see langword="null"/> for a handshake.</param>
    public static EngineRefusal? Check(
        HttpRequest request, EngineOptions options, bool upgrade, Func<string, EngineSocket?> find, out EngineSocket? session)
    {
        session = null;
        var transport = QueryValue(request, "transport");
        if (!(transport == "polling" && options.AllowPolling) && !(transport == "websocket" && options.AllowWebSocket))
            return EngineRefusal.UnknownTransport;

        if (!Origins.CanBeSentBack(request.Headers.Origin.ToString())) return EngineRefusal.BadRequest;

        if (QueryValue(request, "sid") is { Length: > 0 } sid)
        {
            session = find(sid);
            if (session is null) return EngineRefusal.UnknownSession;
            if (CheckVersion(request) is not null) return EngineRefusal.BadRequest;   // a session does not change its protocol
            var sameTransport = transport == session.TransportName;
            return upgrade ? transport == "websocket" ? null : EngineRefusal.BadRequest
                : sameTransport && transport == "polling" ? null : EngineRefusal.BadRequest;
        }

        if (!HttpMethods.IsGet(request.Method) && !IsExtendedConnect(request)) return EngineRefusal.BadHandshakeMethod;
        if (transport == "websocket" != upgrade) return EngineRefusal.BadRequest;
        return null;
    }

    /// <summary>
    /// The first question for a request without a session: does a browser send it for a site whose pages may connect? A request of another
    /// site counts for nothing.
    /// </summary>
    public static EngineRefusal? CheckSite(HttpRequest request, EngineOptions options)
    {
        var origin = request.Headers.Origin.ToString();
        return !Origins.CanBeSentBack(origin) ? EngineRefusal.BadRequest
            : Origins.IsForeign(origin, request.Headers["Sec-Fetch-Site"].ToString(), request.Host, options) ? EngineRefusal.Forbidden()
            : null;
    }

    /// <summary>The last question, asked after the application's own: does the client speak protocol 4?</summary>
    public static EngineRefusal? CheckVersion(HttpRequest request) =>
        QueryValue(request, "EIO") == "4" ? null : EngineRefusal.UnsupportedVersion;

    /// <summary>
    /// The value of a parameter, empty where there is none. Names count with their case; of several values the last counts, as with other
    /// servers.
    /// </summary>
    public static string QueryValue(HttpRequest request, string name) => QueryValue(request.QueryString.Value, name);

    /// <summary>The value of a parameter in a query string.</summary>
    public static string QueryValue(string? query, string name)
    {
        var value = "";
        foreach (var pair in new QueryStringEnumerable(query))
            if (pair.DecodeName().Span.SequenceEqual(name)) value = pair.DecodeValue().ToString();
        return value;
    }

    /// <summary>
    /// Whether the request asks to become a WebSocket: by an upgrade (RFC 6455, section 4.2.1), or over HTTP/2 (RFC 8441).
    /// </summary>
    public static bool AsksForWebSocket(HttpRequest request) =>
        IsExtendedConnect(request)
        || request.Headers.Upgrade.ToString().Equals("websocket", StringComparison.OrdinalIgnoreCase)
        && request.Headers.Connection.ToString().Contains("upgrade", StringComparison.OrdinalIgnoreCase);

    /// <summary>Whether the WebSocket part of an upgrade request is one that we can answer.</summary>
    public static bool IsValidWebSocketRequest(HttpRequest request) =>
        request.Headers.SecWebSocketVersion == "13" && Subprotocol.TryChoose(request.Headers.SecWebSocketProtocol, out _)
            && (IsExtendedConnect(request) || IsValidUpgrade(request));

    /// <summary>Whether the request asks for a WebSocket inside an HTTP/2 connection.</summary>
    public static bool IsExtendedConnect(HttpRequest request) =>
        request.HttpContext.Features.Get<IHttpExtendedConnectFeature>() is { IsExtendedConnect: true, Protocol: "websocket" };

    static bool IsValidUpgrade(HttpRequest request) =>
        HttpMethods.IsGet(request.Method)
        && request.HttpContext.Features.Get<IHttpUpgradeFeature>() is { IsUpgradableRequest: true }
        && request.Headers[HeaderNames.SecWebSocketKey] is [{ Length: 24 } key] && IsKey(key);

    /// <summary>Whether a text of 24 characters is a key: 16 bytes in base64.</summary>
    public static bool IsKey(string key) => Convert.TryFromBase64String(key, stackalloc byte[18], out var length) && length == 16;
}
