using System.IO.Compression;
using System.Text;
using Carillon.SocketIO.WebSockets;

namespace Carillon.SocketIO.Tests.Hostile;

/// <summary>What is too large is refused by its first byte too many, and before memory is spent on it.</summary>
public class SizeTests
{
    const int Max = 1000;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_message_of_the_limit_passes_and_one_byte_more_ends_with_1009(bool direct)
    {
        await using var siege = await StartAsync(direct);
        byte[][] tooLarge =
        [
            Wire.TextFrame(Event(Max + 1)),
            [.. Fragment(Opcode.Text, Event(Max), final: false), .. Fragment(Opcode.Continuation, "x", final: true)],
            Wire.FrameOf(Opcode.Binary, new byte[Max + 1]),
            [0x81, 0xfe, (Max + 1) >> 8, (Max + 1) & 0xff, 0, 0, 0, 0],        // only promised
        ];
        foreach (var bytes in tooLarge)
        {
            using var wire = await Wire.JoinAsync(siege.Server);
            await wire.TextAsync(Event(Max));
            Assert.StartsWith("431[", await wire.TextAsync(), StringComparison.Ordinal);
            await wire.SendAsync(bytes);
            Assert.Equal(1009, await wire.EndAsync());
            await siege.AssertServedAsync();
        }
        await siege.AssertNothingLeftAsync();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_body_of_the_limit_passes_and_one_byte_more_is_413_chunked_or_not(bool direct)
    {
        await using var siege = await StartAsync(direct);
        var sid = await siege.PollingAsync();
        Assert.Equal(200, (await siege.PostAsync(sid, "40")).Status);
        Assert.Equal(200, (await siege.PostAsync(sid, Event(Max))).Status);

        Assert.Equal(413, (await siege.PostAsync(sid, Event(Max + 1))).Status);
        Assert.Equal(413, (await ChunkedAsync(Event(Max + 1), chunk: 1)).Status);
        Assert.Equal(413, (await ChunkedAsync(Event(100_000), chunk: 5000)).Status);
        Assert.Equal(413, (await Wire.RequestAsync(siege.Server,
            $"POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: x\r\nContent-Length: {long.MaxValue}\r\n\r\n")).Status);

        Assert.Equal(200, (await ChunkedAsync(Event(Max), chunk: 7)).Status);
        Assert.Equal(3, (await siege.PollAsync(sid)).Body.Split('\u001e').Length);     // joined, and answered twice
        await siege.AssertServedAsync();

        Task<Wire.Answer> ChunkedAsync(string body, int chunk) => Wire.RequestAsync(siege.Server,
            $"POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            + string.Concat(body.Chunk(chunk).Select(part => $"{part.Length:x}\r\n{new string(part)}\r\n")) + "0\r\n\r\n");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_compressed_body_is_never_inflated(bool direct)
    {
        await using var siege = await StartAsync(direct);
        using var packed = new MemoryStream();
        await using (var gzip = new GZipStream(packed, CompressionLevel.Optimal, leaveOpen: true)) await gzip.WriteAsync(Encoding.ASCII.GetBytes("4" + new string('x', 500_000)));
        Assert.InRange(packed.Length, 1, Max);
        foreach (var coding in new[] { "gzip", "deflate", "br", "identity, gzip" })
        {
            var sid = await siege.PollingAsync();
            var answer = await siege.PostAsync(sid, packed.ToArray(), $"Content-Encoding: {coding}\r\n");
            Assert.Equal((400, "{\"code\":3,\"message\":\"Bad request\"}"), (answer.Status, answer.Body));
            Assert.Equal(400, (await siege.PollAsync(sid)).Status);     // what it sent was no packet: the session is over
        }
        await siege.AssertNothingLeftAsync();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_small_compressed_message_that_unfolds_beyond_the_limit_ends_with_1009(bool direct)
    {
        await using var siege = await Siege.StartAsync(direct, options => (options.Engine.MaxPayload, options.Engine.PerMessageDeflate) = (1_000_000, true));
        foreach (var (length, opcode) in new[] { (1_000_001, Opcode.Text), (50_000_000, Opcode.Text), (50_000_000, Opcode.Binary) })
        {
            using var wire = await OpenAsync(siege, "permessage-deflate");
            await wire.SendAsync(Wire.FrameOf(Opcode.Text, MessageDeflate.Deflate(Encoding.UTF8.GetBytes(Event(1_000_000))).Span, reserved: 4));
            Assert.StartsWith("Text", (await wire.FrameAsync())?.Opcode.ToString(), StringComparison.Ordinal);
            var bomb = MessageDeflate.Deflate(new byte[length]);
            Assert.InRange(bomb.Length, 1, 999_999);
            await wire.SendAsync(Wire.FrameOf(opcode, bomb.Span, reserved: 4));
            Assert.Equal(1009, await wire.EndAsync());
            await siege.AssertServedAsync();
        }
        await siege.AssertNothingLeftAsync();
    }

    [Theory]
    [InlineData("permessage-deflate", "c100", 1002)]            // sent without a mask
    [InlineData("permessage-deflate", "c9800000000000", 1002)]  // a compressed ping
    [InlineData("permessage-deflate", "a18000000000", 1002)]    // another bit
    [InlineData("permessage-deflate", "418000000000c08000000000", 1002)]  // a compressed continuation
    [InlineData("permessage-deflate", "c18300000000ffffff", 1007)]        // no compressed data
    [InlineData("x-webkit-deflate-frame", "c18000000000", 1002)]          // nothing was agreed
    public async Task Compression_that_was_not_agreed_on_or_is_none_closes_the_connection(string offer, string hex, int code)
    {
        foreach (var direct in new[] { false, true })
        {
            await using var siege = await Siege.StartAsync(direct, options => options.Engine.PerMessageDeflate = true);
            using var wire = await OpenAsync(siege, offer);
            await wire.SendAsync(Convert.FromHexString(hex));
            Assert.Equal(code, await wire.EndAsync());
            await siege.AssertNothingLeftAsync();
        }
    }

    [Theory]
    [InlineData(0x7fff_ffff_ffff_ffff)]
    [InlineData(-1)]
    [InlineData(0x8000_0000)]
    [InlineData(1001)]
    public async Task A_length_that_is_only_promised_takes_nothing(long promised)
    {
        foreach (var direct in new[] { false, true })
        {
            await using var siege = await StartAsync(direct);
            using var wire = await Wire.JoinAsync(siege.Server);
            await wire.SendAsync(Convert.FromHexString($"82ff{promised:x16}00000000"));
            Assert.Equal(1009, await wire.EndAsync());
            await siege.AssertNothingLeftAsync();
        }
    }

    static async Task<Wire> OpenAsync(Siege siege, string offer)
    {
        var wire = await Wire.OpenAsync(siege.Server, headers: $"Sec-WebSocket-Extensions: {offer}\r\n");
        await wire.TextAsync("40");
        await wire.TextAsync();
        return wire;
    }

    static Task<Siege> StartAsync(bool direct) => Siege.StartAsync(direct, options => options.Engine.MaxPayload = Max);

    // An event of so many bytes that asks for an answer.
    static string Event(int length) => $"421[\"echo\",\"{new string('x', length - 14)}\"]";

    static byte[] Fragment(Opcode opcode, string text, bool final) => Wire.FrameOf(opcode, Encoding.UTF8.GetBytes(text), final);
}
