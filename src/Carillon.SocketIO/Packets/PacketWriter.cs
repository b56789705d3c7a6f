using System.Buffers;
using System.Buffers.Text;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Carillon.SocketIO.Packets;

/// <summary>
/// An encoded packet: its text, and the binary messages that follow it. The text lies in a pooled buffer until the packet is disposed.
/// </summary>
readonly ref struct EncodedPacket(byte[] buffer, int length, ReadOnlyMemory<byte>[] attachments)
{
    public ReadOnlySpan<byte> Text => buffer.AsSpan(0, length);

    public ReadOnlyMemory<byte>[] Attachments => attachments;

    public void Dispose() => ArrayPool<byte>.Shared.Return(buffer);
}

/// <summary>Encodes the packets of Socket.IO (protocol 5).</summary>
static class PacketWriter
{
    // Clients refuse a packet with more attachments, as we do.
    public const int MaxAttachments = 10;

    static readonly JsonWriterOptions Json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, SkipValidation = true };

    [ThreadStatic] static Scratch? t_scratch;

    /// <summary>An event; with an id it asks for an acknowledgement.</summary>
    /// <exception cref="ArgumentException">The arguments hold more than ten binary values.</exception>
    public static EncodedPacket Event(string nsp, string name, ReadOnlySpan<object?> arguments, long? id = null, string? offset = null)
    {
        var scratch = Rent();
        scratch.Writer.WriteStartArray();
        scratch.Writer.WriteStringValue(name);
        foreach (var argument in arguments) BinaryJson.Write(scratch.Writer, argument, scratch.Attachments);
        if (offset is not null) scratch.Writer.WriteStringValue(offset);
        scratch.Writer.WriteEndArray();
        return Finish(scratch, PacketType.Event, nsp, id);
    }

    /// <summary>The answer to an event that asked for one.</summary>
    /// <exception cref="ArgumentException">The arguments hold more than ten binary values.</exception>
    public static EncodedPacket Ack(string nsp, long id, ReadOnlySpan<object?> arguments)
    {
        var scratch = Rent();
        scratch.Writer.WriteStartArray();
        foreach (var argument in arguments) BinaryJson.Write(scratch.Writer, argument, scratch.Attachments);
        scratch.Writer.WriteEndArray();
        return Finish(scratch, PacketType.Ack, nsp, id);
    }

    public static EncodedPacket Connected(string nsp, string sid, string? pid)
    {
        var scratch = Rent();
        scratch.Writer.WriteStartObject();
        scratch.Writer.WriteString("sid"u8, sid);
        if (pid is not null) scratch.Writer.WriteString("pid"u8, pid);
        scratch.Writer.WriteEndObject();
        return Finish(scratch, PacketType.Connect, nsp, id: null);
    }

    public static EncodedPacket Refused(string nsp, string message, object? data)
    {
        var scratch = Rent();
        scratch.Writer.WriteStartObject();
        scratch.Writer.WriteString("message"u8, message);
        if (data is not null)
        {
            scratch.Writer.WritePropertyName("data"u8);
            BinaryJson.Write(scratch.Writer, data, scratch.Attachments);
        }
        scratch.Writer.WriteEndObject();
        return Finish(scratch, PacketType.ConnectError, nsp, id: null);
    }

    public static EncodedPacket Disconnected(string nsp) => Finish(Rent(), PacketType.Disconnect, nsp, id: null);

    static EncodedPacket Finish(Scratch scratch, PacketType type, string nsp, long? id)
    {
        scratch.Writer.Flush();
        var attachments = scratch.Attachments;
        if (attachments.Count > MaxAttachments)
            throw new ArgumentException($"A packet holds at most {MaxAttachments} binary values, this one has {attachments.Count}.");

        var json = scratch.Body.WrittenSpan;
        var prefix = 3 + 4 + Encoding.UTF8.GetMaxByteCount(nsp.Length) + 20;
        var text = ArrayPool<byte>.Shared.Rent(prefix + json.Length);
        var at = 0;
        if (attachments.Count > 0)
        {
            text[at++] = (byte)('0' + (int)(type == PacketType.Event ? PacketType.BinaryEvent : PacketType.BinaryAck));
            Utf8Formatter.TryFormat(attachments.Count, text.AsSpan(at), out var written);
            at += written;
            text[at++] = (byte)'-';
        }
        else
        {
            text[at++] = (byte)('0' + (int)type);
        }
        if (nsp != "/")
        {
            at += Encoding.UTF8.GetBytes(nsp, text.AsSpan(at));
            text[at++] = (byte)',';
        }
        if (id is { } number)
        {
            Utf8Formatter.TryFormat(number, text.AsSpan(at), out var written);
            at += written;
        }
        json.CopyTo(text.AsSpan(at));
        at += json.Length;
        if (scratch.Body.Capacity <= Scratch.KeptCapacity) t_scratch = scratch;
        return new EncodedPacket(text, at, attachments.Count == 0 ? [] : [.. attachments]);
    }

    // One per thread, taken while in use: a serializer of the application may emit from within.
    static Scratch Rent()
    {
        var scratch = t_scratch ?? new Scratch();
        t_scratch = null;
        scratch.Body.ResetWrittenCount();
        scratch.Writer.Reset();
        scratch.Attachments.Clear();
        return scratch;
    }

    sealed class Scratch
    {
        public const int KeptCapacity = 64 * 1024;

        public Scratch() => Writer = new Utf8JsonWriter(Body, Json);

        public ArrayBufferWriter<byte> Body { get; } = new(512);

        public Utf8JsonWriter Writer { get; }

        public List<ReadOnlyMemory<byte>> Attachments { get; } = [];
    }
}
