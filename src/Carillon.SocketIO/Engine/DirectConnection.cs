using System.IO.Pipelines;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.AspNetCore.Connections;

namespace Carillon.SocketIO;

/// <summary>
/// Frames straight to and from a TCP connection, without HTTP between. A frame is handed to the network by the very thread that sends it; only what the network
/// does not take is written later.
/// </summary>
sealed class DirectConnection(ConnectionContext connection, System.Net.Sockets.Socket socket, int maxPayload) : WebSocketConnection(maxPayload)
{
    readonly PipeReader _input = connection.Transport.Input;
    SequencePosition _end;

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> bytes)
    {
        var sent = socket.Send(bytes.Span, SocketFlags.None, out var error);
        if (error == SocketError.Success && sent == bytes.Length) return default;
        if (error is SocketError.Success or SocketError.WouldBlock) return WriteSlowAsync(bytes[Math.Max(sent, 0)..]);
        return ValueTask.FromException(new SocketException((int)error));
    }

    public override void Abort() => connection.Abort();

    protected override async ValueTask<Memory<byte>> ReceiveAsync()
    {
        var result = await _input.ReadAsync();
        var piece = result.Buffer.First;
        _end = result.Buffer.GetPosition(piece.Length);
        if (piece.IsEmpty) _input.AdvanceTo(_end);
        // The memory is the pipe's, and ours until we give it back: unmasking may change it.
        return MemoryMarshal.AsMemory(piece);
    }

    protected override void Release() => _input.AdvanceTo(_end);

    async ValueTask WriteSlowAsync(ReadOnlyMemory<byte> rest)
    {
        while (!rest.IsEmpty) rest = rest[await socket.SendAsync(rest, SocketFlags.None)..];
    }
}
