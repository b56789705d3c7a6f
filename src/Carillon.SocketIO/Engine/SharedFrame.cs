using System.Buffers.Text;
using Carillon.SocketIO.Limits;
using Carillon.SocketIO.WebSockets;

namespace Carillon.SocketIO.Engine;

/// <summary>
/// One packet, encoded once for every receiver of every kind. For a WebSocket it is a run of bytes that is written as it is (header and
/// payload of the text frame, then of each binary attachment); the form for long-polling, and the one for clients that cannot take binary
/// frames,
/// are made from it when the first such receiver asks. It never changes after that, so that any number of queues may hold it.
/// </summary>
sealed class SharedFrame
{
    public const byte Separator = 0x1e;

    // The overhead that each queue counts for a frame covers frames as small as this. Among them are the pings, which all servers of a
    // process share.
    const int TooSmallToCount = 64;

    readonly ReadOnlyMemory<byte>[] _attachments;
    readonly ReadOnlyMemory<byte> _text;      // with the Engine.IO type in front; empty for a lone binary message
    Forms? _forms;               // for other receivers than plain WebSockets; a frame without any is smaller
    BufferBudget? _buffers;      // of the server whose connections hold it
    int _holders;
    int _counted;                // bytes that count in the budget now

    SharedFrame(byte[] wire, ReadOnlyMemory<byte> text, ReadOnlyMemory<byte>[] attachments, bool compress, SendPolicy policy)
    {
        (WebSocket, _text, _attachments, MayCompress, Policy) = (wire, text, attachments, compress, policy);
    }

    /// <summary>The bytes for a WebSocket.</summary>
    public byte[] WebSocket { get; }

    /// <summary>How it is treated where it cannot leave at once.</summary>
    public SendPolicy Policy { get; }

    /// <summary>Whether an answer to a poll that holds it may be compressed.</summary>
    public bool MayCompress { get; }

    /// <summary>How many Engine.IO packets it is: a text and its attachments.</summary>
    public int Packets => _attachments.Length + (_text.IsEmpty ? 0 : 1);

    /// <summary>A queue, a write or a record holds the frame from now on: the first of them makes it count, with all its forms.</summary>
    public void Hold(BufferBudget buffers)
    {
        if (WebSocket.Length <= TooSmallToCount) return;
        _buffers ??= buffers;
        if (Interlocked.Increment(ref _holders) == 1) Count();
    }

    /// <summary>Ends a hold; with the last of them the frame counts no longer.</summary>
    public void Release()
    {
        if (WebSocket.Length > TooSmallToCount && Interlocked.Decrement(ref _holders) == 0) Count();
    }

    // Called after each change of what counts. The last caller sees them all, whatever their order.
    void Count()
    {
        lock (this)
        {
            var size = Volatile.Read(ref _holders) == 0
                ? 0 : WebSocket.Length + LengthOf(_forms?.Polling) + LengthOf(_forms?.TextOnly) + LengthOf(_forms?.Deflated);
            if (size != _counted) _buffers!.Add(size - _counted);
            _counted = size;
        }
    }

    int LengthOf(byte[]? form) => form is null || form == WebSocket ? 0 : form.Length;

    Forms FormsOrNew => _forms ?? Interlocked.CompareExchange(ref _forms, new(), null) ?? _forms;

    byte[] Keep(ref byte[]? form, byte[] bytes)
    {
        form = bytes;
        if (Volatile.Read(ref _holders) > 0) Count();
        return bytes;
    }

    /// <summary>The bytes for an answer to a poll: packets joined by U+001E, binary in base64.</summary>
    public byte[] Polling => _forms?.Polling ?? Keep(ref FormsOrNew.Polling, EncodePolling());

    /// <summary>The bytes for a WebSocket whose client asked for base64 instead of binary frames (<c>b64=1</c>).</summary>
    public byte[] WebSocketBase64 =>
        _attachments.Length == 0 ? WebSocket : _forms?.TextOnly ?? Keep(ref FormsOrNew.TextOnly, EncodeTextOnly());

    /// <summary>
    /// The bytes for a WebSocket that takes compressed messages: the text is compressed, once for all, where it has so many bytes and
    /// becomes smaller by it.
    /// </summary>
    public byte[] WebSocketDeflated(int threshold) =>
        !MayCompress || threshold <= 0 || _text.Length < threshold
            ? WebSocket : _forms?.Deflated ?? Keep(ref FormsOrNew.Deflated, EncodeDeflated());

    /// <summary>An Engine.IO packet of text: its type digit and what follows.</summary>
    public static SharedFrame OfText(ReadOnlySpan<byte> packet) =>
        Build(packet[0], packet[1..], hasText: true, [], compress: true, SendPolicy.Default);

