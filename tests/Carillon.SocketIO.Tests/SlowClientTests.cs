using System.Net;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Text;
using Carillon.SocketIO.Engine;
using Carillon.TestTools;

namespace Carillon.SocketIO.Tests;

/// <summary>Clients that read slowly, or not at all, over both ways to the network.</summary>
public class SlowClientTests
{
    const int Budget = 256 * 1024;
    static readonly string Large = new('x', 16 * 1024);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Who_does_not_read_is_disconnected_with_a_code_and_holds_no_more_than_its_budget(bool direct)
    {
        await using var server = await RunningServer.StartAsync(o => o.Engine.MaxQueuedBytes = Budget, direct: direct);
        using var reader = await server.JoinAsync();
        using var stalled = await StalledClient.JoinAsync(server);
        var gone = new TaskCompletionSource<string>();
        server.Io.Root.OnDisconnect((_, reason) => gone.TrySetResult(reason));

        var sent = 0;
        while (!gone.Task.IsCompleted && sent < 10_000)
        {
            server.Io.Root.Emit("news", Large);
            sent++;
            Assert.StartsWith("42[\"news\"", await RunningServer.ReceiveAsync(reader), StringComparison.Ordinal);
        }

        Assert.Equal(DisconnectReason.SlowConsumer, await gone.Task.WaitAsync(TimeSpan.FromSeconds(10)));
        Assert.Equal(1, server.Io.Root.Count);
        var close = await stalled.ReadToCloseAsync();
        Assert.Equal((1013, "slow-consumer"), close);
    }

