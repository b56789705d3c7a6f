namespace Carillon.SocketIO.Limits;

/// <summary>
/// The limits of one address, one connection and one account, so that every client gets its share. All are on by
/// default, with values that an
/// office of two thousand people behind one address does not reach. Zero switches a single limit off.
/// </summary>
public sealed class LimitOptions
{
    /// <summary>
    /// Whether addresses are limited and banned at all. On. Off where a proxy does it already, or where one machine plays thousands of
    /// clients (load tests).
    /// </summary>
    public bool LimitAddresses { get; set; } = true;

    /// <summary>How many connections one address may have open: 4,000, two for each person of a large office.</summary>
    public int ConnectionsPerAddress { get; set; } = 4000;

    /// <summary>
    /// How many TCP connections the process may have open, whatever they carry: Socket.IO, pages, the API, or nothing yet. Newcomers beyond
    /// it are refused with 503. <see langword="null"/>, the default: what the limit of open files leaves after the database, the runtime
    /// and log files. It holds where <c>UseSocketIO</c> takes the connections.
    /// </summary>
    public int? TcpConnections { get; set; }

    /// <summary>
    /// How many TCP connections one address may have open. <see langword="null"/>, the default: half of <see cref="TcpConnections"/>, and
    /// at most twice
    /// <see cref="ConnectionsPerAddress"/>, because a client of long-polling has two. Proxies that are trusted are not counted.
    /// </summary>
    public int? TcpConnectionsPerAddress { get; set; }

    /// <summary>
    /// How many handshakes one address may begin in a second: 400, twice what a busy office needs while everybody's laptop wakes up.
    /// WebSocket and long-polling count separately.
    /// </summary>
    public int HandshakesPerSecond { get; set; } = 400;

    /// <summary>How many handshakes one address may begin at once: 2,000, an office coming back after the server was restarted.</summary>
    public int HandshakeBurst { get; set; } = 2000;

    /// <summary>
    /// How many connections of one address may be half-open: accepted and without a whole request, or let in without having joined a
    /// namespace. 5,000: an office of 2,500
    /// that comes back at once, each browser with a spare connection that says nothing. Further ones are closed before a byte is read. Who
    /// says nothing is closed after
    /// <see cref="HandshakeTimeout"/>, who does not join after <c>SocketIOOptions.ConnectTimeout</c>. Without <c>UseSocketIO</c>
    /// connections count from their handshake on.
    /// </summary>
    public int HalfOpenPerAddress { get; set; } = 5000;

