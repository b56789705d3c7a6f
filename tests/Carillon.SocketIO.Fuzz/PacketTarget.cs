using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using System.Text.Unicode;
using Carillon.SocketIO.Packets;
using Carillon.SocketIO.Sockets;

namespace Carillon.SocketIO.Fuzz;

/// <summary>
/// Packets of Socket.IO with their attachments: reading never throws, whatever a handler asks of the arguments is answered, and what was read goes out and is read back equal, as frames
/// and as a payload of polling.
/// </summary>
sealed class PacketTarget : Target
{
    static readonly PacketLimits Limits = new(Attachments: 10, Depth: 12, NamespaceLength: 60);

    public override string Name => "packets";

    protected override byte[] Make(Random random)
    {
        var type = random.Next(8);
        var attachments = type is 5 or 6 ? random.Next(1, 5) : 0;
        var packet = new StringBuilder().Append(type);
        if (attachments > 0) packet.Append(Pick(random, attachments, attachments, 10, 11)).Append('-');
        if (random.Next(3) == 0) packet.Append('/').Append(Pick(random, "", "admin", "a/b?c=d", "\u00e9", "__proto__", new string('n', 61))).Append(',');
        if (random.Next(2) == 0) packet.Append(Pick(random, "0", "7", "12345", "9007199254740992", "9007199254740993", "00"));
        if (random.Next(10) > 0)
        {
            var next = 0;
            var name = Pick(random, "\"echo\"", "\"echo\"", "\"\"", "1", "-1.5e3", "\"connect\"", "\"\\u0063onnect\"", "\"\\ud800\"", "null");
            packet.Append('[').Append(type is 2 or 5 ? name : Json(random, 3, attachments, ref next));
            for (var count = random.Next(4); count > 0; count--) packet.Append(',').Append(Json(random, 3, attachments, ref next));
            packet.Append(']');
        }
        var made = Encoding.UTF8.GetBytes(packet.ToString());
        return random.Next(3) > 0 ? made : Mutation.Of(made, random);
    }

    static string Json(Random random, int depth, int attachments, ref int next)
    {
        if (attachments > 0 && random.Next(3) == 0) return $"{{\"_placeholder\":true,\"num\":{(random.Next(6) == 0 ? random.Next(-1, 12) : next++ % attachments)}}}";
        switch (random.Next(depth > 0 ? 10 : 7))
        {
            case 0: return Pick(random, "null", "true", "false");
            case 1: return Pick(random, "0", "-0", "1.50", "1E400", "123456789012345678901234567890", "-1e-5");
            case 2: return Pick(random, "\"\"", "\"h\u00e9\"", "\"\ud83d\ude00\"", "\"\\ud83d\\ude00\"", "\"\\ud800\"", "\"\\u0000\\/\\\"\"", "\"\u2028</script>\"", "\"AQID\"");
            case 3: return "{\"_placeholder\":false,\"num\":0}";
            case 4: return Pick(random, "{}", "[]", "{\"_placeholder\":true}", "{\"num\":1}");
            case 5: return "{ \"a\" : [ 1 , 2 ] }";
            case 6: return "7";
            case 7:
                var member = Json(random, depth - 1, attachments, ref next);
                return $"{{\"{Pick(random, "a", "", "__proto__", "\\u0061", "\\ud800", "_placeholder", "num", "\u00e9")}\":{member},\"a\":1}}";
            case 8:
                return $"[{Json(random, depth - 1, attachments, ref next)},{Json(random, depth - 1, attachments, ref next)}]";
            default:
                return $"[{string.Concat(Enumerable.Repeat("[],", random.Next(30)))}{Json(random, depth - 1, attachments, ref next)}]";
        }
    }

