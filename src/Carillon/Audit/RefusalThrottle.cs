using System.Net;
using System.Net.Sockets;
using Carillon.SocketIO.Limits;

namespace Carillon.Audit;

/// <summary>
/// Which entries of one kind are written to the audit log one by one: of one person, and of one address where the person is unknown, so
/// many at once and one a second on average, more than
/// anybody reads. The others are counted, and written as one entry every ten seconds.
/// </summary>
/// <param name="clock">The clock.</param>
/// <param name="burst">How many at once.</param>
sealed class RefusalThrottle(TimeProvider clock, int burst)
{
    public static readonly TimeSpan For = TimeSpan.FromSeconds(10);

    static readonly TimeSpan SweepEvery = TimeSpan.FromMinutes(1);
    const int Most = 10_000;         // people and addresses; all beyond are counted together

    sealed class Share(string? actor, IPAddress? from)
    {
        public TokenBucket Written;
        public long Folded;
        public long Since;

        public string? Actor => actor;

        public IPAddress? From => from;
    }

    readonly Rate _rate = new(1, burst, clock);
    readonly Lock _gate = new();
    readonly Dictionary<(string? Actor, IPAddress? From), Share> _shares = [];
    readonly HashSet<Share> _folding = [];
    readonly Share _others = new(null, null);
    long _sweptAt = clock.GetTimestamp();
    bool _ends;

    /// <summary>Whether there is something to be written later.</summary>
    public bool HasFolded
    {
        get
        {
            lock (_gate) return _folding.Count > 0;
        }
    }

    /// <summary>Counts one. True: it is to be written. Else it is counted, perhaps as the first.</summary>
    public bool Count(string? actor, IPAddress? from, out bool isFirst)
    {
        lock (_gate)
        {
            var now = clock.GetTimestamp();
            var share = ShareOf(actor, actor is null ? NetworkOf(from) : null, now);
            isFirst = false;
            if (share.Written.TryTake(_rate, 1, now, out _)) return true;
            if (share.Folded++ > 0) return false;
            share.Since = now;
            isFirst = _folding.Add(share) && _folding.Count == 1;
            return false;
        }
    }

    /// <summary>
    /// The counts that are old enough, at most so many; without actor and address if there are too many to distinguish.
    /// </summary>
    public IReadOnlyList<(string? Actor, IPAddress? From, long Count)> TakeFolded(int most)
    {
        lock (_gate)
        {
            if (_folding.Count == 0 || most <= 0) return [];
            Share[] due = [.. _folding.Where(share => _ends || clock.GetElapsedTime(share.Since) >= For).Take(most)];
            return [.. due.Select(Take)];
        }

        (string?, IPAddress?, long) Take(Share share)
        {
            _folding.Remove(share);
            var count = share.Folded;
            share.Folded = 0;
            return (share.Actor, share.From, count);
        }
    }

    /// <summary>From now on what was counted is written at once: the server stops.</summary>
    public void EndAll()
    {
        lock (_gate) _ends = true;
    }

    Share ShareOf(string? actor, IPAddress? from, long now)
    {
        if (_shares.TryGetValue((actor, from), out var share)) return share;
        if (clock.GetElapsedTime(_sweptAt, now) >= SweepEvery)
        {
            _sweptAt = now;
            foreach (var (whose, known) in _shares)
                if (known.Folded == 0 && known.Written.IsFull(now)) _shares.Remove(whose);
        }
        return _shares.Count >= Most ? _others : _shares[(actor, from)] = new Share(actor, from);
    }

    // The owner of one address of IPv6 has all of its /64.
    internal static IPAddress? NetworkOf(IPAddress? address)
    {
        if (address is null || address.AddressFamily != AddressFamily.InterNetworkV6) return address;
        if (address.IsIPv4MappedToIPv6) return address.MapToIPv4();
        Span<byte> bytes = stackalloc byte[16];
        address.TryWriteBytes(bytes, out _);
        bytes[8..].Clear();
        return new IPAddress(bytes);
    }
}
