using Carillon.SocketIO.Engine;
using Carillon.SocketIO.Limits;


namespace Carillon.SocketIO.Tests;

/// <summary>Who goes first, and who goes at all, when a client reads slowly.</summary>
public class SendQueueTests
{
    readonly SendQueue _queue = new();

    [Theory]
    [InlineData(SendPriority.Normal, Overflow.Queue, true, OverflowAction.Queue)]
    [InlineData(SendPriority.Low, Overflow.Disconnect, true, OverflowAction.Queue)]
    [InlineData(SendPriority.Normal, Overflow.Queue, false, OverflowAction.MakeRoom)]
    [InlineData(SendPriority.High, Overflow.Queue, false, OverflowAction.MakeRoom)]
    [InlineData(SendPriority.Low, Overflow.Queue, false, OverflowAction.Drop)]
    [InlineData(SendPriority.Normal, Overflow.Drop, false, OverflowAction.Drop)]
    [InlineData(SendPriority.Critical, Overflow.Drop, false, OverflowAction.MakeRoom)]
    [InlineData(SendPriority.Normal, Overflow.KeepLatest, false, OverflowAction.MakeRoom)]
    [InlineData(SendPriority.Low, Overflow.KeepLatest, false, OverflowAction.MakeRoom)]
    [InlineData(SendPriority.Low, Overflow.Disconnect, false, OverflowAction.Disconnect)]
    [InlineData(SendPriority.Critical, Overflow.Disconnect, false, OverflowAction.Disconnect)]
    internal void What_happens_depends_on_importance_and_on_the_streams_choice(SendPriority priority, Overflow overflow, bool fits, OverflowAction action) =>
        Assert.Equal(action, OverflowRule.Decide(new SendPolicy { Priority = priority, Overflow = overflow }, fits));

    [Fact]
    public void Critical_ones_overtake_everything_but_their_own_stream_and_those_at_the_front()
    {
        Add("a1", stream: "a");
        Add("b1", stream: "b");
        Add("none1");
        Add("b!", stream: "b", SendPriority.Critical);
        Add("c!", stream: "c", SendPriority.Critical);
        Add("none!", priority: SendPriority.Critical);
        Add("a2", stream: "a");
        Add("a!", stream: "a", SendPriority.Critical);

        Assert.Equal(["c!", "none!", "a1", "b1", "b!", "none1", "a2", "a!"], Drain());
    }

    [Fact]
    public void Nothing_overtakes_the_news_that_a_client_has_joined()
    {
        Add("missed", stream: "a");
        _queue.Add(SharedFrame.OfMessage("joined"u8, [], policy: SendPolicy.Barrier));
        Add("a1", stream: "a");
        Add("!", priority: SendPriority.Critical);
        Add("b!", stream: "b", SendPriority.Critical);

        Assert.Equal(["missed", "joined", "!", "b!", "a1"], Drain());
    }

    [Fact]
    public void While_memory_is_short_what_matters_least_goes_even_where_there_is_room() =>
        Assert.Equal(OverflowAction.Drop, OverflowRule.Decide(new SendPolicy { Priority = SendPriority.Low }, fits: true, isShed: true));

    [Fact]
    public void Order_within_a_stream_always_holds()
    {
        foreach (var (seed, chance) in Chance.Rounds(200))
        {
            var sent = new Dictionary<string, List<string>>();
            var received = new Dictionary<string, List<string>>();
            for (var i = 0; i < 100; i++)
            {
                var stream = $"s{chance.Next(4)}";
                Add($"{stream}:{i}", stream, (SendPriority)chance.Next(4));
                sent.TryAdd(stream, []);
                sent[stream].Add($"{stream}:{i}");
                if (chance.Next(3) == 0) Receive(_queue.Take());
            }
            while (_queue.Count > 0) Receive(_queue.Take());
            Assert.True(sent.OrderBy(s => s.Key).SelectMany(s => s.Value).SequenceEqual(received.OrderBy(s => s.Key).SelectMany(s => s.Value)), $"seed {seed}");
            Assert.Equal(0, _queue.Bytes);

            void Receive(SharedFrame frame)
            {
                var text = TextOf(frame);
                var stream = text[..text.IndexOf(':')];
                received.TryAdd(stream, []);
                received[stream].Add(text);
            }
        }
    }

