using System.Buffers;

namespace Carillon.SocketIO.WebSockets;

/// <summary>Frames through the stream of an upgraded request: the way that works on every server, behind TLS and inside HTTP/2.</summary>
sealed class StreamConnection(Stream stream, Action abort, int maxPayload, bool deflated) : WebSocketConnection(maxPayload, deflated)
{
    const int ReadSize = 8 * 1024;

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
