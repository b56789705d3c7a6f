using System.Net;
using Carillon.SocketIO.Diagnostics;

namespace Carillon.SocketIO.Limits;

/// <summary>An address that is not let in for a while. Connections that it has stay open.</summary>
/// <param name="Address">The address, or the network of 64 bits for IPv6.</param>
/// <param name="Until">When the ban ends, UTC.</param>
/// <param name="Strikes">How many bans count against the address, this one included.</param>
/// <param name="Reason">The offence, or that an administrator banned it.</param>
public sealed record Ban(string Address, DateTimeOffset Until, int Strikes, string Reason);

/// <summary>The counts of an address.</summary>
/// <param name="Address">The address, or the network of 64 bits for IPv6.</param>
/// <param name="Open">Its connections.</param>
/// <param name="HalfOpen">Those of them that have not joined a namespace yet, and connections that have not made a whole request
/// yet.</param>
/// <param name="Strikes">How many bans count against it.</param>
/// <param name="BannedUntil">When its ban ends, UTC; <see langword="null"/> where it is not banned.</param>
public sealed record AddressCount(string Address, int Open, int HalfOpen, int Strikes, DateTimeOffset? BannedUntil);

public sealed partial class AddressLimiter
{
    /// <summary>The bans in force, in the order of their addresses.</summary>
    public IReadOnlyList<Ban> Bans()
    {
        var now = _clock.GetTimestamp();
        var today = _clock.GetUtcNow();
        List<Ban> bans = [];
        lock (_gate)
            foreach (var entry in _entries.Values)
                if (BannedFor(entry, now) is var left
                    && left > TimeSpan.Zero) bans.Add(new(entry.Key.ToString(), today + left, entry.Strikes, entry.Reason));
        bans.Sort(static (one, other) => string.CompareOrdinal(one.Address, other.Address));
        return bans;
    }

    /// <summary>Lets an address in again, and forgets what was held against it.</summary>
    /// <param name="address">An address, or a network as <see cref="Bans"/> lists it.</param>
    /// <returns>Whether it was banned.</returns>
    public bool Unban(string address)
    {
        if (!AddressKey.TryParse(address, out var key)) return false;
        var now = _clock.GetTimestamp();
        lock (_gate)
        {
            if (!_entries.TryGetValue(key, out var entry) || entry.BannedUntil <= now) return false;
            (entry.BannedUntil, entry.Strikes) = (0, 0);
            MoveToIdle(entry, now);
        }
        LogLifted(_logger, key);
        return true;
    }

    /// <summary>
    /// Lets no new connection of an address in for a while, beginning now. It counts as a strike; an address of the allow-list is let in
    /// all the same.
    /// </summary>
    /// <param name="address">The address; of an IPv6 address its network of 64 bits.</param>
    /// <param name="length">For how long; ten years at most.</param>
    public void Ban(IPAddress address, TimeSpan length)
    {
        ArgumentNullException.ThrowIfNull(address);
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(length, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, TimeSpan.FromDays(3650));
        var now = _clock.GetTimestamp();
        var key = AddressKey.Of(address);
        lock (_gate)
        {
            var entry = Find(key, now);
            entry.Strikes = StrikesOf(entry, now) + 1;
            Ban(entry, length, "banned by an administrator", now);
        }
        Meters.Bans.Add(1);
        LogBannedByHand(_logger, key, length.TotalSeconds);
    }

    /// <summary>The addresses with the most connections, those with the most first.</summary>
    /// <param name="count">How many at most.</param>
    public IReadOnlyList<AddressCount> Busiest(int count)
    {
        var now = _clock.GetTimestamp();
        var today = _clock.GetUtcNow();
        var busiest = new PriorityQueue<AddressKey, int>();
        List<AddressCount> counts = [];
        lock (_gate)
        {
            foreach (var entry in _entries.Values)
            {
                var connections = Math.Max(entry.Open, entry.HalfOpen);
                if (connections == 0) continue;
                busiest.Enqueue(entry.Key, connections);
                if (busiest.Count > count) busiest.Dequeue();
            }
            while (busiest.TryDequeue(out var key, out _)) counts.Add(CountOf(_entries[key], now, today));
        }
        counts.Reverse();
        return counts;
    }

    /// <summary>The counts of one address; <see langword="null"/> if the address is unknown.</summary>
    /// <param name="address">An address, or a network as <see cref="Bans"/> lists it.</param>
    public AddressCount? Find(string address)
    {
        if (!AddressKey.TryParse(address, out var key)) return null;
        var now = _clock.GetTimestamp();
        lock (_gate) return _entries.TryGetValue(key, out var entry) ? CountOf(entry, now, _clock.GetUtcNow()) : null;
    }

    /// <summary>How many addresses are remembered, with connections or without.</summary>
    public int Count
    {
        get
        {
            lock (_gate) return _entries.Count;
        }
    }

    AddressCount CountOf(Entry entry, long now, DateTimeOffset today) =>
        new(entry.Key.ToString(), entry.Open, entry.HalfOpen, StrikesOf(entry, now),
        BannedFor(entry, now) is var left && left > TimeSpan.Zero ? today + left : null);
}
