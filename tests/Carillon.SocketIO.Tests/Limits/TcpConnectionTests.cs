using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Text;
using Carillon.SocketIO.Limits;
using Carillon.TestTools;
using Microsoft.AspNetCore.HostFiltering;
using Microsoft.Extensions.DependencyInjection;
using NetSocket = System.Net.Sockets.Socket;

namespace Carillon.SocketIO.Tests;

/// <summary>
/// TCP connections, whatever they carry: how many there may be, for how long they may be silent, and for which hosts they may ask.
/// </summary>
public class TcpConnectionTests
{
    // There is no such page, and the connection is kept alive all the same.
    const string Page = "GET /page HTTP/1.1\r\nHost: x\r\n\r\n";
    const string WebSocket = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";

    readonly HandDrivenClock _clock = new(timersToo: true);

    [Theory]
    [InlineData(null, 50, 0)]            // no limit of files
    [InlineData(1_048_576, 200, 1_048_248)]
    [InlineData(1024, 200, 696)]
    [InlineData(420, 200, 110)]
    [InlineData(420, 90, 202)]
    [InlineData(256, 200, 28)]
    [InlineData(100, 200, 1)]
    public void The_limit_of_connections_follows_the_limit_of_files(int? files, int open, int connections) => Assert.Equal(connections, TcpConnectionLimit.Derive(files, open));

    [Theory]
    [InlineData(696, 4000, null, 348)]
    [InlineData(1_048_248, 4000, null, 8000)]
    [InlineData(0, 4000, null, 8000)]
    [InlineData(696, 0, null, 348)]
    [InlineData(1, 4000, null, 1)]
    [InlineData(0, 0, null, 0)]
    [InlineData(696, 4000, 20, 20)]
    public void One_address_has_half_of_it_at_most(int limit, int clients, int? configured, int expected) =>
        Assert.Equal(expected, TcpConnectionLimit.DerivePerAddress(limit, new LimitOptions { ConnectionsPerAddress = clients, TcpConnectionsPerAddress = configured }));

    [Fact]
    public async Task Newcomers_beyond_the_limit_are_refused_and_those_that_are_there_are_served()
    {
        await using var server = await StartAsync(fair => (fair.TcpConnections, fair.TcpConnectionsPerAddress) = (6, 0));
        using var socket = await server.JoinAsync();                       // taken off the connection
        using var kept = await ArriveAsync(server, Page);                  // kept alive by HTTP
        Assert.Equal(404, await StatusAsync(kept));
        using var upgraded = await ArriveAsync(server, WebSocket.Replace("HTTP/1.1", "HTTP/1.0"));      // upgraded by HTTP
        Assert.Equal(101, await StatusAsync(upgraded));
        using var silent = await ArriveAsync(server);
        using var slow = await ArriveAsync(server, "GET /");
        using var last = await ArriveAsync(server, Page);
        Assert.Equal(404, await StatusAsync(last));

        for (var i = 0; i < 20; i++)
        {
            using var further = await ArriveAsync(server, Page);
            Assert.Equal(503, await StatusAsync(further));
        }
        server.Io.Root.Emit("still here");
        Assert.Equal("42[\"still here\"]", await RunningServer.ReceiveAsync(socket));
        await kept.SendAsync(Encoding.ASCII.GetBytes(Page));
        Assert.Equal(404, await StatusAsync(kept));

        // However a connection ends, its place is free again.
        foreach (var end in new Action[] { kept.Dispose, upgraded.Dispose, silent.Dispose, slow.Dispose, last.Dispose, socket.Abort })
        {
            end();
            await RunningServer.UntilAsync(() => ServedAsync(server), "a place is free");
        }
        await RunningServer.UntilAsync(() => server.Io.Engine.Addresses.Find("127.0.0.1") is null or { Open: 0, HalfOpen: 0 }, "all have left");
        var again = new List<NetSocket>();
        await RunningServer.UntilAsync(() => TryKeepAsync(again), "six places are free");
        Assert.False(await ServedAsync(server));
        foreach (var one in again) one.Dispose();

        async Task<bool> TryKeepAsync(List<NetSocket> sockets)
        {
            var one = await ArriveAsync(server, Page);
            if (await StatusAsync(one) == 404) sockets.Add(one);
            else one.Dispose();
            return sockets.Count == 6;
        }
    }

    [Fact]
    public async Task An_arrival_that_fails_gives_its_place_back()
    {
        var clock = new FaultyClock();
        await using var server = await StartAsync(fair => (fair.TcpConnections, fair.TcpConnectionsPerAddress) = (2, 0), clock);
        for (var i = 0; i < 5; i++)
        {
            clock.FailOnce = true;
            using var failed = await ArriveAsync(server);
            await RunningServer.UntilAsync(() => !clock.FailOnce, "it has failed");
        }
        using var one = await ArriveAsync(server, Page);
        using var two = await ArriveAsync(server, Page);
        Assert.Equal((404, 404), (await StatusAsync(one), await StatusAsync(two)));
    }

