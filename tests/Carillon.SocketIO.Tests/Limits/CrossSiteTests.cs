using System.Net;
using System.Net.Sockets;
using System.Text;
using Carillon.SocketIO.Engine;
using Carillon.SocketIO.Hosting;
using Carillon.SocketIO.Limits;
using Carillon.SocketIO.Sockets;
using Carillon.SocketIO.Tests.Hostile;
using Carillon.TestTools;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Carillon.SocketIO.Tests;

/// <summary>
/// A page of another site can make its visitors send requests. They are refused, and the visitors are not: their address is neither banned
/// nor shut out.
/// </summary>
public sealed class CrossSiteTests : IDisposable
{
    const string WebSocketHeaders = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";

    readonly HandDrivenClock _clock = new(timersToo: false);
    readonly Lines _log = new();

    public void Dispose() => _log.Dispose();

    [Theory]
    [InlineData("", "", false)]                                             // no browser, or a browser over plain HTTP
    [InlineData("", "none", false)]                                         // somebody typed the address
    [InlineData("", "same-origin", false)]
    [InlineData("", "same-site", false)]
    [InlineData("", "cross-site", true)]                                    // an image, a script, a link
    [InlineData("", "Cross-Site", true)]
    [InlineData("http://shop.example", "same-origin", false)]
    [InlineData("http://shop.example", "cross-site", false)]                // after a detour over another site
    [InlineData("https://friend.example", "cross-site", false)]
    [InlineData("https://forum.shop.example", "same-site", true)]
    [InlineData("https://evil.example", "cross-site", true)]
    [InlineData("https://evil.example", "", true)]
    [InlineData("null", "cross-site", true)]                                // a sandboxed frame
    [InlineData("null", "", true)]
    [InlineData("capacitor://localhost", "", false)]
    [InlineData("ionic://localhost", "", true)]
    [InlineData("capacitor://shop.example", "", true)]                      // not ours because it bears our host's name
    [InlineData("app://.", "", false)]
    [InlineData("file://", "", false)]
    public void An_origin_decides_and_without_one_the_site_of_the_page(string origin, string fetchSite, bool foreign)
    {
        var options = new EngineOptions { AllowedOrigins = { "https://friend.example/", "capacitor://localhost", "app://.", "file://" } };
        Assert.Equal(foreign, Origins.IsForeign(origin, fetchSite, new("shop.example"), options));
    }

    [Fact]
    public void Every_origin_may_connect_where_that_is_configured()
    {
        var options = new EngineOptions { AllowedOrigins = { "*" } };
        Assert.False(Origins.IsForeign("https://evil.example", "cross-site", new("shop.example"), options));
        Assert.True(Origins.IsForeign("", "cross-site", new("shop.example"), options));      // an image is no page that connects
    }

