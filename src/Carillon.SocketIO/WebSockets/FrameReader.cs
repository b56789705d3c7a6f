using System.Buffers;
using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.InteropServices;
using System.Text.Unicode;
using Carillon.SocketIO.Limits;

namespace Carillon.SocketIO.WebSockets;

/// <summary>
/// A whole text or binary message, a control frame, or <see cref="Opcode.Continuation"/> without a payload for each fragment that completes
/// no message. The payload is valid during the
/// call only; false stops the reading for good.
/// </summary>
delegate bool FrameHandler(Opcode opcode, ReadOnlySpan<byte> payload);

/// <summary>
/// Reads the frames of one client (RFC 6455) out of whatever pieces the network hands over. A frame that lies whole in one piece is
/// unmasked in
/// place and handed on without a copy; a buffer is held only while a message is incomplete.
/// </summary>
/// <param name="maxPayload">How many bytes a message may have.</param>
/// <param name="onFrame">Receives each whole message and each control frame.</param>
/// <param name="deflated">Whether compressed messages were agreed on (RFC 7692).</param>
/// <param name="buffers">The budget that the buffer of an incomplete message counts in.</param>
sealed class FrameReader(int maxPayload, FrameHandler onFrame, bool deflated = false, BufferBudget? buffers = null)
{
    const int LongestHeader = 14;

    byte[]? _message;             // what has come of an incomplete message, unmasked
    int _messageLength;
    Opcode _messageOpcode;        // Continuation: no message has begun
    bool _messageDeflated;

    byte[]? _header;              // a header cut in two by the network
    int _headerLength;

    bool _inFrame;
    bool _final;
    Opcode _opcode;
    uint _mask;
    int _payload;
    int _read;                    // of the current frame's payload
    byte[]? _control;             // the payload of an incomplete control frame

    /// <summary>How many bytes a message may have, from the next frame on.</summary>
    public int MaxPayload { get; set; } = maxPayload;

    /// <summary>How many bytes the buffer of an incomplete message has.</summary>
    public int Held => _message?.Length ?? 0;

    /// <summary>Whether the reading is over: the client broke the protocol, or the handler said stop.</summary>
    public bool HasStopped { get; private set; }

    /// <summary>Whether a piece ends where the frame ends that it begins with, or before.</summary>
    public bool HoldsOne(ReadOnlySpan<byte> piece)
    {
        if (_inFrame) return piece.Length <= _payload - _read;
        if (_headerLength > 0 || piece.Length < 2) return piece.Length < 2;
        var frame = (piece[1] & 0x7f) switch
        {
            126 => piece.Length < 4 ? int.MaxValue : 2 + 2 + 4 + BinaryPrimitives.ReadUInt16BigEndian(piece[2..]),
            127 => int.MaxValue,          // longer than any piece that holds more than one frame
            var length => 2 + 4 + length,
        };
        return piece.Length <= frame;
    }

    /// <summary>
    /// Reads a piece. Answers the code to close with when the client broke the protocol, else <see cref="CloseCode.None"/>.
    /// </summary>
    public CloseCode Read(Span<byte> piece)
    {
        while (!piece.IsEmpty)
        {
            if (!_inFrame)
            {
                var code = ReadHeader(ref piece);
                if (code != CloseCode.None)
                {
                    HasStopped = true;
                    return code;
                }
                if (!_inFrame) return CloseCode.None;   // the rest of the header is still to come
            }

            if (piece.IsEmpty && _payload > 0) return CloseCode.None;
            var part = piece[..Math.Min(piece.Length, _payload - _read)];
            piece = piece[part.Length..];
            Unmask(part, _mask, _read);
            _read += part.Length;
            var whole = _read == _payload;
            var (result, goOn) = _opcode >= Opcode.Close ? Control(part, whole) : Data(part, whole);
            if (whole) _inFrame = false;
            if (!goOn)
            {
                HasStopped = true;
                return result;
            }
            if (!whole) return CloseCode.None;
        }
        return CloseCode.None;
    }

    /// <summary>Gives back what is held. The reader cannot be used afterwards.</summary>
    public void Release()
    {
        if (_message is not { } message) return;
        _message = null;
        buffers?.AddIncoming(-message.Length);
        ArrayPool<byte>.Shared.Return(message);
    }

    CloseCode ReadHeader(ref Span<byte> piece)
    {
        if (_headerLength == 0 && TryParseHeader(piece, out var used, out var code))
        {
            piece = piece[used..];
            return code;
        }

        // Rare: the network cut inside a header. Gather it byte by byte.
        _header ??= new byte[LongestHeader];
        while (!piece.IsEmpty)
        {
            _header[_headerLength++] = piece[0];
            piece = piece[1..];
            if (TryParseHeader(_header.AsSpan(0, _headerLength), out _, out code))
            {
                _header = null;
                _headerLength = 0;
                return code;
            }
        }
        return CloseCode.None;
    }

