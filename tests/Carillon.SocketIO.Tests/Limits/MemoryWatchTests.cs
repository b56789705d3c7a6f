using System.Diagnostics.Metrics;
using Carillon.SocketIO.Limits;
using Carillon.TestTools;
using Microsoft.Extensions.Logging;

namespace Carillon.SocketIO.Tests;

/// <summary>Whether memory is short: seen at once, told once, and over only when there is room.</summary>
public class MemoryWatchTests
{
    readonly HandDrivenClock _clock = new(timersToo: true);
    readonly Told _told = new();
    long _used;
    int _looked;

    [Theory]
    [InlineData(false, 1000, false)]
    [InlineData(false, 1001, true)]
    [InlineData(true, 1000, true)]
    [InlineData(true, 901, true)]
    [InlineData(true, 900, false)]
    public void It_begins_above_the_threshold_and_ends_a_tenth_below(bool wasOver, long used, bool over) =>
        Assert.Equal(over, MemoryWatch.Decide(wasOver, used, threshold: 1000));

    [Fact]
    public void It_is_told_once_when_it_begins_and_once_when_it_ends()
    {
        var watch = Watch(1000);
        foreach (var (used, over) in new[] { (10, false), (2000, true), (2000, true), (950, true), (800, false), (800, false) })
        {
            _used = used;
            _clock.Advance(TimeSpan.FromSeconds(1));
            Assert.Equal(over, watch.IsOver);
        }
        Assert.Equal(2, _told.Warnings);
    }

    [Fact]
    public void It_is_metered_while_it_lasts()
    {
        List<long> seen = [];
        using var listener = new MeterListener();
        listener.InstrumentPublished = (instrument, on) =>
        {
            if (instrument.Name == "carillon.memory.pressure") on.EnableMeasurementEvents(instrument);
        };
        listener.SetMeasurementEventCallback<long>((_, value, _, _) =>
        {
            lock (seen) seen.Add(value);
        });
        listener.Start();
        var watch = Watch(1000);
        _used = 2000;
        Assert.True(watch.IsOver);
        _used = 0;
        _clock.Advance(TimeSpan.FromSeconds(1));
        Assert.False(watch.IsOver);

        Assert.Contains(1, seen);
        Assert.Contains(-1, seen);
    }

    [Fact]
    public void It_looks_a_few_times_a_second_however_often_it_is_asked()
    {
        var watch = Watch(1000);
        for (var i = 0; i < 1000; i++)
        {
            _ = watch.IsOver;
            _clock.Advance(TimeSpan.FromMilliseconds(1));
        }
        Assert.Equal(4, _looked);
    }

    [Fact]
    public void Without_a_threshold_it_never_looks()
    {
        Assert.False(Watch(null).IsOver);
        Assert.Equal(0, _looked);
    }

    [Fact]
    public void The_default_is_a_share_of_what_the_runtime_may_use()
    {
        var watch = new MemoryWatch(0, _clock, _told);
        Assert.InRange(watch.Threshold!.Value, 1, GC.GetGCMemoryInfo().TotalAvailableMemoryBytes);
        Assert.False(watch.IsOver);
    }

    MemoryWatch Watch(long? threshold) => new(threshold, _clock, _told, () =>
    {
        _looked++;
        return _used;
    });

    sealed class Told : ILogger
    {
        public int Warnings { get; private set; }

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel level, EventId id, TState state, Exception? error, Func<TState, Exception?, string> text)
        {
            if (level == LogLevel.Warning) Warnings++;
        }
    }
}
