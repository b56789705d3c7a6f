using Carillon.SocketIO.Limits;

namespace Carillon.SocketIO.Engine;

/// <summary>
/// The messages that wait for one connection, in the order in which they will leave. It is created when a message must wait, and guarded by
/// the connection that owns
/// it.
/// </summary>
/// <param name="buffers">The budget of the server, where there is one.</param>
sealed class SendQueue(BufferBudget? buffers = null)
{
    // The smallest frames cost more in memory than on the wire: a client that pings and never reads must reach the limit too.
    const int FrameOverhead = 64;

    // The budget is one line of memory for all processors. Places are charged in steps, so that a queue that is never short does not touch
    // it for each message; less than a step is free.
    const int ChargeStep = 1024;

    // A critical frame overtakes so many at most, so that stalled clients cost a publisher little.
    const int Overtaken = 16 * 1024;

    SharedFrame?[] _ring = new SharedFrame?[4];
    int _first;
    int _charged = -1;      // bytes that count for its places; negative: nothing of it counts in the budget

    public int Count { get; private set; }

    /// <summary>The memory of the frames, in bytes.</summary>
    public int Bytes { get; private set; }

    public static int CostOf(SharedFrame frame) => frame.WebSocket.Length + FrameOverhead;

    /// <summary>Adds a frame: at the end, or in front of what a critical one may overtake.</summary>
    public void Add(SharedFrame frame)
    {
        if (Count == _ring.Length) Grow();
        var at = frame.Policy.Priority == SendPriority.Critical ? PlaceOfCritical(frame.Policy.Stream) : Count;
        // The shorter side makes way.
        if (at < Count / 2)
        {
            _first = (_first - 1) & (_ring.Length - 1);
            Count++;
            for (var i = 0; i < at; i++) this[i] = this[i + 1];
        }
        else
        {
            for (var i = Count++; i > at; i--) this[i] = this[i - 1];
        }
        this[at] = frame;
        Bytes += CostOf(frame);
        if (!Counts) return;
        frame.Hold(buffers!);
        ChargePlaces();
    }

    /// <summary>Its frames do not leave at once: they count in the budget from now on, until they have left.</summary>
    public void CountAll()
    {
        if (Counts || buffers is null || Count == 0) return;
        _charged = 0;
        for (var i = 0; i < Count; i++) this[i].Hold(buffers);
        ChargePlaces();
    }

    // Its frames count in the budget: all of them or none.
    bool Counts => _charged >= 0;

    void ChargePlaces()
    {
        var places = Count * FrameOverhead;
        if (places > 0 && places >= _charged - ChargeStep && places < _charged + ChargeStep) return;
        var charge = places / ChargeStep * ChargeStep;
        if (charge != _charged) buffers!.Add(charge - _charged);
        _charged = Count > 0 ? charge : -1;
    }

    // Behind the last of its own stream and of what nothing overtakes, and behind the critical ones that stand there.
    int PlaceOfCritical(string? stream)
    {
        var furthest = Math.Max(0, Count - Overtaken);
        var at = Count;
        while (at > furthest && !HoldsBack(this[at - 1].Policy, stream)) at--;
        while (at < Count && this[at].Policy.Priority == SendPriority.Critical) at++;
        return at;
    }

    static bool HoldsBack(SendPolicy waiting, string? stream) =>
        ReferenceEquals(waiting, SendPolicy.Barrier) || (stream is not null && waiting.Stream == stream);

    public SharedFrame Peek(int behind = 0) => this[behind];

    public SharedFrame Take()
    {
        var frame = this[0];
        _ring[_first] = null;
        _first = (_first + 1) & (_ring.Length - 1);
        Count--;
        Bytes -= CostOf(frame);
        if (!Counts) return frame;
        frame.Release();
        ChargePlaces();
        return frame;
    }

    public void Clear()
    {
        for (var i = 0; Counts && i < Count; i++) this[i].Release();
        Array.Clear(_ring);
        (_first, Count, Bytes) = (0, 0, 0);
        if (Counts) ChargePlaces();
    }

    /// <summary>
    /// Makes room for a frame: of what keeps only the latest, the latest stays, and what matters least goes.
    /// </summary>
    /// <returns>How many frames were dropped.</returns>
    public int MakeRoomFor(SharedFrame coming)
    {
        HashSet<(string?, string?)> seen = [];
        if (coming.Policy.Overflow == Overflow.KeepLatest) seen.Add((coming.Policy.Stream, coming.Policy.Key));
        // From the latest to the first; what stays moves up to the end of the ring's used part.
        var (kept, bytes) = (Count, 0);
        for (var i = Count - 1; i >= 0; i--)
        {
            var frame = this[i];
            var policy = frame.Policy;
            var stays = policy.Overflow == Overflow.KeepLatest
                ? seen.Add((policy.Stream, policy.Key)) : policy.Priority != SendPriority.Low;
            if (!stays)
            {
                if (Counts) frame.Release();
                continue;
            }
            this[--kept] = frame;
            bytes += CostOf(frame);
        }
        for (var i = 0; i < kept; i++) _ring[(_first + i) & (_ring.Length - 1)] = null;
        _first = (_first + kept) & (_ring.Length - 1);
        Count -= kept;
        Bytes = bytes;
        if (Counts) ChargePlaces();
        return kept;
    }

    SharedFrame this[int at]
    {
        get => _ring[(_first + at) & (_ring.Length - 1)]!;
        set => _ring[(_first + at) & (_ring.Length - 1)] = value;
    }

    void Grow()
    {
        var larger = new SharedFrame?[_ring.Length * 2];
        for (var i = 0; i < Count; i++) larger[i] = this[i];
        (_ring, _first) = (larger, 0);
    }
}
