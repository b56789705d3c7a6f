using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Carillon.SocketIO;

/// <summary>
/// A connection that carries frames: through the stream of an upgraded request, or straight over a socket. While nothing comes it holds no buffer. What goes
/// out is written by its session, which owns the order.
/// </summary>
abstract class WebSocketConnection(int maxPayload)
{
    int _dismissed;

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
            await WriteAsync(frame.WebSocket);
        }
        catch (Exception ex) when (IsCut(ex))
        {
            // It has gone already; whoever reads from it finds out.
        }
    }

    /// <summary>Writes bytes. Complete at once where the network takes them at once; one write at a time.</summary>
    public abstract ValueTask WriteAsync(ReadOnlyMemory<byte> bytes);

    /// <summary>Cuts the connection at once.</summary>
    public abstract void Abort();

    /// <summary>Waits for bytes; none: the other side has ended. They are valid, and may be changed, until <see cref="Release"/>.</summary>
    protected abstract ValueTask<Memory<byte>> ReceiveAsync();

    /// <summary>Gives back what was received last.</summary>
    protected abstract void Release();

    /// <summary>Reads until the client closes, breaks the protocol, goes away, or the callback says stop.</summary>
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
                var piece = await ReceiveAsync();
                if (piece.IsEmpty) break;
                Pieces++;
                var code = reader.Read(piece.Span);
                Release();
                if (code != CloseCode.None) return code;
            }
        }
        catch (Exception ex) when (IsCut(ex))
        {
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
        try
        {
            while (!(await ReceiveAsync()).IsEmpty) Release();
        }
        catch (Exception ex) when (IsCut(ex))
        {
        }
    }

    /// <summary>Whether an exception of reading or writing means that the connection was cut, which is the same as its end.</summary>
    public static bool IsCut(Exception exception) =>
        exception is IOException or OperationCanceledException or ObjectDisposedException or InvalidOperationException or System.Net.Sockets.SocketException;

    /// <summary>The bytes of a close frame with a code and no text.</summary>
    public static SharedFrame CloseFrame(CloseCode code)
    {
        if (code == CloseCode.None) return EnginePacket.WebSocketClose;
        Span<byte> payload = stackalloc byte[2];
        BinaryPrimitives.WriteUInt16BigEndian(payload, (ushort)code);
        return SharedFrame.OfControl(Opcode.Close, payload);
    }

    /// <summary>The proof that the server understood the request (RFC 6455, section 4.2.2).</summary>
    public static string AcceptKey(string key)
    {
#pragma warning disable CA5350 // RFC 6455 asks for SHA-1 here; it protects nothing.
        return Convert.ToBase64String(SHA1.HashData(Encoding.ASCII.GetBytes(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")));
#pragma warning restore CA5350
    }
}
