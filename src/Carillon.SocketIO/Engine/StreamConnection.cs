using System.Buffers;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Carillon.SocketIO;

/// <summary>Frames through the stream of an upgraded request: the way that works on every server, behind TLS and inside HTTP/2.</summary>
sealed class StreamConnection(Stream stream, Action abort, int maxPayload) : WebSocketConnection(maxPayload)
{
    const int ReadSize = 8 * 1024;

    byte[]? _buffer;

    /// <summary>Answers the request for a WebSocket (RFC 6455, section 4.2.2; over HTTP/2 RFC 8441, section 5). It must have been checked.</summary>
    public static async Task<WebSocketConnection> AcceptAsync(HttpContext context, int maxPayload)
    {
        if (Admission.IsExtendedConnect(context.Request))
        {
            var connect = context.Features.GetRequiredFeature<IHttpExtendedConnectFeature>();
            return new StreamConnection(await connect.AcceptAsync(), context.Abort, maxPayload);
        }
        var headers = context.Response.Headers;
        headers.Connection = "Upgrade";
        headers.Upgrade = "websocket";
        headers.SecWebSocketAccept = AcceptKey(context.Request.Headers.SecWebSocketKey.ToString());
        var upgrade = context.Features.GetRequiredFeature<IHttpUpgradeFeature>();
        return new StreamConnection(await upgrade.UpgradeAsync(), context.Abort, maxPayload);
    }

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> bytes) => stream.WriteAsync(bytes);

    public override void Abort() => abort();

    protected override async ValueTask<Memory<byte>> ReceiveAsync()
    {
        // Waits without a buffer; thousands of idle clients then cost next to nothing.
#pragma warning disable CA2022 // A read of nothing reads nothing: it only waits.
        await stream.ReadAsync(Memory<byte>.Empty);
#pragma warning restore CA2022
        _buffer = ArrayPool<byte>.Shared.Rent(ReadSize);
        var count = 0;
        try
        {
            count = await stream.ReadAsync(_buffer);
        }
        finally
        {
            if (count == 0) Release();
        }
        return count == 0 ? Memory<byte>.Empty : _buffer.AsMemory(0, count);
    }

    protected override void Release()
    {
        ArrayPool<byte>.Shared.Return(_buffer!);
        _buffer = null;
    }
}
