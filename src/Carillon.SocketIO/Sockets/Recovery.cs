using System.Collections.Concurrent;
using System.Globalization;
using Carillon.SocketIO.Engine;
using Carillon.SocketIO.Limits;

namespace Carillon.SocketIO.Sockets;

/// <summary>The state of a socket whose connection was lost.</summary>
sealed record LostSession(
    string SocketId, Recoverable State, string[] Rooms, ConcurrentDictionary<string, object?>? Data, string? Account, long LeftAt,
    long ConfirmedAt)
{
    // Its objects and entries, about; what the application put into Data is the application's.
    public long Bytes { get; } = 512 + 2 * Rooms.Sum(static room => (long)room.Length);
}

/// <summary>The state of a socket that may recover.</summary>
sealed class Recoverable
{
    /// <summary>The secret that proves whose session it is.</summary>
    public required string Pid { get; init; }

    /// <summary>The last offset before the client joined: where it stands as long as it has received no event.</summary>
    public long JoinedBehind { get; set; }

    /// <summary>A moment before which no event is missing, whatever becomes of this connection.</summary>
    public long ConfirmedBefore { get; set; }

    /// <summary>When the socket joined on this connection.</summary>
    public long JoinedAt { get; set; }
}

/// <summary>
/// Connection state recovery of one namespace, in memory: the recent events with the rooms they went to, and the sessions that were lost. A
/// session
/// is restored whole, or not at all.
/// </summary>
/// <remarks>
/// Recording and delivering happen under one gate, as does restoring: an event is either replayed or delivered, never both and never
/// neither.
/// </remarks>
/// <param name="options">How long sessions are kept, and how much of all.</param>
/// <param name="clock">The time.</param>
/// <param name="buffers">The budget in which all that is kept counts.</param>
sealed class Recovery(SocketIOOptions options, TimeProvider clock, BufferBudget buffers)
{
    sealed record Recorded(long Offset, SharedFrame Frame, string[] Rooms, string[] Except, long At);

    // A record and its places in lists, about.
    const int RecordOverhead = 200;

    static readonly TimeSpan WhileAPingIsSent = TimeSpan.FromSeconds(1);

    readonly TimeSpan _keep = options.RecoveryWindow!.Value;
    // An event may have been sent to a client that had gone already, which is found after a missed ping only; and it is given back until
    // its session has expired.
    readonly TimeSpan _keepEvents = options.RecoveryWindow.Value + options.Engine.PingInterval + options.Engine.PingTimeout;
    readonly LinkedList<Recorded> _events = [];
    readonly Dictionary<string, LostSession> _lost = [];
    readonly Queue<LostSession> _leaving = new();
    readonly ConcurrentDictionary<string, Socket> _here = new();
    long _lastOffset;
    long _forgotten;             // the offset of the last event that is not kept any more
    long _forgottenAt = long.MinValue;
    long _eventBytes, _sessionBytes;

    /// <summary>Held while an event is recorded and delivered, and while a session is restored.</summary>
    public Lock Gate { get; } = new();

    /// <summary>The offset of the last event.</summary>
    public long LastOffset => Volatile.Read(ref _lastOffset);

    /// <summary>How many bytes are kept.</summary>
    public long Bytes => Volatile.Read(ref _eventBytes) + Volatile.Read(ref _sessionBytes);

    /// <summary>A number that is larger than that of any event before, and short as a text because each event carries it.</summary>
    public long NextOffset()
    {
        // Times keep offsets of this process apart from those of one before it.
        Volatile.Write(ref _lastOffset, Math.Max(_lastOffset + 1, clock.GetUtcNow().ToUnixTimeMilliseconds()));
        return _lastOffset;
    }

    /// <summary>An offset as clients see it.</summary>
    public static string TextOf(long offset) => offset.ToString("x", CultureInfo.InvariantCulture);

    public void Record(long offset, SharedFrame frame, string[] rooms, string[] except)
    {
        Forget();
        _events.AddLast(new Recorded(offset, frame, rooms, except, clock.GetTimestamp()));
        _eventBytes += SendQueue.CostOf(frame);
        frame.Hold(buffers);
        buffers.Add(RecordOverhead);
        while ((_eventBytes > options.MaxRecoverableBytes || (_eventBytes > buffers.ShareOfKept && buffers.IsExceeded))
            && _events.Count > 1) ForgetFirst();
    }

