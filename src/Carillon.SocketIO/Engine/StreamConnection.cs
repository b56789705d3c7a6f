using System.Buffers;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Carillon.SocketIO;

/// <summary>Frames through the stream of an upgraded request: the way that works on every server, behind TLS and inside HTTP/2.</summary>
sealed class StreamConnection(Stream stream, Action abort, int maxPayload, bool deflated) : WebSocketConnection(maxPayload, deflated)
{
    const int ReadSize = 8 * 1024;

    /// <summary>Answers the request for a WebSocket (RFC 6455, section 4.2.2; over HTTP/2 RFC 8441, section 5). It must have been checked.</summary>
    public static async Task<WebSocketConnection> AcceptAsync(HttpContext context, EngineOptions options)
    {
        var deflated = options.PerMessageDeflate && MessageDeflate.CanAgree(context.Request.Headers.SecWebSocketExtensions.ToString());
        if (deflated) context.Response.Headers.SecWebSocketExtensions = MessageDeflate.Agreement;
        if (Subprotocol.TryChoose(context.Request.Headers.SecWebSocketProtocol, out var chosen) && chosen is not null) context.Response.Headers.SecWebSocketProtocol = chosen;
        if (Admission.IsExtendedConnect(context.Request))
        {
            var connect = context.Features.GetRequiredFeature<IHttpExtendedConnectFeature>();
            return new StreamConnection(await connect.AcceptAsync(), context.Abort, options.MaxPayload, deflated);
        }
        var headers = context.Response.Headers;
        headers.Connection = "Upgrade";
        headers.Upgrade = "websocket";
        headers.SecWebSocketAccept = AcceptKey(context.Request.Headers.SecWebSocketKey.ToString());
        var upgrade = context.Features.GetRequiredFeature<IHttpUpgradeFeature>();
        return new StreamConnection(await upgrade.UpgradeAsync(), context.Abort, options.MaxPayload, deflated);
    }

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> bytes) => stream.WriteAsync(bytes);

    public override void Abort()
    {
        try
        {
            abort();
        }
        catch (ObjectDisposedException)
        {
            // The request ended while a timer was on its way to end it. The timer's thread has no one to catch for it.
        }
    }

    protected override async Task<CloseCode> ReadAsync()
    {
        try
        {
            while (true)
            {
                while (WhenReadable() is { } room) await room;
                // Waits without a buffer; thousands of idle clients then cost next to nothing.
#pragma warning disable CA2022 // A read of nothing reads nothing: it only waits.
                await stream.ReadAsync(Memory<byte>.Empty);
#pragma warning restore CA2022
                var buffer = ArrayPool<byte>.Shared.Rent(ReadSize);
                try
                {
                    var count = await stream.ReadAsync(buffer);
                    if (count == 0) return CloseCode.None;
                    if (Reader is not { } reader) continue;
                    var code = Feed(reader, buffer.AsSpan(0, count), out var goOn);
                    if (!goOn) return code;
                }
                finally
                {
                    ArrayPool<byte>.Shared.Return(buffer);
                }
            }
        }
        catch (Exception ex) when (IsCut(ex))
        {
            return CloseCode.None;
        }
        finally
        {
            Reader?.Release();
        }
    }
}
