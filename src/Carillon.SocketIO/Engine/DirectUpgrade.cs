using System.Buffers;
using System.Net;
using System.Text;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http;

namespace Carillon.SocketIO;

/// <summary>
/// Takes the plain WebSocket handshake of a new client off the connection before HTTP does: no state of HTTP is made for it, and its frames go to the socket. Whatever
/// is not exactly such a handshake (polling, upgrades of a session, TLS, other paths, anything to refuse) goes on to HTTP untouched.
/// </summary>
sealed class DirectUpgrade
{
    // A handshake comes in one segment of the network; one that does not is left to HTTP, which has time-outs for it.
    const int LongestRequest = 8 * 1024;
    static readonly TimeSpan FirstByteWithin = TimeSpan.FromSeconds(30);

    readonly List<(string Prefix, EngineServer Engine)> _engines = [];

    public void Add(string prefix, EngineServer engine)
    {
        lock (_engines) _engines.Add((prefix, engine));
    }

    public async Task ServeAsync(ConnectionContext connection, ConnectionDelegate next)
    {
        if (connection.Features.Get<IConnectionSocketFeature>()?.Socket is { } socket && await TryTakeAsync(connection) is { } taken)
        {
            socket.Blocking = false;      // a send takes what it can and never waits
            var direct = new DirectConnection(connection, socket, taken.Engine.Options.MaxPayload);
            var refusal = await taken.Engine.AdmitAsync(taken.Handshake);
            await direct.WriteAsync(refusal is null ? Accept(taken.Key) : Refuse(refusal));
            if (refusal is null) await taken.Engine.ServeAsync(direct, taken.Handshake);
        }
        else
        {
            await next(connection);
        }
    }

    sealed record Taken(EngineServer Engine, Handshake Handshake, string Key);

    async ValueTask<Taken?> TryTakeAsync(ConnectionContext connection)
    {
        var input = connection.Transport.Input;
        System.IO.Pipelines.ReadResult read;
        using (var limit = new CancellationTokenSource(FirstByteWithin))
        {
            try
            {
                read = await input.ReadAsync(limit.Token);
            }
            catch (OperationCanceledException)
            {
                return null;
            }
        }
        var (taken, used) = Take(read.Buffer, connection);
        // What was not taken is not even examined: HTTP finds it as it came.
        if (taken is null) input.AdvanceTo(read.Buffer.Start);
        else input.AdvanceTo(read.Buffer.GetPosition(used));
        return taken;
    }

    (Taken? Taken, int Used) Take(in ReadOnlySequence<byte> buffer, ConnectionContext connection)
    {
        var bytes = buffer.FirstSpan;
        if (bytes.Length > LongestRequest) bytes = bytes[..LongestRequest];
        if (!bytes.StartsWith("GET "u8)) return default;
        var end = bytes.IndexOf("\r\n\r\n"u8);
        if (end < 0 || bytes[..end].ContainsAnyExceptInRange((byte)' ', (byte)'~') && !OnlyLineEnds(bytes[..end])) return default;

        var lines = Encoding.ASCII.GetString(bytes[..end]).Split("\r\n");
        if (lines[0].Split(' ') is not ["GET", var target, "HTTP/1.1"] || Find(target) is not { } engine || !engine.TakesDirect) return default;
        var headers = new KeyValuePair<string, string>[lines.Length - 1];
        for (var i = 1; i < lines.Length; i++)
        {
            var colon = lines[i].IndexOf(':');
            if (colon < 1 || lines[i].AsSpan(0, colon).ContainsAny(' ', '\t')) return default;
            headers[i - 1] = new(lines[i][..colon].ToLowerInvariant(), lines[i][(colon + 1)..].Trim());
        }
        return Admit(engine, target, headers, connection) is { } taken ? (taken, end + 4) : default;
    }

    EngineServer? Find(string target)
    {
        lock (_engines)
            foreach (var (prefix, engine) in _engines)
                if (target.StartsWith(prefix, StringComparison.Ordinal) && !target.AsSpan(0, Math.Max(target.IndexOf('?'), 0)).ContainsAny('%', '\\', '#')) return engine;
        return null;
    }

    static Taken? Admit(EngineServer engine, string target, KeyValuePair<string, string>[] headers, ConnectionContext connection)
    {
        if (Only("upgrade") is not { } upgrade || !upgrade.Equals("websocket", StringComparison.OrdinalIgnoreCase)
            || Only("connection") is not { } wish || !wish.Contains("upgrade", StringComparison.OrdinalIgnoreCase)
            || Only("sec-websocket-version") != "13" || Only("host") is not { Length: > 0 } host
            || Only("sec-websocket-key") is not { Length: 24 } key || !Admission.IsKey(key)
            || headers.Any(h => h.Key is "content-length" or "transfer-encoding" or "expect")) return null;

        var mark = target.IndexOf('?');
        var query = mark < 0 ? "" : target[mark..];
        if (Admission.QueryValue(query, "transport") != "websocket" || Admission.QueryValue(query, "EIO") != "4"
            || Admission.QueryValue(query, "sid").Length > 0) return null;
        var origin = headers.Where(h => h.Key == "origin").Select(h => h.Value).ToArray();
        if (origin.Length > 1 || (origin is [var page] && !Origins.MayConnect(page, new HostString(host), engine.Options))) return null;

        var handshake = new Handshake(headers, target, query, (connection.RemoteEndPoint as IPEndPoint)?.Address, engine.Clock.GetUtcNow());
        return new Taken(engine, handshake, key);

        // A header that must stand there once.
        string? Only(string name)
        {
            string? value = null;
            foreach (var header in headers)
            {
                if (header.Key != name) continue;
                if (value is not null) return null;
                value = header.Value;
            }
            return value;
        }
    }

    static byte[] Accept(string key) => Encoding.ASCII.GetBytes(
        $"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {WebSocketConnection.AcceptKey(key)}\r\n\r\n");

    static byte[] Refuse(EngineRefusal refusal) => Encoding.UTF8.GetBytes(
        "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain; charset=UTF-8\r\n" +
        $"Content-Length: {Encoding.UTF8.GetByteCount(refusal.Message)}\r\n\r\n{refusal.Message}");

    static bool OnlyLineEnds(ReadOnlySpan<byte> bytes)
    {
        for (var i = 0; i < bytes.Length; i++)
        {
            if (bytes[i] is >= (byte)' ' and <= (byte)'~') continue;
            if (bytes[i] != '\r' || i + 1 == bytes.Length || bytes[i + 1] != '\n') return false;
            i++;
        }
        return true;
    }
}
