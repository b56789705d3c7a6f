namespace Carillon.SocketIO.Engine;

/// <summary>
/// Joins what one thread sends to a connection while it works through a batch, such as the messages that one read brought: it leaves in one
/// write at the end. Where the batch takes
/// long, what has come together so far leaves between two messages. Where one message takes long, in a handler that blocks for example, a
/// thread of its own sends it.
/// </summary>
sealed class SendBatch
{
    // Longer than the work on any batch that is only arithmetic; shorter than anybody notices.
    const long ShortestMilliseconds = 2;

    // Where sending itself takes longer than that, a batch may last this many times as long as sending does: most of the time goes into the
    // messages, and the joining keeps up with
    // the load. But never so long that it shows.
    const int TimesTheSending = 4;
    const long LongestMilliseconds = 25;

    [ThreadStatic] static SendBatch? t_batch;

    EngineSocket?[] _waiting = new EngineSocket?[16];     // written by the thread of the batch, read by the watch
    int _count;
    int _depth;
    long _begunAt;
    long _mayLast = ShortestMilliseconds;
    int _progress;      // counts up with each message and each connection sent to

    // The watch's own: what it saw at its last look, and how many of the connections it has sent to since.
    int _seen;
    int _sent;

    /// <summary>Begins a batch of this thread. Batches nest; the outermost counts.</summary>
    public static void Begin()
    {
        var batch = t_batch ??= SendBatchWatch.Register(new());
        if (batch._depth++ == 0) batch.Start();
    }

    /// <summary>Ends it, on the same thread, and sends.</summary>
    public static void End()
    {
        if (t_batch is { _depth: > 0 } batch && --batch._depth == 0) batch.Release();
    }

    /// <summary>Whether this thread works through a batch: the connection is then asked to send at its end.</summary>
    public static bool TryHold(EngineSocket connection)
    {
        if (t_batch is not { _depth: > 0 } batch) return false;
        batch.Add(connection);
        SendBatchWatch.Wake();
        return true;
    }

    /// <summary>Between two messages, received or sent: sends if the first has waited long enough.</summary>
    public static void Pause()
    {
        if (t_batch is { _depth: > 0 } batch) batch.ReleaseIfLong();
    }

    /// <summary>How many milliseconds a batch may last when sending what came together took so many.</summary>
    internal static long MayLast(long sendingMilliseconds) =>
        Math.Clamp(sendingMilliseconds * TimesTheSending, ShortestMilliseconds, LongestMilliseconds);

    internal bool IsHolding => Volatile.Read(ref _count) > 0;

    internal void Start()
    {
        _begunAt = Environment.TickCount64;
        _progress++;
    }

    internal void Add(EngineSocket connection)
    {
        if (_count == _waiting.Length) Array.Resize(ref _waiting, _count * 2);
        _waiting[_count] = connection;
        Volatile.Write(ref _count, _count + 1);
    }

    void ReleaseIfLong()
    {
        _progress++;
        var now = Environment.TickCount64;
        if (_count == 0 || now - _begunAt < _mayLast) return;
        Release();
        _begunAt = Environment.TickCount64;
        _mayLast = MayLast(_begunAt - now);
    }

    internal void Release()
    {
        // Sending may cause further messages.
        for (var i = 0; i < _count; i++)
        {
            _progress++;
            _waiting[i]!.SendHeld();
        }
        Array.Clear(_waiting, 0, _count);
        Volatile.Write(ref _count, 0);
    }

    /// <summary>
    /// For the watch, which looks at regular times: sends for a thread that has made no progress since the last look. The connections stay
    /// in the batch: when the thread goes on, it
    /// finds that nothing waits for them any more.
    /// </summary>
    /// <returns>How many connections it has sent to.</returns>
    internal int ReleaseIfStuck()
    {
        var progress = Volatile.Read(ref _progress);
        if (progress != _seen)
        {
            (_seen, _sent) = (progress, 0);
            return 0;
        }
        // The count first: the array that is read after it has room for as many. The thread may go on at any moment and take them away; to
        // send for one too many does no harm.
        var count = Volatile.Read(ref _count);
        var waiting = Volatile.Read(ref _waiting);
        var before = _sent;
        for (; _sent < count; _sent++) waiting[_sent]?.SendHeld();
        return _sent - before;
    }
}
