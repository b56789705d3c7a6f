using System.Net;
using Carillon.SocketIO.Diagnostics;
using Microsoft.Extensions.Logging;

namespace Carillon.SocketIO.Limits;

/// <summary>
/// The ledger of addresses: who has how many connections, how fast new ones come, what was refused and what was malformed, and who is
/// banned for how long. IPv6 is
/// counted by networks of 64 bits. The ledger is asked before anything else is done for a connection, so it must stay at a fraction of a
/// microsecond.
/// </summary>
public sealed partial class AddressLimiter
{
    /// <summary>
    /// How many addresses without a connection are remembered; about 11 MB. Beyond it the one that was seen longest ago is forgotten,
    /// unbanned ones first.
    /// </summary>
    internal const int Remembered = 50_000;

    static readonly TimeSpan WhenFull = TimeSpan.FromSeconds(5);
    static readonly TimeSpan WhenHalfOpen = TimeSpan.FromSeconds(1);

    readonly LimitOptions _options;
    readonly TimeProvider _clock;
    readonly ILogger _logger;
    readonly NetworkList _allowed;
    // polling has the rate of handshakes too, and its own bucket
    readonly Rate _handshakes, _refusals, _unheeded, _floods, _malformed, _failures;
    readonly Lock _gate = new();                              // guards all below; held for the time of a look-up
    readonly Dictionary<AddressKey, Entry> _entries = [];
    readonly LinkedList<Entry> _absent = new();               // without a connection, seen longest ago first
    readonly LinkedList<Entry> _absentAndBanned = new();

    internal AddressLimiter(LimitOptions options, TimeProvider clock, ILogger logger)
    {
        (_options, _clock, _logger) = (options, clock, logger);
        _allowed = new NetworkList(options.AllowList, nameof(options.AllowList));
        _handshakes = new Rate(options.HandshakesPerSecond, options.HandshakeBurst, clock);
        _refusals = PerMinute(options.RefusedHandshakesPerMinute);
        _unheeded = PerMinute(options.UnheededHandshakesPerMinute);
        _floods = PerMinute(options.FloodingConnectionsPerMinute);
        _malformed = PerMinute(options.MalformedPerMinute);
        _failures = PerMinute(options.FailedCredentialsPerMinute);

        Rate PerMinute(int count) => new(count / 60.0, count, clock);
    }

    /// <summary>
    /// Counts a connection that has said nothing yet as half-open, unless the answer is a refusal: until it is known what it is
    /// (<see cref="OnRequest"/>), or until it ends
    /// before (<see cref="OnAborted"/>).
    /// </summary>
    internal Refusal? OnAccepted(IPAddress? address)
    {
        if (!Counts(address)) return null;
        var exempt = _allowed.Contains(address);
        var now = _clock.GetTimestamp();
        Refusal? refusal;
        lock (_gate)
        {
            var entry = Find(AddressKey.Of(address), now);
            // Whether it is a handshake, and how many it may begin, is to be seen. Sessions that nobody has come back to hold no
            // connection.
            var user = new AddressStanding(BannedFor(entry, now), HandshakeWait: default, Open: 0,
                entry.HalfOpen - (AwaitsJoin ? entry.Idle?.Count ?? 0 : 0), entry.Sockets);
            refusal = exempt ? null : Decide(user, _options, SocketsPerAddress);
            if (refusal is null)
            {
                entry.HalfOpen++;
                entry.Sockets++;
            }
            MoveToIdle(entry, now);
        }
        if (refusal is { Code: Refusal.RateLimited }) Unheeded(address);
        return refusal;
    }

    /// <summary>
    /// How many TCP connections one address may have open, whatever they carry; zero is no limit. They count where <c>UseSocketIO</c> takes
    /// them.
    /// </summary>
    internal int SocketsPerAddress { get; set; }

    /// <summary>Whether sessions are half-open until they join. Without a join, they never are.</summary>
    internal bool AwaitsJoin { get; set; }

    /// <summary>A TCP connection that arrived has been closed.</summary>
    internal void Disconnected(IPAddress? address) => Change(address, static entry => entry.Sockets = Math.Max(0, entry.Sockets - 1));

    /// <summary>It is known what a connection is that arrived: it is counted elsewhere, or nowhere.</summary>
    internal void OnRequest(IPAddress? address) => Change(address, static entry => entry.HalfOpen--);

