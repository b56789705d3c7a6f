using System.Collections.Concurrent;
using Carillon.Access;
using Carillon.SocketIO.Limits;

namespace Carillon.Api;

/// <summary>What each caller of the HTTP API may still ask for. Who has rested long enough is forgotten.</summary>
sealed class ApiRateLimiter(AccessOptions options, TimeProvider clock)
{
    static readonly TimeSpan SweepEvery = TimeSpan.FromMinutes(1);

    sealed class Share
    {
        public TokenBucket Requests;
    }

    readonly Rate _perKey = new(options.RequestsPerSecondPerKey, options.RequestBurstPerKey, clock);
    readonly Rate _perUser = new(options.RequestsPerSecondPerUser, options.RequestBurstPerUser, clock);
    readonly ConcurrentDictionary<string, Share> _shares = new(StringComparer.Ordinal);

    long _sweptAt = clock.GetTimestamp();

    /// <summary>Counts a request. False: the caller made too many, and may go on after a while.</summary>
    public bool TryAcquire(Caller caller, out TimeSpan retryAfter)
    {
        var now = clock.GetTimestamp();
        var swept = Volatile.Read(ref _sweptAt);
        if (clock.GetElapsedTime(swept, now) >= SweepEvery
            && Interlocked.CompareExchange(ref _sweptAt, now, swept) == swept) ForgetRested(now);
        return _shares.GetOrAdd(caller.Actor!, static _ =>
            new Share()).Requests.TryTake(caller.KeyId is null ? _perUser : _perKey, 1, now, out retryAfter);
    }

    void ForgetRested(long now)
    {
        foreach (var (actor, share) in _shares)
            if (share.Requests.IsFull(now)) _shares.TryRemove(actor, out _);
    }
}