    /// <summary>
    /// Within which time a new connection has to say something, and to finish the first request that it begins: 10 seconds, as servers of
    /// HTTP give it. Who says nothing is
    /// closed, which is no offence: browsers keep spare connections. Who does not finish is closed as well and counts as refused. TLS has
    /// time-outs of its own. It holds
    /// where <c>UseSocketIO</c> takes the connections; elsewhere those of HTTP do.
    /// </summary>
    public TimeSpan HandshakeTimeout { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// How many tokens and WebSocket handshakes of one address may be refused in a minute before the address is banned: 600, an office
    /// whose tokens expired overnight. Requests that were not finished in time count among them. A plain GET never counts, because any page
    /// on the web can make its visitors send it; nor does a request of a page that may not connect, being told to wait, or asking for a
    /// session that a restart has ended.
    /// </summary>
    public int RefusedHandshakesPerMinute { get; set; } = 600;

    /// <summary>
    /// How many WebSocket handshakes of one address may be answered with 429 in a minute before the address is banned for ignoring it:
    /// 5,000.
    /// When an office of 2,500 comes back at once, the back-off of stock clients leads to fewer than a thousand; a loop without back-off
    /// reaches it within seconds. Connections that end without a request count where they come faster than handshakes may. That all <see
    /// cref="ConnectionsPerAddress"/> are taken does not count: then clients have to knock for as long as it lasts.
    /// </summary>
    public int UnheededHandshakesPerMinute { get; set; } = 5000;

    /// <summary>
    /// How many connections of one address may be closed in a minute for flooding events (<see cref="RefusalsBeforeDisconnect"/>) before
    /// the address is banned: 20. A client
    /// that sends 50,000 a second and comes back at once is closed three times a second and banned within ten. A faulty page in an office,
    /// whose client waits a second or more
    /// before it comes back, may be closed every three seconds all day.
    /// </summary>
    public int FloodingConnectionsPerMinute { get; set; } = 20;

    /// <summary>
    /// How many malformed packets and events one address may send in a minute before it is banned: 3,000, a faulty release on every screen
    /// of an office.
    /// </summary>
    public int MalformedPerMinute { get; set; } = 3000;

    /// <summary>
    /// How many wrong keys or passwords one address may try in a minute, where the application reports them: 300. Beyond it, it has to
    /// wait; it is not banned.
    /// </summary>
    public int FailedCredentialsPerMinute { get; set; } = 300;

    /// <summary>How long a first ban lasts: one minute, enough to stop a loop and short enough for those who share the address.</summary>
    public TimeSpan FirstBan { get; set; } = TimeSpan.FromMinutes(1);

    /// <summary>How many times longer each further ban is: 4, so 1, 4, 16 and then 60 minutes.</summary>
    public double BanGrowth { get; set; } = 4;

    /// <summary>How long a ban may become: one hour. Addresses change hands, and who was banned may not be who comes.</summary>
    public TimeSpan LongestBan { get; set; } = TimeSpan.FromHours(1);

    /// <summary>After how long without a ban one earlier ban is forgotten: one hour, the longest ban.</summary>
    public TimeSpan ForgetBanAfter { get; set; } = TimeSpan.FromHours(1);

    /// <summary>
    /// Addresses and networks that are neither limited nor banned, such as <c>192.0.2.7</c> or <c>2001:db8::/48</c>: the operator's own,
    /// monitoring, back ends. None.
    /// </summary>
    public IList<string> AllowList { get; } = [];

    /// <summary>
    /// Addresses and networks of the proxies in front of the server. What they say of the client's address (<c>X-Forwarded-For</c>), the
    /// scheme (<c>X-Forwarded-Proto</c>) and the host (<c>X-Forwarded-Host</c>) is believed, and of nobody else. None: a header that
    /// anybody can write decides nothing.
    /// </summary>
    public IList<string> TrustedProxies { get; } = [];

    /// <summary>
    /// How many connections one account may have open: 2,500. More than one person has, and enough for a hall of screens that share an
    /// account.
    /// </summary>
    public int ConnectionsPerAccount { get; set; } = 2500;

    /// <summary>
    /// The rate limits of one connection: 2,000 events a second after 10,000 at once, and 16 MB a second after 64 MB at once, far above
    /// what a
    /// page sends and a few percent of
    /// a core; 200 expensive operations a second after 5,000 at once, a screen that subscribes to all it shows.
    /// </summary>
    public RateLimitOptions PerConnection { get; } = new()
    {
        EventsPerSecond = 2000,
        EventBurst = 10_000,
        BytesPerSecond = 16_000_000,
        ByteBurst = 64_000_000,
        OperationsPerSecond = 200,
        OperationBurst = 5000,
    };

    /// <summary>
    /// The rate limits of all connections of one account together: five times as much as one, because people have several devices and
    /// pages.
    /// </summary>
    public RateLimitOptions PerAccount { get; } = new()
    {
        EventsPerSecond = 10_000,
        EventBurst = 50_000,
        BytesPerSecond = 80_000_000,
        ByteBurst = 320_000_000,
        OperationsPerSecond = 1000,
        OperationBurst = 25_000,
    };

    /// <summary>
    /// How many events of one connection may be refused within <see cref="RefusalWindow"/> before it is closed, and counted against its
    /// address
    /// (<see cref="FloodingConnectionsPerMinute"/>): 1,000. A burst that was
    /// sent before the first refusal came back is no ill will.
    /// </summary>
    public int RefusalsBeforeDisconnect { get; set; } = 1000;

    /// <summary>Over how long refused events are counted: 10 seconds.</summary>
    public TimeSpan RefusalWindow { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// From how many bytes of managed memory on new connections are refused with 503 until there is room again. 0, the default: four fifths
    /// of what the
    /// runtime may use, which respects the limit of a container. <see langword="null"/> switches it off.
    /// </summary>
    public long? MemoryThreshold { get; set; } = 0;

    /// <summary>
    /// How many bytes all connections together may hold: messages that wait to be sent or are half received, arguments of unfinished
    /// handlers, and events kept for recovery. A broadcast that
    /// waits for many counts once. Beyond it the connections that hold most are closed (<c>slow-consumer</c>) and new ones are refused with
    /// 503. 0, the default: a quarter of what the
    /// runtime may use, which respects the limit of a container. <see langword="null"/> switches it off.
    /// </summary>
    public long? MaxBufferedBytes { get; set; } = 0;

    internal void Validate()
    {
        NotNegative(ConnectionsPerAddress, nameof(ConnectionsPerAddress));
        NotNegative(TcpConnections ?? 0, nameof(TcpConnections));
        NotNegative(TcpConnectionsPerAddress ?? 0, nameof(TcpConnectionsPerAddress));
        NotNegative(HandshakesPerSecond, nameof(HandshakesPerSecond));
        NotNegative(HandshakeBurst, nameof(HandshakeBurst));
        NotNegative(HalfOpenPerAddress, nameof(HalfOpenPerAddress));
        NotNegative(RefusedHandshakesPerMinute, nameof(RefusedHandshakesPerMinute));
        NotNegative(UnheededHandshakesPerMinute, nameof(UnheededHandshakesPerMinute));
        NotNegative(FloodingConnectionsPerMinute, nameof(FloodingConnectionsPerMinute));
        NotNegative(MalformedPerMinute, nameof(MalformedPerMinute));
        NotNegative(FailedCredentialsPerMinute, nameof(FailedCredentialsPerMinute));
        NotNegative(ConnectionsPerAccount, nameof(ConnectionsPerAccount));
        NotNegative(RefusalsBeforeDisconnect, nameof(RefusalsBeforeDisconnect));
        NotNegative(MemoryThreshold ?? 0, nameof(MemoryThreshold));
        NotNegative(MaxBufferedBytes ?? 0, nameof(MaxBufferedBytes));
        PerConnection.Validate(nameof(PerConnection));
        PerAccount.Validate(nameof(PerAccount));
        Require(FirstBan > TimeSpan.Zero, nameof(FirstBan), "must be longer than zero");
        Require(BanGrowth is >= 1 and <= 1000, nameof(BanGrowth), "must lie between 1 and 1000");
        Require(LongestBan >= FirstBan, nameof(LongestBan), "must not be shorter than FirstBan");
        Require(LongestBan <= TimeSpan.FromDays(365), nameof(LongestBan), "must not be longer than a year: bans are temporary");
        Require(ForgetBanAfter > TimeSpan.Zero, nameof(ForgetBanAfter), "must be longer than zero");
        Require(HandshakeTimeout > TimeSpan.Zero, nameof(HandshakeTimeout), "must be longer than zero");
        Require(RefusalWindow > TimeSpan.Zero, nameof(RefusalWindow), "must be longer than zero");
        _ = new NetworkList(AllowList, nameof(AllowList));
        _ = new NetworkList(TrustedProxies, nameof(TrustedProxies));
    }

    static void NotNegative(long value, string name) => Require(value >= 0, name, "must not be negative; zero is no limit");

    static void Require(bool holds, string name, string rule)
    {
        if (!holds) throw new InvalidOperationException($"LimitOptions.{name} {rule}.");
    }
}

/// <summary>
/// Rate limits. Each pair is an average rate and a burst; an average of zero is no limit.
/// </summary>
public sealed class RateLimitOptions
{
    /// <summary>How many events a second. Events that nobody handles count as well.</summary>
    public int EventsPerSecond { get; set; }

    /// <summary>How many events at once.</summary>
    public int EventBurst { get; set; }

    /// <summary>How many bytes of events a second, attachments among them.</summary>
    public long BytesPerSecond { get; set; }

    /// <summary>How many bytes at once. A single message that is larger passes when nothing was sent for a while.</summary>
    public long ByteBurst { get; set; }

    /// <summary>How many expensive operations a second: those that read a history or a database, as their handlers say.</summary>
    public int OperationsPerSecond { get; set; }

    /// <summary>How many expensive operations at once.</summary>
    public int OperationBurst { get; set; }

    internal void Validate(string name)
    {
        if (EventsPerSecond < 0 || EventBurst < 0 || BytesPerSecond < 0 || ByteBurst < 0 || OperationsPerSecond < 0 || OperationBurst < 0)
            throw new InvalidOperationException($"LimitOptions.{name}: no limit may be negative; zero is no limit.");
    }
}
