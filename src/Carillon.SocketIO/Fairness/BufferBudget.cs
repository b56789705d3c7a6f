namespace Carillon.SocketIO;

/// <summary>
/// The bytes that a server's connections hold together: what waits to be sent, what is half received, what unfinished handlers were given, and what is kept for recovery. What
/// leaves at once is never counted; the places in a queue are charged in steps, everything else is exact.
/// </summary>
/// <remarks>
/// A frame of a broadcast that waits in many queues is in memory once, so that it counts once: with the first queue that holds it, until the last has let it go
/// (<see cref="SharedFrame.Hold"/>). Each queue pays for its own place only.
/// </remarks>
/// <param name="limit">How many bytes may be held; null is no limit.</param>
/// <param name="exceeded">Called with each addition beyond the limit. It must return at once.</param>
sealed class BufferBudget(long? limit, Action exceeded)
{
    readonly long _limit = limit ?? long.MaxValue;
    long _held;

    /// <summary>How many bytes are held.</summary>
    public long Held => Volatile.Read(ref _held);

    /// <summary>How many may be held.</summary>
    public long? Limit => limit;

    /// <summary>Whether more is held than may be.</summary>
    public bool IsExceeded => Held > _limit;

    /// <summary>How many bytes are to be given back once the limit was exceeded: down to nine tenths of it, so that the next message does not exceed it again.</summary>
    public long Excess => Held - _limit / 10 * 9;

    /// <summary>How many of the bytes events kept for recovery may be while too much is held: a quarter. Connections that hold a lot are closed before that is touched.</summary>
    public long ShareOfKept => _limit / 4;

    /// <summary>Counts bytes, or gives them back.</summary>
    public void Add(long bytes)
    {
        if (Interlocked.Add(ref _held, bytes) > _limit && bytes > 0) exceeded();
    }

    /// <summary>The limit where none is set: a quarter of what the runtime may use. Buffers of a pool are up to twice as large as what is in them, and history and the application need room.</summary>
    public static long? LimitOf(long? option) => option is 0 ? GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 4 : option;
}
