using System.Buffers.Binary;

namespace Carillon.SocketIO.WebSockets;

/// <summary>The opcodes of WebSocket frames (RFC 6455, section 5.2).</summary>
enum Opcode : byte
{
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

/// <summary>The status codes with which we close a WebSocket (RFC 6455, section 7.4.1).</summary>
enum CloseCode : ushort
{
    None = 0,
    ProtocolError = 1002,
    InvalidPayload = 1007,
    TooBig = 1009,
    TryAgainLater = 1013,
}

/// <summary>Writes the header of an unfragmented, unmasked frame, which is what a server sends.</summary>
static class FrameHeader
{
    public static int LengthFor(int payload) => payload < 126 ? 2 : payload <= ushort.MaxValue ? 4 : 10;

    /// <summary>A whole control frame. Its payload has at most 125 bytes (RFC 6455, section 5.5).</summary>
    public static byte[] Control(Opcode opcode, ReadOnlySpan<byte> payload)
    {
        var frame = new byte[2 + payload.Length];
        Write(frame, opcode, payload.Length);
        payload.CopyTo(frame.AsSpan(2));
        return frame;
    }

    public static int Write(Span<byte> target, Opcode opcode, int payload, bool deflated = false)
    {
        target[0] = (byte)(0x80 | (deflated ? 0x40 : 0) | (byte)opcode);
        switch (LengthFor(payload))
        {
            case 2:
                target[1] = (byte)payload;
                return 2;
            case 4:
                target[1] = 126;
                BinaryPrimitives.WriteUInt16BigEndian(target[2..], (ushort)payload);
                return 4;
            default:
                target[1] = 127;
                BinaryPrimitives.WriteInt64BigEndian(target[2..], payload);
                return 10;
        }
    }
}
