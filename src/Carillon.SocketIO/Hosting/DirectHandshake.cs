using System.Buffers;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Carillon.SocketIO.Engine;
using Carillon.SocketIO.WebSockets;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.WebUtilities;
using NetSocket = System.Net.Sockets.Socket;

namespace Carillon.SocketIO.Hosting;

/// <summary>
/// A plain WebSocket handshake (RFC 6455, section 4.1) for a Socket.IO server, as the first bytes of a connection. Only what is exactly
/// that is taken: whatever is odd, incomplete or
/// to be refused is left to HTTP, so that each request has one answer, whichever way it came.
/// </summary>
/// <param name="Engine">The server that it is for.</param>
/// <param name="Request">Its data.</param>
/// <param name="Key">Its WebSocket key.</param>
/// <param name="Deflated">Whether it offers compressed messages, and the server takes that.</param>
/// <param name="Protocol">The subprotocol that is chosen, if one is requested.</param>
sealed record DirectHandshake(EngineServer Engine, Handshake Request, string Key, bool Deflated, string? Protocol)
{
    // A handshake comes in one segment of the network; one that does not is left to HTTP.
    const int LongestRequest = 8 * 1024;

    const byte TlsHandshake = 22;      // RFC 8446, section 5.1

    // HTTP accepts no more headers either by default.
    const int MostHeaders = 100;

    /// <summary>
    /// Takes the handshake off a connection whose first bytes have come, and says what these are. What is not taken stays unread.
    /// </summary>
    public static DirectHandshake? TryTake(NetSocket socket, DirectRoutes routes, out FirstBytes beginning)
    {
        Span<byte> bytes = stackalloc byte[LongestRequest];
        bytes = bytes[..socket.Receive(bytes, SocketFlags.Peek)];
        beginning = FirstBytesOf(bytes);
        if (!bytes.StartsWith("GET "u8)) return null;
        var end = bytes.IndexOf("\r\n\r\n"u8);
        if (end < 0 || HasStrangeBytes(bytes[..end])) return null;
        var line = bytes[..bytes.IndexOf("\r\n"u8)];
        if (!line.EndsWith(" HTTP/1.1"u8)) return null;
        var target = Encoding.ASCII.GetString(line[4..^9]);
        if (target.Contains(' ') || routes.Find(target) is not { TakesDirect: true } engine) return null;

        var address = (socket.RemoteEndPoint as IPEndPoint)?.Address;
        if (address is not null && engine.IsTrustedProxy(address)) return null;   // HTTP reads for whom it speaks
        var taken = Take(engine, routes, target, bytes[(line.Length + 2)..(end + 2)], address);
        if (taken is not null) socket.Receive(bytes[..(end + 4)], SocketFlags.None);
        return taken;
    }

    internal static FirstBytes FirstBytesOf(ReadOnlySpan<byte> bytes) =>
        bytes.IsEmpty ? FirstBytes.Nothing :
        bytes[0] == TlsHandshake ? FirstBytes.Tls :
        bytes.IndexOf("\r\n\r\n"u8) >= 0 ? FirstBytes.Whole :
        FirstBytes.Part;

    static DirectHandshake? Take(EngineServer engine, DirectRoutes routes, string target, ReadOnlySpan<byte> headers, IPAddress? address)
    {
        string? upgrade = null, connection = null, version = null, host = null, key = null, origin = null, extensions = null, site = null,
            protocols = null;
        var count = 0;
        for (var rest = headers; !rest.IsEmpty;)
        {
            if (++count > MostHeaders) return null;
            var line = rest[..rest.IndexOf("\r\n"u8)];
            rest = rest[(line.Length + 2)..];
            var colon = line.IndexOf((byte)':');
            if (colon < 1 || line[..colon].ContainsAny((byte)' ', (byte)'\t')) return null;
            var name = line[..colon];
            var value = line[(colon + 1)..].Trim((byte)' ');
            // Each of these stands there once, or HTTP has to say what that means.
            if (!Once("upgrade"u8, name, value, ref upgrade) || !Once("connection"u8, name, value, ref connection)
                || !Once("sec-websocket-version"u8, name, value, ref version) || !Once("host"u8, name, value, ref host)
                || !Once("sec-websocket-key"u8, name, value, ref key) || !Once("origin"u8, name, value, ref origin)
                || !Once("sec-websocket-extensions"u8, name, value, ref extensions) || !Once("sec-fetch-site"u8, name, value, ref site)
                || !Once("sec-websocket-protocol"u8, name, value, ref protocols)
                || IsForwarding(name)     // a proxy that is not configured: HTTP logs it
                || Is(name, "content-length"u8) || Is(name, "transfer-encoding"u8) || Is(name, "expect"u8)) return null;
        }
        if (upgrade is null || !upgrade.Equals("websocket", StringComparison.OrdinalIgnoreCase)
            || connection is null || !AsksToUpgrade(connection) || version != "13" || host is null || !IsPlainHost(host)
            || !routes.IsServed(host) || key is not { Length: 24 } || !HandshakeValidation.IsKey(key)
            || !Subprotocol.TryChoose(protocols, out var protocol)) return null;

        var mark = target.IndexOf('?');
        var query = mark < 0 ? "" : target[mark..];
        if (HandshakeValidation.QueryValue(query, "transport") != "websocket" || HandshakeValidation.QueryValue(query, "EIO") != "4"
            || HandshakeValidation.QueryValue(query, "sid").Length > 0) return null;
        if (Origins.IsForeign(origin ?? "", site ?? "", new HostString(host), engine.Options)) return null;
        return new DirectHandshake(engine, new Handshake(target, headers, address, engine.Clock.GetUtcNow()), key,
            Deflated: engine.Options.PerMessageDeflate && extensions is not null && MessageDeflate.CanAgree(extensions), protocol);
    }

