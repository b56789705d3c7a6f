using System.IO.Compression;
using System.Net.WebSockets;
using System.Text;
using Carillon.SocketIO.Engine;
using Carillon.SocketIO.WebSockets;

namespace Carillon.SocketIO.Tests;

/// <summary>Compression of messages (RFC 7692).</summary>
public class DeflateTests
{
    [Theory]
    [InlineData("permessage-deflate", true)]
    [InlineData("permessage-deflate; client_max_window_bits", true)]
    [InlineData("permessage-deflate; client_max_window_bits=10; server_no_context_takeover", true)]
    [InlineData("permessage-deflate; server_max_window_bits=10, permessage-deflate", true)]
    [InlineData("permessage-deflate;server_max_window_bits=15;client_no_context_takeover", true)]
    [InlineData("permessage-deflate; server_max_window_bits=10", false)]
    [InlineData("permessage-deflate; client_max_window_bits; client_max_window_bits", false)]
    [InlineData("permessage-deflate; client_max_window_bits=7", false)]
    [InlineData("permessage-deflate; surprise", false)]
    [InlineData("x-webkit-deflate-frame", false)]
    [InlineData("", false)]
    public void An_offer_is_taken_when_all_of_it_can_be_kept(string offers, bool taken) => Assert.Equal(taken, MessageDeflate.CanAgree(offers));

    [Fact]
    public void What_was_compressed_is_read_back_equal()
    {
        foreach (var (seed, random) in Chance.Rounds(200))
        {
            var message = new byte[random.Next(0, 5000)];
            if (random.Next(2) == 0) random.NextBytes(message);
            var code = MessageDeflate.Inflate(MessageDeflate.Deflate(message).Span, 5000, out var buffer, out var length);
            Assert.True(code == CloseCode.None && buffer.AsSpan(0, length).SequenceEqual(message), $"seed {seed}");
        }
    }

    [Fact]
    public void An_empty_message_is_one_byte_and_read_back_empty()
    {
        Assert.Equal([0x00], MessageDeflate.Deflate([]).ToArray());
        Assert.Equal(CloseCode.None, MessageDeflate.Inflate([0x00], 5000, out _, out var length));
        Assert.Equal(0, length);
    }

    [Fact]
    public void A_message_that_unfolds_to_more_than_the_limit_is_refused_and_one_that_is_no_compressed_data_too()
    {
        var bomb = MessageDeflate.Deflate(new byte[100_000_000]);
        Assert.True(bomb.Length < 1_000_000);
        Assert.Equal(CloseCode.TooBig, MessageDeflate.Inflate(bomb.Span, 1_000_000, out var buffer, out _));
        Assert.True(buffer.Length <= 2_000_000);
        Assert.Equal(CloseCode.None, MessageDeflate.Inflate(MessageDeflate.Deflate(new byte[1_000_000]).Span, 1_000_000, out _, out _));
        Assert.Equal(CloseCode.TooBig, MessageDeflate.Inflate(MessageDeflate.Deflate(new byte[1_000_001]).Span, 1_000_000, out _, out _));
        Assert.Equal(CloseCode.InvalidPayload, MessageDeflate.Inflate([0xff, 0xff, 0xff], 1000, out _, out _));
    }

    [Theory]
    [InlineData(false, true)]
    [InlineData(true, true)]
    [InlineData(true, false)]
    public async Task Large_messages_go_compressed_to_who_wants_it_and_plain_to_the_others(bool direct, bool allowed)
    {
        await using var server = await RunningServer.StartAsync(o => o.Engine.PerMessageDeflate = allowed, io => io.Root.On("echo", e => e.Ack(e.Arguments)), direct: direct);
        using var compressing = await server.JoinAsync(o => o.DangerousDeflateOptions = new WebSocketDeflateOptions());
        using var plain = await server.JoinAsync();
        var text = string.Concat(Enumerable.Repeat("la même phrase, encore. ", 400));

        server.Io.Root.Emit("news", text);
        Assert.Equal($"42[\"news\",\"{text}\"]", await RunningServer.ReceiveAsync(compressing));
        Assert.Equal($"42[\"news\",\"{text}\"]", await RunningServer.ReceiveAsync(plain));
        await RunningServer.SendAsync(compressing, $"427[\"echo\",\"{text}\",\"{text}\"]");
        Assert.Equal($"437[\"{text}\",\"{text}\"]", await RunningServer.ReceiveAsync(compressing));
        await RunningServer.SendAsync(compressing, "428[\"echo\",1]");
        Assert.Equal("438[1]", await RunningServer.ReceiveAsync(compressing));
    }

    [Fact]
    public void A_broadcast_is_compressed_once_and_only_where_it_helps()
    {
        var frame = SharedFrame.OfText(Encoding.UTF8.GetBytes("4" + new string('a', 2000)));
        Assert.Same(frame.WebSocketDeflated(1024), frame.WebSocketDeflated(1024));
        Assert.True(frame.WebSocketDeflated(1024).Length < 100);
        Assert.Same(frame.WebSocket, frame.WebSocketDeflated(4096));
        var noise = new byte[1500];
        new Random(1).NextBytes(noise);
        var incompressible = SharedFrame.OfText(Encoding.ASCII.GetBytes("4" + Convert.ToHexString(noise)[..1100]));
        Assert.True(incompressible.WebSocketDeflated(1024).Length <= incompressible.WebSocket.Length);
    }
}
