using Carillon.Access;
using Carillon.Audit;
using Carillon.SocketIO.Sockets;

namespace Carillon.Hub;

/// <summary>
/// One connection as channels see it: who it is, and what it joined. What it asks is done one after the other, in the order it was asked:
/// to join and to leave the same
/// channel must not overtake each other, and the end of the connection comes last.
/// </summary>
sealed class Subscriber(Socket socket, Caller caller, long generation)
{
    readonly HashSet<string> _channels = [];
    Caller _caller = caller;
    long _generation = generation;
    bool _isAboutToBeLookedAt;
    readonly AsyncLock _turn = new();

    public Socket Socket => socket;

    /// <summary>
    /// The account that its subscriptions count for, from the first to the last: the user, or the network of somebody who is not known.
    /// </summary>
    public string Account { get; } = caller.UserId is { } id ? "user:" + id : "network:" + RefusalThrottle.NetworkOf(caller.Address);

    /// <summary>Who it is, as of the last look.</summary>
    public Caller Caller => Volatile.Read(ref _caller);

    /// <summary>Says anew who it is, unless somebody else did so since it was asked.</summary>
    public bool Replace(Caller before, Caller after) => ReferenceEquals(Interlocked.CompareExchange(ref _caller, after, before), before);

    /// <summary>The latest change of rights (<see cref="AccessChanges.Generation"/>) that was known when it was last looked at.</summary>
    public long Generation
    {
        get => Volatile.Read(ref _generation);
        set => Volatile.Write(ref _generation, value);
    }

    /// <summary>Whether the client was told that its token has expired.</summary>
    public bool ExpiryReported { get; set; }

    /// <summary>What the client was last told of its connection.</summary>
    public QualityLevel ReportedQuality;

    /// <summary>Whether the connection has ended. Nothing is joined any more.</summary>
    public bool HasEnded { get; private set; }

    public int Count => _channels.Count;

    public string[] Channels => [.. _channels];

    /// <summary>Waits for the turn; disposing the result ends it. The members that follow are used in turn only.</summary>
    public ValueTask<AsyncLock.Holder> TakeTurnAsync(CancellationToken ct = default) => _turn.TakeAsync(ct);

    /// <summary>Whether nobody is about to look at what it may still hear; then the caller is.</summary>
    public bool TryBeginLook() => !Interlocked.Exchange(ref _isAboutToBeLookedAt, true);

    public void EndLook() => Volatile.Write(ref _isAboutToBeLookedAt, false);

    public void Add(string channel) => _channels.Add(channel);

    public bool Has(string channel) => _channels.Contains(channel);

    public bool Remove(string channel) => _channels.Remove(channel);

    public string[] End()
    {
        HasEnded = true;
        string[] channels = [.. _channels];
        _channels.Clear();
        return channels;
    }
}
