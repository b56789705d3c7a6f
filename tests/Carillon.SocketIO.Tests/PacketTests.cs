using System.Text;
using System.Text.Json;
using Carillon.SocketIO.Packets;
using Carillon.SocketIO.Sockets;
using Carillon.SocketIO.WebSockets;

namespace Carillon.SocketIO.Tests;

public class PacketTests
{
    static readonly PacketLimits Limits = new(Attachments: 10, Depth: 64, NamespaceLength: 100);

    [Theory]
    [InlineData("0", PacketType.Connect, "/", null, null, 0)]
    [InlineData("0/admin,{\"token\":1}", PacketType.Connect, "/admin", null, "{\"token\":1}", 0)]
    [InlineData("0/admin", PacketType.Connect, "/admin", null, null, 0)]
    [InlineData("1/admin,", PacketType.Disconnect, "/admin", null, null, 0)]
    [InlineData("2[\"hello\",1]", PacketType.Event, "/", null, "[\"hello\",1]", 0)]
    [InlineData("2/admin,456[\"hello\"]", PacketType.Event, "/admin", 456L, "[\"hello\"]", 0)]
    [InlineData("2[1]", PacketType.Event, "/", null, "[1]", 0)]
    [InlineData("3/admin,456[]", PacketType.Ack, "/admin", 456L, "[]", 0)]
    [InlineData("51-[\"a\",{\"_placeholder\":true,\"num\":0}]", PacketType.BinaryEvent, "/", null, "[\"a\",{\"_placeholder\":true,\"num\":0}]", 1)]
    [InlineData("61-/admin,7[{\"_placeholder\":true,\"num\":0}]", PacketType.BinaryAck, "/admin", 7L, "[{\"_placeholder\":true,\"num\":0}]", 1)]
    [InlineData("29007199254740991[\"a\"]", PacketType.Event, "/", 9007199254740991L, "[\"a\"]", 0)]
    internal void Packets_are_read_as_the_protocol_writes_them(string text, PacketType type, string nsp, long? id, string? data, int attachments)
    {
        Assert.True(PacketReader.TryRead(Encoding.UTF8.GetBytes(text), Limits, out var packet));
        Assert.Equal((type, nsp, id, attachments), (packet.Type, packet.Namespace, packet.Id, packet.Attachments));
        Assert.Equal(data, packet.Data.ValueKind == JsonValueKind.Undefined ? null : packet.Data.GetRawText());
    }

    [Theory]
    [InlineData("")]
    [InlineData("7")]
    [InlineData("2{}")]
    [InlineData("2[]")]
    [InlineData("2[null]")]
    [InlineData("2[\"connect\"]")]
    [InlineData("2[\"\\ud800\"]")]
    [InlineData("2[\"a\"")]
    [InlineData("4{\"message\":\"x\"}")]
    [InlineData("1{}")]
    [InlineData("5-[\"a\"]")]
    [InlineData("511-[\"a\"]")]
    [InlineData("5999-[\"a\"]")]
    [InlineData("29007199254740993[\"a\"]")]
    [InlineData("211111111111111111111111111111[\"a\"]")]
    public void What_a_client_may_not_send_is_refused(string text) =>
        Assert.False(PacketReader.TryRead(Encoding.UTF8.GetBytes(text), Limits, out _));

    [Fact]
    public void Nesting_and_names_have_limits()
    {
        Assert.True(PacketReader.TryRead(Nested(60), Limits, out _));
        Assert.False(PacketReader.TryRead(Nested(100_000), Limits, out _));
        Assert.False(PacketReader.TryRead(Encoding.UTF8.GetBytes($"0/{new string('n', 64_000)}"), Limits, out _));

        static byte[] Nested(int depth) => Encoding.UTF8.GetBytes($"2[\"a\",{new string('[', depth)}{new string(']', depth)}]");
    }

