using System.Text;
using Carillon.SocketIO.Engine;
using Carillon.SocketIO.Sockets;
using Carillon.SocketIO.WebSockets;

namespace Carillon.MicroBench;

/// <summary>A client without a socket, whose network accepts everything at once. It has joined the namespace <c>/</c>.</summary>
sealed class InMemoryClient : WebSocketConnection
{
    readonly byte[] _piece = new byte[1024];

    public InMemoryClient(SocketServer server)
        : base(1_000_000, deflated: false)
    {
        var handshake = new Handshake("/socket.io/?EIO=4&transport=websocket", [], null, DateTimeOffset.UnixEpoch);
        server.Engine.Enter(null, webSocket: true);
        _ = server.Engine.ServeAsync(this, handshake, accept: []);
        Receive(Frame("40"));
    }

    /// <summary>Called with the bytes of each write.</summary>
    public Action<ReadOnlyMemory<byte>>? Written { get; set; }

    /// <summary>A frame as a client sends it, with a mask of zeros.</summary>
    public static byte[] Frame(string text)
    {
        var payload = Encoding.UTF8.GetBytes(text);
        return payload.Length < 126
            ? [0x81, (byte)(0x80 | payload.Length), 0, 0, 0, 0, .. payload]
            : [0x81, 0xfe, (byte)(payload.Length >> 8), (byte)payload.Length, 0, 0, 0, 0, .. payload];
    }

    /// <summary>Lets the server read a frame.</summary>
    public void Receive(byte[] frame)
    {
        frame.CopyTo(_piece, 0);
        Feed(Reader!, _piece.AsSpan(0, frame.Length), out _);
    }

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> bytes)
    {
        Written?.Invoke(bytes);
        return default;
    }

    public override void Abort()
    {
    }

    protected override Task<CloseCode> ReadAsync() => new TaskCompletionSource<CloseCode>().Task;
}
