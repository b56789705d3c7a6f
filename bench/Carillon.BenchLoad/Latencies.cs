using System.Numerics;

namespace Carillon.BenchLoad;

/// <summary>How long things took, in nanoseconds, each within one part in 128. Recording allocates nothing.</summary>
sealed class Latencies
{
    const int Fine = 7;                                    // 128 steps to each doubling
    readonly long[] _counts = new long[(64 - Fine) << Fine];
    long _total, _highest;

    public void Record(long nanoseconds)
    {
        var value = Math.Max(0, nanoseconds);
        _counts[BucketOf(value)]++;
        _total++;
        if (value > _highest) _highest = value;
    }

    public void Clear()
    {
        Array.Clear(_counts);
        _total = _highest = 0;
    }

    public Percentiles Summary() => new(Milliseconds(0.5), Milliseconds(0.9), Milliseconds(0.99), Math.Round(_highest / 1e6, 3));

    public double Milliseconds(double share)
    {
        var wanted = (long)Math.Ceiling(share * _total);
        for (var (i, seen) = (0, 0L); i < _counts.Length && wanted > 0; i++)
        {
            seen += _counts[i];
            if (seen >= wanted) return Math.Round(Math.Min(TopOf(i), _highest) / 1e6, 3);
        }
        return 0;
    }

    static int BucketOf(long value)
    {
        var shift = Math.Max(0, 63 - Fine - BitOperations.LeadingZeroCount((ulong)value | 1));
        return (shift << Fine) + (int)(value >> shift);
    }

    // Values below 256 have a bucket of their own; each later row of 128 covers the upper half of a doubling.
    static long TopOf(int bucket)
    {
        var shift = Math.Max(0, (bucket >> Fine) - 1);
        return ((bucket - ((long)shift << Fine) + 1L) << shift) - 1;
    }
}

/// <summary>In milliseconds.</summary>
sealed record Percentiles(double P50, double P90, double P99, double Max);
