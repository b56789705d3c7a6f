using System.Buffers.Binary;
using System.Text;
using Carillon.SocketIO.WebSockets;

namespace Carillon.SocketIO.Tests;

public class FrameReaderTests
{
    const int Max = 1000;

    readonly List<(Opcode Opcode, string Payload)> _frames = [];
    int _fragments;

    FrameReader Reader(int max = Max) => new(max, (opcode, payload) =>
    {
        if (opcode == Opcode.Continuation) _fragments++;
        else _frames.Add((opcode, Encoding.Latin1.GetString(payload)));
        return true;
    });

    [Fact]
    public void A_conversation_reads_the_same_wherever_the_network_cuts_it()
    {
        byte[] conversation =
        [
            .. Frame(Opcode.Text, "hello"), .. Frame(Opcode.Text, ""), .. Frame(Opcode.Binary, new string('b', 300)),
            .. Frame(Opcode.Text, "be", final: false), .. Frame(Opcode.Ping, "p"), .. Frame(Opcode.Continuation, "gi", final: false),
            .. Frame(Opcode.Continuation, "n"), .. Frame(Opcode.Ping, ""), .. Frame(Opcode.Close, "\u0003\u00e8"),
        ];
        (Opcode, string)[] expected =
        [
            (Opcode.Text, "hello"), (Opcode.Text, ""), (Opcode.Binary, new string('b', 300)), (Opcode.Ping, "p"), (Opcode.Text, "begin"),
            (Opcode.Ping, ""), (Opcode.Close, "\u0003\u00e8"),
        ];
        for (var size = 1; size <= conversation.Length; size++)
        {
            _frames.Clear();
            _fragments = 0;
            var reader = Reader();
            foreach (var piece in conversation.Chunk(size)) Assert.Equal(CloseCode.None, reader.Read(piece));
            Assert.Equal(expected, _frames);
            Assert.Equal(2, _fragments);      // each costs, though it completes nothing
            reader.Release();
        }
    }

    [Fact]
    public void A_message_of_exactly_the_limit_passes_and_one_byte_more_does_not()
    {
        Assert.Equal(CloseCode.None, Reader().Read(Frame(Opcode.Binary, new string('x', Max))));
        Assert.Equal(CloseCode.TooBig, Reader().Read(Frame(Opcode.Binary, new string('x', Max + 1))));
        Assert.Equal(CloseCode.TooBig, Reader().Read([.. Frame(Opcode.Binary, new string('x', Max), final: false), .. Frame(Opcode.Continuation, "y")]));
    }

    [Fact]
    public void A_length_that_is_only_promised_takes_no_memory()
    {
        byte[] header = [0x82, 0xff, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 1, 2, 3, 4];
        Assert.Equal(CloseCode.TooBig, Reader().Read(header));
        BinaryPrimitives.WriteUInt64BigEndian(header.AsSpan(2), ulong.MaxValue);
        Assert.Equal(CloseCode.TooBig, Reader().Read(header));
    }

    [Theory]
    [InlineData("8101", "no mask")]
    [InlineData("c18000000000", "a reserved bit")]
    [InlineData("838000000000", "an unknown opcode")]
    [InlineData("808000000000", "a continuation of nothing")]
    [InlineData("098000000000", "a ping in fragments")]
    [InlineData("89fe007e00000000", "a ping that is too long")]
    [InlineData("01800000000001800000000000", "a message inside another")]
    public void What_breaks_the_protocol_is_refused(string hex, string why)
    {
        Assert.True(Reader().Read(Convert.FromHexString(hex)) == CloseCode.ProtocolError, why);
    }

    [Fact]
    public void Text_must_be_UTF8_and_binary_may_be_anything()
    {
        Assert.Equal(CloseCode.InvalidPayload, Reader().Read(Frame(Opcode.Text, "\u00ff")));
        Assert.Equal(CloseCode.None, Reader().Read(Frame(Opcode.Binary, "\u00ff")));
    }

    [Fact]
    public void Random_bytes_never_throw_and_never_hold_more_than_a_message()
    {
        foreach (var (seed, random) in Chance.Rounds(20_000))
        {
            var reader = Reader(64);
            var bytes = new byte[random.Next(1, 200)];
            random.NextBytes(bytes);
            if (random.Next(2) == 0) bytes[0] = (byte)(0x80 | random.Next(11));
            try
            {
                while (bytes.Length > 0)
                {
                    var cut = random.Next(1, bytes.Length + 1);
                    if (reader.Read(bytes.AsSpan(0, cut)) != CloseCode.None) break;
                    bytes = bytes[cut..];
                }
            }
            catch (Exception ex)
            {
                Assert.Fail($"seed {seed}: {ex}");
            }
            finally
            {
                reader.Release();
            }
            Assert.All(_frames, frame => Assert.True(frame.Payload.Length <= 125));
            _frames.Clear();
        }
    }

    static byte[] Frame(Opcode opcode, string payload, bool final = true)
    {
        var bytes = Encoding.Latin1.GetBytes(payload);
        var header = new byte[14];
        var length = FrameHeader.Write(header, opcode, bytes.Length);
        if (!final) header[0] &= 0x7f;
        header[1] |= 0x80;
        byte[] mask = [0x12, 0x34, 0x56, 0x78];
        for (var i = 0; i < bytes.Length; i++) bytes[i] ^= mask[i & 3];
        return [.. header.AsSpan(0, length), .. mask, .. bytes];
    }
}
