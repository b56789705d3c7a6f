namespace Carillon.BenchLoad;

/// <summary>
/// The books of one window: what was published to each room against what each of its members received, by count and by the sum of the numbers. One
/// message lost and another doubled do not balance.
/// </summary>
sealed class Ledger
{
    readonly List<Room> _rooms = [];
    readonly Latencies _latencies = new();
    Connection[] _members = [];
    long _number, _firstNumber, _outOfOrder, _unexpected;
    bool _inOrder;

    sealed class Room
    {
        public long Members, Published, Numbers;
    }

    /// <summary>How many messages the members should have received so far, and how many they have.</summary>
    public long Expected { get; private set; }

    public long Delivered { get; private set; }

    public long Published { get; private set; }

    /// <param name="members">Those whose deliveries count.</param>
    /// <param name="inOrder">Whether a single client publishes: then the order is certain.</param>
    public void Begin(IEnumerable<Connection> members, bool inOrder)
    {
        _members = [.. members];
        _rooms.Clear();
        foreach (var member in _members)
        {
            while (_rooms.Count <= member.Room) _rooms.Add(new Room());
            _rooms[member.Room].Members++;
            member.Received = member.Numbers = member.LastNumber = 0;
            member.IsCounted = true;
        }
        _latencies.Clear();
        _inOrder = inOrder;
        _firstNumber = _number + 1;
        _outOfOrder = _unexpected = Expected = Delivered = Published = 0;
    }

    /// <summary>The number of a further message to a room.</summary>
    public long Publish(int room)
    {
        var entry = _rooms[room];
        entry.Published++;
        entry.Numbers += ++_number;
        Expected += entry.Members;
        Published++;
        return _number;
    }

    public void Deliver(Connection member, long stamp, long number)
    {
        if (!member.IsCounted) return;
        if (number < _firstNumber || number > _number)
        {
            if (number != 0 && number < _firstNumber) return;    // of an earlier window, and late
            _unexpected++;
            return;
        }
        Delivered++;
        member.Received++;
        member.Numbers += number;
        if (_inOrder && number <= member.LastNumber) _outOfOrder++;
        member.LastNumber = number;
        _latencies.Record(Payload.Now() - stamp);
    }

    public Counts Close()
    {
        var (lost, doubled, wrong) = (0L, 0L, 0L);
        foreach (var member in _members)
        {
            var room = _rooms[member.Room];
            lost += Math.Max(0, room.Published - member.Received);
            doubled += Math.Max(0, member.Received - room.Published);
            if (member.Received == room.Published && member.Numbers != room.Numbers) wrong++;
            member.IsCounted = false;
        }
        return new Counts(Published, Expected, Delivered, lost, doubled, wrong + _unexpected, _outOfOrder, _latencies.Summary());
    }
}

/// <summary>
/// <paramref name="Wrong"/>: members with the right count of the wrong messages, and messages nobody sent. <paramref name="Latency"/> in milliseconds, from the
/// moment at which a message was due to its arrival.
/// </summary>
sealed record Counts(long Sent, long Expected, long Delivered, long Lost, long Doubled, long Wrong, long OutOfOrder, Percentiles Latency);