    [Fact]
    public void Room_is_made_by_what_matters_least_and_by_what_a_later_one_replaces()
    {
        Add("promotion", priority: SendPriority.Low);
        Add("price 7: 1", "prices", overflow: Overflow.KeepLatest, key: "7");
        Add("text");
        Add("price 8: 1", "prices", overflow: Overflow.KeepLatest, key: "8");
        Add("price 7: 2", "prices", overflow: Overflow.KeepLatest, key: "7");
        Add("rate 7", "rates", overflow: Overflow.KeepLatest, key: "7");

        var dropped = _queue.MakeRoomFor(Frame("price 8: 2", new SendPolicy { Stream = "prices", Key = "8", Overflow = Overflow.KeepLatest }));

        Assert.Equal(3, dropped);
        Assert.Equal(["text", "price 7: 2", "rate 7"], Drain());
        Assert.Equal(0, _queue.Bytes);
    }

    [Fact]
    public void What_waits_is_counted_in_bytes_whatever_happens_to_it()
    {
        for (var i = 0; i < 50; i++) Add($"{i}", priority: i % 2 == 0 ? SendPriority.Low : SendPriority.Normal);
        for (var i = 0; i < 10; i++) _queue.Take();
        _queue.MakeRoomFor(Frame("next", SendPolicy.Default));

        Assert.Equal(20, _queue.Count);
        Assert.Equal(Enumerable.Range(0, 20).Sum(i => SendQueue.CostOf(Frame($"{11 + i * 2}", SendPolicy.Default))), _queue.Bytes);
        _queue.Clear();
        Assert.Equal((0, 0), (_queue.Count, _queue.Bytes));
    }

    [Fact]
    public void Places_are_charged_in_steps_and_given_back()
    {
        var additions = 0;
        var budget = new BufferBudget(-1, () => additions++);
        var queue = new SendQueue(budget);
        for (var i = 0; i < 100; i++) queue.Add(Frame("x", SendPolicy.Default));
        Assert.Equal(0, budget.Held);
        queue.CountAll();
        Assert.InRange(budget.Held, 100 * 64 - 1024, 100 * 64);

        additions = 0;
        for (var i = 0; i < 1000; i++)
        {
            queue.Take();
            queue.Add(Frame("x", SendPolicy.Default));
        }
        Assert.Equal(0, additions);
        for (var i = 0; i < 1000; i++) queue.Add(Frame("x", SendPolicy.Default));
        Assert.InRange(additions, 1, 1000 * 64 / 1024 + 1);
        while (queue.Count > 0) queue.Take();
        Assert.Equal(0, budget.Held);
        for (var i = 0; i < 100; i++) queue.Add(Frame("x", new SendPolicy { Priority = SendPriority.Low }));
        queue.CountAll();
        queue.MakeRoomFor(Frame("x", SendPolicy.Default));
        Assert.Equal(0, budget.Held);
    }

    void Add(string text, string? stream = null, SendPriority priority = SendPriority.Normal, Overflow overflow = Overflow.Queue, string? key = null) =>
        _queue.Add(Frame(text, new SendPolicy { Priority = priority, Overflow = overflow, Stream = stream, Key = key }));

    static SharedFrame Frame(string text, SendPolicy policy) => SharedFrame.OfMessage(System.Text.Encoding.UTF8.GetBytes(text), [], policy: policy);

    // Without the type of the Engine.IO packet.
    static string TextOf(SharedFrame frame) => System.Text.Encoding.UTF8.GetString(frame.Polling.AsSpan(1));

    List<string> Drain()
    {
        List<string> all = [];
        while (_queue.Count > 0) all.Add(TextOf(_queue.Take()));
        return all;
    }
}
