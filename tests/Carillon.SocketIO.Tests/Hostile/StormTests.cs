using System.Diagnostics;
using System.Text;
using Carillon.SocketIO.Sockets;
using Carillon.SocketIO.WebSockets;

namespace Carillon.SocketIO.Tests.Hostile;

/// <summary>Much of very little, and little that promises much.</summary>
public class StormTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task An_event_of_three_hundred_thousand_empty_arguments_is_walked_once(bool direct)
    {
        await using var siege = await Siege.StartAsync(direct, setUp: io => io.Root.On("count", e => e.Ack(e.Arguments.Count(argument => argument.Json.GetArrayLength() == 0))));
        using var wire = await Wire.JoinAsync(siege.Server);
        var items = string.Concat(Enumerable.Repeat(",[]", 300_000));
        await wire.TextAsync($"421[\"count\"{items}]");
        Assert.Equal("431[300000]", await wire.TextAsync());
        await wire.TextAsync($"422[\"echo\"{items}]");
        Assert.Equal(300_000 * 3 + 4, (await wire.TextAsync()).Length);
        await siege.AssertServedAsync();
    }

    [Fact]
    public async Task A_body_of_a_million_empty_packets_is_refused_and_half_a_million_small_ones_are_read()
    {
        await using var siege = await Siege.StartAsync(direct: true, WithoutRates);
        var refused = await JoinedAsync(siege);
        Assert.Equal(400, (await siege.PostAsync(refused, new string('\u001e', 1_000_000))).Status);
        Assert.Equal(400, (await siege.PollAsync(refused)).Status);
        var empty = await JoinedAsync(siege);
        Assert.Equal(200, (await siege.PostAsync(empty, string.Concat(Enumerable.Repeat("b\u001e", 400_000)) + "b")).Status);     // binary that nobody announced
        Assert.Equal(400, (await siege.PostAsync(empty, "x")).Status);

        var read = await JoinedAsync(siege);
        Assert.Equal(200, (await siege.PostAsync(read, string.Concat(Enumerable.Repeat("6\u001e", 490_000)) + "421[\"echo\"]")).Status);
        Assert.Equal("431[]", (await siege.PollAsync(read)).Body);
        await siege.PostAsync(read, "1");
        await siege.AssertNothingLeftAsync();
    }

    static async Task<string> JoinedAsync(Siege siege)
    {
        var sid = await siege.PollingAsync();
        Assert.Equal(200, (await siege.PostAsync(sid, "40")).Status);
        await siege.PollAsync(sid);
        return sid;
    }

    // What is tried is how much is held, not how fast it may come.
    static void WithoutRates(SocketIOOptions options)
    {
        var own = options.Engine.Limits.PerConnection;
        own.EventsPerSecond = 0;
        own.BytesPerSecond = 0;
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_million_frames_of_one_byte_delay_nobody(bool direct)
    {
        await using var siege = await Siege.StartAsync(direct, WithoutRates);
        using var wire = await Wire.JoinAsync(siege.Server);
        var frames = Enumerable.Repeat(Wire.TextFrame("6"), 10_000).SelectMany(frame => frame).ToArray();
        for (var i = 0; i < 100; i++)
        {
            await wire.SendAsync(frames);
            if (i % 10 == 0) await siege.AssertServedAsync();
        }
        await wire.TextAsync("421[\"echo\",1]");
        Assert.Equal("431[1]", await wire.TextAsync());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Bytes_that_come_one_by_one_are_put_together(bool direct)
    {
        await using var siege = await Siege.StartAsync(direct);
        using var wire = await Wire.JoinAsync(siege.Server);
        byte[] conversation = [.. Wire.TextFrame("421[\"echo\",1]"), .. Wire.FrameOf(Opcode.Ping, "p"u8), .. Fragments(Opcode.Text, "422[\"echo\",2]", 1)];
        foreach (var one in conversation) await wire.SendAsync(new[] { one });
        Assert.Equal(["431[1]", "Pong 70", "432[2]"], [await wire.TextAsync(), await wire.TextAsync(), await wire.TextAsync()]);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_storm_of_fragments_holds_no_more_than_a_message(bool direct)
    {
        await using var siege = await Siege.StartAsync(direct, options =>
        {
            options.Engine.MaxPayload = 10_000;
            WithoutRates(options);
        });
        using var wire = await Wire.JoinAsync(siege.Server);
        // Ten thousand fragments of one byte, and among them empty ones and pings.
        var text = $"421[\"echo\",\"{new string('x', 9_900)}\"]";
        await wire.SendAsync(Fragments(Opcode.Text, text, 1));
        Assert.Equal(text.Replace("421[\"echo\",", "431[", StringComparison.Ordinal), await wire.TextAsync());

        var empty = Enumerable.Repeat(Wire.FrameOf(Opcode.Continuation, [], final: false), 1000).SelectMany(frame => frame).ToArray();
        await wire.SendAsync(Wire.FrameOf(Opcode.Text, "42"u8, final: false));
        for (var i = 0; i < 200; i++) await wire.SendAsync(empty);
        await siege.AssertServedAsync();
        await wire.SendAsync(Wire.FrameOf(Opcode.Continuation, "2[\"echo\",2]"u8));
        Assert.Equal("432[2]", await wire.TextAsync());

        await wire.SendAsync(Wire.FrameOf(Opcode.Binary, new byte[5000], final: false));
        await wire.SendAsync(Wire.FrameOf(Opcode.Continuation, new byte[5001], final: false));
        Assert.Equal(1009, await wire.EndAsync());
        await siege.AssertNothingLeftAsync();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Pings_of_a_client_that_does_not_read_leave_one_answer_waiting_at_most(bool direct)
    {
        await using var siege = await Siege.StartAsync(direct, WithoutRates);
        using var wire = await Wire.JoinAsync(siege.Server);
        const int each = 5000, times = 200;
        for (var i = 0; i < times; i++)
        {
            var number = i;
            await wire.SendAsync(Enumerable.Range(0, each).SelectMany(n => Wire.FrameOf(Opcode.Ping, Encoding.ASCII.GetBytes($"{number * each + n}".PadLeft(125)))).ToArray());
            Assert.InRange(siege.Engine.WaitingBytes, 0, 2 * 64 * 1024);
        }
        await siege.AssertServedAsync();

        // The latest ping is answered, and far from all before it: what the network took meanwhile.
        var (pongs, latest) = (0, "");
        for (; latest.Trim() != $"{each * times - 1}"; pongs++)
        {
            var frame = await wire.FrameAsync();
            Assert.Equal(Opcode.Pong, frame?.Opcode);
            latest = frame!.Text;
        }
        Assert.InRange(pongs, 1, each * times / 2);
    }

    [Theory]
    [InlineData("4511-[\"echo\"]", 0)]                                                      // one more than ten
    [InlineData("45999-[\"echo\"]", 0)]
    [InlineData("459999999999999-[\"echo\"]", 0)]
    [InlineData("450-[\"echo\"]", 0)]
    [InlineData("45-[\"echo\"]", 0)]
    [InlineData("45-1-[\"echo\"]", 0)]
    [InlineData("451-[\"echo\",{\"_placeholder\":true,\"num\":1}]", 1)]                     // names one that does not come
    [InlineData("451-[\"echo\",{\"_placeholder\":true,\"num\":-1}]", 1)]
    [InlineData("451-[\"echo\",{\"_placeholder\":true,\"num\":\"0\"}]", 1)]
    [InlineData("451-[\"echo\",{\"_placeholder\":true}]", 1)]
    [InlineData("42[\"echo\"]", 1)]                                                         // comes unannounced
    [InlineData("451-[\"echo\",{\"_placeholder\":true,\"num\":0}]", 2)]
    public async Task Attachments_that_are_too_many_or_do_not_fit_close_the_connection(string text, int attachments)
    {
        foreach (var direct in new[] { false, true })
        {
            await using var siege = await Siege.StartAsync(direct);
            using var wire = await Wire.JoinAsync(siege.Server);
            await wire.TextAsync(text);
            for (var i = 0; i < attachments; i++) await wire.TrySendAsync(Wire.FrameOf(Opcode.Binary, "abc"u8));
            Assert.Equal(1005, await wire.EndAsync());
            await siege.AssertNothingLeftAsync();
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task One_attachment_cannot_be_named_a_thousand_times(bool direct)
    {
        // Read into byte arrays, each of them would be a copy: a megabyte would become a gigabyte.
        await using var siege = await Siege.StartAsync(direct, setUp: io => io.Root.On("copy", e => e.Ack(e.Arguments[0].As<byte[][]>()!.Length)));
        using var wire = await Wire.JoinAsync(siege.Server);
        await wire.TextAsync("451-1[\"copy\",[{\"_placeholder\":true,\"num\":0}]]");
        await wire.SendAsync(Wire.FrameOf(Opcode.Binary, new byte[1000]));
        Assert.Equal("431[1]", await wire.TextAsync());

        var names = string.Join(',', Enumerable.Repeat("{\"_placeholder\":true,\"num\":0}", 1000));
        await wire.TextAsync($"451-2[\"copy\",[{names}]]");
        await wire.SendAsync(Wire.FrameOf(Opcode.Binary, new byte[900_000]));
        Assert.Equal(1005, await wire.EndAsync());
        await siege.AssertNothingLeftAsync();
    }

    [Fact]
    public async Task Nesting_and_lengths_of_a_hundred_thousand_close_the_connection_at_once()
    {
        await using var siege = await Siege.StartAsync(direct: true);
        string[] bombs =
        [
            $"42[\"echo\",{new string('[', 100_000)}{new string(']', 100_000)}]", $"42[\"echo\",{new string('[', 100_000)}",
            "42[\"echo\"," + string.Concat(Enumerable.Repeat("{\"a\":", 100_000)) + "1" + new string('}', 100_000) + "]",
            $"40{{\"token\":{new string('[', 100_000)}{new string(']', 100_000)}}}", $"430[{new string('[', 100_000)}{new string(']', 100_000)}]",
            $"42{new string('1', 100_000)}[\"echo\"]", $"43{new string('9', 100_000)}[]", $"45{new string('1', 100_000)}-[\"echo\"]", $"40/{new string('n', 100_000)},",
        ];
        foreach (var bomb in bombs)
        {
            using var wire = await Wire.JoinAsync(siege.Server);
            var begun = Stopwatch.GetTimestamp();
            await wire.TextAsync(bomb);
            Assert.Equal(1005, await wire.EndAsync());
            Assert.True(Stopwatch.GetElapsedTime(begun) < TimeSpan.FromSeconds(5), bomb[..20]);
        }
        using var deep = await Wire.JoinAsync(siege.Server);
        await deep.TextAsync($"421[\"echo\",{new string('[', 60)}{new string(']', 60)},{new string('7', 100_000)},\"{new string('\u00e9', 100_000)}\"]");
        Assert.StartsWith("431[[[", await deep.TextAsync(), StringComparison.Ordinal);
        await siege.AssertServedAsync();
    }

    static byte[] Fragments(Opcode opcode, string text, int size)
    {
        var parts = Encoding.UTF8.GetBytes(text).Chunk(size).ToArray();
        return [.. parts.SelectMany((part, i) => Wire.FrameOf(i == 0 ? opcode : Opcode.Continuation, part, final: i == parts.Length - 1))];
    }
}
