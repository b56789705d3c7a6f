using System.Net;
using System.Net.Http.Headers;
using System.Net.WebSockets;
using System.Text;
using Carillon.SocketIO.Engine;
using Carillon.SocketIO.Sockets;

namespace Carillon.SocketIO.Tests;

/// <summary>Tests that weigh the memory of the process: nothing else runs meanwhile.</summary>
[CollectionDefinition(nameof(Alone), DisableParallelization = true)]
public class Alone;

/// <summary>Whatever comes in, the server goes on serving and its memory comes back.</summary>
[Collection(nameof(Alone))]
public class RubbishTests
{
    [Fact]
    public async Task Ten_thousand_opens_and_drops_leave_nothing_behind()
    {
        await using var server = await RunningServer.StartAsync();
        await OpenAndDropAsync(server, 500);
        var before = await MemoryAtRestAsync(server);
        await OpenAndDropAsync(server, 10_000);
        var after = await MemoryAtRestAsync(server);

        Assert.True(after - before < 8 * 1024 * 1024, $"{before / 1024} KiB before, {after / 1024} KiB after");
        using var socket = await server.JoinAsync();
        Assert.Equal(1, server.Io.Root.Count);
    }

    [Fact]
    public async Task Rubbish_over_WebSocket_closes_one_connection_and_harms_no_other()
    {
        await using var server = await RunningServer.StartAsync(setUp: Echo);
        using var good = await server.JoinAsync();
        string[] rubbish =
        [
            "", "abc", "4", "49", "42{", "42[", "42[\"a\"", "42{}", "42[]", "42[{}]", "45", "451", "4511-[\"a\"]", "451-[\"a\"]\u0000", "42[\"connect\"]", "2",
            "451-[\"a\",{\"_placeholder\":true,\"num\":-1}]", $"42[\"a\",{new string('[', 100_000)}", $"42[\"{new string('x', 900_000)}", "40[]", "41{}", "44{}",
            "42/nowhere,[\"a\"]", "42[\"\\ud800\"]", "b", "bA", "b~~~~",
        ];
        foreach (var text in rubbish)
        {
            using var bad = await server.JoinAsync();
            await RunningServer.SendAsync(bad, text);
            if (text == "b" || text.StartsWith("451-", StringComparison.Ordinal)) await bad.SendAsync(new byte[] { 1 }, WebSocketMessageType.Binary, true, default);
            await AssertClosedAsync(bad, text);
        }
        await RunningServer.SendAsync(good, "421[\"echo\",5]");
        Assert.Equal("431[5]", await RunningServer.ReceiveAsync(good));
        await RunningServer.UntilAsync(() => server.Io.Engine.ConnectionCount == 1, "only the good one is left");
    }

    [Fact]
    public async Task Rubbish_by_HTTP_is_answered_and_forgotten()
    {
        await using var server = await RunningServer.StartAsync(o => o.Engine.MaxPayload = 1000);
        byte[][] bodies =
        [
            [], "abc"u8.ToArray(), [0xff, 0xfe, 0x00], Encoding.UTF8.GetBytes(new string('\u001e', 900)), "4"u8.ToArray(), "b====="u8.ToArray(),
            Encoding.UTF8.GetBytes("4" + new string('x', 2000)), Encoding.UTF8.GetBytes("40" + new string('{', 900)),
        ];
        foreach (var body in bodies)
        {
            var open = await server.Http.GetStringAsync(server.Polling);
            var sid = open.Split('"')[3];
            using var content = new ByteArrayContent(body);
            content.Headers.ContentType = new MediaTypeHeaderValue("text/plain");
            using var answer = await server.Http.PostAsync($"{server.Polling}&sid={sid}", content);
            Assert.True(answer.StatusCode is HttpStatusCode.OK or HttpStatusCode.BadRequest or HttpStatusCode.RequestEntityTooLarge, $"{answer.StatusCode}");
        }
        using var socket = await server.JoinAsync();
    }

    [Fact]
    public async Task A_connection_cut_at_any_byte_of_its_beginning_leaves_nothing()
    {
        await using var server = await RunningServer.StartAsync();
        var beginning = Encoding.ASCII.GetBytes(
            $"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {server.Address.Authority}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").Concat(new byte[] { 0x81, 0x82, 0, 0, 0, 0, 0x34, 0x30 }).ToArray();
        for (var length = 0; length <= beginning.Length; length += 3)
        {
            using var client = await server.TcpAsync();
            await client.GetStream().WriteAsync(beginning.AsMemory(0, length));
            client.LingerState = new(true, 0);   // a reset, not a farewell
        }
        await RunningServer.UntilAsync(() => server.Io.Engine.ConnectionCount == 0, "every connection is forgotten");
        using var socket = await server.JoinAsync();
    }