    public void Keep(LostSession session)
    {
        Forget();
        while (_lost.Count >= options.Engine.MaxConnections && _leaving.TryDequeue(out var oldest)) ForgetLost(oldest);
        Discard(session.State.Pid);
        _lost[session.State.Pid] = session;
        _leaving.Enqueue(session);
        Count(session.Bytes);
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

    /// <summary>
    /// Forgets the oldest events, and where there are none any more the oldest sessions, while a condition holds and more than a number of
    /// bytes is kept.
    /// </summary>
    public void ForgetOldest(Func<bool> isMissing, long mayStay)
    {
        lock (Gate)
        {
            while (Bytes > mayStay && _events.Count > 0 && isMissing()) ForgetFirst();
            while (Bytes > mayStay && isMissing() && _leaving.TryDequeue(out var oldest)) ForgetLost(oldest);
        }
    }

    public long Now => clock.GetTimestamp();

    /// <summary>A socket has joined, or joined again.</summary>
    public void Enter(Socket socket, string pid) => _here[pid] = socket;

    public void Exit(Socket socket, string pid) => _here.TryRemove(KeyValuePair.Create(pid, socket));

    /// <summary>The socket that uses a session now. Its connection may be dead without anybody having noticed yet.</summary>
    public Socket? Find(string pid) => _here.GetValueOrDefault(pid);

    /// <summary>Finds what a returning client has missed. False: that is unknown, and the client starts over.</summary>
    /// <param name="pid">The secret of its session.</param>
    /// <param name="offset">The last offset that it has received; null where it has received none.</param>
    /// <param name="session">Its session.</param>
    /// <param name="missed">The events that it has missed.</param>
    public bool TryRestore(string pid, string? offset, out LostSession session, out List<SharedFrame> missed)
    {
        Forget();
        missed = [];
        if (!_lost.TryGetValue(pid, out session!)) return false;
        var from = session.State.JoinedBehind;
        if (offset is not null && (!long.TryParse(offset, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out from)
            || from <= 0 || from > _lastOffset)) return false;
        // A forgotten event may be missing, unless it is older than the last ping that was answered.
        if (from < _forgotten
            && (_forgottenAt == long.MinValue || clock.GetElapsedTime(_forgottenAt, session.ConfirmedAt) < WhileAPingIsSent)) return false;
        var rooms = session.Rooms.ToHashSet();
        var first = _events.Last;
        while (first is not null && first.Value.Offset > from) first = first.Previous;
        for (var next = first is null ? _events.First : first.Next; next is not null; next = next.Next)
        {
            var (recorded, mine) = (next.Value, rooms);
            if ((recorded.Rooms.Length == 0 || recorded.Rooms.Any(mine.Contains))
                && !recorded.Except.Any(mine.Contains)) missed.Add(recorded.Frame);
        }
        return true;
    }

    /// <summary>A session has been given back: it is one connection's again, until it is lost once more.</summary>
    public void Discard(string pid)
    {
        if (_lost.Remove(pid, out var session)) Count(-session.Bytes);
    }

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
        _events.RemoveFirst();
        _eventBytes -= SendQueue.CostOf(first.Frame);
        (_forgotten, _forgottenAt) = (first.Offset, first.At);
        first.Frame.Release();
        buffers.Add(-RecordOverhead);
    }

    // A client may have come back and left again since: then its later leaving counts.
    void ForgetLost(LostSession session)
    {
        if (_lost.TryGetValue(session.State.Pid, out var current) && current == session) Discard(session.State.Pid);
    }

    void Count(long bytes)
    {
        _sessionBytes += bytes;
        buffers.Add(bytes);
    }

    void Forget()
    {
        while (_events.First is { } first && clock.GetElapsedTime(first.Value.At) > _keepEvents) ForgetFirst();
        while (_leaving.TryPeek(out var oldest) && clock.GetElapsedTime(oldest.LeftAt) > _keep) ForgetLost(_leaving.Dequeue());
    }
}
