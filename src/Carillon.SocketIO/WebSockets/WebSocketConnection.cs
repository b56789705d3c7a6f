using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Carillon.SocketIO.Diagnostics;
using Carillon.SocketIO.Limits;

namespace Carillon.SocketIO.WebSockets;

/// <summary>Receives what a connection reads.</summary>
interface IFrameReceiver
{
    /// <summary>The budget that the buffer of an incomplete message counts in.</summary>
    BufferBudget Buffers { get; }

    /// <summary>Handles a whole message or a control frame (<see cref="FrameHandler"/>). False stops the reading for good.</summary>
    bool OnFrame(Opcode opcode, ReadOnlySpan<byte> payload);

    /// <summary>Completes when the connection may be read; null: at once.</summary>
    Task? WhenReadable();

    /// <summary>Several frames follow that came in one piece. What they bring about for one receiver may leave in one write.</summary>
    void BeginPiece();

    /// <summary>The piece that <see cref="BeginPiece"/> announced has been handled.</summary>
    void EndPiece();
}

/// <summary>
/// A connection that carries frames: through the stream of an upgraded request, or straight over a socket. While nothing comes it holds no
/// buffer. What goes
/// out is written by its session, which owns the order.
/// </summary>
abstract class WebSocketConnection(int maxPayload, bool deflated)
{
    static readonly byte[] EmptyClose = FrameHeader.Control(Opcode.Close, []);

    Task _sent = Task.CompletedTask;          // what was sent while no session owns the order
    IFrameReceiver? _receiver;
    int _dismissed;

    /// <summary>How many bytes a message may have, from the next frame on.</summary>
    public int MaxPayload
    {
        get;
        set
        {
            field = value;
            if (Reader is { } reader) reader.MaxPayload = value;
        }
    } = maxPayload;

    /// <summary>How many bytes are held for a message that is half received.</summary>
    public int Held => Reader?.Held ?? 0;

    /// <summary>Puts messages together; null: what comes is dropped.</summary>
    protected FrameReader? Reader { get; set; }

    /// <summary>Whether compressed messages were agreed on (RFC 7692).</summary>
    public bool Deflated => deflated;

    /// <summary>How many pieces have been read. Frames that came with one piece belong together: the client sent them in one go.</summary>
    public int Pieces { get; private set; }

    /// <summary>Whether the WebSocket was closed before it carried a session.</summary>
    public bool IsDismissed => Volatile.Read(ref _dismissed) != 0;

    /// <summary>Closes a WebSocket that carries no session: once, whoever asks first.</summary>
    public void Dismiss(CloseCode code = CloseCode.None)
    {
        if (Interlocked.Exchange(ref _dismissed, 1) == 0) Send(CloseFrame(code));
    }

    /// <summary>
    /// Writes a frame behind those before it, while no session owns the order of what goes out. The caller bounds how many frames there
    /// are.
    /// </summary>
    public void Send(ReadOnlyMemory<byte> frame)
    {
        // A lock of this connection alone: the first write goes to the network, or to TLS, under it. The object itself is the lock, because
        // an idle connection must not pay for one.
        lock (this) _sent = SendAfterAsync(_sent, frame);
    }

    async Task SendAfterAsync(Task before, ReadOnlyMemory<byte> frame)
    {
        await before.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        try
        {
            await WriteAsync(frame);
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

    /// <summary>Reads until the client closes, breaks the protocol, goes away, or the receiver says stop.</summary>
    /// <returns>The code to close with, <see cref="CloseCode.None"/> for an ordinary end.</returns>
    public Task<CloseCode> ReadAsync(IFrameReceiver receiver)
    {
        (_receiver, Reader) = (receiver, new FrameReader(MaxPayload, receiver.OnFrame, deflated, receiver.Buffers));
        return ReadAsync();
    }

    /// <summary>Reads and drops what comes, until the client has closed or the connection is cut.</summary>
    public Task DiscardAsync()
    {
        Reader = null;
        return ReadAsync();
    }

    /// <summary>Reads until there is an end, which is never an exception. Without a reader everything is dropped.</summary>
    protected abstract Task<CloseCode> ReadAsync();

    /// <summary>
    /// Completes when the connection may be read; null: at once. One that holds a lot waits while all together hold too much of what is
    /// half received.
    /// </summary>
    protected Task? WhenReadable() => Reader is null ? null : _receiver?.WhenReadable();

    /// <summary>Hands a piece to the reader. The bytes may be changed; they are not needed afterwards.</summary>
    protected CloseCode Feed(FrameReader reader, Span<byte> piece, out bool goOn)
    {
        Pieces++;
        if (Meters.BytesReceived.Enabled) Meters.BytesReceived.Add(piece.Length);
        CloseCode code;
        if (reader.HoldsOne(piece))
        {
            code = reader.Read(piece);
        }
        else
        {
            _receiver!.BeginPiece();
            try
            {
                code = reader.Read(piece);
            }
            finally
            {
                _receiver.EndPiece();
            }
        }
        goOn = !reader.HasStopped;
        return code;
    }

    /// <summary>Whether an exception of reading or writing means that the connection was cut, which is the same as its end.</summary>
    public static bool IsCut(Exception exception) =>
        exception is IOException or OperationCanceledException or ObjectDisposedException or InvalidOperationException
            or System.Net.Sockets.SocketException;

    /// <summary>A close frame with a code, and a text where there is one (RFC 6455, section 5.5.1).</summary>
    public static byte[] CloseFrame(CloseCode code, string reason = "")
    {
        if (code == CloseCode.None) return EmptyClose;
        Span<byte> payload = stackalloc byte[2 + Encoding.ASCII.GetMaxByteCount(reason.Length)];
        BinaryPrimitives.WriteUInt16BigEndian(payload, (ushort)code);
        return FrameHeader.Control(Opcode.Close, payload[..(2 + Encoding.ASCII.GetBytes(reason, payload[2..]))]);
    }

    /// <summary>The proof that the server understood the request (RFC 6455, section 4.2.2).</summary>
    public static string AcceptKey(string key)
    {
#pragma warning disable CA5350 // RFC 6455 asks for SHA-1 here; it protects nothing.
        return Convert.ToBase64String(SHA1.HashData(Encoding.ASCII.GetBytes(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")));
#pragma warning restore CA5350
    }
}
