using System.Text.Json;

namespace Carillon.SocketIO.Tests.Hostile;

/// <summary>Who may come in, and how one has to ask: the same on every transport and on both ways to the network.</summary>
public class DoorTests
{
    const string Path = "/socket.io/?EIO=4&transport=websocket";
    const string Good = "Host: shop.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + Wire.Key + "\r\n";

    static readonly (int Status, string What, string Request)[] Handshakes =
    [
        (101, "good", $"GET {Path} HTTP/1.1\r\n{Good}\r\n"),
        (101, "keep-alive, Upgrade", $"GET {Path} HTTP/1.1\r\n{Good.Replace("Connection: Upgrade", "Connection: keep-alive, Upgrade")}\r\n"),
        (101, "names in capitals", $"GET {Path} HTTP/1.1\r\n{Good.ToUpperInvariant().Replace(Wire.Key.ToUpperInvariant(), Wire.Key)}\r\n"),
        (400, "not upgrade", $"GET {Path} HTTP/1.1\r\n{Good.Replace("Connection: Upgrade", "Connection: notupgrade")}\r\n"),
        (400, "upgradeable", $"GET {Path} HTTP/1.1\r\n{Good.Replace("Connection: Upgrade", "Connection: x-upgrade-x")}\r\n"),
        (400, "two upgrades", $"GET {Path} HTTP/1.1\r\n{Good}Upgrade: websocket\r\n\r\n"),
        (400, "a hundred upgrades", $"GET {Path} HTTP/1.1\r\n{Good}{string.Concat(Enumerable.Repeat("Upgrade: h2c\r\n", 90))}\r\n"),
        (400, "h2c", $"GET {Path} HTTP/1.1\r\n{Good.Replace("Upgrade: websocket", "Upgrade: h2c")}\r\n"),
        (101, "two connections", $"GET {Path} HTTP/1.1\r\n{Good}Connection: close\r\n\r\n"),
        (400, "two keys", $"GET {Path} HTTP/1.1\r\n{Good}Sec-WebSocket-Key: {Wire.Key}\r\n\r\n"),
        (400, "two versions", $"GET {Path} HTTP/1.1\r\n{Good}Sec-WebSocket-Version: 13\r\n\r\n"),
        (400, "version 8", $"GET {Path} HTTP/1.1\r\n{Good.Replace("Version: 13", "Version: 8")}\r\n"),
        (400, "no key", $"GET {Path} HTTP/1.1\r\n{Good.Replace($"Sec-WebSocket-Key: {Wire.Key}\r\n", "")}\r\n"),
        (400, "a key too short", $"GET {Path} HTTP/1.1\r\n{Good.Replace(Wire.Key, "abc")}\r\n"),
        (400, "a key that is no base64", $"GET {Path} HTTP/1.1\r\n{Good.Replace(Wire.Key, "!!!!!!!!!!!!!!!!!!!!!!!!")}\r\n"),
        (400, "two hosts", $"GET {Path} HTTP/1.1\r\n{Good}Host: other\r\n\r\n"),
        (400, "no host", $"GET {Path} HTTP/1.1\r\n{Good.Replace("Host: shop.example\r\n", "")}\r\n"),
        (400, "a host with a slash", $"GET {Path} HTTP/1.1\r\n{Good.Replace("shop.example", "shop/example")}\r\n"),
        (400, "a host with a blank", $"GET {Path} HTTP/1.1\r\n{Good.Replace("shop.example", "shop example")}\r\n"),
        (400, "a host with a port of letters", $"GET {Path} HTTP/1.1\r\n{Good.Replace("shop.example", "shop:abc")}\r\n"),
        (400, "a host with a user", $"GET {Path} HTTP/1.1\r\n{Good.Replace("shop.example", "a@b")}\r\n"),
        (400, "a foreign origin", $"GET {Path} HTTP/1.1\r\n{Good}Origin: http://evil.example\r\n\r\n"),
        (400, "the origin null", $"GET {Path} HTTP/1.1\r\n{Good}Origin: null\r\n\r\n"),
        (101, "an empty origin", $"GET {Path} HTTP/1.1\r\n{Good}Origin: \r\n\r\n"),
        (400, "two origins", $"GET {Path} HTTP/1.1\r\n{Good}Origin: http://shop.example\r\nOrigin: http://evil.example\r\n\r\n"),
        (101, "the own origin", $"GET {Path} HTTP/1.1\r\n{Good}Origin: http://shop.example\r\n\r\n"),
        (400, "an origin that only begins like it", $"GET {Path} HTTP/1.1\r\n{Good}Origin: http://shop.example.evil.example\r\n\r\n"),
        (400, "an origin with a user", $"GET {Path} HTTP/1.1\r\n{Good}Origin: http://shop.example@evil.example\r\n\r\n"),
        (400, "another port", $"GET {Path} HTTP/1.1\r\n{Good}Origin: http://shop.example:81\r\n\r\n"),
        (400, "no version of the protocol", $"GET /socket.io/?transport=websocket HTTP/1.1\r\n{Good}\r\n"),
        (400, "an old protocol", $"GET /socket.io/?EIO=3&transport=websocket HTTP/1.1\r\n{Good}\r\n"),
        (400, "a protocol twice", $"GET /socket.io/?EIO=4&EIO=3&transport=websocket HTTP/1.1\r\n{Good}\r\n"),
        (101, "a transport twice", $"GET /socket.io/?EIO=4&transport=polling&transport=websocket HTTP/1.1\r\n{Good}\r\n"),
        (400, "polling that upgrades", $"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\n{Good}\r\n"),
        (400, "an unknown transport", $"GET /socket.io/?EIO=4&transport=__proto__ HTTP/1.1\r\n{Good}\r\n"),
        (101, "an escaped transport", $"GET /socket.io/?EIO=4&transport=%77ebsocket HTTP/1.1\r\n{Good}\r\n"),
        (400, "an unknown session", $"GET {Path}&sid=__proto__ HTTP/1.1\r\n{Good}\r\n"),
        (101, "an empty session", $"GET {Path}&sid= HTTP/1.1\r\n{Good}\r\n"),
        (400, "a session of NUL", $"GET {Path}&sid=%00 HTTP/1.1\r\n{Good}\r\n"),
        (404, "another path", $"GET /socket.io?EIO=4&transport=websocket HTTP/1.1\r\n{Good}\r\n"),
        (404, "a path that goes up", $"GET /socket.io/../?EIO=4&transport=websocket HTTP/1.1\r\n{Good}\r\n"),
        (101, "a path that goes up and down", $"GET /socket.io/../socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n{Good}\r\n"),
        (404, "a path that goes up, escaped", $"GET /socket.io/%2e%2e/?EIO=4&transport=websocket HTTP/1.1\r\n{Good}\r\n"),
        (101, "a longer path", $"GET /socket.io/x?EIO=4&transport=websocket HTTP/1.1\r\n{Good}\r\n"),
        (101, "an absolute target", $"GET http://shop.example{Path} HTTP/1.1\r\n{Good}\r\n"),
        (400, "a fragment", $"GET {Path}#sid=x HTTP/1.1\r\n{Good}\r\n"),
        (101, "a fragment at the end", $"GET {Path}&a=#b HTTP/1.1\r\n{Good}\r\n"),
        (404, "a path that stays and goes up", $"GET /socket.io/./../?EIO=4&transport=websocket HTTP/1.1\r\n{Good}\r\n"),
        (404, "a path with a backslash", $"GET /socket.io\\?EIO=4&transport=websocket HTTP/1.1\r\n{Good}\r\n"),
        (101, "a host with a port", $"GET {Path} HTTP/1.1\r\n{Good.Replace("shop.example", "shop.example:8080")}\r\n"),
        (101, "a host that is an address", $"GET {Path} HTTP/1.1\r\n{Good.Replace("shop.example", "[::1]:80")}\r\n"),
        (101, "strange characters in the query", $"GET {Path}&a=<>\"{{}}|^`' HTTP/1.1\r\n{Good}\r\n"),
        (101, "broken escapes", $"GET {Path}&a=%&b=%zz&%=%f HTTP/1.1\r\n{Good}\r\n"),
        (101, "HTTP/1.0", $"GET {Path} HTTP/1.0\r\n{Good}\r\n"),
        (505, "HTTP/1.2", $"GET {Path} HTTP/1.2\r\n{Good}\r\n"),
        (400, "POST", $"POST {Path} HTTP/1.1\r\n{Good}Content-Length: 0\r\n\r\n"),
        (101, "get", $"get {Path} HTTP/1.1\r\n{Good}\r\n"),
        (400, "a body", $"GET {Path} HTTP/1.1\r\n{Good}Content-Length: 5\r\n\r\nhello"),
        (400, "a chunked body", $"GET {Path} HTTP/1.1\r\n{Good}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        (400, "a name with a blank", $"GET {Path} HTTP/1.1\r\n{Good}a b: c\r\n\r\n"),
        (400, "a blank before the colon", $"GET {Path} HTTP/1.1\r\n{Good}a : c\r\n\r\n"),
        (400, "an empty name", $"GET {Path} HTTP/1.1\r\n{Good}: c\r\n\r\n"),
        (101, "a name with brackets", $"GET {Path} HTTP/1.1\r\n{Good}a[0](\"): c\r\n\r\n"),
        (400, "a line without a colon", $"GET {Path} HTTP/1.1\r\n{Good}abc\r\n\r\n"),
        (400, "a folded line", $"GET {Path} HTTP/1.1\r\n{Good}a: b\r\n c\r\n\r\n"),
        (101, "line ends of one character", $"GET {Path} HTTP/1.1\n{Good.Replace("\r\n", "\n")}\n"),
        (400, "NUL in a value", $"GET {Path} HTTP/1.1\r\n{Good}a: b\0c\r\n\r\n"),
        (400, "half a character", $"GET {Path} HTTP/1.1\r\n{Good}a: \u00ff\r\n\r\n"),
        (101, "ninety-five headers more", $"GET {Path} HTTP/1.1\r\n{Good}{Headers(95)}\r\n"),
        (431, "ninety-six headers more", $"GET {Path} HTTP/1.1\r\n{Good}{Headers(96)}\r\n"),
        (431, "a thousand headers", $"GET {Path} HTTP/1.1\r\n{Good}{Headers(1000)}\r\n"),
        (431, "the same header a thousand times", $"GET {Path} HTTP/1.1\r\n{Good}{string.Concat(Enumerable.Repeat("a: b\r\n", 1000))}\r\n"),
        (101, "a header of 30 kB", $"GET {Path} HTTP/1.1\r\n{Good}a: {new string('x', 30_000)}\r\n\r\n"),
        (431, "a header of 64 kB", $"GET {Path} HTTP/1.1\r\n{Good}a: {new string('x', 64_000)}\r\n\r\n"),
        (414, "a target of 64 kB", $"GET {Path}&a={new string('x', 64_000)} HTTP/1.1\r\n{Good}\r\n"),
        (400, "no HTTP", "\u0016\u0003\u0001\u0002\0\u0001\0\u0001\u00fc\u0003\u0003 hello\r\n\r\n"),
        (0, "HTTP/2 at once", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u0004\0\0\0\0\0"),
        (400, "a frame at once", "\u0081\u0082\0\0\0\040\r\n\r\n"),
    ];

    static string Headers(int count) => string.Concat(Enumerable.Range(0, count).Select(i => $"a{i}: b\r\n"));

    [Fact]
    public async Task Every_handshake_has_the_same_answer_whichever_way_it_takes()
    {
        await using var http = await Siege.StartAsync(direct: false);
        await using var direct = await Siege.StartAsync(direct: true);
        foreach (var (status, what, request) in Handshakes)
        {
            var one = await Wire.RequestAsync(http.Server, request);
            var other = await Wire.RequestAsync(direct.Server, request);
            Assert.True((one.Status, other.Status) == (status, status) && one.Body == other.Body, $"{what}: {one.Status} {one.Body}, directly {other.Status} {other.Body}");
        }
        await http.AssertNothingLeftAsync();
        await direct.AssertNothingLeftAsync();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task One_rule_lets_in_or_refuses_on_every_transport(bool direct)
    {
        List<string> asked = [];
        await using var siege = await Siege.StartAsync(direct, options =>
        {
            options.Engine.AllowedOrigins.Add("https://friend.example");
            options.Engine.AllowRequest = handshake =>
            {
                lock (asked) asked.Add($"{handshake.Header("origin")} {handshake.QueryValue("who")} {handshake.Address}");
                return new(handshake.QueryValue("who") == "mallory" ? "not you" : null);
            };
        });
        (string Query, string Headers, int Polling, int WebSocket, string Message)[] rules =
        [
            ("EIO=4", "Origin: https://friend.example\r\n", 200, 101, ""),
            ("EIO=4", "Origin: https://FRIEND.example\r\n", 200, 101, ""),
            ("EIO=4", "Origin: https://friend.example:444\r\n", 403, 400, "Forbidden"),
            ("EIO=4", "Origin: http://friend.example\r\n", 403, 400, "Forbidden"),
            ("EIO=4", "Origin: https://evil.example\r\n", 403, 400, "Forbidden"),
            ("EIO=4", "Origin: null\r\n", 403, 400, "Forbidden"),
            ("EIO=4", "Origin: file://\r\n", 403, 400, "Forbidden"),
            ("EIO=4", "Origin: \u00c3\u00bc\r\n", 400, 400, "Bad request"),
            ("EIO=4&who=mallory", "", 403, 400, "not you"),
            ("EIO=4&who=alice&who=mallory", "", 403, 400, "not you"),
            ("EIO=3", "", 400, 400, "Unsupported protocol version"),
        ];
        foreach (var (query, headers, polling, webSocket, message) in rules)
        {
            asked.Clear();
            var one = await Wire.RequestAsync(siege.Server, $"GET /socket.io/?{query}&transport=polling HTTP/1.1\r\nHost: shop.example\r\n{headers}\r\n");
            var other = await Wire.RequestAsync(siege.Server, $"GET /socket.io/?{query}&transport=websocket HTTP/1.1\r\n{Good}{headers}\r\n");
            Assert.Equal((polling, webSocket), (one.Status, other.Status));
            if (message.Length > 0) Assert.Equal((message, message), (JsonElement.Parse(one.Body).GetProperty("message").GetString(), other.Body));
            Assert.True(asked.Count % 2 == 0 && asked.Distinct().Count() <= 1, $"asked the same of both, or of none: {string.Join("; ", asked)}");
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_full_server_and_a_banned_address_are_refused_alike_on_every_transport(bool direct)
    {
        await using var siege = await Siege.StartAsync(direct, options => (options.Engine.MaxConnections, options.Engine.Limits.LimitAddresses) = (1, true));
        await AssertBothAsync(503, "too-many-connections");
        siege.Engine.Addresses.Ban(System.Net.IPAddress.Loopback, TimeSpan.FromMinutes(1));
        siege.Engine.Options.MaxConnections = 2;
        await AssertBothAsync(403, "banned");
        await siege.AssertServedAsync();      // who is in stays

        async Task AssertBothAsync(int status, string message)
        {
            foreach (var request in new[] { $"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: shop.example\r\n\r\n", $"GET {Path} HTTP/1.1\r\n{Good}\r\n" })
            {
                var answer = await Wire.RequestAsync(siege.Server, request);
                Assert.Equal(status, answer.Status);
                Assert.Contains($"\"message\":\"{message}\"", answer.Body, StringComparison.Ordinal);
                Assert.Contains("Retry-After: ", answer.Head, StringComparison.Ordinal);
            }
        }
    }
}
