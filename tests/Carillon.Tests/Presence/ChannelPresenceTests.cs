using Carillon.Access;
using Carillon.Hub;
using Carillon.Presence;

namespace Carillon.Tests.Presence;

/// <summary>What is told of those who come and go, and what need not be.</summary>
public class ChannelPresenceTests
{
    static readonly DateTimeOffset Now = new(2026, 1, 5, 8, 0, 0, TimeSpan.Zero);

    readonly ChannelPresence _attendance = new();

    [Fact]
    public void A_visit_between_two_messages_is_not_told()
    {
        var alice = Come("alice");
        Leave(alice, 1);
        Assert.Equal(["alice"], _attendance.LetGo(1));
        Assert.Null(_attendance.TakeDiff(500));
        Assert.True(_attendance.IsQuiet);
        Assert.Empty(_attendance.MembersAfter(null));
    }

    [Fact]
    public void An_absence_between_two_messages_is_not_told()
    {
        var alice = Come("alice");
        Assert.Equal(["alice"], _attendance.TakeDiff(500)!.Joined.Select(person => person.Id));
        Leave(alice, 1);
        Assert.Equal(["alice"], _attendance.LetGo(1));
        Come("alice");
        Assert.Null(_attendance.TakeDiff(500));
        Assert.Equal(["alice"], _attendance.MembersAfter(null).Select(member => member.Id));
    }

    [Fact]
    public void Somebody_with_another_connection_is_present_and_leaves_with_the_last()
    {
        var (phone, laptop) = (Come("alice"), Come("alice"));
        Leave(phone, 1);
        Leave(phone, 2);      // a second time changes nothing
        Assert.Empty(_attendance.LetGo(10));
        Leave(laptop, 11);
        Assert.Empty(_attendance.LetGo(10));
        Assert.Equal(["alice"], _attendance.LetGo(11));
    }

    [Fact]
    public void A_message_tells_of_so_many_people_at_most_and_the_next_one_of_the_others()
    {
        var gone = Enumerable.Range(0, 3).Select(i => Come($"gone{i}")).ToArray();
        while (_attendance.TakeDiff(500) is not null) { }
        foreach (var connection in gone) Leave(connection, 1);
        Assert.Equal(3, _attendance.LetGo(1).Count());
        for (var i = 0; i < 4; i++) Come($"come{i}");
        List<(int Joined, int Left)> told = [];
        while (_attendance.TakeDiff(5) is { } movement) told.Add((movement.Joined.Count, movement.Left.Count));
        Assert.Equal([(4, 1), (0, 2)], told);
    }

    Subscriber Come(string id)
    {
        var connection = new Subscriber(null!, new Caller(id, id.ToUpperInvariant(), [], null), 0);
        _attendance.Join(connection, id, Now);
        return connection;
    }

    void Leave(Subscriber connection, long stamp) => _attendance.Leave(connection, connection.Caller.UserId!, Now, stamp);
}
