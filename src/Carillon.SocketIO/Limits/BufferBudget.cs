namespace Carillon.SocketIO.Limits;

/// <summary>
/// The bytes that a server's connections hold together: what waits to be sent, what is half received, what unfinished handlers were given,
/// and what is kept for recovery. What
/// leaves at once is never counted; the places in a queue are charged in steps, everything else is exact.
/// </summary>
/// <remarks>
/// A frame of a broadcast that waits in many queues is in memory once, so that it counts once: with the first queue that holds it, until
/// the last has let it go
/// (<c>SharedFrame.Hold</c>). Each queue pays for its own place only.
/// </remarks>
/// <param name="limit">How many bytes may be held; null is no limit.</param>
/// <param name="exceeded">Called with each addition beyond the limit. It must return at once.</param>
/// <param name="readersWait">Called for each reader that begins to wait. It must return at once, and wake them after a while.</param>
sealed class BufferBudget(long? limit, Action exceeded, Action? readersWait = null)
{
    const int SmallestLot = 64 * 1024;

    readonly long _limit = limit ?? long.MaxValue;
    long _held;
    long _incoming, _received;
    TaskCompletionSource? _room;     // of readers that wait

    /// <summary>How many bytes are held.</summary>
    public long Held => Volatile.Read(ref _held);

    /// <summary>How many may be held.</summary>
    public long? Limit => limit;

    /// <summary>Whether more is held than may be.</summary>
    public bool IsExceeded => Held > _limit;

    /// <summary>
    /// How many bytes are to be given back once the limit was exceeded: down to nine tenths of it, so that the next message does not exceed
    /// it again.
    /// </summary>
    public long Excess => Held - _limit / 10 * 9;

    /// <summary>
    /// How many of the bytes events kept for recovery may be while too much is held: a quarter. Connections that hold a lot are closed
    /// before that is touched.
    /// </summary>
    public long ShareOfKept => _limit / 4;

    /// <summary>Counts bytes, or gives them back.</summary>
    public void Add(long bytes)
    {
        if (Interlocked.Add(ref _held, bytes) > _limit && bytes > 0) exceeded();
    }

    /// <summary>How many of the bytes are messages, attachments and bodies that are half received.</summary>
    public long Incoming => Volatile.Read(ref _incoming);

    /// <summary>How many bytes were half received and are not any more, since the beginning.</summary>
    public long Received => Volatile.Read(ref _received);

    /// <summary>Whether so much is half received that connections which hold a lot of it are not read for a while.</summary>
    public bool IsFlooded => Incoming > _limit / 2;

    /// <summary>How many bytes are to be given back before those connections are read again.</summary>
    public long Flood => Incoming - _limit / 8 * 3;

    /// <summary>Whether something moves: of what is half received, that many bytes in a while are no trickle.</summary>
    public bool IsMovement(long received) => received > _limit / 32;

    /// <summary>Whether a connection that holds so many bytes of it has to wait.</summary>
    public bool MustWait(long held) => held > Math.Max(_limit / 256, SmallestLot) && IsFlooded;

    /// <summary>Counts bytes that are half received, or gives them back.</summary>
    public void AddIncoming(long bytes)
    {
        Interlocked.Add(ref _incoming, bytes);
        Add(bytes);
        if (bytes >= 0) return;
        Interlocked.Add(ref _received, -bytes);
        if (Flood <= 0) WakeReaders();
    }

    /// <summary>Completes when there is room again, or when there is another reason to look whether one must wait.</summary>
    public Task WhenRoom()
    {
        var room = Volatile.Read(ref _room);
        if (room is null)
        {
            var mine = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            room = Interlocked.CompareExchange(ref _room, mine, null) ?? mine;
        }
        if (Flood <= 0) WakeReaders();      // given back meanwhile
        else readersWait?.Invoke();
        return room.Task;
    }

    /// <summary>Lets those who wait look again.</summary>
    public void WakeReaders()
    {
        if (Volatile.Read(ref _room) is not null) Interlocked.Exchange(ref _room, null)?.TrySetResult();
    }

    /// <summary>
    /// The limit where none is set: a quarter of what the runtime may use. Buffers of a pool are up to twice as large as what is in them,
    /// and history and the application need room.
    /// </summary>
    public static long? LimitOf(long? option) => option is 0 ? GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 4 : option;
}