    [Fact]
    public async Task Behind_a_gap_nothing_reaches_who_is_too_slow()
    {
        await using var server = await RunningServer.StartAsync(o => o.Engine.MaxQueuedBytes = Budget, direct: true);
        using var stalled = await StalledClient.JoinAsync(server);
        var stop = new CancellationTokenSource();
        var sending = Task.Run(() =>
        {
            for (var i = 0; !stop.IsCancellationRequested && server.Io.Root.Count > 0; i++) server.Io.Root.Emit("news", i, Large);
        });

        var numbers = await stalled.ReadEventsToCloseAsync();

        await stop.CancelAsync();
        await sending;
        Assert.Equal(Enumerable.Range(0, numbers.Count), numbers);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Who_is_disconnected_and_does_not_read_is_gone_all_the_same(bool direct)
    {
        var clock = new HandDrivenClock(timersToo: true);
        await using var server = await RunningServer.StartAsync(o => o.Engine.PingInterval = TimeSpan.FromHours(1), clock: clock, direct: direct);
        using var stalled = await StalledClient.JoinAsync(server);
        for (var i = 0; i < 600; i++) server.Io.Root.Emit("news", i, Large);

        server.Io.Root.Everyone.DisconnectSockets(close: true);

        await RunningServer.UntilAsync(() =>
        {
            clock.Advance(TimeSpan.FromSeconds(10));
            return server.Io.Engine.ConnectionCount == 0;
        }, "the session is over");
    }

    [Fact]
    public async Task Of_what_keeps_the_latest_a_slow_client_gets_the_latest_and_stays()
    {
        await using var server = await RunningServer.StartAsync(o => o.Engine.MaxQueuedBytes = Budget, direct: true);
        using var stalled = await StalledClient.JoinAsync(server);
        var policy = new SendPolicy { Stream = "prices", Overflow = Overflow.KeepLatest };

        for (var i = 0; i < 2000; i++) server.Io.Root.Everyone.With(policy with { Key = $"{i % 3}" }).Emit("price", i, Large);

        Assert.Equal(1, server.Io.Root.Count);
        var numbers = await stalled.ReadEventsAsync(until: 1999);
        Assert.Equal([1997, 1998, 1999], numbers[^3..]);
        Assert.Equal(numbers.Order(), numbers);
        Assert.True(numbers.Count < 2000);
    }

    [Fact]
    public async Task A_critical_message_reaches_a_slow_client_before_what_waited_longer()
    {
        await using var server = await RunningServer.StartAsync(direct: true);
        using var stalled = await StalledClient.JoinAsync(server);
        for (var i = 0; i < 600; i++) server.Io.Root.Emit("news", i, Large);

        server.Io.Root.Everyone.With(new SendPolicy { Priority = SendPriority.Critical }).Emit("alarm", 1_000_000);

        var numbers = await stalled.ReadEventsAsync(until: 599);
        Assert.InRange(numbers.IndexOf(1_000_000), 0, 590);
        Assert.Equal(Enumerable.Range(0, 600), numbers.Where(n => n < 1_000_000));
    }

    [Fact]
    public async Task What_one_read_brings_about_leaves_in_one_write()
    {
        await using var server = await RunningServer.StartAsync(setUp: io => io.Root.On("hello", e => e.Ack()), direct: true);
        using var client = await StalledClient.JoinAsync(server);

        // The first rounds are slow, because code is compiled in them: what waits for long leaves before the others.
        var inOneWrite = 0;
        for (var round = 0; round < 100; round++)
        {
            await client.SendTogetherAsync(Enumerable.Range(0, 50).Select(i => $"42{i}[\"hello\"]"));
            var expected = Enumerable.Range(0, 50).Sum(i => 2 + $"43{i}[]".Length);
            var read = await client.ReadOnceAsync();
            if (read == expected) inOneWrite++;
            while (read < expected) read += await client.ReadOnceAsync();
            Assert.Equal(expected, read);
        }
        Assert.InRange(inOneWrite, 80, 100);
    }

    /// <summary>A client on a bare socket that reads when it is told to.</summary>
    sealed class StalledClient(System.Net.Sockets.Socket socket) : IDisposable
    {
        public static async Task<StalledClient> JoinAsync(RunningServer server)
        {
            var socket = new System.Net.Sockets.Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { ReceiveBufferSize = 8 * 1024 };
            await socket.ConnectAsync(new IPEndPoint(IPAddress.Loopback, server.Address.Port));
            var client = new StalledClient(socket);
            await socket.SendAsync(Encoding.ASCII.GetBytes("GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"));
            var text = "";
            var buffer = new byte[1024];
            while (!text.Contains("\"maxPayload\"", StringComparison.Ordinal)) text += Encoding.Latin1.GetString(buffer, 0, await socket.ReceiveAsync(buffer));
            await client.SendTogetherAsync(["40"]);
            while (!text.Contains("40{", StringComparison.Ordinal)) text += Encoding.Latin1.GetString(buffer, 0, await socket.ReceiveAsync(buffer));
            return client;
        }

        public Task<int> SendTogetherAsync(IEnumerable<string> packets)
        {
            var bytes = new List<byte>();
            foreach (var packet in packets)
            {
                var text = Encoding.UTF8.GetBytes(packet);
                bytes.AddRange([0x81, (byte)(0x80 | text.Length), 0, 0, 0, 0, .. text]);
            }
            return socket.SendAsync(bytes.ToArray());
        }

        public async Task<int> ReadOnceAsync() => await socket.ReceiveAsync(new byte[64 * 1024]).WaitAsync(TimeSpan.FromSeconds(10));

        public async Task<List<int>> ReadEventsAsync(int until)
        {
            List<int> numbers = [];
            var more = Stream();
            while (numbers.LastOrDefault(-1) != until)
            {
                var (opcode, payload) = await ReadFrameAsync(more);
                if (opcode != 1 || payload[0] != '4') continue;
                numbers.Add(NumberIn(payload));
            }
            return numbers;
        }

        public async Task<List<int>> ReadEventsToCloseAsync()
        {
            List<int> numbers = [];
            var stream = Stream();
            while (true)
            {
                var (opcode, payload) = await ReadFrameAsync(stream);
                if (opcode == 8) return numbers;
                if (opcode == 1 && payload[0] == '4') numbers.Add(NumberIn(payload));
            }
        }

        static int NumberIn(byte[] payload)
        {
            var text = Encoding.UTF8.GetString(payload.AsSpan(0, Math.Min(payload.Length, 40)));
            var comma = text.IndexOf(',', StringComparison.Ordinal);
            return int.Parse(text[(comma + 1)..text.IndexOfAny([',', ']'], comma + 1)], System.Globalization.CultureInfo.InvariantCulture);
        }

        public async Task<(int Code, string Reason)> ReadToCloseAsync()
        {
            var stream = Stream();
            while (true)
            {
                var (opcode, payload) = await ReadFrameAsync(stream);
                if (opcode == 8) return (payload[0] << 8 | payload[1], Encoding.ASCII.GetString(payload.AsSpan(2)));
            }
        }

        NetworkStream Stream() => new(socket, ownsSocket: false) { ReadTimeout = 10_000 };

        static async Task<(int Opcode, byte[] Payload)> ReadFrameAsync(NetworkStream stream)
        {
            using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(10));
            var header = new byte[10];
            await stream.ReadExactlyAsync(header.AsMemory(0, 2), deadline.Token);
            long length = header[1];
            if (length == 126)
            {
                await stream.ReadExactlyAsync(header.AsMemory(2, 2), deadline.Token);
                length = header[2] << 8 | header[3];
            }
            var payload = new byte[length];
            await stream.ReadExactlyAsync(payload, deadline.Token);
            return (header[0] & 0x0f, payload);
        }

        public void Dispose() => socket.Dispose();
    }
}
