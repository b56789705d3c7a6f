using Carillon.SocketIO.Limits;
using Carillon.TestTools;

namespace Carillon.SocketIO.Tests;

/// <summary>A bucket gives its burst at once, then its rate, and says how long to wait.</summary>
public class TokenBucketTests
{
    readonly HandDrivenClock _clock = new(timersToo: true);
    TokenBucket _bucket;

    [Fact]
    public void A_full_bucket_gives_its_burst_and_then_says_how_long_to_wait()
    {
        var rate = new Rate(perSecond: 10, burst: 5, _clock);
        for (var i = 0; i < 5; i++) Assert.True(Take(rate, 1, out _));

        Assert.False(Take(rate, 1, out var wait));
        Assert.Equal(TimeSpan.FromMilliseconds(100), wait);
    }

    [Fact]
    public void Who_waits_as_long_as_told_is_served_and_not_a_moment_sooner()
    {
        var rate = new Rate(perSecond: 3, burst: 2, _clock);
        Assert.True(Take(rate, 2, out _));
        Assert.False(Take(rate, 1, out var wait));

        _clock.Advance(wait - TimeSpan.FromTicks(1));
        Assert.False(Take(rate, 1, out _));
        _clock.Advance(TimeSpan.FromTicks(1));
        Assert.True(Take(rate, 1, out _));
    }

    [Fact]
    public void A_pause_fills_it_up_to_its_burst_and_no_further()
    {
        var rate = new Rate(perSecond: 100, burst: 3, _clock);
        Assert.True(Take(rate, 3, out _));
        _clock.Advance(TimeSpan.FromHours(1));

        Assert.True(Take(rate, 3, out _));
        Assert.False(Take(rate, 1, out _));
    }

    [Fact]
    public void What_is_larger_than_the_bucket_passes_when_it_is_full_and_is_owed()
    {
        var rate = new Rate(perSecond: 10, burst: 10, _clock);
        Assert.True(Take(rate, 50, out _));

        Assert.False(Take(rate, 1, out var wait));
        Assert.Equal(TimeSpan.FromSeconds(4.1), wait);
    }

    [Fact]
    public void What_was_taken_for_nothing_is_given_back()
    {
        var rate = new Rate(perSecond: 1, burst: 1, _clock);
        Assert.True(Take(rate, 1, out _));
        _bucket.GiveBack(rate, 1);

        Assert.True(Take(rate, 1, out _));
    }

    [Fact]
    public void A_rate_of_zero_limits_nothing()
    {
        var rate = new Rate(perSecond: 0, burst: 0, _clock);
        for (var i = 0; i < 1000; i++) Assert.True(Take(rate, 1_000_000, out _));
    }

    [Fact]
    public async Task Many_threads_get_exactly_the_burst_between_them()
    {
        var rate = new Rate(perSecond: 1, burst: 10_000, _clock);
        var taken = 0;
        await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(() =>
        {
            for (var i = 0; i < 5000; i++)
                if (Take(rate, 1, out TimeSpan _)) Interlocked.Increment(ref taken);
        })));

        Assert.Equal(10_000, taken);
    }

    [Theory]
    [InlineData(1_000_000_000)]
    [InlineData(10_000_000)]
    [InlineData(1000)]
    public void The_rate_holds_whatever_the_clock_counts_in(long frequency)
    {
        var clock = new CoarseClock(frequency);
        var rate = new Rate(perSecond: 200, burst: 1, clock);
        var taken = 0;
        for (clock.Now = 0; clock.Now < frequency * 10; clock.Now += frequency / 1000)
            if (_bucket.TryTake(rate, 1, clock.Now, out _)) taken++;

        Assert.InRange(taken, 1990, 2010);
    }

    bool Take(in Rate rate, double amount, out TimeSpan wait) => _bucket.TryTake(rate, amount, _clock.GetTimestamp(), out wait);

    sealed class CoarseClock(long frequency) : TimeProvider
    {
        public long Now { get; set; }

        public override long TimestampFrequency => frequency;

        public override long GetTimestamp() => Now;
    }
}
