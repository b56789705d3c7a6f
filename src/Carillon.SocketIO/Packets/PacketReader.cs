using System.Text;
using System.Text.Json;

namespace Carillon.SocketIO;

/// <summary>The packets of Socket.IO protocol 5.</summary>
enum PacketType
{
    Connect = 0,
    Disconnect = 1,
    Event = 2,
    Ack = 3,
    ConnectError = 4,
    BinaryEvent = 5,
    BinaryAck = 6,
}

/// <summary>A packet as it came, its attachments perhaps still on their way.</summary>
/// <param name="Type">The type.</param>
/// <param name="Namespace">The namespace, <c>/</c> where the packet names none.</param>
/// <param name="Id">The id that asks for an acknowledgement, or answers one.</param>
/// <param name="Data">The JSON after it; <see langword="null"/> where there is none.</param>
/// <param name="Name">The event's name; a number is its digits.</param>
/// <param name="Attachments">How many binary messages follow.</param>
readonly record struct Packet(PacketType Type, string Namespace, long? Id, PacketJson? Data, string? Name, int Attachments);

/// <summary>What a packet from a client may hold.</summary>
/// <param name="Attachments">Binary attachments.</param>
/// <param name="Depth">Levels of nesting of its JSON.</param>
/// <param name="NamespaceLength">Bytes of its namespace's name.</param>
readonly record struct PacketLimits(int Attachments, int Depth, int NamespaceLength);

/// <summary>
/// Reads a packet: type, number of attachments and <c>-</c>, namespace and <c>,</c>, id, JSON. All limits hold before the JSON is parsed. Whatever the protocol
/// forbids a client to send is refused here, so that nobody behind it has to ask again.
/// </summary>
static class PacketReader
{
    const long LargestId = 1L << 53;

    public static bool TryRead(ReadOnlySpan<byte> text, PacketLimits limits, out Packet packet)
    {
        packet = default;
        if (text.IsEmpty || text[0] is < (byte)'0' or > (byte)'6') return false;
        var type = (PacketType)(text[0] - '0');
        text = text[1..];

        var attachments = 0;
        if (type is PacketType.BinaryEvent or PacketType.BinaryAck)
        {
            var dash = text.IndexOf((byte)'-');
            if (dash is < 1 or > 3 || !TryReadNumber(text[..dash], out var count) || count < 1 || count > limits.Attachments) return false;
            attachments = (int)count;
            text = text[(dash + 1)..];
        }

        var nsp = "/";
        if (text is [(byte)'/', ..])
        {
            var comma = text.IndexOf((byte)',');
            var name = comma < 0 ? text : text[..comma];
            if (name.Length > limits.NamespaceLength) return false;
            nsp = Encoding.UTF8.GetString(name);
            text = comma < 0 ? [] : text[(comma + 1)..];
        }

        long? id = null;
        var digits = 0;
        while (digits < text.Length && text[digits] is >= (byte)'0' and <= (byte)'9') digits++;
        if (digits > 0)
        {
            if (!TryReadNumber(text[..digits], out var number)) return false;
            id = number;
            text = text[digits..];
        }

        PacketJson? data = null;
        if (!text.IsEmpty && !PacketJson.TryParse(text, limits.Depth, out data)) return false;
        var isEvent = type is PacketType.Event or PacketType.BinaryEvent;
        packet = new Packet(type, nsp, id, data, isEvent && data is not null ? NameIn(data) : null, attachments);
        return IsAllowed(packet);
    }

    static bool IsAllowed(in Packet packet) => packet.Type switch
    {
        PacketType.Connect => packet.Data is null or { Type: JsonTokenType.StartObject },
        PacketType.Disconnect => packet.Data is null,
        PacketType.Event or PacketType.BinaryEvent => packet.Data is null || packet.Name is not null,
        PacketType.Ack or PacketType.BinaryAck => packet.Data is null or { Type: JsonTokenType.StartArray },
        _ => false,     // only a server refuses
    };

    // The first value of the list, a text or a number; null where it is neither, or where clients may not use the name.
    static string? NameIn(PacketJson data)
    {
        if (data.Count == 0) return null;
        var first = data[0].Span;
        if (first[0] is (byte)'-' or (>= (byte)'0' and <= (byte)'9')) return Encoding.UTF8.GetString(first);
        return PacketJson.Text(first) is { } name
            and not ("connect" or "connect_error" or "disconnect" or "disconnecting" or "newListener" or "removeListener") ? name : null;
    }

    static bool TryReadNumber(ReadOnlySpan<byte> digits, out long number)
    {
        number = 0;
        if (digits.Length > 16) return false;
        foreach (var digit in digits)
        {
            if (digit is < (byte)'0' or > (byte)'9') return false;
            number = number * 10 + (digit - '0');
        }
        return number <= LargestId;
    }
}
