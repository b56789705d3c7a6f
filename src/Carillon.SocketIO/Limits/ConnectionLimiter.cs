namespace Carillon.SocketIO.Limits;

/// <summary>The action for an event over the rate limit.</summary>
enum RateLimitAction
{
    /// <summary>The event is refused, and the answer contains the time to wait.</summary>
    Refuse,

    /// <summary>The client ignores the refusals: it is refused once more and closed.</summary>
    Disconnect,
}

/// <summary>
/// The rate limits of one connection, its own and those of its account. Checked for each event before its JSON is read: no allocation, no
/// lock and
/// no timer. Events of a
/// connection are spent one at a time; expensive operations by any thread.
/// </summary>
sealed class ConnectionLimiter(RateLimits shares)
{
    Buckets _own;
    bool _joined;
    Account? _account;
    long _windowBegan;
    int _refusals;

    /// <summary>The account whose share the connection spends besides its own.</summary>
    public Account? Account => Volatile.Read(ref _account);

    /// <summary>Sets the account, and answers the one before.</summary>
    public Account? Exchange(Account? account) => Interlocked.Exchange(ref _account, account);

    /// <summary>
    /// Spends one event, or a frame that is none, of some bytes, attachments included. False: nothing was spent, and there is enough again
    /// after a while.
    /// </summary>
    /// <param name="bytes">How many bytes.</param>
    /// <param name="now">The moment.</param>
    /// <param name="retryAfter">Where there is not enough: how long until there is.</param>
    /// <param name="beforeJoin">Whether the connection has not joined a namespace yet, though it should: it has less to spend.</param>
    public bool TryAcquire(int bytes, long now, out TimeSpan retryAfter, bool beforeJoin = false)
    {
        var share = ShareOf(beforeJoin);
        if (!_own.TryAcquire(share, bytes, now, out retryAfter)) return false;
        if (Account is not { } account || account.Buckets.TryAcquire(shares.PerAccount, bytes, now, out retryAfter)) return true;
        _own.GiveBack(share, bytes);
        return false;
    }

    // A bucket counts in time, so that what was spent at one rate is another amount at the next: at the rates of those who have joined, the
    // seconds that a token took before would be megabytes. The buckets start full.
    RateLimit ShareOf(bool beforeJoin)
    {
        if (beforeJoin) return shares.BeforeJoin;
        if (!_joined) (_joined, _own.Events, _own.Bytes) = (true, default, default);
        return shares.PerConnection;
    }

    /// <summary>Spends bytes that were let in already: they are owed where there are not enough.</summary>
    public void Spend(int bytes, long now, bool beforeJoin = false)
    {
        _own.Bytes.Owe(ShareOf(beforeJoin).Bytes, bytes, now);
        Account?.Buckets.Bytes.Owe(shares.PerAccount.Bytes, bytes, now);
    }

    /// <summary>Spends expensive operations.</summary>
    public bool TryAcquireOperations(int count, long now, out TimeSpan retryAfter)
    {
        if (!_own.Operations.TryTake(shares.PerConnection.Operations, count, now, out retryAfter)) return false;
        if (Account is not { } account
            || account.Buckets.Operations.TryTake(shares.PerAccount.Operations, count, now, out retryAfter)) return true;
        _own.Operations.GiveBack(shares.PerConnection.Operations, count);
        return false;
    }

    /// <summary>Counts a refused event, and says what becomes of who sent it.</summary>
    public RateLimitAction Refused(long now)
    {
        if (_refusals == 0 || now - _windowBegan >= shares.RefusalWindow) (_windowBegan, _refusals) = (now, 0);
        return Decide(++_refusals, shares.RefusalsBeforeDisconnect);
    }

    /// <summary>The action for a client with so many refused events in the window. A limit of zero never closes.</summary>
    internal static RateLimitAction Decide(int refusals, int limit) =>
        limit > 0 && refusals > limit ? RateLimitAction.Disconnect : RateLimitAction.Refuse;
}

/// <summary>The shares as numbers of a server's clock; one for all its connections.</summary>
sealed class RateLimits(LimitOptions options, TimeProvider clock)
{
    public readonly RateLimit PerConnection = new(options.PerConnection, clock);
    public readonly RateLimit BeforeJoin = new(LimitsBeforeJoin(options.PerConnection), clock);
    public readonly RateLimit PerAccount = new(options.PerAccount, clock);
    public readonly long RefusalWindow = (long)(options.RefusalWindow.TotalSeconds * clock.TimestampFrequency);
    public readonly int RefusalsBeforeDisconnect = options.RefusalsBeforeDisconnect;

    // A client that joins sends a packet for each of its namespaces, of which it may have a hundred, and a pong now and then.
    static RateLimitOptions LimitsBeforeJoin(RateLimitOptions joined) => new()
    {
        EventsPerSecond = (int)Smaller(joined.EventsPerSecond, 50),
        EventBurst = joined.EventsPerSecond == 0 ? 250 : (int)Math.Min(joined.EventBurst, 250),
        BytesPerSecond = Smaller(joined.BytesPerSecond, 64 * 1024),
        ByteBurst = joined.BytesPerSecond == 0 ? 256 * 1024 : Math.Min(joined.ByteBurst, 256 * 1024),
        OperationsPerSecond = joined.OperationsPerSecond,
        OperationBurst = joined.OperationBurst,
    };

    static long Smaller(long limit, long other) => limit == 0 ? other : Math.Min(limit, other);
}

sealed class RateLimit(RateLimitOptions limits, TimeProvider clock)
{
    public readonly Rate Events = new(limits.EventsPerSecond, limits.EventBurst, clock);
    public readonly Rate Bytes = new(limits.BytesPerSecond, limits.ByteBurst, clock);
    public readonly Rate Operations = new(limits.OperationsPerSecond, limits.OperationBurst, clock);
}

/// <summary>The buckets of a rate limit.</summary>
struct Buckets
{
    public TokenBucket Events, Bytes, Operations;

    public bool TryAcquire(RateLimit share, int bytes, long now, out TimeSpan wait)
    {
        if (!Events.TryTake(share.Events, 1, now, out wait)) return false;
        if (Bytes.TryTake(share.Bytes, bytes, now, out wait)) return true;
        Events.GiveBack(share.Events, 1);
        return false;
    }

    public void GiveBack(RateLimit share, int bytes)
    {
        Events.GiveBack(share.Events, 1);
        Bytes.GiveBack(share.Bytes, bytes);
    }

    public readonly bool IsFull(long now) => Events.IsFull(now) && Bytes.IsFull(now) && Operations.IsFull(now);
}
