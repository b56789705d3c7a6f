using System.Security.Cryptography;
using Carillon.Channels;
using Carillon.Hub;

namespace Carillon.Presence;

/// <summary>Somebody who came or went, as it is told.</summary>
sealed record Person(string Id, string? Name);

/// <summary>What is told at once: who came, who went, and how many there are now.</summary>
sealed record PresenceDiff(IReadOnlyList<Person> Joined, IReadOnlyList<Person> Left, int Count);

/// <summary>
/// Who is in one channel. A user is there from the first connection on until a while after the last: several pages of one person are one
/// person, and who comes back within that while
/// has never been away. Used under one lock.
/// </summary>
sealed class ChannelPresence
{
    internal sealed class Member(string id, DateTimeOffset since)
    {
        public static readonly IComparer<Member> ById = Comparer<Member>.Create((one, other) => string.CompareOrdinal(one.Id, other.Id));

        public readonly List<Subscriber> Connections = [];

        public string Id => id;

        /// <summary>The name, as of the connection that came last.</summary>
        public string? Name => Connections is [.., var latest] ? latest.Caller.Name : LeftAs;

        /// <summary>The name of the last connection that left.</summary>
        public string? LeftAs { get; set; }

        public DateTimeOffset Since => since;

        /// <summary>When the last connection left; null while there is one.</summary>
        public DateTimeOffset? LeftAt { get; set; }

        /// <summary>The same as a timestamp: what counts time must not jump with the wall clock.</summary>
        public long LeftStamp { get; set; }
    }

    readonly Dictionary<string, Member> _members = new(StringComparer.Ordinal);
    readonly SortedSet<Member> _sorted = new(Member.ById);                           // a page is read without looking at all
    readonly Dictionary<string, Person> _joined = new(StringComparer.Ordinal);     // not told yet
    readonly Dictionary<string, Person> _left = new(StringComparer.Ordinal);
    readonly Queue<(Member Guest, long LeftStamp)> _leaving = new();         // in the order in which their time is over

    public int Count => _members.Count;

    public bool IsQuiet => _joined.Count == 0 && _left.Count == 0 && _leaving.Count == 0;

    public bool Holds(string userId) => _members.ContainsKey(userId);

    /// <summary>Those after an id, in the order of the ids.</summary>
    public IEnumerable<Member> MembersAfter(string? id)
    {
        if (id is null || _sorted.Max is not { } last) return _sorted;
        var from = new Member(id, default);
        return Member.ById.Compare(from, last) >= 0 ? [] : _sorted.GetViewBetween(from, last).SkipWhile(member => member.Id == id);
    }

    /// <summary>Where those who follow the comings and goings stand; without one, nobody ever did.</summary>
    public Position? Told { get; private set; }

    public Position BeginToTell() => Tell(Told ?? new Position(Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(8)), 0));

    public Position TellNext(Position last) => Tell(last with { Offset = last.Offset + 1 });

    Position Tell(Position position)
    {
        Told = position;
        return position;
    }

    public void Join(Subscriber connection, string userId, DateTimeOffset now)
    {
        var isNew = !_members.TryGetValue(userId, out var member);
        if (member is null) _sorted.Add(_members[userId] = member = new Member(userId, now));
        member.LeftAt = null;
        member.Connections.Add(connection);
        // Who was told to have come and goes and comes again within one telling is told nothing new.
        if (isNew && !_left.Remove(userId)) _joined[userId] = new Person(userId, member.Name);
    }

    public void Leave(Subscriber connection, string userId, DateTimeOffset now, long stamp)
    {
        if (!_members.TryGetValue(userId, out var member) || !member.Connections.Remove(connection) || member.Connections.Count > 0) return;
        (member.LeftAt, member.LeftStamp, member.LeftAs) = (now, stamp, connection.Caller.Name);
        _leaving.Enqueue((member, stamp));
    }

    /// <summary>Counts those as gone who left before a moment and have not come back; answers them.</summary>
    public IEnumerable<string> LetGo(long leftUntil)
    {
        List<string> gone = [];
        while (_leaving.TryPeek(out var first) && first.LeftStamp <= leftUntil)
        {
            var (member, leftStamp) = _leaving.Dequeue();
            // came back, and perhaps left again later
            if (member.LeftAt is null || member.LeftStamp != leftStamp || !_members.Remove(member.Id)) continue;
            _sorted.Remove(member);
            if (!_joined.Remove(member.Id)) _left[member.Id] = new Person(member.Id, member.Name);
            gone.Add(member.Id);
        }
        return gone;
    }

    /// <summary>What has not been told yet, at most so many people at once; null where there is nothing.</summary>
    public PresenceDiff? TakeDiff(int most)
    {
        if (_joined.Count == 0 && _left.Count == 0) return null;
        var joined = Take(_joined, most);
        return new PresenceDiff(joined, Take(_left, most - joined.Count), _members.Count);
    }

    static List<Person> Take(Dictionary<string, Person> people, int most)
    {
        List<Person> taken = [.. people.Values.Take(most)];
        foreach (var person in taken) people.Remove(person.Id);
        return taken;
    }
}