    /// <summary>A connection that arrived ended without a request: as many as handshakes are let pass.</summary>
    internal void OnAborted(IPAddress? address)
    {
        if (!Counts(address)) return;
        var now = _clock.GetTimestamp();
        bool tooFast;
        lock (_gate)
        {
            var entry = Find(AddressKey.Of(address), now);
            entry.HalfOpen--;
            tooFast = !entry.Handshakes.TryTake(_handshakes, 1, now, out _);
            MoveToIdle(entry, now);
        }
        if (tooFast) Unheeded(address);
    }

    /// <summary>
    /// Counts a connection that begins with a WebSocket from now on, unless the answer is a refusal. Too many that do not wait as they are
    /// told ban the address.
    /// </summary>
    /// <param name="address">Where it comes from.</param>
    /// <param name="displaced">A session to close, which makes room for this one: nobody has come back to it.</param>
    internal Refusal? AdmitWebSocket(IPAddress? address, out object? displaced)
    {
        var refusal = Admit(address, static entry => ref entry.Handshakes, out displaced);
        if (refusal is { Code: Refusal.RateLimited }) Unheeded(address);
        return refusal;
    }

    /// <summary>
    /// Counts a connection that begins with a plain GET from now on, unless the answer is a refusal. It never leads to a ban: over plain
    /// HTTP an image of any page sends the same request, and the address would be that of a person who looks at the page. For the same
    /// reason it takes nothing from WebSockets.
    /// </summary>
    internal Refusal? AdmitRequest(IPAddress? address, out object? displaced) =>
        Admit(address, static entry => ref entry.Requests, out displaced);

    Refusal? Admit(IPAddress? address, BucketOf bucket, out object? displaced)
    {
        displaced = null;
        if (!Counts(address)) return null;
        var exempt = _allowed.Contains(address);
        var now = _clock.GetTimestamp();
        Refusal? refusal = null;
        lock (_gate)
        {
            var entry = Find(AddressKey.Of(address), now);
            if (!exempt)
            {
                var user = Standing(entry, bucket, now);
                refusal = Decide(user, _options);
                // A session that was opened and never used is worth less than a client that is here.
                if (refusal is not null && entry.Idle?.First is { } oldest
                    && Decide(user with { Open = user.Open - 1, HalfOpen = user.HalfOpen - (AwaitsJoin ? 1 : 0) }, _options) is null)
                {
                    oldest.List!.Remove(oldest);
                    (displaced, refusal) = (oldest.Value, null);
                }
            }
            if (refusal is null)
            {
                entry.Open++;
                entry.HalfOpen++;
            }
            MoveToIdle(entry, now);
        }
        return refusal;
    }

    /// <summary>
    /// A session was opened by a plain GET. Until its client comes back to it (<see cref="RemoveIdle"/>), it makes room for others of its
    /// address.
    /// </summary>
    /// <returns>Its place in the list; null where the address is not limited.</returns>
    internal LinkedListNode<object>? AddIdle(IPAddress? address, object session)
    {
        if (!Counts(address)) return null;
        lock (_gate)
            return _entries.TryGetValue(AddressKey.Of(address), out var entry) ? (entry.Idle ??= new()).AddLast(session) : null;
    }

    /// <summary>The client has come back to its session, or the session has ended.</summary>
    internal void RemoveIdle(LinkedListNode<object> place)
    {
        lock (_gate) place.List?.Remove(place);
    }

    /// <summary>
    /// A peer on this machine forwards requests of others: it is a proxy that nobody has named, and is not banned for what its clients do.
    /// Elsewhere anybody can write the headers of a proxy, and they change nothing.
    /// </summary>
    internal void IsProxy(IPAddress address)
    {
        if (!IPAddress.IsLoopback(address) || !Counts(address)) return;
        var now = _clock.GetTimestamp();
        lock (_gate)
        {
            var entry = Find(AddressKey.Of(address), now);
            entry.IsLocalProxy = true;
            MoveToIdle(entry, now);
        }
    }

    /// <summary>The counts of an address at a moment; the handshake in question has taken its token already.</summary>
    internal readonly record struct AddressStanding(TimeSpan BannedFor, TimeSpan HandshakeWait, int Open, int HalfOpen, int Sockets = 0);

