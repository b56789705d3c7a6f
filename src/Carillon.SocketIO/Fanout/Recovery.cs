using System.Collections.Concurrent;

namespace Carillon.SocketIO;

/// <summary>What is kept of a socket whose connection was lost.</summary>
sealed record LostSession(string SocketId, string Pid, string[] Rooms, ConcurrentDictionary<string, object?>? Data, string? Account, long LeftAt);

/// <summary>
/// Connection state recovery of one namespace, in memory: the recent events with the rooms they went to, and the sessions that were lost. A session
/// is restored whole, or not at all.
/// </summary>
/// <remarks>
/// Recording and delivering happen under one gate, as does restoring: an event is either replayed or delivered, never both and never neither.
/// </remarks>
/// <param name="keep">How long events and sessions are kept.</param>
/// <param name="most">How many bytes of events are kept; the oldest go first.</param>
/// <param name="clock">The time.</param>
sealed class Recovery(TimeSpan keep, long most, TimeProvider clock)
{
    sealed record Recorded(string Offset, SharedFrame Frame, string[] Rooms, string[] Except, long At);

    readonly LinkedList<Recorded> _events = [];
    readonly Dictionary<string, LinkedListNode<Recorded>> _byOffset = [];
    readonly Dictionary<string, LostSession> _lost = [];
    readonly Queue<(string Pid, long LeftAt)> _leaving = new();
    long _lastOffset;
    long _bytes;

    /// <summary>Held while an event is recorded and delivered, and while a session is restored.</summary>
    public Lock Gate { get; } = new();

    /// <summary>A text that no other event has, and that is short because each event carries it.</summary>
    public string NextOffset()
    {
        // Times keep offsets of this process apart from those of one before it.
        var now = clock.GetUtcNow().ToUnixTimeMilliseconds();
        _lastOffset = Math.Max(_lastOffset + 1, now);
        return Convert.ToString(_lastOffset, 16);
    }

    public void Record(string offset, SharedFrame frame, string[] rooms, string[] except)
    {
        Forget();
        _byOffset[offset] = _events.AddLast(new Recorded(offset, frame, rooms, except, clock.GetTimestamp()));
        _bytes += SendQueue.CostOf(frame);
        while (_bytes > most && _events.Count > 1) ForgetFirst();
    }

    public void Keep(LostSession session)
    {
        Forget();
        _lost[session.Pid] = session;
        _leaving.Enqueue((session.Pid, session.LeftAt));
    }

    public bool IsEmpty
    {
        get
        {
            lock (Gate) return _events.Count == 0 && _lost.Count == 0;
        }
    }

    public void ForgetOld()
    {
        lock (Gate) Forget();
    }

    public long Now => clock.GetTimestamp();

    /// <summary>Finds what a returning client has missed. False: it cannot be known, and the client begins anew.</summary>
    public bool TryRestore(string pid, string offset, out LostSession session, out List<SharedFrame> missed)
    {
        Forget();
        missed = [];
        if (!_lost.TryGetValue(pid, out session!) || !_byOffset.TryGetValue(offset, out var node)) return false;
        var rooms = session.Rooms.ToHashSet();
        for (var next = node.Next; next is not null; next = next.Next)
        {
            var (recorded, mine) = (next.Value, rooms);
            if ((recorded.Rooms.Length == 0 || recorded.Rooms.Any(mine.Contains)) && !recorded.Except.Any(mine.Contains)) missed.Add(recorded.Frame);
        }
        return true;
    }

    /// <summary>A session has been given back: it is one connection's again, and nobody else gets it until it is lost once more.</summary>
    public void Discard(string pid) => _lost.Remove(pid);

    /// <summary>How many lost sessions are kept.</summary>
    public int Lost
    {
        get
        {
            lock (Gate) return _lost.Count;
        }
    }

    void ForgetFirst()
    {
        var first = _events.First!.Value;
        _byOffset.Remove(first.Offset);
        _events.RemoveFirst();
        _bytes -= SendQueue.CostOf(first.Frame);
    }

    void Forget()
    {
        while (_events.First is { } first && clock.GetElapsedTime(first.Value.At) > keep) ForgetFirst();
        while (_leaving.TryPeek(out var oldest) && clock.GetElapsedTime(oldest.LeftAt) > keep)
        {
            _leaving.Dequeue();
            // A client may have come back and left again since: then its later leaving counts.
            if (_lost.TryGetValue(oldest.Pid, out var session) && session.LeftAt == oldest.LeftAt) _lost.Remove(oldest.Pid);
        }
    }
}
