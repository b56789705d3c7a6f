using System.Buffers;
using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Carillon.SocketIO;

/// <summary>
/// An upgraded connection: the stream under it, and the frames that come in. While nothing comes it holds no buffer. What goes
/// out is written by its session, which owns the order.
/// </summary>
sealed class WebSocketConnection(Stream stream, Action abort, int maxPayload)
{
    const int ReadSize = 8 * 1024;

    int _dismissed;

    /// <summary>Where frames are written.</summary>
    public Stream Stream => stream;

    /// <summary>Cuts the connection at once.</summary>
    public Action Abort => abort;

    /// <summary>How many pieces have been read. Frames that came with one piece belong together: the client sent them in one go.</summary>
    public int Pieces { get; private set; }

    /// <summary>Whether the WebSocket was closed before it carried a session.</summary>
    public bool IsDismissed => Volatile.Read(ref _dismissed) != 0;

    /// <summary>Closes a WebSocket that carries no session: once, whoever asks first.</summary>
    public void Dismiss()
    {
        if (Interlocked.Exchange(ref _dismissed, 1) == 0) Send(EnginePacket.WebSocketClose);
    }

    /// <summary>Writes a frame while no session owns the order of what goes out.</summary>
    public void Send(SharedFrame frame) => _ = SendAsync(frame);

    async Task SendAsync(SharedFrame frame)
    {
        try
        {
            await stream.WriteAsync(frame.WebSocket);
        }
        catch (Exception ex) when (ex is IOException or OperationCanceledException or ObjectDisposedException or InvalidOperationException)
        {
            // It has gone already; whoever reads from it finds out.
        }
    }

    /// <summary>Answers the request for a WebSocket (RFC 6455, section 4.2.2; over HTTP/2 RFC 8441, section 5). It must have been checked.</summary>
    public static async Task<WebSocketConnection> AcceptAsync(HttpContext context, int maxPayload)
    {
        if (Admission.IsExtendedConnect(context.Request))
        {
            var connect = context.Features.GetRequiredFeature<IHttpExtendedConnectFeature>();
            return new WebSocketConnection(await connect.AcceptAsync(), context.Abort, maxPayload);
        }
        var key = context.Request.Headers.SecWebSocketKey.ToString();
        var headers = context.Response.Headers;
        headers.Connection = "Upgrade";
        headers.Upgrade = "websocket";
        headers.SecWebSocketAccept = AcceptKey(key);
        var upgrade = context.Features.GetRequiredFeature<IHttpUpgradeFeature>();
        var stream = await upgrade.UpgradeAsync();
        return new WebSocketConnection(stream, context.Abort, maxPayload);
    }

    /// <summary>
    /// Reads until the client closes, breaks the protocol, goes away, or the callback says stop.
    /// </summary>
    /// <returns>The code to close with, <see cref="CloseCode.None"/> for an ordinary end.</returns>
    public async Task<CloseCode> ReadAsync(FrameHandler onFrame)
    {
        var stopped = false;
        var reader = new FrameReader(maxPayload, (opcode, payload) =>
        {
            stopped = !onFrame(opcode, payload);
            return !stopped;
        });
        try
        {
            while (!stopped)
            {
                // Waits without a buffer; thousands of idle clients then cost next to nothing.
#pragma warning disable CA2022 // A read of nothing reads nothing: it only waits.
                await stream.ReadAsync(Memory<byte>.Empty);
#pragma warning restore CA2022
                var buffer = ArrayPool<byte>.Shared.Rent(ReadSize);
                try
                {
                    var count = await stream.ReadAsync(buffer);
                    if (count == 0) return CloseCode.None;
                    Pieces++;
                    var code = reader.Read(buffer.AsSpan(0, count));
                    if (code != CloseCode.None) return code;
                }
                finally
                {
                    ArrayPool<byte>.Shared.Return(buffer);
                }
            }
        }
        catch (Exception ex) when (ex is IOException or OperationCanceledException or ObjectDisposedException)
        {
            // The connection was cut: the same as its end.
        }
        finally
        {
            reader.Release();
        }
        return CloseCode.None;
    }

    /// <summary>Reads and drops what comes, until the client has closed or the connection is cut.</summary>
    public async Task DiscardAsync()
    {
        var buffer = ArrayPool<byte>.Shared.Rent(ReadSize);
        try
        {
            while (await stream.ReadAsync(buffer) > 0)
            {
            }
        }
        catch (Exception ex) when (ex is IOException or OperationCanceledException or ObjectDisposedException)
        {
            // The connection was cut: the same as its end.
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <summary>The bytes of a close frame with a code and no text.</summary>
    public static SharedFrame CloseFrame(CloseCode code)
    {
        if (code == CloseCode.None) return EnginePacket.WebSocketClose;
        Span<byte> payload = stackalloc byte[2];
        BinaryPrimitives.WriteUInt16BigEndian(payload, (ushort)code);
        return SharedFrame.OfControl(Opcode.Close, payload);
    }

    static string AcceptKey(string key)
    {
#pragma warning disable CA5350 // RFC 6455 asks for SHA-1 here; it protects nothing.
        return Convert.ToBase64String(SHA1.HashData(Encoding.ASCII.GetBytes(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")));
#pragma warning restore CA5350
    }
}
