using System.Net;
using System.Net.WebSockets;
using System.Text;
using System.Text.Json;
using Carillon.SocketIO.Engine;
using Carillon.SocketIO.Limits;
using Carillon.SocketIO.Sockets;
using Carillon.TestTools;

namespace Carillon.SocketIO.Tests;

/// <summary>Fairness as clients meet it, over real connections from several addresses of this machine.</summary>
public class AtTheDoorTests
{
    const string Here = "127.0.0.1";
    const string Elsewhere = "127.0.0.2";

    readonly HandDrivenClock _clock = new(timersToo: false);

    [Fact]
    public async Task Who_comes_too_fast_is_told_when_to_come_back_and_others_come_in()
    {
        await using var server = await StartAsync(fair => (fair.HandshakesPerSecond, fair.HandshakeBurst) = (1, 2));
        await OpenAsync(server, server.Http);
        await OpenAsync(server, server.Http);

        await AssertRefusedAsync(server, server.Http, HttpStatusCode.TooManyRequests, "rate-limited", retryable: true, retryAfter: 1);
        using var elsewhere = RunningServer.From(Elsewhere);
        await OpenAsync(server, elsewhere);
        _clock.Advance(TimeSpan.FromSeconds(1));
        await OpenAsync(server, server.Http);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_WebSocket_is_told_so_too_whichever_way_it_takes(bool direct)
    {
        await using var server = await StartAsync(fair => (fair.HandshakesPerSecond, fair.HandshakeBurst) = (1, 1), direct: direct);
        using var first = await server.ConnectAsync();

        using var tcp = await server.TcpAsync();
        var answer = await HandshakeAsync(tcp, server);
        Assert.StartsWith("HTTP/1.1 429 Too Many Requests", answer, StringComparison.Ordinal);
        Assert.Contains("\r\nRetry-After: 1\r\n", answer, StringComparison.Ordinal);
        Assert.Contains("\"message\":\"rate-limited\"", answer, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Refused_handshakes_ban_the_ban_grows_and_time_forgives()
    {
        await using var server = await StartAsync(fair => fair.RefusedHandshakesPerMinute = 3, options => options.AllowRequest = RefuseAsync);
        foreach (var minutes in new[] { 1, 4, 16 })
        {
            for (var i = 0; i < 4; i++)
            {
                using var tcp = await server.TcpAsync();
                Assert.EndsWith("\r\n\r\nForbidden", await HandshakeAsync(tcp, server, "&deny=1"), StringComparison.Ordinal);
            }
            await AssertRefusedAsync(server, server.Http, HttpStatusCode.Forbidden, "banned", retryable: false, retryAfter: minutes * 60);
            using var elsewhere = RunningServer.From(Elsewhere);
            await OpenAsync(server, elsewhere);

            _clock.Advance(TimeSpan.FromMinutes(minutes));
            await OpenAsync(server, server.Http);
        }
    }

    [Fact]
    public async Task A_ban_leaves_connections_open_and_can_be_lifted()
    {
        await using var server = await StartAsync();
        using var socket = await server.JoinAsync();
        server.Io.Engine.Addresses.Ban(IPAddress.Loopback, TimeSpan.FromHours(1));
        await AssertRefusedAsync(server, server.Http, HttpStatusCode.Forbidden, "banned", retryable: false, retryAfter: 3600);

        server.Io.Root.Emit("still here");
        Assert.Equal("42[\"still here\"]", await RunningServer.ReceiveAsync(socket));
        Assert.True(server.Io.Engine.Addresses.Unban(Here));
        await OpenAsync(server, server.Http);
    }

    [Fact]
    public async Task Malformed_packets_ban_the_address_that_sends_them()
    {
        await using var server = await StartAsync(fair => fair.MalformedPerMinute = 3);
        foreach (var rubbish in new[] { "x", "4rubbish", "42[", "4" })
        {
            using var socket = await server.ConnectAsync();
            await RunningServer.ReceiveAsync(socket);
            await RunningServer.SendAsync(socket, rubbish);
            await RunningServer.UntilAsync(() => server.Io.Engine.ConnectionCount == 0, "the connection is closed");
        }

        await AssertRefusedAsync(server, server.Http, HttpStatusCode.Forbidden, "banned", retryable: false, retryAfter: 60);
    }

    [Fact]
    public async Task Refused_sockets_count_like_refused_handshakes()
    {
        await using var server = await StartAsync(fair => fair.RefusedHandshakesPerMinute = 2,
            setUp: io => io.Root.Use(_ => new(new ConnectRefusal("unauthorized") { ClosesConnection = true })));
        for (var i = 0; i < 3; i++)
        {
            using var socket = await server.ConnectAsync();
            await RunningServer.ReceiveAsync(socket);
            await RunningServer.SendAsync(socket, "40");
            Assert.StartsWith("44", await RunningServer.ReceiveAsync(socket), StringComparison.Ordinal);
        }

        await AssertRefusedAsync(server, server.Http, HttpStatusCode.Forbidden, "banned", retryable: false, retryAfter: 60);
    }

    [Fact]
    public async Task Half_open_connections_are_limited_until_they_join()
    {
        await using var server = await StartAsync(fair => fair.HalfOpenPerAddress = 1);
        using var first = await server.ConnectAsync();
        await AssertRefusedAsync(server, server.Http, HttpStatusCode.TooManyRequests, "rate-limited", retryable: true, retryAfter: 1);

        await RunningServer.SendAsync(first, "40");
        await RunningServer.UntilAsync(() => server.Io.Root.Count == 1, "the client joined");
        await OpenAsync(server, server.Http);
        Assert.Equal((2, 1), Counts(server, Here));
    }

    [Fact]
    public async Task Engine_IO_by_itself_knows_no_half_open_connections()
    {
        await using var server = await RunningServer.StartEngineAsync(_ => { }, options => options.Limits.HalfOpenPerAddress = 1);
        for (var i = 0; i < 5; i++) await OpenAsync(server, server.Http);
    }

    [Fact]
    public async Task Too_many_connections_of_one_address_leave_room_for_others()
    {
        await using var server = await StartAsync(fair => fair.ConnectionsPerAddress = 2);
        using var one = await server.JoinAsync();
        using (var other = await server.JoinAsync())
            await AssertRefusedAsync(server, server.Http, HttpStatusCode.TooManyRequests, "too-many-connections", retryable: true, retryAfter: 5);
        using var elsewhere = RunningServer.From(Elsewhere);
        await OpenAsync(server, elsewhere);

        await RunningServer.UntilAsync(() => Counts(server, Here) == (1, 0), "the place is free");
        await OpenAsync(server, server.Http);
    }

    [Fact]
    public async Task Connections_of_an_account_are_counted_until_they_end()
    {
        await using var server = await StartAsync(fair => fair.ConnectionsPerAccount = 1, setUp: io => io.Root.Use(socket =>
            new(socket.Connection.TryEnterAccount("alice") ? null : new ConnectRefusal("too-many-connections"))));
        var first = await server.JoinAsync();
        using var second = await server.ConnectAsync();
        await RunningServer.ReceiveAsync(second);
        await RunningServer.SendAsync(second, "40");
        Assert.Equal("44{\"message\":\"too-many-connections\"}", await RunningServer.ReceiveAsync(second));

        first.Abort();
        first.Dispose();
        await RunningServer.UntilAsync(() => server.Io.Engine.ConnectionCount == 1, "the first has ended");
        await RunningServer.SendAsync(second, "40");
        Assert.StartsWith("40{", await RunningServer.ReceiveAsync(second), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_connection_that_changes_its_account_leaves_its_place_in_the_one_before()
    {
        await using var server = await StartAsync(fair => fair.ConnectionsPerAccount = 1, setUp: io =>
        {
            foreach (var nsp in new[] { io.Root, io.Of("/other") })
                nsp.Use(socket =>
                {
                    socket.Account = nsp == io.Root ? "alice" : "bob";
                    return default;
                });
        });
        using var first = await server.JoinAsync();
        using var second = await server.ConnectAsync();
        await RunningServer.ReceiveAsync(second);
        await RunningServer.SendAsync(first, "40/other,");
        Assert.StartsWith("40/other,{", await RunningServer.ReceiveAsync(first), StringComparison.Ordinal);
        await RunningServer.SendAsync(second, "40");
        Assert.StartsWith("40{", await RunningServer.ReceiveAsync(second), StringComparison.Ordinal);
        using var third = await server.ConnectAsync();
        await RunningServer.ReceiveAsync(third);
        await RunningServer.SendAsync(third, "40");
        Assert.Contains("too-many-connections", await RunningServer.ReceiveAsync(third), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Who_does_not_heed_refusals_is_counted_once_against_its_address()
    {
        List<RateLimitAction> answers = [];
        await using var server = await StartAsync(fair => (fair.RefusalsBeforeDisconnect, fair.FloodingConnectionsPerMinute) = (2, 1), setUp: io => io.Root.OnConnection(socket =>
        {
            lock (answers)
                for (var i = 0; i < 5; i++) answers.Add(socket.Connection.Overspent(_clock.GetTimestamp()));
        }));
        for (var i = 0; i < 2; i++)
        {
            Assert.Empty(server.Io.Engine.Addresses.Bans());
            using var socket = await server.JoinAsync();
            await RunningServer.UntilAsync(() => answers.Count == 5 * (i + 1), "it was refused");
        }

        Assert.Equal([RateLimitAction.Refuse, RateLimitAction.Refuse, RateLimitAction.Disconnect, RateLimitAction.Disconnect, RateLimitAction.Disconnect], answers[..5]);
        Assert.Single(server.Io.Engine.Addresses.Bans());
    }

    [Fact]
    public async Task A_full_server_says_when_to_come_back()
    {
        await using var server = await StartAsync(configure: options => options.MaxConnections = 1);
        await OpenAsync(server, server.Http);

        await AssertRefusedAsync(server, server.Http, HttpStatusCode.ServiceUnavailable, "too-many-connections", retryable: true, retryAfter: 5);
    }

    [Fact]
    public async Task Short_of_memory_it_takes_nobody_in()
    {
        await using var server = await StartAsync(fair => fair.MemoryThreshold = 1);

        await AssertRefusedAsync(server, server.Http, HttpStatusCode.ServiceUnavailable, "unavailable", retryable: true, retryAfter: 10);
        Assert.Equal((0, 0), Counts(server, Here));
    }

    [Fact]
    public async Task However_a_connection_ends_its_place_is_free_again()
    {
        await using var server = await StartAsync(configure: options =>
        {
            options.MaxConnections = 1;
            options.AllowRequest = async handshake => handshake.QueryValue("fail") is null ? await RefuseAsync(handshake) : throw new InvalidOperationException("not today");
            options.OnHandshakeResponse = context =>
            {
                if (context.Request.Query.ContainsKey("break")) throw new InvalidOperationException("not today");
            };
        });

        // Handshakes that fail half-way.
        foreach (var (query, status) in new[] { ("&deny=1", 403), ("&fail=1", 500), ("&break=1", 500), ("&transport=pigeon", 400), ("&EIO=3", 400) })
        {
            using var answer = await server.Http.GetAsync(server.Polling + query);
            Assert.Equal(status, (int)answer.StatusCode);
            Assert.Equal((0, 0), Counts(server, Here));
        }
        // A client of polling that says goodbye, and one that comes again after another ended.
        var sid = await OpenAsync(server, server.Http);
        Assert.Equal((1, 1), Counts(server, Here));
        using (await server.Http.PostAsync($"{server.Polling}&sid={sid}", new StringContent("1"))) await FreeAsync();
        // WebSockets: closed, cut, closed for nonsense, closed by the server.
        using (var closed = await server.JoinAsync())
        {
            await closed.CloseAsync(WebSocketCloseStatus.NormalClosure, null, default);
            await FreeAsync();
        }
        using (var cut = await server.JoinAsync())
        {
            cut.Abort();
            await FreeAsync();
        }
        using (var confused = await server.ConnectAsync())
        {
            await RunningServer.SendAsync(confused, "x");
            await FreeAsync();
        }
        using (await server.JoinAsync())
        {
            server.Io.Root.Everyone.DisconnectSockets(close: true);
            await FreeAsync();
        }
        await OpenAsync(server, server.Http);

        Task FreeAsync() => RunningServer.UntilAsync(() => Counts(server, Here) == (0, 0) && server.Io.Engine.ConnectionCount == 0, "the place is free");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Many_that_come_and_go_at_once_are_counted_exactly(bool direct)
    {
        await using var server = await StartAsync(configure: options => options.MaxConnections = 20, direct: direct);
        var inside = 0;
        await Task.WhenAll(Enumerable.Range(0, 60).Select(async _ =>
        {
            for (var round = 0; round < 5; round++)
            {
                try
                {
                    using var socket = await server.JoinAsync();
                    Interlocked.Increment(ref inside);
                }
                catch (WebSocketException)
                {
                    // The server was full.
                }
            }
        }));

        Assert.InRange(inside, 20, 300);
        await RunningServer.UntilAsync(() => Counts(server, Here) == (0, 0), "all have left");
        for (var i = 0; i < 20; i++) await OpenAsync(server, server.Http);
        await AssertRefusedAsync(server, server.Http, HttpStatusCode.ServiceUnavailable, "too-many-connections", retryable: true, retryAfter: 5);
    }

    [Fact]
    public async Task An_office_comes_in_with_the_defaults()
    {
        await using var server = await StartAsync();
        await Task.WhenAll(Enumerable.Range(0, 400).Select(_ => OpenAsync(server, server.Http)));

        Assert.Equal((400, 400), Counts(server, Here));
    }

    [Fact]
    public async Task Who_is_on_the_allow_list_comes_in_as_often_as_it_wants()
    {
        await using var server = await StartAsync(fair =>
        {
            (fair.HandshakesPerSecond, fair.HandshakeBurst, fair.ConnectionsPerAddress) = (1, 1, 1);
            fair.AllowList.Add("127.0.0.2/32");
        });
        using var elsewhere = RunningServer.From(Elsewhere);
        for (var i = 0; i < 10; i++) await OpenAsync(server, elsewhere);

        await OpenAsync(server, server.Http);
        using var refused = await server.Http.GetAsync(server.Polling);
        Assert.Equal(HttpStatusCode.TooManyRequests, refused.StatusCode);
    }

    [Fact]
    public async Task Switched_off_no_address_is_limited()
    {
        await using var server = await StartAsync(fair => (fair.LimitAddresses, fair.HandshakesPerSecond, fair.HandshakeBurst) = (false, 1, 1));
        for (var i = 0; i < 10; i++) await OpenAsync(server, server.Http);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_forwarded_address_is_believed_of_trusted_proxies_only(bool direct)
    {
        await using var server = await StartAsync(fair => fair.TrustedProxies.Add(Elsewhere), direct: direct);
        using var proxy = RunningServer.From(Elsewhere);
        await OpenAsync(server, proxy, forwardedFor: "198.51.100.9, 203.0.113.5");
        await OpenAsync(server, server.Http, forwardedFor: "203.0.113.6");
        using var socket = new ClientWebSocket();
        socket.Options.SetRequestHeader("X-Forwarded-For", "203.0.113.7");
        await socket.ConnectAsync(new Uri($"ws://{server.Address.Authority}/socket.io/?EIO=4&transport=websocket"), proxy, CancellationToken.None);

        // What stands before the last untrusted address was written by the client itself.
        Assert.Equal([Here, "203.0.113.5", "203.0.113.7"], server.Io.Engine.Addresses.Busiest(10).Select(a => a.Address).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task Without_trusted_proxies_a_forwarded_address_decides_nothing()
    {
        await using var server = await StartAsync(fair => (fair.HandshakesPerSecond, fair.HandshakeBurst) = (1, 1));
        await OpenAsync(server, server.Http, forwardedFor: "203.0.113.5");

        using var request = new HttpRequestMessage(HttpMethod.Get, server.Polling);
        request.Headers.Add("X-Forwarded-For", "203.0.113.6");
        using var answer = await server.Http.SendAsync(request);
        Assert.Equal(HttpStatusCode.TooManyRequests, answer.StatusCode);
    }

    [Theory]
    [InlineData("TrustedProxies", "somewhere")]
    [InlineData("AllowList", "192.0.2.7/99")]
    public void What_is_no_network_is_refused_at_the_start(string option, string text)
    {
        var options = new EngineOptions();
        (option == "AllowList" ? options.Limits.AllowList : options.Limits.TrustedProxies).Add(text);

        var error = Assert.Throws<InvalidOperationException>(options.Validate);
        Assert.Contains(option, error.Message, StringComparison.Ordinal);
    }

    Task<RunningServer> StartAsync(Action<LimitOptions>? fair = null, Action<EngineOptions>? configure = null, Action<SocketServer>? setUp = null, bool direct = false) =>
        RunningServer.StartAsync(options =>
        {
            fair?.Invoke(options.Engine.Limits);
            configure?.Invoke(options.Engine);
        }, setUp, _clock, direct);

    static ValueTask<string?> RefuseAsync(Handshake handshake) => new(handshake.QueryValue("deny") is null ? null : "Forbidden");

    static (int Open, int HalfOpen) Counts(RunningServer server, string address) =>
        server.Io.Engine.Addresses.Find(address) is { } count ? (count.Open, count.HalfOpen) : (0, 0);

    static async Task<string> OpenAsync(RunningServer server, HttpClient client, string? forwardedFor = null)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, server.Polling);
        if (forwardedFor is not null) request.Headers.Add("X-Forwarded-For", forwardedFor);
        using var answer = await client.SendAsync(request);
        var body = await answer.Content.ReadAsStringAsync();
        Assert.True(answer.IsSuccessStatusCode, body);
        return body.Split('"')[3];
    }

    static async Task AssertRefusedAsync(RunningServer server, HttpClient client, HttpStatusCode status, string message, bool retryable, int retryAfter)
    {
        using var answer = await client.GetAsync(server.Polling);
        Assert.Equal(status, answer.StatusCode);
        Assert.Equal(TimeSpan.FromSeconds(retryAfter), answer.Headers.RetryAfter?.Delta);
        Assert.Equal(JsonSerializer.Serialize(new { code = 4, message, retryable, retryAfter }), await answer.Content.ReadAsStringAsync());
    }

    static async Task<string> HandshakeAsync(System.Net.Sockets.TcpClient tcp, RunningServer server, string query = "")
    {
        var stream = tcp.GetStream();
        await stream.WriteAsync(Encoding.ASCII.GetBytes(
            $"GET /socket.io/?EIO=4&transport=websocket{query} HTTP/1.1\r\nHost: {server.Address.Authority}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"));
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        var buffer = new byte[4096];
        var length = 0;
        while (true)
        {
            var count = await stream.ReadAsync(buffer.AsMemory(length), deadline.Token);
            length += count;
            var text = Encoding.ASCII.GetString(buffer, 0, length);
            if (count == 0 || text.Contains('}') || text.EndsWith("Forbidden", StringComparison.Ordinal)) return text;
        }
    }
}
