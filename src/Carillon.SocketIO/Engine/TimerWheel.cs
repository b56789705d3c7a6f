namespace Carillon.SocketIO.Engine;

/// <summary>
/// The deadlines of all connections on one timer. Setting and cancelling one costs the same whatever their number, which a timer for each
/// connection would not: there,
/// every pong is two changes in the queue of the process.
/// </summary>
/// <remarks>A deadline is never early, and late by one tick at most. While nothing is due ever, the timer is off.</remarks>
sealed class TimerWheel(TimeProvider clock, TimeSpan tick, Action<Exception>? failed = null)
{
    /// <summary>Something that is to happen at one moment. It belongs to one wheel, and is set at most once at a time.</summary>
    internal abstract class Deadline
    {
        internal Deadline? Next;
        internal Deadline? Previous;
        internal long Due = NotSet;

        /// <summary>
        /// Whether it is set. Whoever sets it under a lock may ask under the same lock whether it was set again since it was due.
        /// </summary>
        internal bool IsSet => Volatile.Read(ref Due) != NotSet;

        /// <summary>Called when the time has come, outside of all locks of the wheel.</summary>
        internal abstract void OnDue();
    }

    const int Slots = 512;             // a turn of two minutes at the usual tick; what is due later stays for another turn
    const long NotSet = -1;

    readonly Lock _gate = new();
    readonly Deadline?[] _slots = new Deadline?[Slots];
    readonly long _start = clock.GetTimestamp();
    ITimer? _timer;
    long _now;                         // the last tick that was looked at
    bool _isTurning;

    /// <summary>The tick that suits some durations: short beside the shortest of them, and never so short that it costs anything.</summary>
    public static TimeSpan TickFor(params ReadOnlySpan<TimeSpan> durations)
    {
        var shortest = TimeSpan.FromSeconds(5);
        foreach (var duration in durations)
            if (duration < shortest) shortest = duration;
        return TimeSpan.FromMilliseconds(Math.Clamp(shortest.TotalMilliseconds / 20, 5, 250));
    }

    /// <summary>How many deadlines are set.</summary>
    public int Count { get; private set; }

    /// <summary>Sets a deadline, instead of the time that it may have been set to.</summary>
    public void Set(Deadline deadline, TimeSpan delay)
    {
        lock (_gate)
        {
            if (deadline.Due != NotSet) Unlink(deadline);
            if (Count == 0) StartTimer();
            // One tick more than the delay: the current one has begun already.
            deadline.Due = TickNow + 1 + (long)Math.Ceiling(delay / tick);
            ref var first = ref _slots[deadline.Due % Slots];
            deadline.Next = first;
            if (first is not null) first.Previous = deadline;
            first = deadline;
            Count++;
        }
    }

    public void Cancel(Deadline deadline)
    {
        lock (_gate)
        {
            if (deadline.Due == NotSet) return;
            Unlink(deadline);
            if (Count == 0) _timer?.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        }
    }

    long TickNow => (long)(clock.GetElapsedTime(_start) / tick);

    void StartTimer()
    {
        _now = TickNow;
        if (_timer is null) _timer = clock.CreateTimer(static wheel => ((TimerWheel)wheel!).Turn(), this, tick, tick);
        else _timer.Change(tick, tick);
    }

    void Turn()
    {
        if (Interlocked.Exchange(ref _isTurning, true)) return;   // the last turn is not over yet; it goes on to the present
        try
        {
            List<Deadline> due = [];
            while (TakeDue(due))
            {
                foreach (var deadline in due) Ring(deadline);
                due.Clear();
            }
        }
        finally
        {
            Volatile.Write(ref _isTurning, false);
        }
    }

    // An exception in one callback must not stop the others, nor the process, which it would on a timer's thread.
    void Ring(Deadline deadline)
    {
        try
        {
            deadline.OnDue();
        }
        catch (Exception ex)
        {
            failed?.Invoke(ex);
        }
    }

    // False: the present is reached.
    bool TakeDue(List<Deadline> due)
    {
        lock (_gate)
        {
            var present = TickNow;
            // After a long pause one turn meets every deadline.
            if (present - _now > Slots) _now = present - Slots;
            while (_now < present && due.Count == 0)
            {
                _now++;
                for (var next = _slots[_now % Slots]; next is not null;)
                {
                    var deadline = next;
                    next = deadline.Next;
                    if (deadline.Due > present) continue;
                    Unlink(deadline);
                    due.Add(deadline);
                }
            }
            if (Count == 0) _timer!.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
            return due.Count > 0;
        }
    }

    void Unlink(Deadline deadline)
    {
        if (deadline.Previous is { } previous) previous.Next = deadline.Next;
        else _slots[deadline.Due % Slots] = deadline.Next;
        if (deadline.Next is { } next) next.Previous = deadline.Previous;
        deadline.Next = deadline.Previous = null;
        deadline.Due = NotSet;
        Count--;
    }
}