    /// <summary>A text packet with the binary messages that follow it and belong to it.</summary>
    /// <param name="message">The text without the type of the Engine.IO packet, which is put in front; empty for a lone binary
    /// message.</param>
    /// <param name="attachments">The binary messages.</param>
    /// <param name="compress">Whether an answer to a poll, or a message of a WebSocket that agreed on it, may be compressed.</param>
    /// <param name="policy">How it is treated where it cannot leave at once.</param>
    public static SharedFrame OfMessage(
        ReadOnlySpan<byte> message, ReadOnlyMemory<byte>[] attachments, bool compress = true, SendPolicy? policy = null) =>
        Build(EnginePacket.Message, message, hasText: !message.IsEmpty, attachments, compress, policy ?? SendPolicy.Default);

    static SharedFrame Build(
        byte type, ReadOnlySpan<byte> data, bool hasText, ReadOnlyMemory<byte>[] attachments, bool compress, SendPolicy policy)
    {
        var textLength = hasText ? 1 + data.Length : 0;
        var length = hasText ? FrameHeader.LengthFor(textLength) + textLength : 0;
        foreach (var attachment in attachments) length += FrameHeader.LengthFor(attachment.Length) + attachment.Length;

        var wire = GC.AllocateUninitializedArray<byte>(length);
        var at = 0;
        ReadOnlyMemory<byte> kept = default;
        if (hasText)
        {
            at = FrameHeader.Write(wire, Opcode.Text, textLength);
            wire[at] = type;
            data.CopyTo(wire.AsSpan(at + 1));
            kept = wire.AsMemory(at, textLength);
            at += textLength;
        }
        var copies = attachments.Length == 0 ? [] : new ReadOnlyMemory<byte>[attachments.Length];
        for (var i = 0; i < attachments.Length; i++)
        {
            at += FrameHeader.Write(wire.AsSpan(at), Opcode.Binary, attachments[i].Length);
            attachments[i].CopyTo(wire.AsMemory(at));
            copies[i] = wire.AsMemory(at, attachments[i].Length);
            at += attachments[i].Length;
        }
        return new SharedFrame(wire, kept, copies, compress, policy);
    }

    /// <summary>
    /// Bytes that go over a WebSocket's connection as they are, such as a control frame; they mean nothing to a polling client.
    /// </summary>
    public static SharedFrame OfBytes(byte[] wire) => new(wire, default, [], compress: false, SendPolicy.Default);

    byte[] EncodePolling()
    {
        var length = _text.Length + Math.Max(0, Packets - 1);
        foreach (var attachment in _attachments) length += 1 + Base64.GetMaxEncodedToUtf8Length(attachment.Length);
        var bytes = new byte[length];
        _text.CopyTo(bytes);
        var at = _text.Length;
        foreach (var attachment in _attachments)
        {
            if (at > 0) bytes[at++] = Separator;
            at += WriteBase64(bytes.AsSpan(at), attachment.Span);
        }
        return bytes;
    }

    byte[] EncodeTextOnly()
    {
        using var stream = new MemoryStream();
        Span<byte> header = stackalloc byte[10];
        if (!_text.IsEmpty)
        {
            stream.Write(header[..FrameHeader.Write(header, Opcode.Text, _text.Length)]);
            stream.Write(_text.Span);
        }
        foreach (var attachment in _attachments)
        {
            var packet = new byte[1 + Base64.GetMaxEncodedToUtf8Length(attachment.Length)];
            WriteBase64(packet, attachment.Span);
            stream.Write(header[..FrameHeader.Write(header, Opcode.Text, packet.Length)]);
            stream.Write(packet);
        }
        return stream.ToArray();
    }

    byte[] EncodeDeflated()
    {
        var text = MessageDeflate.Deflate(_text.Span).Span;
        if (text.Length >= _text.Length) return WebSocket;
        var attachments = WebSocket.AsSpan(FrameHeader.LengthFor(_text.Length) + _text.Length);
        var bytes = new byte[FrameHeader.LengthFor(text.Length) + text.Length + attachments.Length];
        var at = FrameHeader.Write(bytes, Opcode.Text, text.Length, deflated: true);
        text.CopyTo(bytes.AsSpan(at));
        attachments.CopyTo(bytes.AsSpan(at + text.Length));
        return bytes;
    }

    sealed class Forms
    {
        public byte[]? Polling, TextOnly, Deflated;
    }

    static int WriteBase64(Span<byte> target, ReadOnlySpan<byte> data)
    {
        target[0] = (byte)'b';
        Base64.EncodeToUtf8(data, target[1..], out _, out var written);
        return 1 + written;
    }
}