    [Fact]
    public void The_origin_null_is_refused_at_the_start()
    {
        var error = Assert.Throws<InvalidOperationException>(() => new EngineOptions { AllowedOrigins = { "null" } }.Validate());
        Assert.Contains("AllowedOrigins", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Requests_of_another_site_take_no_place_and_never_ban(bool direct)
    {
        await using var server = await StartAsync(options =>
        {
            (options.MaxConnections, options.Limits.HandshakesPerSecond, options.Limits.HandshakeBurst) = (1, 1, 1);
            (options.Limits.RefusedHandshakesPerMinute, options.Limits.UnheededHandshakesPerMinute) = (1, 1);
        }, direct);
        string[] requests =
        [
            "GET /socket.io/?x=1 HTTP/1.1\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Dest: image\r\n",
            "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nSec-Fetch-Site: cross-site\r\n",
            "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nOrigin: https://evil.example\r\n",
            "HEAD /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nSec-Fetch-Site: cross-site\r\n",
            "POST /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nOrigin: https://evil.example\r\nContent-Length: 0\r\n",
            "POST /socket.io/ HTTP/1.1\r\nOrigin: null\r\nContent-Length: 0\r\n",
            "OPTIONS /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nOrigin: https://evil.example\r\n",
            $"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n{WebSocketHeaders}Origin: https://evil.example\r\n",
            $"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n{WebSocketHeaders}Origin: null\r\nSec-Fetch-Site: cross-site\r\n",
            $"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n{WebSocketHeaders}Sec-Fetch-Site: cross-site\r\n",
        ];
        for (var round = 0; round < 3; round++)
            foreach (var request in requests)
                Assert.Equal(request.Contains("Upgrade", StringComparison.Ordinal) ? 400 : 403, await StatusAsync(server, request));

        Assert.Empty(server.Io.Engine.Addresses.Bans());
        Assert.Equal((0, 0), Counts(server));
        using (await server.JoinAsync()) { }      // at once
    }

    [Theory]
    [InlineData("GET /socket.io/?x=1")]
    [InlineData("GET /socket.io/?EIO=3&transport=polling")]
    [InlineData("GET /socket.io/?EIO=4&transport=websocket")]
    [InlineData("GET /socket.io/?EIO=4&transport=polling&deny=1")]
    [InlineData("GET /socket.io/?EIO=4&transport=polling&sid=nobody")]
    [InlineData("HEAD /socket.io/?EIO=4&transport=polling")]
    public async Task Plain_requests_are_limited_and_never_ban_and_a_WebSocket_comes_in(string request)
    {
        await using var server = await StartAsync(options =>
        {
            (options.Limits.HandshakesPerSecond, options.Limits.HandshakeBurst) = (1, 2);
            (options.Limits.RefusedHandshakesPerMinute, options.Limits.UnheededHandshakesPerMinute) = (1, 1);
            options.AllowRequest = handshake => new(handshake.QueryValue("deny") is null ? null : "Forbidden");
        });
        var named = request.Contains("sid=", StringComparison.Ordinal);
        var statuses = new List<int>();
        for (var i = 0; i < 200; i++) statuses.Add(await StatusAsync(server, request + " HTTP/1.1\r\n"));

        Assert.All(statuses[..2], status => Assert.InRange(status, 400, 403));
        Assert.All(statuses[2..], status => Assert.Equal(named ? 400 : 429, status));
        Assert.Empty(server.Io.Engine.Addresses.Bans());
        using (await server.JoinAsync()) { }
        _clock.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(200, await StatusAsync(server, "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\n"));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Sessions_that_nobody_comes_back_to_make_room(bool direct)
    {
        await using var server = await StartAsync(options =>
        {
            (options.Limits.ConnectionsPerAddress, options.Limits.HalfOpenPerAddress) = (4, 3);
            options.Limits.UnheededHandshakesPerMinute = 1;
        }, direct);
        const string image = "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\n";
        for (var i = 0; i < 50; i++) Assert.Equal(200, await StatusAsync(server, image));
        Assert.Equal((3, 3), Counts(server));

        using var socket = await server.JoinAsync();
        using var waiting = await server.ConnectAsync();
        var sid = (await server.Http.GetStringAsync(server.Polling)).Split('"')[3];
        using (var joined = await server.Http.PostAsync($"{server.Polling}&sid={sid}", new StringContent("40"))) Assert.Equal(HttpStatusCode.OK, joined.StatusCode);
        for (var i = 0; i < 50; i++) Assert.Equal(200, await StatusAsync(server, image));
        Assert.Empty(server.Io.Engine.Addresses.Bans());

        // The images displaced one another, and nobody who was there.
        server.Io.Root.Emit("still here");
        Assert.Equal("42[\"still here\"]", await RunningServer.ReceiveAsync(socket));
        Assert.Contains("still here", await server.Http.GetStringAsync($"{server.Polling}&sid={sid}"), StringComparison.Ordinal);
        await RunningServer.ReceiveAsync(waiting);
        await RunningServer.SendAsync(waiting, "40");
        Assert.StartsWith("40{", await RunningServer.ReceiveAsync(waiting), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_refusal_for_a_fault_of_the_server_does_not_count_against_the_address()
    {
        var failing = true;
        await using var server = await StartAsync(options => options.Limits.RefusedHandshakesPerMinute = 1, setUp: io => io.Root.Use(_ =>
            failing ? throw new InvalidOperationException("not today") : new(new ConnectRefusal("unavailable") { CountsAgainstAddress = false })));
        for (var i = 0; i < 6; i++)
        {
            using var socket = await server.ConnectAsync();
            await RunningServer.ReceiveAsync(socket);
            await RunningServer.SendAsync(socket, "40");
            Assert.StartsWith("44", await RunningServer.ReceiveAsync(socket), StringComparison.Ordinal);
            failing = i < 3;
        }

        Assert.Empty(server.Io.Engine.Addresses.Bans());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_refused_origin_is_logged_with_what_was_compared_and_what_would_allow_it(bool direct)
    {
        await using var server = await StartAsync(direct: direct);
        await StatusAsync(server, "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nOrigin: https://shop.example\r\n", host: "backend:8080");

        var line = Assert.Single(_log.All);
        Assert.Equal(LogLevel.Warning, line.Level);
        Assert.All(["https://shop.example", "backend:8080", "AllowedOrigins", "TrustedProxies", "X-Forwarded-Host"], part => Assert.Contains(part, line.Text, StringComparison.Ordinal));

        for (var i = 0; i < 500; i++)
            await StatusAsync(server, $"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n{WebSocketHeaders}Origin: https://evil{i}.example\r\n");
        Assert.Equal(10, _log.All.Count);
        _clock.Advance(TimeSpan.FromSeconds(10));
        await StatusAsync(server, $"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nOrigin: https://{new string('x', 5000)}\r\n");
        Assert.Contains("491 more refusals", _log.All[^1].Text, StringComparison.Ordinal);
        Assert.InRange(_log.All[^1].Text.Length, 0, 1000);
    }

    [Theory]
    [InlineData("X-Forwarded-Host: shop.example\r\n", "127.0.0.2", 200)]
    [InlineData("X-Forwarded-Host: shop.example:8443\r\n", "127.0.0.2", 403)]         // another port is another origin
    [InlineData("X-Forwarded-For: 203.0.113.5\r\nX-Forwarded-Host: evil.example, shop.example\r\n", "127.0.0.2", 200)]     // the proxy writes last
    [InlineData("X-Forwarded-For: 203.0.113.5\r\nX-Forwarded-Host: shop.example, other.example\r\n", "127.0.0.2", 403)]
    [InlineData("X-Forwarded-Host: shop.example\r\n", "127.0.0.1", 403)]               // nobody's proxy
    [InlineData("", "127.0.0.2", 403)]
    public async Task The_origin_is_compared_with_the_host_that_a_trusted_proxy_forwards(string forwarded, string from, int status)
    {
        foreach (var direct in new[] { false, true })
        {
            await using var server = await StartAsync(options => options.Limits.TrustedProxies.Add("127.0.0.2"), direct);
            var upgrade = await StatusAsync(server, $"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n{WebSocketHeaders}Origin: https://shop.example\r\n{forwarded}", "backend:8080", from);
            Assert.Equal(status == 200 ? 101 : 400, upgrade);
            Assert.Equal(status, await StatusAsync(server, $"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nOrigin: https://shop.example\r\n{forwarded}", "backend:8080", from));
        }
    }

    [Theory]
    [InlineData(false, "X-Forwarded-For: 203.0.113.5")]
    [InlineData(true, "X-Forwarded-For: 203.0.113.5")]
    [InlineData(true, "x-forwarded-host: shop.example")]
    [InlineData(true, "X-Forwarded-Proto: https")]
    [InlineData(true, "Forwarded: for=203.0.113.5")]
    public async Task A_proxy_that_nobody_has_named_is_named_once_and_on_this_machine_it_is_not_banned(bool direct, string header)
    {
        await using var server = await StartAsync(options => options.Limits.RefusedHandshakesPerMinute = 2, direct,
            setUp: io => io.Root.Use(_ => new(new ConnectRefusal("unauthorized") { ClosesConnection = true })));
        for (var i = 0; i < 6; i++)
        {
            using var wire = await Hostile.Wire.OpenAsync(server, headers: header + "\r\n");
            await wire.TextAsync("40");
            Assert.StartsWith("44", await wire.TextAsync(), StringComparison.Ordinal);
        }

        Assert.Empty(server.Io.Engine.Addresses.Bans());
        var line = Assert.Single(_log.All);
        Assert.All(["127.0.0.1", "TrustedProxies", "never banned"], part => Assert.Contains(part, line.Text, StringComparison.Ordinal));
    }

    [Fact]
    public void The_headers_of_a_proxy_exempt_nobody_elsewhere()
    {
        var options = new LimitOptions { RefusedHandshakesPerMinute = 1 };
        var ledger = new AddressLimiter(options, _clock, Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance);
        foreach (var (address, banned) in new[] { ("192.0.2.7", true), ("10.0.0.1", true), ("2001:db8::1", true), ("127.0.0.1", false), ("::1", false), ("::ffff:127.0.0.1", false) })
        {
            var peer = IPAddress.Parse(address);
            ledger.IsProxy(peer);
            for (var i = 0; i < 3; i++) ledger.Refused(peer);
            Assert.Equal(banned, ledger.Find(address)!.BannedUntil is not null);
        }
    }

    [Fact]
    public async Task Invented_proxies_do_not_fill_the_log()
    {
        await using var server = await StartAsync();
        for (var i = 1; i < 100; i++) await StatusAsync(server, "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nX-Forwarded-For: x\r\n", from: $"127.0.1.{i}");
        Assert.Equal(32, _log.All.Count);
    }

    [Fact]
    public async Task A_trusted_proxy_and_what_its_clients_write_are_no_news()
    {
        await using var server = await StartAsync(options => options.Limits.TrustedProxies.Add("127.0.0.1"));
        await StatusAsync(server, "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nX-Forwarded-For: 198.51.100.9, 203.0.113.5\r\n");
        await StatusAsync(server, "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nX-Forwarded-For: not an address\r\n");
        Assert.Empty(_log.All);
    }

    Task<RunningServer> StartAsync(Action<EngineOptions>? configure = null, bool direct = false, Action<SocketServer>? setUp = null) =>
        RunningServer.StartAsync(options => configure?.Invoke(options.Engine), setUp, _clock, direct, services => services.AddSingleton<ILoggerProvider>(_log));

    static (int Open, int HalfOpen) Counts(RunningServer server) => server.Io.Engine.Addresses.Find("127.0.0.1") is { } count ? (count.Open, count.HalfOpen) : (0, 0);

    // The status of the answer to a request, on a connection of its own.
    static async Task<int> StatusAsync(RunningServer server, string request, string host = "shop.example", string from = "127.0.0.1")
    {
        using var socket = new System.Net.Sockets.Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Parse(from), 0));
        await socket.ConnectAsync(IPAddress.Loopback, server.Address.Port);
        await socket.SendAsync(Encoding.ASCII.GetBytes($"{request}Host: {host}\r\n\r\n"));
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        var buffer = new byte[4096];
        await socket.ReceiveAsync(buffer, deadline.Token);
        return int.Parse(Encoding.ASCII.GetString(buffer, 9, 3));
    }

    /// <summary>What the server logs at Information and above.</summary>
    sealed class Lines : ILoggerProvider, ILogger
    {
        readonly List<(LogLevel Level, string Text)> _lines = [];

        public IReadOnlyList<(LogLevel Level, string Text)> All
        {
            get { lock (_lines) return [.. _lines]; }
        }

        public ILogger CreateLogger(string categoryName) => this;

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Information;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            var text = formatter(state, exception);
            lock (_lines)
                if (IsEnabled(logLevel) && (text.Contains("AllowedOrigins", StringComparison.Ordinal) || text.Contains("TrustedProxies", StringComparison.Ordinal))) _lines.Add((logLevel, text));
        }

        public void Dispose()
        {
        }
    }
}
