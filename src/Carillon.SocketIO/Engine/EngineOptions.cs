using Carillon.SocketIO.Limits;
using Microsoft.AspNetCore.Http;

namespace Carillon.SocketIO.Engine;

/// <summary>
/// The settings of the Engine.IO layer: transports, heartbeat, limits, and who may connect from where. The defaults are those that stock
/// clients expect (Engine.IO protocol 4), and refuse web pages of another origin.
/// </summary>
public sealed class EngineOptions
{
    /// <summary>How long the server waits between two pings. 25 seconds: below the idle time-out of the usual proxies.</summary>
    public TimeSpan PingInterval { get; set; } = TimeSpan.FromSeconds(25);

    /// <summary>
    /// How long a client may take to answer a ping before it counts as gone. 20 seconds: a phone that wakes up answers in time.
    /// </summary>
    public TimeSpan PingTimeout { get; set; } = TimeSpan.FromSeconds(20);

    /// <summary>
    /// The least that a client may take to answer a ping, where the time-out follows the measured round trip of its connection: never
    /// shorter than this, never longer than
    /// <see cref="PingTimeout"/>, which holds until there were three measurements. The handshake announces this value, so that no client is
    /// disconnected earlier than its handshake
    /// announced. <see langword="null"/>, the default: the time-out is always <see cref="PingTimeout"/>, and that is announced.
    /// </summary>
    public TimeSpan? MinPingTimeout { get; set; }

    /// <summary>
    /// How long after connecting a client is pinged first, so that its round trip is known soon; at most <see cref="PingInterval"/>,
    /// because that is how long clients wait for a ping.
    /// <see langword="null"/>, the default: after <see cref="PingInterval"/>.
    /// </summary>
    public TimeSpan? FirstPingAfter { get; set; }

    /// <summary>
    /// Called each time that a ping was answered, with the connection whose <see cref="EngineSocket.RoundTrip"/> is new. No lock is held,
    /// and no further message of the connection is read
    /// meanwhile: it must not block.
    /// </summary>
    public Action<EngineSocket>? OnLatency { get; set; }

    /// <summary>
    /// How long a client may take to answer the end of its WebSocket before the network connection is cut. 3 seconds: a round trip on any
    /// network, and nobody waits for it.
    /// </summary>
    public TimeSpan CloseTimeout { get; set; } = TimeSpan.FromSeconds(3);

    /// <summary>How long an upgrade from polling to WebSocket may take; after that the connection stays on polling. 10 seconds.</summary>
    public TimeSpan UpgradeTimeout { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// How many bytes one incoming WebSocket message or one POST body may have: 1,000,000. More is answered with 413, or closed with 1009,
    /// and clients receive the figure so that they split their batches.
    /// </summary>
    public int MaxPayload { get; set; } = 1_000_000;

    /// <summary>
    /// How many bytes may wait for one connection that does not read: 16 MiB. Beyond it the message's <see cref="SendPolicy"/> decides; by
    /// default the connection is closed, so that a slow
    /// client costs only itself. Where nothing waits, a message is let through whatever its size.
    /// </summary>
    public int MaxQueuedBytes { get; set; } = 16 * 1024 * 1024;

    /// <summary>
    /// How many connections are open at once; a further handshake is answered with 503. 100,000: more than one process should hold.
    /// </summary>
    public int MaxConnections { get; set; } = 100_000;

    /// <summary>Whether clients may connect by HTTP long-polling. On: it passes where WebSocket does not.</summary>
    public bool AllowPolling { get; set; } = true;

    /// <summary>Whether clients may connect by WebSocket. On.</summary>
    public bool AllowWebSocket { get; set; } = true;

    /// <summary>Whether a polling connection may become a WebSocket. On.</summary>
    public bool AllowUpgrades { get; set; } = true;

    /// <summary>
    /// The origins that may connect besides the server's own, such as <c>https://shop.example</c>, or <c>capacitor://localhost</c> for an
    /// application's shell; <c>*</c> is every origin. Empty: the same origin only. It decides the CORS headers of polling and the Origin
    /// check of both transports. Requests without an Origin header (programs that are no browsers) are not concerned, unless a browser says
    /// that it sends them for another site (<c>Sec-Fetch-Site</c>). <c>null</c> cannot be allowed: any page can send it.
    /// </summary>
    public IList<string> AllowedOrigins { get; } = [];

    /// <summary>
    /// Whether pages of an allowed origin may send cookies with their requests (<c>Access-Control-Allow-Credentials</c>). Off.
    /// </summary>
    public bool AllowCredentials { get; set; }

    /// <summary>
    /// The name of a cookie that carries the session's id, for load balancers that stick by cookie; <see langword="null"/> sets none.
    /// </summary>
    public string? CookieName { get; set; }

    /// <summary>
    /// From how many bytes on the answer to a poll is compressed, where the client accepts it, and a WebSocket message where
    /// <see cref="PerMessageDeflate"/> is on; 0 never compresses.
    /// 1,024: less is not worth the time.
    /// </summary>
    public int CompressionThreshold { get; set; } = 1024;

    /// <summary>
    /// Whether WebSocket messages are compressed for clients that offer it (RFC 7692, without context takeover): a broadcast once for all
    /// its receivers. Off: it costs time, which
    /// is worth it for large messages on slow links only.
    /// </summary>
    public bool PerMessageDeflate { get; set; }

    /// <summary>
    /// Decides about each handshake, polling or WebSocket, before there is a connection: <see langword="null"/> lets the client in, a text
    /// refuses it with that message.
    /// </summary>
    public Func<Handshake, ValueTask<string?>>? AllowRequest { get; set; }

    /// <summary>The limits of one address, one connection and one account.</summary>
    public LimitOptions Limits { get; } = new();

    /// <summary>Adds headers to the answer of each handshake.</summary>
    public Action<HttpContext>? OnHandshakeResponse { get; set; }

    internal void Validate()
    {
        Require(PingInterval > TimeSpan.Zero, nameof(PingInterval), "must be longer than zero");
        Require(PingTimeout > TimeSpan.Zero, nameof(PingTimeout), "must be longer than zero");
        Require(MinPingTimeout is not { } least || (least > TimeSpan.Zero && least <= PingTimeout), nameof(MinPingTimeout),
            "must be longer than zero and at most PingTimeout, or null");
        Require(FirstPingAfter is not { } first || (first > TimeSpan.Zero && first <= PingInterval), nameof(FirstPingAfter),
            "must be longer than zero and at most PingInterval, or null");
        Require(CloseTimeout > TimeSpan.Zero, nameof(CloseTimeout), "must be longer than zero");
        Require(UpgradeTimeout > TimeSpan.Zero, nameof(UpgradeTimeout), "must be longer than zero");
        Require(MaxPayload > 0, nameof(MaxPayload), "must be at least one byte");
        Require(MaxQueuedBytes > 0, nameof(MaxQueuedBytes), "must be at least one byte");
        Require(MaxConnections > 0, nameof(MaxConnections), "must be at least one");
        Require(AllowPolling || AllowWebSocket, nameof(AllowWebSocket), "or AllowPolling must be on: a client needs a transport");
        Require(!AllowedOrigins.Contains("null"), nameof(AllowedOrigins),
            "must not hold \"null\": a sandboxed frame of any page sends that origin");
        Limits.Validate();

        static void Require(bool holds, string name, string rule)
        {
            if (!holds) throw new InvalidOperationException($"EngineOptions.{name} {rule}.");
        }
    }
}