    [Fact]
    public void Random_changes_of_good_packets_never_throw()
    {
        string[] good = ["2/admin,456[\"hello\",{\"a\":[1,2,{\"b\":\"\\u00e9\"}]}]", "51-[\"a\",{\"_placeholder\":true,\"num\":0}]", "0/x,{\"t\":\"y\"}", "313[1]"];
        foreach (var (seed, random) in Chance.Rounds(50_000))
        {
            var bytes = Encoding.UTF8.GetBytes(good[random.Next(good.Length)]).ToList();
            for (var changes = random.Next(1, 6); changes > 0 && bytes.Count > 0; changes--)
            {
                var at = random.Next(bytes.Count);
                switch (random.Next(3))
                {
                    case 0: bytes[at] = (byte)random.Next(256); break;
                    case 1: bytes.RemoveAt(at); break;
                    default: bytes.Insert(at, (byte)"[]{}\",:-/0123456789\\"[random.Next(20)]); break;
                }
            }
            try
            {
                if (PacketReader.TryRead([.. bytes], Limits, out var packet)) _ = new SocketArguments(packet.Data, 0, []).Count;
            }
            catch (Exception ex)
            {
                Assert.Fail($"seed {seed}: {Encoding.UTF8.GetString([.. bytes])}: {ex}");
            }
        }
    }

    [Theory]
    [InlineData(0, "42[\"a\"]")]
    [InlineData(1, "451-[\"a\",{\"_placeholder\":true,\"num\":0}]")]
    [InlineData(2, "452-[\"a\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]")]
    public void A_frame_has_one_text_for_every_transport_and_its_binary_behind(int attachments, string text)
    {
        object?[] arguments = [.. Enumerable.Range(0, attachments).Select(i => new byte[] { (byte)i })];
        var frame = PacketFrame.Of(PacketWriter.Event("/", "a", arguments));
        var base64 = string.Concat(Enumerable.Range(0, attachments).Select(i => "\u001eb" + Convert.ToBase64String([(byte)i])));
        Assert.Equal(text + base64, Encoding.UTF8.GetString(frame.Polling));
        Assert.Equal(1 + attachments, frame.Packets);
        Assert.Same(frame.Polling, frame.Polling);

        List<(Opcode, string)> read = [];
        Assert.Equal(text, Encoding.UTF8.GetString(frame.WebSocket, 2, text.Length));
        Assert.Equal(2 + text.Length + (3 * attachments), frame.WebSocket.Length);
    }

    [Fact]
    public void More_binary_than_clients_take_is_refused_where_it_is_sent()
    {
        object?[] eleven = [.. Enumerable.Repeat(Array.Empty<byte>(), 11)];
        Assert.Throws<ArgumentException>(() => PacketWriter.Event("/", "a", eleven).Dispose());
    }

    [Fact]
    public void Binary_is_found_wherever_it_stands_in_an_object()
    {
        var frame = PacketFrame.Of(PacketWriter.Event("/n", "a", [new { deep = new[] { new { bytes = new byte[] { 1 }, memory = new ReadOnlyMemory<byte>([2]) } } }], id: 3));
        Assert.Equal("452-/n,3[\"a\",{\"deep\":[{\"bytes\":{\"_placeholder\":true,\"num\":0},\"memory\":{\"_placeholder\":true,\"num\":1}}]}]\u001ebAQ==\u001ebAg==",
            Encoding.UTF8.GetString(frame.Polling));
    }

    sealed record Letter(string Subject, byte[] Body);

    [Fact]
    public void Arguments_become_types_with_their_binary()
    {
        Assert.True(PacketReader.TryRead("51-[\"a\",{\"subject\":\"x\",\"body\":{\"_placeholder\":true,\"num\":0}},7]"u8, Limits, out var packet));
        var arguments = new SocketArguments(packet.Data, skip: 1, [new byte[] { 9 }]);
        var letter = arguments[0].As<Letter>()!;
        Assert.Equal(("x", 9), (letter.Subject, letter.Body[0]));
        Assert.True(arguments[0]["body"].IsBinary);
        Assert.Equal(7, arguments[1].As<int>());
        Assert.Equal(JsonValueKind.Undefined, arguments[5].Json.ValueKind);
        Assert.Null(arguments[5].AsString());
    }
}
