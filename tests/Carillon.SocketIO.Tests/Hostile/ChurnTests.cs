using System.Text;
using Carillon.SocketIO.Sockets;
using Carillon.SocketIO.WebSockets;
using Carillon.TestTools;

namespace Carillon.SocketIO.Tests.Hostile;

/// <summary>What is used again and again: buffers that hold one client's bytes after another's, tables and timers that fill and empty.</summary>
public class ChurnTests
{
    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public async Task Buffers_that_are_used_again_never_show_another_clients_bytes(bool direct, bool deflated)
    {
        await using var siege = await Siege.StartAsync(direct, options => options.Engine.PerMessageDeflate = deflated);
        var seed = Environment.TickCount;
        await Task.WhenAll(Enumerable.Range(0, 16).Select(client => client % 4 == 3 ? PollAsync(client) : TalkAsync(client)));
        await siege.AssertNothingLeftAsync();

        // Each client speaks in its own letter, in messages of all sizes and fragments, and hears no other.
        async Task TalkAsync(int client)
        {
            var random = new Random(seed + client);
            using var wire = await Wire.OpenAsync(siege.Server, headers: deflated && client % 2 == 0 ? "Sec-WebSocket-Extensions: permessage-deflate\r\n" : "");
            var compressed = deflated && client % 2 == 0;
            await wire.TextAsync("40");
            await wire.FrameAsync();
            for (var i = 0; i < 150; i++)
            {
                var letters = new string((char)('A' + client), random.Next(1, 1 << random.Next(1, 17)));
                var binary = random.Next(3) == 0;
                var text = binary ? "451-1[\"echo\",{\"_placeholder\":true,\"num\":0}]" : $"421[\"echo\",\"{letters}\"]";
                await SendAsync(Encoding.ASCII.GetBytes(text), Opcode.Text);
                if (binary) await SendAsync(Encoding.ASCII.GetBytes(letters), Opcode.Binary);
                var answer = await TextAsync();
                Assert.True(answer == (binary ? "461-1[{\"_placeholder\":true,\"num\":0}]" : $"431[\"{letters}\"]"), $"seed {seed}, client {client}, {letters.Length} letters: {Beginning(answer)}");
                if (!binary) continue;
                answer = await TextAsync();
                Assert.True(answer == letters, $"seed {seed}, client {client}, {letters.Length} bytes: {Beginning(answer)}");
            }

            async Task SendAsync(byte[] message, Opcode opcode)
            {
                if (compressed && random.Next(2) == 0)
                {
                    await wire.SendAsync(Wire.FrameOf(opcode, MessageDeflate.Deflate(message).Span, reserved: 4));
                    return;
                }
                var half = random.Next(2) == 0 ? message.Length : random.Next(message.Length);
                if (half < message.Length) await wire.SendAsync(Wire.FrameOf(opcode, message.AsSpan(0, half), final: false));
                await wire.SendAsync(Wire.FrameOf(half < message.Length ? Opcode.Continuation : opcode, message.AsSpan(half == message.Length ? 0 : half)));
            }

            async Task<string> TextAsync()
            {
                var frame = (await wire.FrameAsync())!;
                if (!frame.IsCompressed) return Encoding.UTF8.GetString(frame.Payload);
                Assert.Equal(CloseCode.None, MessageDeflate.Inflate(frame.Payload, 1_000_000, out var buffer, out var length));
                return Encoding.UTF8.GetString(buffer, 0, length);
            }
        }

        async Task PollAsync(int client)
        {
            var random = new Random(seed + client);
            var sid = await siege.PollingAsync();
            await siege.PostAsync(sid, "40");
            await siege.PollAsync(sid);
            for (var i = 0; i < 150; i++)
            {
                var letters = new string((char)('a' + client), random.Next(1, 1 << random.Next(1, 17)));
                var base64 = Convert.ToBase64String(Encoding.ASCII.GetBytes(letters));
                var binary = random.Next(2) == 0;
                await siege.PostAsync(sid, binary ? $"451-1[\"echo\",{{\"_placeholder\":true,\"num\":0}}]\u001eb{base64}" : $"421[\"echo\",\"{letters}\"]");
                var answer = (await siege.PollAsync(sid)).Body;
                Assert.True(answer == (binary ? $"461-1[{{\"_placeholder\":true,\"num\":0}}]\u001eb{base64}" : $"431[\"{letters}\"]"), $"seed {seed}, client {client}, {letters.Length} letters: {Beginning(answer)}");
            }
            await siege.PostAsync(sid, "1");
        }

        static string Beginning(string text) => text[..Math.Min(100, text.Length)];
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_day_of_coming_and_going_leaves_no_acknowledgement_no_timer_and_no_room(bool direct)
    {
        var clock = new HandDrivenClock(timersToo: true);
        List<Socket> asked = [];
        var cancelled = 0;
        await using var siege = await Siege.StartAsync(direct, options => (options.Engine.Limits.LimitAddresses, options.RecoveryWindow) = (true, TimeSpan.FromMinutes(2)), io =>
        {
            io.Root.On("ask me", async e =>
            {
                lock (asked) asked.Add(e.Socket);
                e.Socket.Join($"room {asked.Count}");
                e.Socket.Data["something"] = new byte[100];
                try
                {
                    await e.Socket.EmitWithAckAsync("well?", TimeSpan.FromMinutes(5), 1);
                }
                catch (Exception ex) when (ex is TimeoutException or OperationCanceledException)
                {
                    Interlocked.Increment(ref cancelled);
                }
            });
        }, clock);
        var timers = clock.ActiveTimers;

        // A minute at a time: some come, are asked, and answer or do not; some leave as they should, some vanish, some stay until they are missed.
        const int minutes = 24 * 60;
        List<(Wire Wire, int Since)> staying = [];
        for (var minute = 0; minute < minutes; minute++)
        {
            var wire = await Wire.JoinAsync(siege.Server);
            await wire.TextAsync("42[\"ask me\"]");
            var question = await wire.TextAsync();
            Assert.StartsWith("42", question, StringComparison.Ordinal);
            switch (minute % 4)
            {
                case 0:
                    await wire.TextAsync($"43{question[2..question.IndexOf('[')]}[]");
                    await wire.TextAsync("41");
                    await wire.SendAsync(Wire.FrameOf(Opcode.Close, [0x03, 0xe8]));
                    wire.Dispose();
                    break;
                case 1:
                    wire.Reset();
                    break;
                case 2:
                    staying.Add((wire, minute));
                    break;
                default:
                    var sid = await siege.PollingAsync();
                    await siege.PostAsync(sid, "40\u001e42[\"ask me\"]");
                    wire.Dispose();
                    break;
            }
            // In quarters, so that who answers the pings stays.
            for (var quarter = 0; quarter < 4; quarter++)
            {
                clock.Advance(TimeSpan.FromSeconds(15));
                await siege.AssertServedAsync();
            }
            while (staying is [var oldest, ..] && minute - oldest.Since >= 3)
            {
                oldest.Wire.Dispose();
                staying.RemoveAt(0);
            }
        }
        foreach (var (wire, _) in staying) wire.Dispose();
        for (var i = 0; i < 50; i++)
        {
            clock.Advance(TimeSpan.FromSeconds(15));
            await siege.AssertServedAsync();
        }
        using (var last = await Wire.JoinAsync(siege.Server)) last.Reset();

        await siege.AssertNothingLeftAsync();
        Assert.InRange(asked.Count, minutes, minutes * 2);
        Assert.All(asked, socket => Assert.Equal((0, false), (socket.PendingAcks, socket.IsConnected)));
        await RunningServer.UntilAsync(() => clock.ActiveTimers <= timers, "timers are stopped");
        var address = siege.Engine.Addresses.Find("127.0.0.1")!;
        Assert.Equal((1, 0), (address.Open, address.HalfOpen));
        Assert.InRange(siege.Server.Io.Root.Recovery!.Lost, 0, 1);     // who came last, and just vanished
        Assert.Equal(0, asked.Select((_, i) => siege.Server.Io.Root.Rooms.CountOf($"room {i + 1}")).Sum());
    }
}