    static bool AsksToUpgrade(ReadOnlySpan<char> connection)
    {
        foreach (var range in connection.Split(','))
            if (connection[range].Trim().Equals("upgrade", StringComparison.OrdinalIgnoreCase)) return true;
        return false;
    }

    // A name or an IPv4 address, perhaps with a port. What else a host may be, HTTP knows.
    static bool IsPlainHost(ReadOnlySpan<char> host)
    {
        var colon = host.IndexOf(':');
        var name = colon < 0 ? host : host[..colon];
        var port = colon < 0 ? "0" : host[(colon + 1)..];
        return !name.IsEmpty && !name.ContainsAnyExcept(s_ofNames) && !port.IsEmpty && !port.ContainsAnyExceptInRange('0', '9');
    }

    static readonly SearchValues<char> s_ofNames = SearchValues.Create("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.");

    static bool Once(ReadOnlySpan<byte> expected, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value, ref string? found)
    {
        if (!Is(name, expected)) return true;
        if (found is not null) return false;
        found = Encoding.ASCII.GetString(value);
        return true;
    }

    static bool IsForwarding(ReadOnlySpan<byte> name) =>
        name.Length >= 9 && (Is(name, "forwarded"u8) || Is(name, "x-forwarded-for"u8)
            || Is(name, "x-forwarded-host"u8) || Is(name, "x-forwarded-proto"u8));

    static bool Is(ReadOnlySpan<byte> name, ReadOnlySpan<byte> expected) => Ascii.EqualsIgnoreCase(name, expected);

    // Nothing but visible ASCII, spaces, and line ends of two characters.
    static bool HasStrangeBytes(ReadOnlySpan<byte> bytes)
    {
        for (var rest = bytes; ;)
        {
            var strange = rest.IndexOfAnyExceptInRange((byte)' ', (byte)'~');
            if (strange < 0) return false;
            if (!rest[strange..].StartsWith("\r\n"u8)) return true;
            rest = rest[(strange + 2)..];
        }
    }

    /// <summary>The answer that makes the connection a WebSocket.</summary>
    public byte[] Accept() => Encoding.ASCII.GetBytes(
        $"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: "
            + $"{WebSocketConnection.AcceptKey(Key)}\r\n" +
        (Protocol is null ? "" : $"Sec-WebSocket-Protocol: {Protocol}\r\n") +
        (Deflated ? $"Sec-WebSocket-Extensions: {MessageDeflate.Agreement}\r\n\r\n" : "\r\n"));

    /// <summary>The answer to a client that is not let in.</summary>
    public static byte[] Refuse(EngineRefusal refusal)
    {
        var (status, type, later, body) = refusal.NotNow is { } notNow
            ? ($"{refusal.Status} {ReasonPhrases.GetReasonPhrase(refusal.Status)}", "application/json",
                $"Retry-After: {notNow.RetryAfterSeconds}\r\n", refusal.Json())
            : ("400 Bad Request", "text/plain; charset=UTF-8", "", Encoding.UTF8.GetBytes(refusal.Message));
        return [.. Encoding.ASCII.GetBytes(
            $"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: {type}\r\n{later}Content-Length: {body.Length}\r\n\r\n"), .. body];
    }
}

/// <summary>The kind of the first bytes of a connection.</summary>
enum FirstBytes
{
    /// <summary>There are none: the client has gone.</summary>
    Nothing,

    /// <summary>A request without its end.</summary>
    Part,

    /// <summary>A request, or at least its headers.</summary>
    Whole,

    /// <summary>TLS: what the client wants is to be seen much later.</summary>
    Tls,
}
