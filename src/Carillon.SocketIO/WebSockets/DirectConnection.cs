using System.Net.Sockets;
using NetSocket = System.Net.Sockets.Socket;

namespace Carillon.SocketIO.WebSockets;

/// <summary>
/// Frames straight to and from a TCP connection, without HTTP or a pipe between. A frame is handed to the network by the very thread that
/// sends it; only what the network does not
/// take is written later. Reading goes on by callbacks: no task and no exception for each message or each end.
/// </summary>
sealed class DirectConnection : WebSocketConnection, IDisposable
{
    // Most messages of clients fit into the small buffer that a connection holds while it waits; the rest is read into the large one that a
    // thread's connections share.
    const int SmallSize = 256;
    const int LargeSize = 128 * 1024;

    // A client that never stops sending must not keep a thread from the others.
    const int PiecesInARow = 32;

    [ThreadStatic] static byte[]? t_large;

    readonly NetSocket _socket;
    readonly Received _received;
    readonly byte[] _small = new byte[SmallSize];
    TaskCompletionSource<CloseCode>? _end;

    public DirectConnection(NetSocket socket, int maxPayload, bool deflated)
        : base(maxPayload, deflated)
    {
        _socket = socket;
        _received = new Received(this);
        _received.SetBuffer(_small);
    }

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> bytes)
    {
        var sent = _socket.Send(bytes.Span, SocketFlags.None, out var error);
        if (error == SocketError.Success && sent == bytes.Length) return default;
        if (error is SocketError.Success or SocketError.WouldBlock) return WriteSlowAsync(bytes[Math.Max(sent, 0)..]);
        return ValueTask.FromException(new SocketException((int)error));
    }

    public override void Abort() => _socket.Dispose();

    public void Dispose() => _received.Dispose();

    protected override Task<CloseCode> ReadAsync()
    {
        _end = new TaskCompletionSource<CloseCode>();
        var end = _end.Task;
        Receive();
        return end;
    }

    async ValueTask WriteSlowAsync(ReadOnlyMemory<byte> rest)
    {
        while (!rest.IsEmpty) rest = rest[await _socket.SendAsync(rest, SocketFlags.None)..];
    }

    void Receive()
    {
        try
        {
            for (var pieces = 0; pieces < PiecesInARow; pieces++)
            {
                if (WhenReadable() is { } room)
                {
                    _ = ReceiveAfterAsync(room);
                    return;
                }
                if (_socket.ReceiveAsync(_received) || !Take()) return;
            }
            ThreadPool.UnsafeQueueUserWorkItem(static connection => connection.Receive(), this, preferLocal: false);
        }
        catch (Exception ex)
        {
            Fail(ex);
        }
    }

    async Task ReceiveAfterAsync(Task room)
    {
        await room;
        Receive();
    }

    void OnReceived()
    {
        try
        {
            if (!Take()) return;
        }
        catch (Exception ex)
        {
            Fail(ex);
            return;
        }
        Receive();
    }

    // False: there is nothing more to read.
    bool Take()
    {
        var count = _received.BytesTransferred;
        if (_received.SocketError != SocketError.Success || count == 0) return End(CloseCode.None);
        var piece = _small.AsSpan(0, count);
        if (count == SmallSize) piece = TakeMore(piece);
        if (Reader is not { } reader) return true;
        var code = Feed(reader, piece, out var goOn);
        return goOn || End(code);
    }

    Span<byte> TakeMore(ReadOnlySpan<byte> first)
    {
        var large = t_large ??= GC.AllocateUninitializedArray<byte>(LargeSize);
        first.CopyTo(large);
        var more = _socket.Receive(large.AsSpan(first.Length), SocketFlags.None, out var error);
        // An end or an error shows itself again with the next read.
        return large.AsSpan(0, first.Length + (error == SocketError.Success ? more : 0));
    }

    // Nobody above catches anything here: what is not an end of the network goes to whoever waits for the end, and is logged there.
    void Fail(Exception error)
    {
        if (IsCut(error) || _end is not { } end)
        {
            End(CloseCode.None);
            return;
        }
        _end = null;
        Reader?.Release();
        Reader = null;
        end.SetException(error);
    }

    bool End(CloseCode code)
    {
        Reader?.Release();
        Reader = null;
        var end = _end;
        _end = null;
        end?.SetResult(code);
        return false;
    }

    sealed class Received(DirectConnection connection) : SocketAsyncEventArgs(unsafeSuppressExecutionContextFlow: true)
    {
        protected override void OnCompleted(SocketAsyncEventArgs e) => connection.OnReceived();
    }
}
