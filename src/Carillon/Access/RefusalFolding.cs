using System.Net;
using Carillon.SocketIO;

namespace Carillon.Access;

/// <summary>
/// Which refusals of an address are written down one by one: 60 at once and one a second on average, more than anybody reads. The others are counted, and written as one entry every ten
/// seconds.
/// </summary>
sealed class RefusalFolding(TimeProvider clock)
{
    public static readonly TimeSpan For = TimeSpan.FromSeconds(10);

    const int Most = 10_000;         // addresses; all beyond are counted together

    sealed class Share
    {
        public TokenBucket Written;
        public long Folded;
        public long Since;
    }

    readonly Rate _rate = new(1, 60, clock);
    readonly Lock _gate = new();
    readonly Dictionary<IPAddress, Share> _shares = [];
    readonly Share _others = new();
    bool _ends;

    /// <summary>Whether there is something to be written later.</summary>
    public bool HasFolded { get; private set; }

    /// <summary>Counts a refusal. True: it is to be written.</summary>
    public bool Count(IPAddress? from)
    {
        lock (_gate)
        {
            var now = clock.GetTimestamp();
            var share = ShareOf(from ?? IPAddress.None, now);
            if (share.Written.TryTake(_rate, 1, now, out _)) return true;
            if (share.Folded++ == 0) share.Since = now;
            HasFolded = true;
            return false;
        }
    }

    /// <summary>What was counted for long enough, by address; none where there are too many to tell apart.</summary>
    public IReadOnlyList<(IPAddress? From, long Count)> TakeFolded()
    {
        lock (_gate)
        {
            if (!HasFolded) return [];
            List<(IPAddress?, long)> folded = [];
            HasFolded = false;
            foreach (var (from, share) in _shares) Take(from, share);
            Take(null, _others);
            return folded;

            void Take(IPAddress? from, Share share)
            {
                if (share.Folded == 0) return;
                if (!_ends && clock.GetElapsedTime(share.Since) < For)
                {
                    HasFolded = true;
                    return;
                }
                folded.Add((from, share.Folded));
                share.Folded = 0;
            }
        }
    }

    /// <summary>From now on what was counted is written at once: the server stops.</summary>
    public void EndAll()
    {
        lock (_gate) _ends = true;
    }

    Share ShareOf(IPAddress from, long now)
    {
        if (_shares.TryGetValue(from, out var share)) return share;
        if (_shares.Count >= Most)
            foreach (var (address, known) in _shares)
                if (known.Folded == 0 && known.Written.IsFull(now)) _shares.Remove(address);
        return _shares.Count >= Most ? _others : _shares[from] = new Share();
    }
}