    /// <summary>Whether a connection of such an address is let in.</summary>
    internal static Refusal? Decide(in AddressStanding user, LimitOptions options, int socketsPerAddress = 0) =>
        user.BannedFor > TimeSpan.Zero ? new(Refusal.Banned, user.BannedFor) :
        user.HandshakeWait > TimeSpan.Zero ? new(Refusal.RateLimited, user.HandshakeWait) :
        IsReached(user.Open, options.ConnectionsPerAddress) ? new(Refusal.TooManyConnections, WhenFull) :
        IsReached(user.HalfOpen, options.HalfOpenPerAddress) ? new(Refusal.RateLimited, WhenHalfOpen) :
        IsReached(user.Sockets, socketsPerAddress) ? new(Refusal.TooManyConnections, WhenFull) :
        null;

    static bool IsReached(int count, int limit) => limit > 0 && count >= limit;

    // Under the gate. Who is banned takes nothing from the bucket: when the ban is over, the address starts with a full one.
    AddressStanding Standing(Entry entry, BucketOf bucket, long now)
    {
        var bannedFor = BannedFor(entry, now);
        var wait = TimeSpan.Zero;
        if (bannedFor == TimeSpan.Zero) bucket(entry).TryTake(_handshakes, 1, now, out wait);
        return new(bannedFor, wait, entry.Open, entry.HalfOpen);
    }

    /// <summary>A connection that was admitted has joined: it is half-open no longer.</summary>
    internal void Joined(IPAddress? address) => Change(address, static entry => entry.HalfOpen--);

    /// <summary>A connection that was admitted has ended.</summary>
    internal void Closed(IPAddress? address, bool halfOpen)
    {
        if (halfOpen) Change(address, static entry => (entry.Open, entry.HalfOpen) = (entry.Open - 1, entry.HalfOpen - 1));
        else Change(address, static entry => entry.Open--);
    }

    /// <summary>
    /// A WebSocket handshake or a token was refused, or a request was not finished in time. Too many of them ban the address.
    /// </summary>
    internal void Refused(IPAddress? address) => Penalize(address, "refused handshakes", _refusals, static entry => ref entry.Refusals);

    /// <summary>A connection was closed because it went on to send more events than it may. Too many of them ban the address.</summary>
    internal void Flooded(IPAddress? address) =>
        Penalize(address, "connections that flooded events", _floods, static entry => ref entry.Floods);

    // A 429 is no offence; an address that gets thousands of them ignores them.
    void Unheeded(IPAddress? address) =>
        Penalize(address, "handshakes in spite of 429", _unheeded, static entry => ref entry.Unheeded);

    /// <summary>Something came that no client sends. Too much of it bans the address.</summary>
    internal void Malformed(IPAddress? address) => Penalize(address, "malformed packets", _malformed, static entry => ref entry.Malformed);

    /// <summary>
    /// Whether an address may try a key or a password: ask before looking at it, and tell <see cref="Failed"/> of wrong ones. Failed tries
    /// never ban.
    /// </summary>
    /// <param name="address">Where the request came from.</param>
    /// <param name="retryAfter">Where it may not: how long to wait.</param>
    public bool MayTry(IPAddress? address, out TimeSpan retryAfter)
    {
        retryAfter = default;
        if (!Counts(address) || _allowed.Contains(address)) return true;
        var now = _clock.GetTimestamp();
        lock (_gate)
            if (_entries.TryGetValue(AddressKey.Of(address), out var entry)) retryAfter = entry.Failures.WaitForOne(_failures, now);
        return retryAfter == TimeSpan.Zero;
    }

    /// <summary>An address tried a wrong key or password.</summary>
    public void Failed(IPAddress? address)
    {
        if (!Counts(address) || _allowed.Contains(address)) return;
        var now = _clock.GetTimestamp();
        lock (_gate)
        {
            var entry = Find(AddressKey.Of(address), now);
            entry.Failures.TryTake(_failures, 1, now, out _);
            MoveToIdle(entry, now);
        }
    }

    bool Counts([System.Diagnostics.CodeAnalysis.NotNullWhen(true)] IPAddress? address) => _options.LimitAddresses && address is not null;

    void Change(IPAddress? address, Action<Entry> change)
    {
        if (!Counts(address)) return;
        var now = _clock.GetTimestamp();
        lock (_gate)
        {
            if (!_entries.TryGetValue(AddressKey.Of(address), out var entry)) return;
            change(entry);
            MoveToIdle(entry, now);
        }
    }

    delegate ref TokenBucket BucketOf(Entry entry);

