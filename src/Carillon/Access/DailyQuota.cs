using System.Collections.Concurrent;
using Carillon.SocketIO.Limits;

namespace Carillon.Access;

/// <summary>
/// How many rows of one kind each person may create in a day. It is kept in memory: a restart resets it. Callers with an API
/// key have no quota.
/// </summary>
/// <param name="perDay">How many a day, all at once if need be; zero is no limit.</param>
/// <param name="clock">The clock.</param>
sealed class DailyQuota(int perDay, TimeProvider clock)
{
    static readonly TimeSpan SweepEvery = TimeSpan.FromMinutes(10);

    // People beyond this number share one quota until somebody's has rested: the table stays below ten megabytes.
    const int MostPeople = 100_000;

    sealed class Share
    {
        public TokenBucket Rows;
    }

    readonly Rate _rate = new(perDay / TimeSpan.FromDays(1).TotalSeconds, perDay, clock);
    readonly ConcurrentDictionary<string, Share> _shares = new(StringComparer.Ordinal);
    readonly Share _others = new();
    long _sweptAt = clock.GetTimestamp();

    /// <summary>Counts a row before it is created. False: the caller has created enough for a day, and may go on after a while.</summary>
    public bool TryTake(Caller caller, out TimeSpan retryAfter)
    {
        retryAfter = default;
        if (caller.UserId is not { } user) return true;
        var now = clock.GetTimestamp();
        var swept = Volatile.Read(ref _sweptAt);
        if (clock.GetElapsedTime(swept, now) >= SweepEvery
            && Interlocked.CompareExchange(ref _sweptAt, now, swept) == swept) ForgetRested(now);
        var share = _shares.TryGetValue(user, out var known) ? known : _shares.Count < MostPeople
            ? _shares.GetOrAdd(user, static _ => new Share()) : _others;
        return share.Rows.TryTake(_rate, 1, now, out retryAfter);
    }

    /// <summary>
    /// Gives a row back that was counted and not created: a client that tries again while the disk is full does not use its quota up.
    /// </summary>
    public void GiveBack(Caller caller)
    {
        if (caller.UserId is not { } user) return;
        (_shares.TryGetValue(user, out var known) ? known : _others).Rows.TryTake(_rate, -1, clock.GetTimestamp(), out _);
    }

    /// <summary>Creates a row that was counted, and gives it back where that fails.</summary>
    /// <param name="caller">The caller whom it was counted for.</param>
    /// <param name="create">Creates it. False: there was nothing to create.</param>
    public async Task<bool> SpendAsync(Caller caller, Func<Task<bool>> create)
    {
        var created = false;
        try
        {
            return created = await create();
        }
        finally
        {
            if (!created) GiveBack(caller);
        }
    }

    void ForgetRested(long now)
    {
        foreach (var (user, share) in _shares)
            if (share.Rows.IsFull(now)) _shares.TryRemove(user, out _);
    }
}
