namespace Carillon.SocketIO;

public sealed partial class EngineSocket
{
    const int HalfOpen = 0, Joined = 1, Ended = 2;

    int _standing = HalfOpen;
    bool _isFlooding;     // it went on after its events were refused
    Budget? _budget;      // made when something is spent: those who only listen need none

    /// <summary>
    /// Its place among the idle sessions of its address: opened, and never used. Null once the client has come back to it.
    /// </summary>
    internal LinkedListNode<object>? IdlePlace { get; set; }

    /// <summary>The client has come back to its session, or the session has ended.</summary>
    internal void LeaveIdle()
    {
        if (IdlePlace is not { } place) return;
        _server.Addresses.RemoveIdle(place);
        IdlePlace = null;
    }

    /// <summary>Tells the ledger that the client has joined, and gives the client the limits of those who have. Further calls change nothing.</summary>
    internal void CountAsJoined()
    {
        if (Interlocked.CompareExchange(ref _standing, Joined, HalfOpen) != HalfOpen) return;
        _server.Addresses.Joined(Handshake.Address);
        lock (_gate)
            if (_webSocket is { } connection) connection.MaxPayload = MaxPayload;
    }

    /// <summary>Whether the client has yet to join a namespace. Until then it may hold little.</summary>
    internal bool IsHalfOpen => Volatile.Read(ref _standing) == HalfOpen;

    // What one message may have.
    int MaxPayload => IsHalfOpen ? Math.Min(_server.MaxBytesBeforeJoin, _server.Options.MaxPayload) : _server.Options.MaxPayload;

    // What may wait to be sent.
    int MaxQueuedBytes => IsHalfOpen ? Math.Min(_server.MaxBytesBeforeJoin, _server.Options.MaxQueuedBytes) : _server.Options.MaxQueuedBytes;

    /// <summary>Counts against the address that the client was refused after it had been let in.</summary>
    internal void CountRefusal() => _server.Addresses.Refused(Handshake.Address);

    /// <summary>Counts against the address that something came which no client sends.</summary>
    internal void CountMalformed() => _server.Addresses.Malformed(Handshake.Address);

    /// <summary>The account that the connection counts for; null until it is set.</summary>
    internal string? Account => _budget?.Account?.Name;

    /// <summary>Lets the connection count for an account besides its address. False: the account has as many connections as it may, and nothing has changed.</summary>
    internal bool TryEnterAccount(string name)
    {
        if (Account == name) return true;
        if (_server.Accounts.Enter(name) is not { } account) return false;
        if (Budget.Exchange(account) is { } before) _server.Accounts.Leave(before);
        if (Volatile.Read(ref _standing) == Ended) LeaveAccount();   // the connection ended meanwhile
        return true;
    }

    /// <summary>Spends one event of some bytes, before it is read. False: it is to be refused, see <see cref="Overspent"/>.</summary>
    internal bool TrySpend(int bytes, long now, out TimeSpan retryAfter) => Budget.TrySpend(bytes, now, out retryAfter, IsHalfOpen);

    // What comes after the end was decided is dropped, and costs what an event costs all the same. False: it is too much, and nothing more
    // is read.
    bool TryPayAfterEnd(int bytes) => Budget.TrySpend(bytes, _server.Clock.GetTimestamp(), out _, beforeJoin: true);

    // A frame or a packet that is no message costs what an event costs. False: it is dropped, and so is a client that goes on.
    bool TryPay(int bytes)
    {
        if (_state != State.Open) return false;
        var now = _server.Clock.GetTimestamp();
        if (TrySpend(bytes, now, out _)) return true;
        if (Overspent(now) == Overspending.Disconnect) Drop(DisconnectReason.TransportError);
        return false;
    }

    /// <summary>Spends bytes that belong to an event that was let in.</summary>
    internal void Spend(int bytes) => Budget.Spend(bytes, _server.Clock.GetTimestamp(), IsHalfOpen);

    /// <summary>Spends expensive operations.</summary>
    internal bool TrySpendOperations(int count, out TimeSpan retryAfter) => Budget.TrySpendOperations(count, _server.Clock.GetTimestamp(), out retryAfter);

    /// <summary>
    /// Counts an event that was refused because it was too much, and says whether the client may stay. Who may not is counted against its address, once. Asked where
    /// messages are received: one at a time.
    /// </summary>
    internal Overspending Overspent(long now)
    {
        Meters.Overspent.Add(1);
        var becomes = Budget.Refused(now);
        if (becomes == Overspending.Refuse || _isFlooding) return becomes;
        _isFlooding = true;
        _server.Addresses.Flooded(Handshake.Address);
        return becomes;
    }

    /// <summary>The connection has ended: whatever it was counted for is given back, once.</summary>
    internal void EndCounting()
    {
        var before = Interlocked.Exchange(ref _standing, Ended);
        if (before == Ended) return;
        LeaveIdle();
        _server.Addresses.Closed(Handshake.Address, halfOpen: before == HalfOpen);
        LeaveAccount();
    }

    void LeaveAccount()
    {
        if (_budget?.Exchange(null) is { } account) _server.Accounts.Leave(account);
    }

    Budget Budget => _budget ?? Interlocked.CompareExchange(ref _budget, new Budget(_server.Shares), null) ?? _budget;
}
