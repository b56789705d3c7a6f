namespace Carillon.TestTools;

/// <summary>A clock that stands still until a test moves it.</summary>
/// <param name="timersToo">Whether its timers ring while it is moved, and only then; else they go by the real time.</param>
sealed class HandDrivenClock(bool timersToo = false) : TimeProvider
{
    readonly List<Timer> _timers = [];
    long _ticks = new DateTimeOffset(2026, 1, 5, 8, 0, 0, TimeSpan.Zero).Ticks;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp() => Interlocked.Read(ref _ticks);

    public override DateTimeOffset GetUtcNow() => new(Interlocked.Read(ref _ticks), TimeSpan.Zero);

    public int ActiveTimers
    {
        get
        {
            lock (_timers) return _timers.Count(timer => timer.DueAt is not null);
        }
    }

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        if (!timersToo) return base.CreateTimer(callback, state, dueTime, period);
        var timer = new Timer(this, () => callback(state));
        lock (_timers) _timers.Add(timer);
        timer.Change(dueTime, period);
        return timer;
    }

    public void Advance(TimeSpan by)
    {
        var end = GetTimestamp() + by.Ticks;
        while (true)
        {
            Timer? next;
            lock (_timers) next = _timers.Where(timer => timer.DueAt <= end).MinBy(timer => timer.DueAt);
            if (next is null) break;
            if (next.DueAt is not { } dueAt) continue;      // switched off meanwhile
            Interlocked.Exchange(ref _ticks, Math.Max(dueAt, GetTimestamp()));
            next.Ring();
        }
        Interlocked.Exchange(ref _ticks, end);
    }

    sealed class Timer(HandDrivenClock clock, Action callback) : ITimer
    {
        TimeSpan _period;

        public long? DueAt { get; private set; }

        public void Ring()
        {
            DueAt = _period > TimeSpan.Zero ? DueAt + _period.Ticks : null;
            callback();
        }

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            (DueAt, _period) = (dueTime < TimeSpan.Zero ? null : clock.GetTimestamp() + dueTime.Ticks, period);
            return true;
        }

        public void Dispose()
        {
            DueAt = null;
            lock (clock._timers) clock._timers.Remove(this);
        }

        public ValueTask DisposeAsync()
        {
            Dispose();
            return default;
        }
    }
}
