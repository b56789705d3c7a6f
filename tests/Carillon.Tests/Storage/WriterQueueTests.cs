using Carillon.Storage;

namespace Carillon.Tests.Storage;

/// <summary>One writer at a time, and nobody's place is lost or taken twice.</summary>
public sealed class WriterQueueTests : IDisposable
{
    const int MostWaiting = 20_000;

    static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    readonly WriterQueue _queue = new();

    static CancellationToken Ct => TestContext.Current.CancellationToken;

    public void Dispose() => _queue.Dispose();

    [Fact]
    public async Task Giving_a_turn_back_twice_lets_one_writer_in()
    {
        var first = await EnterAsync(WriterLane.Ordinary);
        first!.Dispose();
        first.Dispose();
        using var second = await EnterAsync(WriterLane.Ordinary);
        Assert.NotNull(second);
        Assert.Null(await EnterAsync(WriterLane.Administrative, TimeSpan.Zero));
        first.Dispose();
        Assert.Null(await EnterAsync(WriterLane.Administrative, TimeSpan.Zero));
        Assert.Null(await EnterAsync(WriterLane.Ordinary, TimeSpan.Zero));
    }

    [Theory]
    [InlineData("Ordinary")]
    [InlineData("Administrative")]
    public async Task Those_whose_time_is_over_leave_their_place(string lane)
    {
        var held = await EnterAsync(Enum.Parse<WriterLane>(lane));
        foreach (var each in Enum.GetValues<WriterLane>()) Assert.Null(await EnterAsync(each, TimeSpan.Zero));
        held!.Dispose();
        foreach (var each in Enum.GetValues<WriterLane>()) (await EnterAsync(each, Patience))!.Dispose();
    }

    [Fact]
    public async Task Too_many_ordinary_writers_are_refused_at_once_and_administrative_ones_are_not()
    {
        var held = await EnterAsync(WriterLane.Ordinary);
        Task<WriterTurn?>[] waiting = [.. Enumerable.Range(0, MostWaiting).Select(_ => EnterAsync(WriterLane.Ordinary).AsTask())];
        var refused = EnterAsync(WriterLane.Ordinary);
        Assert.True(refused.IsCompletedSuccessfully);
        Assert.Null(await refused);
        var administrative = EnterAsync(WriterLane.Administrative).AsTask();
        Assert.False(administrative.IsCompleted);

        held!.Dispose();
        (await administrative.WaitAsync(Patience, Ct))!.Dispose();
        foreach (var task in waiting) (await task.WaitAsync(Patience, Ct))!.Dispose();
        // All have left, those who were refused too: as many may wait as before.
        held = await EnterAsync(WriterLane.Ordinary);
        waiting = [.. Enumerable.Range(0, MostWaiting).Select(_ => EnterAsync(WriterLane.Ordinary).AsTask())];
        Assert.DoesNotContain(waiting, task => task.IsCompleted);
        held!.Dispose();
        foreach (var task in waiting) (await task.WaitAsync(Patience, Ct))!.Dispose();
    }

    ValueTask<WriterTurn?> EnterAsync(WriterLane lane, TimeSpan? timeout = null) => _queue.EnterAsync(lane, timeout ?? Patience, Ct);
}