    [Fact]
    public async Task A_client_that_does_not_read_is_cut_off_and_costs_no_more_than_its_budget()
    {
        await using var server = await RunningServer.StartAsync(o => o.Engine.MaxQueuedBytes = 1024 * 1024);
        using var stalled = await server.JoinAsync();
        using var reader = await server.JoinAsync();
        var payload = new string('x', 10_000);
        for (var i = 0; i < 100 && server.Io.Root.Count == 2; i++)
        {
            for (var j = 0; j < 20; j++) server.Io.Root.Emit("news", payload);
            for (var j = 0; j < 20; j++) await RunningServer.ReceiveAsync(reader);
        }
        await RunningServer.UntilAsync(() => server.Io.Root.Count == 1, "the stalled client is cut off");
        server.Io.Root.Emit("last");
        Assert.Equal("42[\"last\"]", await RunningServer.ReceiveAsync(reader));
    }

    [Fact]
    public async Task Connections_have_a_limit()
    {
        await using var server = await RunningServer.StartAsync(o => o.Engine.MaxConnections = 2);
        using var first = await server.ConnectAsync();
        await server.Http.GetStringAsync(server.Polling);
        using var refused = await server.Http.GetAsync(server.Polling);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
        Assert.NotNull(refused.Headers.RetryAfter);
    }

    [Fact]
    public async Task A_handler_that_throws_is_logged_and_the_client_stays()
    {
        await using var server = await RunningServer.StartAsync(setUp: io =>
        {
            Echo(io);
            io.Root.On("throw", _ => throw new InvalidOperationException("a bug"));
            io.Root.On("throw later", async _ =>
            {
                await Task.Yield();
                throw new InvalidOperationException("a bug");
            });
        });
        using var socket = await server.JoinAsync();
        await RunningServer.SendAsync(socket, "42[\"throw\"]");
        await RunningServer.SendAsync(socket, "42[\"throw later\"]");
        await RunningServer.SendAsync(socket, "421[\"echo\",1]");
        Assert.Equal("431[1]", await RunningServer.ReceiveAsync(socket));
    }

    [Fact]
    public async Task Stopping_tells_sockets_that_the_server_is_shutting_down()
    {
        var reason = new TaskCompletionSource<string>();
        var server = await RunningServer.StartAsync(setUp: io => io.Root.OnDisconnect((_, why) => reason.TrySetResult(why)));
        using var socket = await server.JoinAsync();
        var stopping = server.DisposeAsync().AsTask();
        Assert.Equal(DisconnectReason.ServerShuttingDown, await reason.Task.WaitAsync(TimeSpan.FromSeconds(10)));
        await AssertClosedAsync(socket, "stop");
        await stopping;
    }

    static void Echo(SocketServer io) => io.Root.On("echo", e => e.Ack(e.Arguments));

    static async Task AssertClosedAsync(ClientWebSocket socket, string after)
    {
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        try
        {
            var buffer = new byte[1000];
            while ((await socket.ReceiveAsync(buffer.AsMemory(), deadline.Token)).MessageType != WebSocketMessageType.Close)
            {
            }
        }
        catch (WebSocketException)
        {
            // Cut without a close frame: closed as well.
        }
        catch (OperationCanceledException)
        {
            Assert.Fail($"Still open after: {(after.Length < 100 ? after : after[..100])}");
        }
    }

    // A third joins and drops, a third drops after the handshake, a third only knocks.
    static async Task OpenAndDropAsync(RunningServer server, int count)
    {
        using var few = new SemaphoreSlim(16);
        await Task.WhenAll(Enumerable.Range(0, count).Select(async i =>
        {
            await few.WaitAsync();
            try
            {
                using var tcp = await server.TcpAsync();
                tcp.LingerState = new(true, 0);
                if (i % 3 == 0) return;
                var stream = tcp.GetStream();
                await stream.WriteAsync(Encoding.ASCII.GetBytes(
                    $"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {server.Address.Authority}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
                    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"));
                if (i % 3 == 1) await stream.WriteAsync(new byte[] { 0x81, 0x82, 0, 0, 0, 0, 0x34, 0x30 });
                await stream.ReadAtLeastAsync(new byte[1000], 1, throwOnEndOfStream: false);
            }
            finally
            {
                few.Release();
            }
        }));
    }

    static async Task<long> MemoryAtRestAsync(RunningServer server)
    {
        await RunningServer.UntilAsync(() => server.Io.Engine.ConnectionCount == 0 && server.Io.Root.Count == 0, "every connection is forgotten");
        return GC.GetTotalMemory(forceFullCollection: true);
    }
}