    protected override bool Check(byte[] input, Random random)
    {
        if (!Utf8.IsValid(input)) return false;      // refused before
        if (!PacketReader.TryRead(input, Limits, out var packet)) return false;
        Require(packet.Attachments is >= 0 and <= 10 && packet.Namespace.Length is > 0 and <= 60 && packet.Id is null or (>= 0 and <= 1L << 53), () => $"beyond the limits: {packet}");
        Require(PacketReader.TryReadHead(input, Limits, out var head, out var json) && head == packet with { Data = default }, "the head is read alike with the rest and without");
        if (packet.Data.ValueKind != JsonValueKind.Array) return true;

        ReadOnlyMemory<byte>[] attachments = [.. Enumerable.Range(0, packet.Attachments).Select(i => (ReadOnlyMemory<byte>)Enumerable.Repeat((byte)i, i * 100).ToArray())];
        if (attachments.Length > 0 && !Fits(packet, attachments.Length)) return false;
        var isEvent = packet.Type is PacketType.Event or PacketType.BinaryEvent;
        var arguments = new SocketArguments(packet.Data, isEvent ? 1 : 0, attachments);
        Ask(arguments);

        var name = !isEvent ? "" : packet.Data[0].ValueKind == JsonValueKind.String ? packet.Data[0].GetString()! : packet.Data[0].GetRawText();
        if (isEvent && PacketReader.NameIn(json) is { Length: > 0 } guess) Require(guess == name, () => $"the name is taken for {guess}");
        var frame = PacketFrame.Of(isEvent ? PacketWriter.Event(packet.Namespace, name, [.. arguments], packet.Id) : PacketWriter.Ack(packet.Namespace, packet.Id ?? 0, [.. arguments]));
        var (text, binary) = Frames(frame.WebSocket);
        Require(Encoding.UTF8.GetString(frame.Polling) == string.Join('\u001e', [text, .. binary.Select(bytes => "b" + Convert.ToBase64String(bytes.Span))]), "a payload says something else than the frames");

        var written = Encoding.UTF8.GetBytes(text[1..]);
        Require(PacketReader.TryRead(written, Limits with { Depth = 64, NamespaceLength = 200 }, out var again), () => $"written and not read: {text}");
        Require((again.Namespace, again.Id, again.Attachments) == (packet.Namespace, isEvent ? packet.Id : packet.Id ?? 0, binary.Length), () => $"written otherwise: {text}");
        var back = new SocketArguments(again.Data, isEvent ? 1 : 0, binary);
        Require(Plain(arguments) == Plain(back), () => $"read back as {Plain(back)}, and was {Plain(arguments)}");
        return true;
    }

    static bool Fits(in Packet packet, int attachments)
    {
        try
        {
            return BinaryJson.PlaceholdersFit(packet.Data, attachments);
        }
        catch (InvalidOperationException)
        {
            return false;   // half of a surrogate pair as a member's name
        }
    }

    // What a handler may ask.
    static void Ask(SocketArguments arguments)
    {
        var i = 0;
        foreach (var value in arguments)
        {
            Require(value.IsBinary == value.AsBinary() is not null, "binary without bytes");
            _ = value.AsString();
            _ = value["a"].AsString();
            _ = value["_placeholder"].IsBinary;
            Require(value.Json.GetRawText() == arguments[i++].Json.GetRawText(), "the same by its place and in its turn");
        }
        Require(i == arguments.Count && arguments[i].Json.ValueKind == JsonValueKind.Undefined && arguments[-1].Json.ValueKind == JsonValueKind.Undefined, "nothing behind the last");
    }

    static (string Text, ReadOnlyMemory<byte>[] Binary) Frames(byte[] wire)
    {
        List<ReadOnlyMemory<byte>> payloads = [];
        for (var at = 0; at < wire.Length;)
        {
            Require(wire[at] == (payloads.Count == 0 ? 0x81 : 0x82), "a text, and binary behind it");
            int length = wire[at + 1];
            at += 2;
            if (length == 126) (length, at) = (BinaryPrimitives.ReadUInt16BigEndian(wire.AsSpan(at)), at + 2);
            payloads.Add(wire.AsMemory(at, length));
            at += length;
        }
        return (Encoding.UTF8.GetString(payloads[0].Span), [.. payloads.Skip(1)]);
    }

    static string Plain(SocketArguments arguments) => string.Join('|', arguments.Select(value => Plain(value.Json, value.Attachments)));

    static string Plain(JsonElement json, ReadOnlyMemory<byte>[] attachments) =>
        BinaryJson.TryGetPlaceholder(json, out var number) && number < attachments.Length ? "<" + Convert.ToHexString(attachments[number].Span) + ">" : json.ValueKind switch
        {
            JsonValueKind.Array => "[" + string.Join(',', json.EnumerateArray().Select(item => Plain(item, attachments))) + "]",
            JsonValueKind.Object => "{" + string.Join(',', json.EnumerateObject().Select(member => NameOf(member) + ":" + Plain(member.Value, attachments))) + "}",
            _ => json.GetRawText(),
        };

    static string NameOf(JsonProperty member)
    {
        try
        {
            return member.Name;
        }
        catch (InvalidOperationException)
        {
            return Encoding.UTF8.GetString(JsonMarshal.GetRawUtf8PropertyName(member));
        }
    }
}