    [Fact]
    public async Task A_newcomer_whose_code_blocks_holds_back_no_other_newcomer()
    {
        var clock = new FaultyClock();
        using var blocked = new ManualResetEventSlim();
        using var release = new ManualResetEventSlim();
        await using var server = await RunningServer.StartAsync(options => options.Engine.AllowRequest = handshake =>
        {
            if (string.IsNullOrEmpty(handshake.QueryValue("block"))) return default;
            blocked.Set();
            release.Wait();
            return default;
        }, clock: clock, direct: true);
        var sockets = new List<NetSocket>();
        // While the clock stops them, none is accepted: all have sent their request before the first is looked at.
        clock.Gate.Reset();
        for (var i = 0; i < 60; i++)
        {
            var socket = new NetSocket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            socket.Connect(IPAddress.Loopback, server.Address.Port);
            socket.Send(Encoding.ASCII.GetBytes(i % 20 == 10 ? WebSocket.Replace("EIO=4", "EIO=4&block=1") : WebSocket));
            sockets.Add(socket);
        }
        clock.Gate.Set();
        Assert.True(blocked.Wait(TimeSpan.FromSeconds(30)));
        for (var i = 0; i < sockets.Count; i++)
            if (i % 20 != 10) Assert.Equal(101, await StatusAsync(sockets[i]));
        Assert.False(release.IsSet);
        release.Set();
        foreach (var socket in sockets) socket.Dispose();
    }

    sealed class FaultyClock : TimeProvider
    {
        public ManualResetEventSlim Gate { get; } = new(initialState: true);

        public volatile bool FailOnce;

