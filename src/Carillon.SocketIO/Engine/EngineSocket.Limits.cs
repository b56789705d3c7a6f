using Carillon.SocketIO.Diagnostics;
using Carillon.SocketIO.Limits;

namespace Carillon.SocketIO.Engine;

public sealed partial class EngineSocket
{
    const int HalfOpen = 0, Joined = 1, Ended = 2;

    int _standing = HalfOpen;
    bool _isFlooding;     // it went on after its events were refused
    ConnectionLimiter? _limiter;      // made when something is spent: those who only listen need none

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

    /// <summary>
    /// Counts the client as joined, and applies the limits of joined clients. Further calls change nothing.
    /// </summary>
    internal void CountAsJoined()
    {
        if (Interlocked.CompareExchange(ref _standing, Joined, HalfOpen) != HalfOpen) return;
        _server.Addresses.Joined(Handshake.Address);
        lock (_gate)
            if (_webSocket is { } connection) connection.MaxPayload = MaxPayload;
    }

    /// <summary>Whether the client has yet to join a namespace. Until then it may hold little.</summary>
    internal bool IsHalfOpen => Volatile.Read(ref _standing) == HalfOpen;

    // The largest message that the client may send.
    int MaxPayload => IsHalfOpen ? Math.Min(_server.MaxBytesBeforeJoin, _server.Options.MaxPayload) : _server.Options.MaxPayload;

    // How many bytes may wait to be sent.
    int MaxQueuedBytes =>
        IsHalfOpen ? Math.Min(_server.MaxBytesBeforeJoin, _server.Options.MaxQueuedBytes) : _server.Options.MaxQueuedBytes;

    /// <summary>Counts against the address that the client was refused after it had been let in.</summary>
    internal void CountRefusal() => _server.Addresses.Refused(Handshake.Address);

    /// <summary>Counts against the address that something came which no client sends.</summary>
    internal void CountMalformed() => _server.Addresses.Malformed(Handshake.Address);

    /// <summary>The account that the connection counts for; null until it is set.</summary>
    internal string? Account => _limiter?.Account?.Name;

    /// <summary>
    /// Lets the connection count for an account besides its address. False: the account has as many connections as it may, and nothing has
    /// changed.
    /// </summary>
    internal bool TryEnterAccount(string name)
    {
        if (Account == name) return true;
        if (_server.Accounts.Enter(name) is not { } account) return false;
        if (Limiter.Exchange(account) is { } before) _server.Accounts.Leave(before);
        if (Volatile.Read(ref _standing) == Ended) LeaveAccount();   // the connection ended meanwhile
        return true;
    }

    /// <summary>Spends one event of some bytes, before it is read. False: it is to be refused, see <see cref="Overspent"/>.</summary>
    internal bool TryAcquire(int bytes, long now, out TimeSpan retryAfter) => Limiter.TryAcquire(bytes, now, out retryAfter, IsHalfOpen);

    // Messages after the end are dropped, and are charged like events all the same. False: it is too much, and nothing more
    // is read.
    bool TryPayAfterEnd(int bytes) => Limiter.TryAcquire(bytes, _server.Clock.GetTimestamp(), out _, beforeJoin: true);

    // A frame or a packet that is no message costs what an event costs. False: it is dropped, and so is a client that goes on.
    bool TryPay(int bytes)
    {
        if (_state != State.Open) return false;
        var now = _server.Clock.GetTimestamp();
        if (TryAcquire(bytes, now, out _)) return true;
        if (Overspent(now) == RateLimitAction.Disconnect) Drop(DisconnectReason.TransportError);
        return false;
    }

    /// <summary>Spends bytes that belong to an event that was let in.</summary>
    internal void Spend(int bytes) => Limiter.Spend(bytes, _server.Clock.GetTimestamp(), IsHalfOpen);

    /// <summary>Spends expensive operations.</summary>
    internal bool TryAcquireOperations(int count, out TimeSpan retryAfter) =>
        Limiter.TryAcquireOperations(count, _server.Clock.GetTimestamp(), out retryAfter);

    /// <summary>
    /// Counts an event that was refused because it was too much, and says whether the client may stay. Who may not is counted against its
    /// address, once. Asked where
    /// messages are received: one at a time.
    /// </summary>
    internal RateLimitAction Overspent(long now)
    {
        Meters.RateLimited.Add(1);
        var becomes = Limiter.Refused(now);
        if (becomes == RateLimitAction.Refuse || _isFlooding) return becomes;
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
        if (_limiter?.Exchange(null) is { } account) _server.Accounts.Leave(account);
    }

    ConnectionLimiter Limiter =>
        _limiter ?? Interlocked.CompareExchange(ref _limiter, new ConnectionLimiter(_server.RateLimits), null) ?? _limiter;
}
