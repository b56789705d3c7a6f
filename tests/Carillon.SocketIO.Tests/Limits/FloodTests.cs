using System.Net;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Text;
using Carillon.SocketIO.Hosting;
using Carillon.SocketIO.Limits;
using Carillon.TestTools;
using NetSocket = System.Net.Sockets.Socket;

namespace Carillon.SocketIO.Tests;

/// <summary>Floods from one address: refused, then banned, then forgiven, while another address notices nothing. And what is no flood.</summary>
public class FloodTests
{
    const string Flooder = "127.0.0.2";

    static readonly byte[] Handshake = Encoding.ASCII.GetBytes(
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n");

    readonly HandDrivenClock _clock = new(timersToo: true);
    int _atHttp;      // connections that went to HTTP, with a request or a part of one

    [Fact]
    public async Task A_flood_of_connections_is_refused_then_banned_then_forgiven()
    {
        await using var server = await StartAsync(fair => (fair.HandshakesPerSecond, fair.HandshakeBurst, fair.UnheededHandshakesPerMinute) = (1, 2, 3));
        using var ordinary = await server.JoinAsync();
        var answers = new List<int>();
        for (var i = 0; i < 8; i++) answers.Add(await KnockAsync(server));

        Assert.Equal([101, 101, 429, 429, 429, 429, 403, 403], answers);
        using (await server.JoinAsync()) { }
        server.Io.Root.Emit("still here");
        Assert.Equal("42[\"still here\"]", await RunningServer.ReceiveAsync(ordinary));
        _clock.Advance(TimeSpan.FromMinutes(1));
        Assert.Equal(101, await KnockAsync(server));
    }

    [Fact]
    public async Task A_flood_of_events_is_refused_then_banned_then_forgiven()
    {
        await using var server = await StartAsync(fair =>
        {
            (fair.PerConnection.EventsPerSecond, fair.PerConnection.EventBurst, fair.RefusalsBeforeDisconnect) = (1, 2, 3);
            fair.FloodingConnectionsPerMinute = 2;
        });
        using var client = RunningServer.From(Flooder);
        for (var i = 0; i < 3; i++)
        {
            Assert.Empty(server.Io.Engine.Addresses.Bans());
            using var socket = await ConnectAsync(server, client);
            await RunningServer.ReceiveAsync(socket);
            await RunningServer.SendAsync(socket, "40");
            await RunningServer.ReceiveAsync(socket);
            for (var n = 0; n < 10 && socket.State == WebSocketState.Open; n++) await TrySendAsync(socket, "42[\"x\"]");
            await RunningServer.UntilAsync(() => server.Io.Engine.ConnectionCount == 0, "the flooder is closed");
        }

        Assert.Equal("connections that flooded events", Assert.Single(server.Io.Engine.Addresses.Bans()).Reason);
        Assert.Equal(403, await KnockAsync(server));
        using (await server.JoinAsync()) { }
        _clock.Advance(TimeSpan.FromMinutes(1));
        Assert.Equal(101, await KnockAsync(server));
    }

    [Fact]
    public async Task A_flood_of_unfinished_handshakes_is_refused_then_banned_then_forgiven()
    {
        await using var server = await StartAsync(fair => (fair.HalfOpenPerAddress, fair.UnheededHandshakesPerMinute) = (3, 2));
        using var silent = await ArriveAsync(server);
        using var slow = await ArriveAsync(server, "GET /socket.io/?EIO=4");
        using var secret = await ArriveAsync(server, "\u0016\u0003\u0001");
        await RunningServer.UntilAsync(() => HalfOpen(server) == 3, "they have arrived");

        for (var i = 0; i < 3; i++)
        {
            using var further = await ArriveAsync(server);
            Assert.Equal(0, await StatusAsync(further));     // closed at once, unread
        }
        Assert.Equal("handshakes in spite of 429", Assert.Single(server.Io.Engine.Addresses.Bans()).Reason);
        Assert.Equal(403, await KnockAsync(server));
        using (await server.JoinAsync()) { }
        foreach (var unfinished in new[] { silent, slow, secret }) unfinished.Dispose();
        await RunningServer.UntilAsync(() => HalfOpen(server) == 0, "they have left");
        _clock.Advance(TimeSpan.FromMinutes(1));
        Assert.Equal(101, await KnockAsync(server));
    }

    [Fact]
    public async Task Handshakes_that_are_not_finished_in_time_end_and_count_as_refused()
    {
        await using var server = await StartAsync(fair => fair.RefusedHandshakesPerMinute = 1);
        using var one = await ArriveAsync(server, "GET /socket.io/?EIO=4");
        using var other = await ArriveAsync(server, "POST /elsewhere HTTP/1.1\r\nX-Slow: a");
        await RunningServer.UntilAsync(() => HalfOpen(server) == 2, "they have arrived");
        await RunningServer.UntilAsync(() => Volatile.Read(ref _atHttp) == 2, "their first bytes are looked at");
        for (var second = 0; second < 9; second++)
        {
            await one.SendAsync("a"u8.ToArray());     // a byte now and then does not help
            _clock.Advance(TimeSpan.FromSeconds(1));
        }
        Assert.Equal(2, HalfOpen(server));
        Assert.Empty(server.Io.Engine.Addresses.Bans());

        _clock.Advance(TimeSpan.FromSeconds(2));
        Assert.Equal(0, await StatusAsync(one));
        Assert.Equal(0, await StatusAsync(other));
        Assert.Equal(0, HalfOpen(server));
        Assert.Equal("refused handshakes", Assert.Single(server.Io.Engine.Addresses.Bans()).Reason);
    }

    [Fact]
    public async Task Who_says_nothing_is_closed_which_is_no_offence()
    {
        await using var server = await StartAsync(fair => (fair.RefusedHandshakesPerMinute, fair.UnheededHandshakesPerMinute) = (1, 1));
        var silent = new List<NetSocket>();
        for (var i = 0; i < 5; i++) silent.Add(await ArriveAsync(server));
        await RunningServer.UntilAsync(() => HalfOpen(server) == 5, "they have arrived");

        _clock.Advance(TimeSpan.FromSeconds(11));
        foreach (var socket in silent)
        {
            Assert.Equal(0, await StatusAsync(socket));
            socket.Dispose();
        }
        await RunningServer.UntilAsync(() => HalfOpen(server) == 0, "they are forgotten");
        Assert.Empty(server.Io.Engine.Addresses.Bans());
    }

    [Fact]
    public async Task A_request_in_two_pieces_is_half_open_until_the_second_has_come()
    {
        await using var server = await StartAsync();
        using var socket = await ArriveAsync(server, "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHo");
        await RunningServer.UntilAsync(() => HalfOpen(server) == 1, "it has arrived");
        await RunningServer.UntilAsync(() => Volatile.Read(ref _atHttp) == 1, "its first bytes are looked at");
        await socket.SendAsync("st: x\r\n\r\n"u8.ToArray());
        Assert.Equal(200, await StatusAsync(socket));
        Assert.Equal(1, HalfOpen(server));      // the session that it opened

        _clock.Advance(TimeSpan.FromSeconds(30));
        await socket.SendAsync("GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n"u8.ToArray());
        Assert.Equal(200, await StatusAsync(socket));
    }

    [Fact]
    public async Task Connections_of_HTTP_that_go_on_are_not_half_open()
    {
        await using var server = await StartAsync(fair => fair.HalfOpenPerAddress = 2);
        var clients = new List<NetSocket>();
        for (var i = 0; i < 5; i++)
        {
            clients.Add(await ArriveAsync(server, "GET /socket.io/?EIO=4&transport=pigeon HTTP/1.1\r\nHost: x\r\n\r\n"));
            Assert.Equal(400, await StatusAsync(clients[^1]));
        }

        Assert.Equal(0, HalfOpen(server));
        foreach (var client in clients) client.Dispose();
    }

    [Fact]
    public async Task A_proxy_is_nobodys_address()
    {
        await using var server = await StartAsync(fair =>
        {
            fair.TrustedProxies.Add(Flooder);
            fair.HalfOpenPerAddress = 1;
        });
        server.Io.Engine.Addresses.Ban(IPAddress.Parse(Flooder), TimeSpan.FromHours(1));
        using var one = await ArriveAsync(server, "GET ");
        using var other = await ArriveAsync(server);
        using var third = await ArriveAsync(server, "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 203.0.113.5\r\n\r\n");

        Assert.Equal(200, await StatusAsync(third));
        Assert.Equal(0, HalfOpen(server));
    }

    [Theory]
    [InlineData("", "Nothing")]
    [InlineData("G", "Part")]
    [InlineData("GET / HTTP/1.1\r\nHost: x\r\n", "Part")]
    [InlineData("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "Whole")]
    [InlineData("POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nhal", "Whole")]
    [InlineData("\u0016", "Tls")]
    [InlineData("\u0016\r\n\r\n", "Tls")]
    public void What_the_first_bytes_are(string bytes, string expected) =>
        Assert.Equal(expected, DirectHandshake.FirstBytesOf(Encoding.ASCII.GetBytes(bytes)).ToString());

    Task<RunningServer> StartAsync(Action<LimitOptions>? fair = null) => RunningServer.StartAsync(
        options => fair?.Invoke(options.Engine.Limits), clock: _clock, direct: true, listening: listen => listen.Use(next => connection =>
        {
            Interlocked.Increment(ref _atHttp);
            return next(connection);
        }));

    static int HalfOpen(RunningServer server) => server.Io.Engine.Addresses.Find(Flooder)?.HalfOpen ?? 0;

    static async Task<NetSocket> ArriveAsync(RunningServer server, string says = "")
    {
        var socket = new NetSocket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Parse(Flooder), 0));
        try
        {
            await socket.ConnectAsync(IPAddress.Loopback, server.Address.Port);
        }
        catch (SocketException ex) when (ex.SocketErrorCode == SocketError.ConnectionReset)
        {
            return socket;      // turned away as soon as it was there
        }
        if (says.Length > 0) await socket.SendAsync(Encoding.ASCII.GetBytes(says));
        return socket;
    }

    // The status of the answer to a handshake.
    static async Task<int> KnockAsync(RunningServer server)
    {
        using var socket = await ArriveAsync(server);
        try
        {
            await socket.SendAsync(Handshake);
        }
        catch (SocketException)
        {
            // Answered before it was asked.
        }
        return await StatusAsync(socket);
    }

    // Zero: ended without an answer.
    static async Task<int> StatusAsync(NetSocket socket)
    {
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        var buffer = new byte[4096];
        try
        {
            var count = await socket.ReceiveAsync(buffer, deadline.Token);
            return count == 0 ? 0 : int.Parse(Encoding.ASCII.GetString(buffer, 9, 3));
        }
        catch (SocketException)
        {
            return 0;
        }
    }

    static async Task<ClientWebSocket> ConnectAsync(RunningServer server, HttpClient from)
    {
        var socket = new ClientWebSocket();
        await socket.ConnectAsync(new Uri($"ws://{server.Address.Authority}/socket.io/?EIO=4&transport=websocket"), from, CancellationToken.None);
        return socket;
    }

    static async Task TrySendAsync(WebSocket socket, string text)
    {
        try
        {
            await RunningServer.SendAsync(socket, text);
        }
        catch (WebSocketException)
        {
            // Closed meanwhile.
        }
    }
}
