namespace Carillon.Server.Metrics;

/// <summary>One line of measurements, or the buckets of one histogram. Many threads measure at once.</summary>
sealed class Series(int buckets)
{
    readonly long[] _counts = new long[buckets];
    double _value;

    /// <summary>The value; of a histogram, the sum.</summary>
    public double Value => Volatile.Read(ref _value);

    /// <summary>Whether it has a value at all.</summary>
    public bool IsTold { get; set; }

    public long CountIn(int bucket) => Volatile.Read(ref _counts[bucket]);

    public void Set(double value)
    {
        Volatile.Write(ref _value, value);
        IsTold = true;
    }

    public void Add(double value)
    {
        var seen = Volatile.Read(ref _value);
        while (true)
        {
            var before = Interlocked.CompareExchange(ref _value, seen + value, seen);
            if (before.Equals(seen)) break;
            seen = before;
        }
        IsTold = true;
    }

    public void Record(double value, double[] bounds)
    {
        var bucket = 0;
        while (bucket < bounds.Length && !(value <= bounds[bucket])) bucket++;
        Interlocked.Increment(ref _counts[bucket]);
        Add(value);
    }
}
