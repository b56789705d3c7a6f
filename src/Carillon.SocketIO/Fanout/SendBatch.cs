namespace Carillon.SocketIO;

/// <summary>
/// Joins what one thread sends to a connection while it works through a batch, such as the messages that one read brought: it leaves in one write at the end. Where the work takes
/// long, in a handler that blocks for example, what has come together so far leaves before: a thread of its own sees to it, so that it does so even when all others are blocked.
/// </summary>
static class SendBatch
{
    // Longer than the work on any batch that is only arithmetic; shorter than anybody notices.
    const long LongestMilliseconds = 2;

    // How often batches are looked at while there are any, and how many times there must be none before nobody looks.
    const int LookEveryMilliseconds = 5;
    const int LooksBeforeRest = 200;

    [ThreadStatic] static Batch? t_batch;

    static readonly Lock Gate = new();
    static readonly List<WeakReference<Batch>> Batches = [];     // one of each thread that has ever had one
    static readonly AutoResetEvent Begun = new(false);
    static bool s_isWatched;
    static bool s_hasWatch;

    /// <summary>Begins a batch of this thread. Batches nest; the outermost counts.</summary>
    public static void Begin()
    {
        var batch = t_batch ??= Register();
        if (batch.Depth++ == 0) batch.BeganAt = Environment.TickCount64;
    }

    /// <summary>Ends it, on the same thread, and sends.</summary>
    public static void End()
    {
        if (t_batch is { Depth: > 0 } batch && --batch.Depth == 0) batch.Release();
    }

    /// <summary>Whether this thread works through a batch: the connection is then asked to send at its end.</summary>
    public static bool TryHold(EngineSocket connection)
    {
        if (t_batch is not { Depth: > 0 } batch) return false;
        batch.Add(connection);
        if (!Volatile.Read(ref s_isWatched)) Watch();
        return true;
    }

    /// <summary>Between two messages of a batch: sends if the first has waited long enough.</summary>
    public static void Pause()
    {
        if (t_batch is { Depth: > 0 } batch) batch.ReleaseAfter(LongestMilliseconds);
    }

    static Batch Register()
    {
        var batch = new Batch();
        lock (Gate)
        {
            Batches.RemoveAll(static other => !other.TryGetTarget(out _));
            Batches.Add(new(batch));
        }
        return batch;
    }

    static void Watch()
    {
        lock (Gate)
        {
            if (s_isWatched) return;
            s_isWatched = true;
            if (!s_hasWatch) new Thread(WatchAll) { IsBackground = true, Name = "Carillon send batches" }.Start();
            s_hasWatch = true;
        }
        Begun.Set();
    }

    static void WatchAll()
    {
        var (idle, looked) = (0, new List<Batch>());
        while (true)
        {
            if (idle >= LooksBeforeRest && MayRest())
            {
                Begun.WaitOne();
                idle = 0;
            }
            else
            {
                Begun.WaitOne(LookEveryMilliseconds);
            }
            lock (Gate)
                foreach (var one in Batches)
                    if (one.TryGetTarget(out var batch) && batch.IsHolding) looked.Add(batch);
            idle = looked.Count == 0 ? idle + 1 : 0;
            foreach (var batch in looked) ReleaseSafely(batch);
            looked.Clear();
        }
    }

    static void ReleaseSafely(Batch batch)
    {
        try
        {
            batch.ReleaseAfter(LongestMilliseconds);
        }
        catch (Exception)
        {
            // Connections log their own faults. One that could not must not end the thread that looks after all, nor the process with it.
        }
    }

    // In this order: a batch that holds something after it was looked at finds that nobody watches, and wakes us.
    static bool MayRest()
    {
        lock (Gate)
        {
            s_isWatched = false;
            Interlocked.MemoryBarrier();
            s_isWatched = Batches.Exists(static one => one.TryGetTarget(out var batch) && batch.IsHolding);
            return !s_isWatched;
        }
    }

    /// <summary>What one thread holds back. Its connections are added by that thread and released by it or by the watch.</summary>
    sealed class Batch
    {
        readonly Lock _gate = new();
        List<EngineSocket> _waiting = [];
        List<EngineSocket>? _spare;

        public int Depth;            // the thread's own
        public long BeganAt;         // as are its batches

        public bool IsHolding
        {
            get
            {
                lock (_gate) return _waiting.Count > 0;
            }
        }

        public void Add(EngineSocket connection)
        {
            lock (_gate) _waiting.Add(connection);
        }

        public void ReleaseAfter(long milliseconds)
        {
            if (Environment.TickCount64 - Volatile.Read(ref BeganAt) < milliseconds) return;
            Release();
            Volatile.Write(ref BeganAt, Environment.TickCount64);
        }

        public void Release()
        {
            // What is sent may bring about more.
            while (true)
            {
                List<EngineSocket> waiting;
                lock (_gate)
                {
                    if (_waiting.Count == 0) return;
                    waiting = _waiting;
                    _waiting = _spare ?? [];
                    _spare = null;
                }
                foreach (var connection in waiting) connection.SendHeld();
                waiting.Clear();
                lock (_gate) _spare = waiting;
            }
        }
    }
}