        public override long GetTimestamp()
        {
            Gate.Wait();
            if (FailOnce)
            {
                FailOnce = false;
                throw new InvalidDataException("The clock has failed.");
            }
            return base.GetTimestamp();
        }

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) => base.CreateTimer(_ => { }, null, dueTime, period);
    }

    [Fact]
    public async Task Idle_connections_of_one_address_leave_room_for_others()
    {
        await using var server = await StartAsync(fair => (fair.TcpConnections, fair.UnheededHandshakesPerMinute) = (10, 1));
        var idle = new List<NetSocket>();
        for (var i = 0; i < 5; i++)
        {
            idle.Add(await ArriveAsync(server, Page, from: "127.0.0.2"));
            Assert.Equal(404, await StatusAsync(idle[^1]));
        }
        for (var i = 0; i < 10; i++)
        {
            using var further = await ArriveAsync(server, Page, from: "127.0.0.2");
            Assert.Equal(429, await StatusAsync(further));
        }
        Assert.Empty(server.Io.Engine.Addresses.Bans());
        using (await server.JoinAsync()) { }

        idle[0].Dispose();
        await RunningServer.UntilAsync(() => ServedAsync(server, "127.0.0.2"), "the address has room again");
        foreach (var one in idle) one.Dispose();
    }

    [Fact]
    public async Task Clients_that_come_back_at_once_wait_in_several_queues_and_the_address_is_still_its_own()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Only Linux spreads the clients of one address.");
        await using var server = await StartAsync();
        var port = $":{server.Address.Port:X4}";
        var listening = File.ReadLines("/proc/net/tcp").Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries));
        Assert.Equal(4, listening.Count(socket => socket[1].EndsWith(port, StringComparison.Ordinal) && socket[3] == "0A"));

        await Task.WhenAll(Enumerable.Range(0, 40).Select(async _ => Assert.True(await ServedAsync(server))));      // whichever queue they are in
        using var other = new NetSocket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        Assert.Equal(SocketError.AddressAlreadyInUse, Assert.Throws<SocketException>(() => other.Bind(new IPEndPoint(IPAddress.Loopback, server.Address.Port))).SocketErrorCode);
        await Assert.ThrowsAnyAsync<IOException>(() => RunningServer.StartAsync(direct: true, port: server.Address.Port));
    }

    [Fact]
    public async Task A_trusted_proxy_is_nobodys_address()
    {
        await using var server = await StartAsync(fair =>
        {
            fair.TcpConnectionsPerAddress = 1;
            fair.TrustedProxies.Add("127.0.0.2");
        });
        using var one = await ArriveAsync(server, Page, from: "127.0.0.2");
        using var other = await ArriveAsync(server, Page, from: "127.0.0.2");
        Assert.Equal((404, 404), (await StatusAsync(one), await StatusAsync(other)));
    }

    [Fact]
    public async Task TLS_spoken_to_a_plain_port_ends_in_time_which_is_no_offence()
    {
        await using var server = await StartAsync(fair => fair.RefusedHandshakesPerMinute = 1);
        // The head of a whole record is answered by HTTP at once; the first byte alone says nothing yet.
        using var hello = await ArriveAsync(server, "\u0016\u0003\u0001\u0002\u0000\u0001");
        await RunningServer.UntilAsync(() => hello.Available > 0 && server.Io.Engine.Addresses.Find("127.0.0.1")?.HalfOpen is null or 0, "it is answered");
        var clients = new List<NetSocket>();
        for (var i = 0; i < 4; i++) clients.Add(await ArriveAsync(server, "\u0016"));
        await RunningServer.UntilAsync(() => server.Io.Engine.Addresses.Find("127.0.0.1")?.HalfOpen == 4, "they have arrived");
        await EndInTimeAsync(clients);
        Assert.Equal(0, server.Io.Engine.Addresses.Find("127.0.0.1")?.HalfOpen ?? 0);
        Assert.Empty(server.Io.Engine.Addresses.Bans());
        foreach (var client in clients) client.Dispose();
    }

    [Fact]
    public async Task A_TLS_connection_that_is_silent_after_its_handshake_ends_in_time()
    {
        using var certificate = TlsTests.SelfSigned();
        await using var server = await RunningServer.StartAsync(options => options.Engine.Limits.RefusedHandshakesPerMinute = 1, clock: _clock, direct: true, certificate: certificate);
        var clients = new List<NetSocket>();
        var streams = new List<SslStream>();
        for (var i = 0; i < 3; i++)
        {
            clients.Add(await ArriveAsync(server));
#pragma warning disable CA5359 // The certificate is made here, a moment ago.
            streams.Add(new SslStream(new NetworkStream(clients[^1]), false, (_, _, _, _) => true));
#pragma warning restore CA5359
            await streams[^1].AuthenticateAsClientAsync("localhost");
        }
        // One makes a request, and is an ordinary kept-alive connection.
        await streams[0].WriteAsync(Encoding.ASCII.GetBytes(Page));
        Assert.True(await streams[0].ReadAsync(new byte[100]) > 0);

        await EndInTimeAsync(clients[1..]);
        await streams[0].WriteAsync(Encoding.ASCII.GetBytes(Page));
        Assert.True(await streams[0].ReadAsync(new byte[100]) > 0);
        Assert.Empty(server.Io.Engine.Addresses.Bans());
        foreach (var client in clients) client.Dispose();
    }

    [Theory]
    [InlineData("shop.example", 101)]
    [InlineData("SHOP.example:8080", 101)]
    [InlineData("www.shop.example", 101)]
    [InlineData("evil.example", 400)]
    [InlineData("shop.example.evil.example", 400)]
    [InlineData("127.0.0.1", 400)]
    public async Task Hosts_that_are_not_allowed_are_refused_whichever_way_a_WebSocket_takes(string host, int status)
    {
        foreach (var direct in new[] { false, true })
        {
            await using var server = await RunningServer.StartAsync(direct: direct,
                services: services => services.Configure<HostFilteringOptions>(options => options.AllowedHosts = ["shop.example", "*.shop.example"]));
            using var client = await ArriveAsync(server, WebSocket.Replace("Host: x", $"Host: {host}"));
            Assert.Equal(status, await StatusAsync(client));
        }
    }

    // Not a moment before the ten seconds are over, and then at once.
    async Task EndInTimeAsync(List<NetSocket> clients)
    {
        // The server looks at first bytes on the real clock; a connection has the same deadline before.
        var start = _clock.GetTimestamp();
        for (var second = 0; second < 9; second++) _clock.Advance(TimeSpan.FromSeconds(1));
        foreach (var client in clients) Assert.False(client.Poll(0, SelectMode.SelectRead) && client.Available == 0);
        await RunningServer.UntilAsync(() =>
        {
            _clock.Advance(TimeSpan.FromSeconds(1));
            return clients.TrueForAll(client => client.Poll(0, SelectMode.SelectRead));
        }, "they have ended");
        Assert.InRange(_clock.GetElapsedTime(start), TimeSpan.FromSeconds(10), TimeSpan.FromSeconds(60));
    }

    Task<RunningServer> StartAsync(Action<LimitOptions>? fair = null, TimeProvider? clock = null) =>
        RunningServer.StartAsync(options => fair?.Invoke(options.Engine.Limits), clock: clock ?? _clock, direct: true);

    static async Task<bool> ServedAsync(RunningServer server, string from = "127.0.0.1")
    {
        using var socket = await ArriveAsync(server, Page, from);
        return await StatusAsync(socket) == 404;
    }

    static async Task<NetSocket> ArriveAsync(RunningServer server, string says = "", string from = "127.0.0.1")
    {
        var socket = new NetSocket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Parse(from), 0));
        await socket.ConnectAsync(IPAddress.Loopback, server.Address.Port);
        try
        {
            if (says.Length > 0) await socket.SendAsync(Encoding.ASCII.GetBytes(says));
        }
        catch (SocketException)
        {
            // Answered before it was asked.
        }
        return socket;
    }

    // The status of the answer; zero: ended without one.
    static async Task<int> StatusAsync(NetSocket socket)
    {
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        var buffer = new byte[256 * 1024];
        try
        {
            var count = await socket.ReceiveAsync(buffer, deadline.Token);
            while (socket.Available > 0) await socket.ReceiveAsync(buffer.AsMemory(count..), deadline.Token);
            return count == 0 ? 0 : int.Parse(Encoding.ASCII.GetString(buffer, 9, 3));
        }
        catch (SocketException)
        {
            return 0;
        }
    }
}
