using Carillon.SocketIO.Diagnostics;
using Microsoft.Extensions.Logging;

namespace Carillon.SocketIO.Limits;

/// <summary>
/// Whether the process holds more memory than it should. It looks when it is asked, four times a second at most, and has no timer. Once
/// over the threshold, it stays so
/// until a tenth of it is free again: a server at the brink must not change its mind with every connection.
/// </summary>
sealed partial class MemoryWatch
{
    static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(250);
    static readonly TimeSpan CollectEvery = TimeSpan.FromSeconds(10);

    readonly long? _threshold;
    readonly Func<long> _used;
    readonly TimeProvider _clock;
    readonly ILogger _logger;
    long _lookedAt;
    long _collectedAt;
    volatile bool _over;

    public MemoryWatch(long? threshold, TimeProvider clock, ILogger logger, Func<long>? used = null)
    {
        // Four fifths: what the runtime needs to collect garbage must fit beside what is held.
        _threshold = threshold is 0 ? GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 5 * 4 : threshold;
        (_clock, _logger, _used) = (clock, logger, used ?? (() => GC.GetTotalMemory(forceFullCollection: false)));
        _lookedAt = clock.GetTimestamp() - clock.TimestampFrequency;
    }

    public long? Threshold => _threshold;

    /// <summary>Whether new connections are refused and what matters least is dropped.</summary>
    public bool IsOver
    {
        get
        {
            if (_threshold is not { } threshold) return false;
            var last = Volatile.Read(ref _lookedAt);
            var now = _clock.GetTimestamp();
            // The first caller measures; the others use the last result.
            if (_clock.GetElapsedTime(last, now) >= LookEvery
                && Interlocked.CompareExchange(ref _lookedAt, now, last) == last) Look(threshold, now);
            return _over;
        }
    }

    /// <summary>Whether it is over, given whether it was.</summary>
    internal static bool Decide(bool wasOver, long used, long threshold) => used > threshold || (wasOver && used > threshold / 10 * 9);

    void Look(long threshold, long now)
    {
        var used = _used();
        var was = _over;
        _over = Decide(was, used, threshold);
        if (_over != was)
        {
            Meters.ShortOfMemory.Add(_over ? 1 : -1);
            if (_over) LogBegan(used / 1_000_000, threshold / 1_000_000);
            else LogEnded(used / 1_000_000);
        }
        // Part of it may be garbage. A server that takes nobody in allocates little, and might never get to know.
        if (_over && (!was || _clock.GetElapsedTime(_collectedAt, now) >= CollectEvery))
        {
            _collectedAt = now;
            GC.Collect(GC.MaxGeneration, GCCollectionMode.Optimized, blocking: false);
        }
    }

    [LoggerMessage(Level = LogLevel.Warning,
        Message = "Memory is short: {Used} MB are held, more than {Threshold} MB. New connections are refused until there is room")]
    partial void LogBegan(long used, long threshold);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Memory is sufficient again: {Used} MB are held. New connections are let in")]
    partial void LogEnded(long used);
}