    void Penalize(IPAddress? address, string reason, in Rate rate, BucketOf bucket)
    {
        if (!Counts(address) || _allowed.Contains(address)) return;
        var now = _clock.GetTimestamp();
        var key = AddressKey.Of(address);
        TimeSpan length;
        lock (_gate)
        {
            var entry = Find(key, now);
            // An address that is banned already is not banned again for requests that were in progress.
            if (bucket(entry).TryTake(rate, 1, now, out _) || BannedFor(entry, now) > TimeSpan.Zero || entry.IsLocalProxy)
            {
                MoveToIdle(entry, now);
                return;
            }
            entry.Strikes = StrikesOf(entry, now) + 1;
            length = Banning.LengthOf(entry.Strikes, _options);
            Ban(entry, length, reason, now);
        }
        Meters.Bans.Add(1);
        LogBanned(_logger, key, length.TotalSeconds, reason);
    }

    // Under the gate from here on.

    Entry Find(AddressKey key, long now)
    {
        if (_entries.TryGetValue(key, out var found)) return found;
        ForgetSome(now);
        return _entries[key] = new Entry(key);
    }

    void Ban(Entry entry, TimeSpan length, string reason, long now)
    {
        entry.BannedUntil = now + TicksOf(length);
        entry.Reason = reason;
        entry.Refusals.Refill();
        entry.Unheeded.Refill();
        entry.Floods.Refill();
        entry.Malformed.Refill();
        MoveToIdle(entry, now);
    }

    TimeSpan BannedFor(Entry entry, long now) => entry.BannedUntil <= now ? TimeSpan.Zero : _clock.GetElapsedTime(now, entry.BannedUntil);

    int StrikesOf(Entry entry, long now) =>
        entry.Strikes == 0 ? 0 : Banning.StillCounting(entry.Strikes, _clock.GetElapsedTime(entry.BannedUntil, now), _options);

    long TicksOf(TimeSpan span) => (long)(span.TotalSeconds * _clock.TimestampFrequency);

    // An address stands in a list of those that may be forgotten exactly while it has no connection.
    void MoveToIdle(Entry entry, long now)
    {
        entry.Place.List?.Remove(entry.Place);
        if (entry.Open > 0 || entry.HalfOpen > 0 || entry.Sockets > 0) return;
        (entry.BannedUntil > now ? _absentAndBanned : _absent).AddLast(entry.Place);
    }

    // Two are looked at for each that comes, so that the ledger shrinks faster than it grows, and nobody ever waits for a great clearing.
    void ForgetSome(long now)
    {
        for (var i = 0; i < 2; i++)
        {
            LookAtFirst(_absent, now);
            LookAtFirst(_absentAndBanned, now);
        }
        while (_absent.Count + _absentAndBanned.Count > Remembered) Forget((_absent.First ?? _absentAndBanned.First)!.Value);
    }

    void LookAtFirst(LinkedList<Entry> list, long now)
    {
        if (list.First is not { Value: var entry }) return;
        if (LeavesNothingBehind(entry, now)) Forget(entry);
        else MoveToIdle(entry, now);
    }

    bool LeavesNothingBehind(Entry entry, long now) =>
        entry.BannedUntil <= now && StrikesOf(entry, now) == 0
        && entry.Handshakes.IsFull(now) && entry.Requests.IsFull(now) && entry.Refusals.IsFull(now) && entry.Unheeded.IsFull(now)
            && entry.Floods.IsFull(now)
        && entry.Malformed.IsFull(now) && entry.Failures.IsFull(now);

    void Forget(Entry entry)
    {
        entry.Place.List?.Remove(entry.Place);
        _entries.Remove(entry.Key);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Address {Address} was banned for {Seconds} seconds: too many {Reason}")]
    static partial void LogBanned(ILogger logger, AddressKey address, double seconds, string reason);

    [LoggerMessage(Level = LogLevel.Information, Message = "Address {Address} was banned for {Seconds} seconds by an administrator")]
    static partial void LogBannedByHand(ILogger logger, AddressKey address, double seconds);

    [LoggerMessage(Level = LogLevel.Information, Message = "The ban of address {Address} was lifted")]
    static partial void LogLifted(ILogger logger, AddressKey address);

    sealed class Entry
    {
        public Entry(AddressKey key)
        {
            Key = key;
            Place = new LinkedListNode<Entry>(this);
        }

        public readonly AddressKey Key;
        public readonly LinkedListNode<Entry> Place;
        public LinkedList<object>? Idle;      // opened by a GET, and nobody has come back yet; the oldest first
        public int Open, HalfOpen, Strikes, Sockets;
        public bool IsLocalProxy;
        public TokenBucket Handshakes, Requests, Refusals, Unheeded, Floods, Malformed, Failures;
        public long BannedUntil;
        public string Reason = "";
    }
}
