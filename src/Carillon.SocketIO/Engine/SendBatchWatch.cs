namespace Carillon.SocketIO.Engine;

/// <summary>
/// Looks after the batches of all threads, on a thread of its own, so that it does so even when all others are blocked. While there are no
/// batches it rests.
/// </summary>
static class SendBatchWatch
{
    // A thread that works does not take this long for a message, and sending for one that works would undo the joining.
    const int LookEveryMilliseconds = 10;
    const int LooksBeforeRest = 100;

    static readonly Lock Gate = new();
    static readonly List<WeakReference<SendBatch>> Batches = [];     // one of each thread that has ever had one
    static readonly AutoResetEvent Woken = new(false);
    static bool s_isWatching;
    static Thread? s_thread;

    public static SendBatch Register(SendBatch batch)
    {
        lock (Gate)
        {
            Batches.RemoveAll(static other => !other.TryGetTarget(out _));
            Batches.Add(new(batch));       // weak: a batch goes with its thread
        }
        return batch;
    }

    /// <summary>A batch holds something. Called for each connection: it costs one comparison while the watch is awake.</summary>
    public static void Wake()
    {
        if (Volatile.Read(ref s_isWatching)) return;
        lock (Gate)
        {
            if (s_isWatching) return;
            s_isWatching = true;
            if (s_thread is null)
            {
                s_thread = new(WatchAll) { IsBackground = true, Name = "Carillon send batches" };
                s_thread.Start();
            }
        }
        Woken.Set();
    }

    static void WatchAll()
    {
        var (idle, held) = (0, new List<SendBatch>());
        while (true)
        {
            if (idle >= LooksBeforeRest && TryRest())
            {
                Woken.WaitOne();
                idle = 0;
            }
            else
            {
                Woken.WaitOne(LookEveryMilliseconds);
            }
            lock (Gate) held.AddRange(Holding());
            idle = held.Count == 0 ? idle + 1 : 0;
            foreach (var batch in held) ReleaseSafely(batch);
            held.Clear();
        }
    }

    static void ReleaseSafely(SendBatch batch)
    {
        try
        {
            batch.ReleaseIfStuck();
        }
        catch (Exception)
        {
            // Connections log their own faults. A logging provider that throws must not end the thread that looks after all, and the
            // process with it.
        }
    }

    // In this order: a batch that holds something after it was looked at finds that nobody watches, and wakes us.
    static bool TryRest()
    {
        lock (Gate)
        {
            s_isWatching = false;
            Interlocked.MemoryBarrierProcessWide();      // those who hold something pay for no barrier of their own
            s_isWatching = Holding().Any();
            return !s_isWatching;
        }
    }

    static IEnumerable<SendBatch> Holding()
    {
        foreach (var one in Batches)
            if (one.TryGetTarget(out var batch) && batch.IsHolding) yield return batch;
    }
}
