using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;

namespace Carillon.SocketIO.Packets;

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
/// <param name="Data">The JSON after it; undefined where there is none.</param>
/// <param name="Attachments">How many binary messages follow.</param>
readonly record struct Packet(PacketType Type, string Namespace, long? Id, JsonElement Data, int Attachments);

/// <summary>The limits of a packet from a client.</summary>
/// <param name="Attachments">Binary attachments.</param>
/// <param name="Depth">Levels of nesting of its JSON.</param>
/// <param name="NamespaceLength">Bytes of its namespace's name.</param>
readonly record struct PacketLimits(int Attachments, int Depth, int NamespaceLength);

/// <summary>
/// Reads a packet: type, number of attachments and <c>-</c>, namespace and <c>,</c>, id, JSON. All limits hold before the JSON is parsed.
/// Whatever the protocol
/// forbids a client to send is refused here, so that nobody behind it has to ask again.
/// </summary>
static class PacketReader
{
    const long LargestId = 1L << 53;

    public static bool TryRead(ReadOnlySpan<byte> text, PacketLimits limits, out Packet packet)
    {
        if (!TryReadHead(text, limits, out packet, out var json)) return false;
        JsonElement data = default;
        if (!json.IsEmpty && !TryParse(json, limits.Depth, out data)) return false;
        packet = packet with { Data = data };
        return IsAllowed(packet);
    }

    /// <summary>Reads everything in front of the JSON, and leaves the JSON alone.</summary>
    public static bool TryReadHead(ReadOnlySpan<byte> text, PacketLimits limits, out Packet head, out ReadOnlySpan<byte> json)
    {
        head = default;
        json = default;
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
        }
        json = text[digits..];
        head = new Packet(type, nsp, id, default, attachments);
        return true;
    }

    /// <summary>
    /// The name of an event, as far as it can be read without parsing: a plain text of reasonable length. Empty if there is none.
    /// </summary>
    public static string NameIn(ReadOnlySpan<byte> json)
    {
        const int longest = 100;
        if (!json.StartsWith("[\""u8)) return "";
        var name = json[2..Math.Min(json.Length, longest + 3)];
        var end = name.IndexOfAny((byte)'"', (byte)'\\');
        return end > 0 && name[end] == (byte)'"' && System.Text.Unicode.Utf8.IsValid(name[..end])
            ? Encoding.UTF8.GetString(name[..end]) : "";
    }

    // The runtime's memory for each value, name and end of a parsed text.
    const int BytesPerToken = 12;

    /// <summary>
    /// How many bytes parsed JSON takes in memory, at most: the text, and what was understood of it, which may be six times as much.
    /// </summary>
    public static int MemoryOf(JsonElement json)
    {
        if (json.ValueKind == JsonValueKind.Undefined) return 0;
        var text = JsonMarshal.GetRawUtf8Value(json);
        var tokens = text.Count((byte)',') + text.Count((byte)':') + 2 * (text.Count((byte)'[') + text.Count((byte)'{')) + 1;
        return text.Length + BytesPerToken * tokens;
    }

    static bool IsAllowed(in Packet packet) => packet.Type switch
    {
        PacketType.Connect => packet.Data.ValueKind is JsonValueKind.Undefined or JsonValueKind.Object,
        PacketType.Disconnect => packet.Data.ValueKind is JsonValueKind.Undefined,
        PacketType.Event or PacketType.BinaryEvent => packet.Data.ValueKind is JsonValueKind.Undefined || IsEvent(packet.Data),
        PacketType.Ack or PacketType.BinaryAck => packet.Data.ValueKind is JsonValueKind.Undefined or JsonValueKind.Array,
        _ => false,     // only a server refuses
    };

    static bool IsEvent(JsonElement data)
    {
        if (data.ValueKind != JsonValueKind.Array || data.GetArrayLength() == 0) return false;
        var name = data[0];
        return name.ValueKind == JsonValueKind.Number || (name.ValueKind == JsonValueKind.String && IsUnicode(name) && !IsReserved(name));
    }

    // JSON allows an escaped half of a surrogate pair, Unicode does not.
    static bool IsUnicode(JsonElement text)
    {
        if (!JsonMarshal.GetRawUtf8Value(text).Contains((byte)'\\')) return true;
        try
        {
            return text.GetString() is not null;
        }
        catch (InvalidOperationException)
        {
            return false;
        }
    }

    static bool IsReserved(JsonElement name) =>
        name.ValueEquals("connect"u8) || name.ValueEquals("connect_error"u8) || name.ValueEquals("disconnect"u8)
        || name.ValueEquals("disconnecting"u8) || name.ValueEquals("newListener"u8) || name.ValueEquals("removeListener"u8);

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

    static bool TryParse(ReadOnlySpan<byte> json, int depth, out JsonElement element)
    {
        try
        {
            element = JsonElement.Parse(json, new JsonDocumentOptions { MaxDepth = depth });
            return true;
        }
        catch (JsonException)
        {
            element = default;
            return false;
        }
    }
}