    // False: more bytes are needed. The limits hold before a byte of the payload is read.
    bool TryParseHeader(ReadOnlySpan<byte> bytes, out int used, out CloseCode error)
    {
        used = 0;
        error = CloseCode.None;
        if (bytes.Length < 2) return false;
        var opcode = (Opcode)(bytes[0] & 0x0f);
        var final = (bytes[0] & 0x80) != 0;
        var control = opcode >= Opcode.Close;
        var shortLength = bytes[1] & 0x7f;
        var reserved = bytes[0] & 0x70;
        var compressed = deflated && reserved == 0x40 && (opcode is Opcode.Text or Opcode.Binary);
        if ((reserved != 0 && !compressed)                                           // what was not agreed, or may not stand here
            || (bytes[1] & 0x80) == 0                                                // a client must mask
            || opcode is not (Opcode.Continuation or Opcode.Text or Opcode.Binary or Opcode.Close or Opcode.Ping or Opcode.Pong)
            || (control && (!final || shortLength > 125))
            || (opcode == Opcode.Continuation && _messageOpcode == Opcode.Continuation)
            || (opcode is Opcode.Text or Opcode.Binary && _messageOpcode != Opcode.Continuation))
        {
            error = CloseCode.ProtocolError;
            return true;
        }

        var lengthBytes = shortLength switch { 126 => 2, 127 => 8, _ => 0 };
        if (bytes.Length < 2 + lengthBytes + 4) return false;
        var length = lengthBytes switch
        {
            2 => BinaryPrimitives.ReadUInt16BigEndian(bytes[2..]),
            8 => BinaryPrimitives.ReadUInt64BigEndian(bytes[2..]),
            _ => (ulong)shortLength,
        };
        var before = control ? 0 : _messageLength;
        if (length > (ulong)(MaxPayload - before) && !control)
        {
            error = CloseCode.TooBig;
            return true;
        }

        used = 2 + lengthBytes + 4;
        _mask = MemoryMarshal.Read<uint>(bytes[(used - 4)..]);
        (_opcode, _final, _payload, _read, _inFrame) = (opcode, final, (int)length, 0, true);
        if (opcode is Opcode.Text or Opcode.Binary) (_messageOpcode, _messageDeflated) = (opcode, compressed);
        return true;
    }

    (CloseCode, bool GoOn) Data(Span<byte> part, bool whole)
    {
        var complete = whole && _final;
        if (complete && _messageLength == 0) return Deliver(part);

        Append(part);
        if (!complete) return (CloseCode.None, !whole || onFrame(Opcode.Continuation, []));
        var result = Deliver(_message.AsSpan(0, _messageLength));
        Release();
        _messageLength = 0;
        return result;
    }

    (CloseCode, bool GoOn) Deliver(ReadOnlySpan<byte> message)
    {
        var opcode = _messageOpcode;
        _messageOpcode = Opcode.Continuation;
        if (!_messageDeflated) return HandOn(opcode, message);
        var code = MessageDeflate.Inflate(message, MaxPayload, out var buffer, out var length);
        try
        {
            return code == CloseCode.None ? HandOn(opcode, buffer.AsSpan(0, length)) : (code, false);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    (CloseCode, bool GoOn) HandOn(Opcode opcode, ReadOnlySpan<byte> message) =>
        opcode == Opcode.Text && !Utf8.IsValid(message) ? (CloseCode.InvalidPayload, false) : (CloseCode.None, onFrame(opcode, message));

    (CloseCode, bool GoOn) Control(Span<byte> part, bool whole)
    {
        if (whole && _control is null) return (CloseCode.None, onFrame(_opcode, part));
        _control ??= new byte[_payload];
        part.CopyTo(_control.AsSpan(_read - part.Length));
        if (!whole) return (CloseCode.None, true);
        var payload = _control;
        _control = null;
        return (CloseCode.None, onFrame(_opcode, payload));
    }

    void Append(ReadOnlySpan<byte> part)
    {
        var needed = _messageLength + part.Length;
        if (_message is null || _message.Length < needed)
        {
            // Memory follows what has really come, not what a header promises.
            var larger = ArrayPool<byte>.Shared.Rent(Math.Max(needed, Math.Min(_messageLength * 2, MaxPayload)));
            _message.AsSpan(0, _messageLength).CopyTo(larger);
            buffers?.AddIncoming(larger.Length - (_message?.Length ?? 0));      // at once: nothing was given up
            if (_message is { } smaller) ArrayPool<byte>.Shared.Return(smaller);
            _message = larger;
        }
        part.CopyTo(_message.AsSpan(_messageLength));
        _messageLength = needed;
    }

    static void Unmask(Span<byte> data, uint mask, int offset)
    {
        var key = BitOperations.RotateRight(mask, 8 * (offset & 3));
        var wide = (ulong)key << 32 | key;
        var words = MemoryMarshal.Cast<byte, ulong>(data);
        foreach (ref var word in words) word ^= wide;
        for (var i = words.Length * 8; i < data.Length; i++) data[i] ^= (byte)(key >> (8 * (i & 3)));
    }
}
