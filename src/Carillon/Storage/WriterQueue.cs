namespace Carillon.Storage;

/// <summary>Which writer goes first.</summary>
internal enum WriterLane
{
    /// <summary>Everybody's writes, in the order in which they asked.</summary>
    Ordinary,

    /// <summary>Decisions of administrators, and the probe of the health check: ahead of all ordinary writers that wait.</summary>
    Administrative,
}

/// <summary>
/// One writer at a time. Ordinary writers first queue among themselves, and only their first one queues for the turn itself: an
/// administrative writer has at most two ordinary
/// writes before it, however many wait.
/// </summary>
internal sealed class WriterQueue : IDisposable
{
    // Far more than are written within the time that a writer waits; each costs some hundred bytes until it gives up.
    const int MostWaiting = 20_000;

    readonly SemaphoreSlim _ordinary = new(1);
    readonly SemaphoreSlim _turn = new(1);
    int _waiting;

    /// <summary>How many wait for their turn.</summary>
    public int Waiting => Volatile.Read(ref _waiting);

    /// <summary>Waits for the writer's turn. False: it timed out, or too many wait already.</summary>
    public async ValueTask<WriterTurn?> EnterAsync(WriterLane lane, TimeSpan timeout, CancellationToken ct)
    {
        if (Interlocked.Increment(ref _waiting) > MostWaiting && lane == WriterLane.Ordinary)
        {
            Interlocked.Decrement(ref _waiting);
            return null;
        }
        try
        {
            var ends = TimeSpan.FromMilliseconds(Environment.TickCount64) + timeout;
            if (lane == WriterLane.Administrative) return await _turn.WaitAsync(timeout, ct) ? new WriterTurn(_turn, null) : null;
            if (!await _ordinary.WaitAsync(timeout, ct)) return null;
            var entered = false;
            try
            {
                var left = ends - TimeSpan.FromMilliseconds(Environment.TickCount64);
                entered = await _turn.WaitAsync(left > TimeSpan.Zero ? left : TimeSpan.Zero, ct);
            }
            finally
            {
                if (!entered) _ordinary.Release();
            }
            return entered ? new WriterTurn(_turn, _ordinary) : null;
        }
        finally
        {
            Interlocked.Decrement(ref _waiting);
        }
    }

    public void Dispose()
    {
        _ordinary.Dispose();
        _turn.Dispose();
    }
}

/// <summary>The right to write. Disposing it a second time does nothing.</summary>
internal sealed class WriterTurn(SemaphoreSlim turn, SemaphoreSlim? lane) : IDisposable
{
    int _isOver;

    public void Dispose()
    {
        if (Interlocked.Exchange(ref _isOver, 1) == 1) return;
        turn.Release();
        lane?.Release();
    }
}
