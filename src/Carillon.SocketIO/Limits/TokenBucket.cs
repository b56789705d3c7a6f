namespace Carillon.SocketIO.Limits;

/// <summary>How fast something may go: so many a second on average, and so many at once after a pause.</summary>
public readonly struct Rate
{
    readonly double _ticksEach;
    readonly long _capacity;       // in ticks: how long an empty bucket takes to be full
    readonly long _frequency;

    /// <summary>Makes a rate. Zero a second is no limit at all.</summary>
    /// <param name="perSecond">How many a second.</param>
    /// <param name="burst">How many at once; at least one.</param>
    /// <param name="clock">The clock whose timestamps are passed to buckets.</param>
    public Rate(double perSecond, double burst, TimeProvider clock)
    {
        ArgumentNullException.ThrowIfNull(clock);
        (PerSecond, Burst) = (perSecond, Math.Max(burst, 1));
        if (IsUnlimited) return;
        _frequency = clock.TimestampFrequency;
        _ticksEach = _frequency / perSecond;
        _capacity = (long)Math.Ceiling(Burst * _ticksEach);
    }

    /// <summary>How many a second.</summary>
    public double PerSecond { get; }

    /// <summary>How many at once.</summary>
    public double Burst { get; }

    /// <summary>Whether this limits nothing.</summary>
    public bool IsUnlimited => PerSecond <= 0;

    internal long Capacity => _capacity;

    internal long CostOf(double amount) => (long)(amount * _ticksEach);

    internal TimeSpan TimeOf(long ticks) => TimeSpan.FromTicks((long)Math.Ceiling((double)ticks * TimeSpan.TicksPerSecond / _frequency));
}

/// <summary>
/// A bucket of tokens. It is full at first, is refilled by the time that passes, and is one number: nothing is allocated and no timer runs.
/// Many threads may take from it
/// at once, where it is a field that is not copied.
/// </summary>
public struct TokenBucket
{
    long _fullAt;      // the moment when it is full again if nobody takes any more

    /// <summary>
    /// Takes tokens if there are enough. More than a full bucket holds are given when it is full, and owed: otherwise they never could be.
    /// </summary>
    /// <param name="rate">How fast the bucket is refilled, and how much it holds; the same at each call.</param>
    /// <param name="amount">How many tokens.</param>
    /// <param name="now">The timestamp of the rate's clock.</param>
    /// <param name="wait">Where there are not enough: how long until there are.</param>
    public bool TryTake(in Rate rate, double amount, long now, out TimeSpan wait)
    {
        wait = default;
        if (rate.IsUnlimited) return true;
        var cost = rate.CostOf(amount);
        while (true)
        {
            var fullAt = Volatile.Read(ref _fullAt);
            var taken = Math.Max(fullAt - now, 0);
            var excess = taken + Math.Min(cost, rate.Capacity) - rate.Capacity;
            if (excess > 0)
            {
                wait = rate.TimeOf(excess);
                return false;
            }
            if (Interlocked.CompareExchange(ref _fullAt, now + taken + cost, fullAt) == fullAt) return true;
        }
    }

    /// <summary>How long until a token can be taken; zero where one can be now.</summary>
    /// <param name="rate">The rate at which the bucket is refilled.</param>
    /// <param name="now">The timestamp of the rate's clock.</param>
    public readonly TimeSpan WaitForOne(in Rate rate, long now)
    {
        var copy = this;
        return copy.TryTake(rate, 1, now, out var wait) ? TimeSpan.Zero : wait;
    }

    internal void GiveBack(in Rate rate, double amount)
    {
        if (!rate.IsUnlimited) Interlocked.Add(ref _fullAt, -rate.CostOf(amount));
    }

    /// <summary>Takes tokens whether there are enough or not; what is missing is owed.</summary>
    internal void Owe(in Rate rate, double amount, long now)
    {
        if (rate.IsUnlimited) return;
        var cost = rate.CostOf(amount);
        long fullAt;
        do fullAt = Volatile.Read(ref _fullAt);
        while (Interlocked.CompareExchange(ref _fullAt, Math.Max(fullAt, now) + cost, fullAt) != fullAt);
    }

    internal void Refill() => Interlocked.Exchange(ref _fullAt, 0);

    /// <summary>Whether nothing is missing from it: forgetting it changes nothing.</summary>
    /// <param name="now">The timestamp of the rate's clock.</param>
    public readonly bool IsFull(long now) => _fullAt <= now;
}
