using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Globalization;
using System.Text;

namespace Carillon.Server.Metrics;

enum Kind { Counter, Gauge, Histogram }

/// <summary>All series of one name: a metric with its labels.</summary>
sealed class Family
{
    // A label whose values are not bounded, whoever brought it, must not fill the memory of everybody concerned.
    internal const int MostSeries = 500;

    static readonly double[] Seconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
    static readonly double[] Sizes = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000];

    readonly string _name;
    readonly string _help;
    readonly bool _isAsked;
    readonly bool _adds;
    readonly double[] _bounds;
    readonly ConcurrentDictionary<KeyValuePair<string, object?>[], Series> _byTags = new(TagsComparer.Instance);
    readonly ConcurrentDictionary<KeyValuePair<string, object?>[], Series>.AlternateLookup<ReadOnlySpan<KeyValuePair<string, object?>>> _lookup;
    readonly SortedDictionary<string, Series> _byLabels = new(StringComparer.Ordinal);

    public Family(string name, Instrument instrument)
    {
        (_name, Kind, _isAsked) = (name, KindOf(instrument), instrument.IsObservable);
        _help = string.IsNullOrEmpty(instrument.Description) ? instrument.Name : instrument.Description;
        _adds = !_isAsked && !IsGeneric(instrument, typeof(Gauge<>));
        _bounds = Kind != Kind.Histogram ? [] : instrument.Unit == "s" ? Seconds : Sizes;
        _lookup = _byTags.GetAlternateLookup<ReadOnlySpan<KeyValuePair<string, object?>>>();
    }

    public Kind Kind { get; }

    public static Kind KindOf(Instrument instrument) =>
        IsGeneric(instrument, typeof(Histogram<>)) ? Kind.Histogram :
        instrument.Name.StartsWith("dotnet.thread_pool.", StringComparison.Ordinal) ? Kind.Gauge :   // the runtime calls these counters, and they fall as well as rise
        IsGeneric(instrument, typeof(Counter<>)) || IsGeneric(instrument, typeof(ObservableCounter<>)) ? Kind.Counter :
        Kind.Gauge;

    public void Measure(double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        if (!_lookup.TryGetValue(tags, out var series) && (series = Begin(tags)) is null) return;
        if (Kind == Kind.Histogram) series.Record(value, _bounds);
        else if (_adds) series.Add(value);
        else series.Set(value);
    }

    /// <summary>Forgets what was told the last time, where all is told anew each time.</summary>
    public void BeginAsking()
    {
        if (!_isAsked) return;
        lock (_byLabels) foreach (var series in _byLabels.Values) series.IsTold = false;
    }

    public void Write(StringBuilder text)
    {
        lock (_byLabels)
        {
            var told = _byLabels.Where(entry => entry.Value.IsTold).ToList();
            if (told.Count == 0) return;
            text.Append("# HELP ").Append(_name).Append(' ').Append(_help.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal)).Append('\n');
            text.Append("# TYPE ").Append(_name).Append(' ').Append(Kind.ToString().ToLowerInvariant()).Append('\n');
            foreach (var (labels, series) in told)
                if (Kind == Kind.Histogram) WriteHistogram(text, labels, series);
                else Line(text, _name, labels, series.Value);
        }
    }

    void WriteHistogram(StringBuilder text, string labels, Series series)
    {
        var count = 0L;
        for (var i = 0; i <= _bounds.Length; i++)
        {
            count += series.CountIn(i);
            var bound = $"le=\"{(i < _bounds.Length ? Number(_bounds[i]) : "+Inf")}\"";
            Line(text, _name + "_bucket", labels.Length == 0 ? bound : $"{labels},{bound}", count);
        }
        Line(text, _name + "_sum", labels, series.Value);
        Line(text, _name + "_count", labels, count);
    }

    static void Line(StringBuilder text, string name, string labels, double value)
    {
        text.Append(name);
        if (labels.Length > 0) text.Append('{').Append(labels).Append('}');
        text.Append(' ').Append(Number(value)).Append('\n');
    }

    static string Number(double value) =>
        double.IsPositiveInfinity(value) ? "+Inf" : double.IsNegativeInfinity(value) ? "-Inf" : value.ToString("R", CultureInfo.InvariantCulture);

    Series? Begin(ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        lock (_byLabels)
        {
            if (_byTags.Count >= MostSeries) return null;
            // The same tags in another order are the same series.
            var labels = LabelsOf(tags);
            if (!_byLabels.TryGetValue(labels, out var series)) _byLabels[labels] = series = new Series(_bounds.Length + 1);
            _byTags[tags.ToArray()] = series;
            return series;
        }
    }

    static string LabelsOf(ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        SortedDictionary<string, string> labels = new(StringComparer.Ordinal);
        foreach (var (name, value) in tags) labels[PrometheusName.Clean(name)] = Convert.ToString(value, CultureInfo.InvariantCulture) ?? "";
        return string.Join(',', labels.Select(label => $"{label.Key}=\"{Escaped(label.Value)}\""));
    }

    static string Escaped(string value) =>
        value.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal);

    static bool IsGeneric(Instrument instrument, Type kind) => instrument.GetType() is { IsGenericType: true } type && type.GetGenericTypeDefinition() == kind;

    sealed class TagsComparer : IEqualityComparer<KeyValuePair<string, object?>[]>,
        IAlternateEqualityComparer<ReadOnlySpan<KeyValuePair<string, object?>>, KeyValuePair<string, object?>[]>
    {
        public static readonly TagsComparer Instance = new();

        public bool Equals(KeyValuePair<string, object?>[]? x, KeyValuePair<string, object?>[]? y) => x is null ? y is null : Equals(x.AsSpan(), y!);

        public int GetHashCode(KeyValuePair<string, object?>[] obj) => GetHashCode(obj.AsSpan());

        public bool Equals(ReadOnlySpan<KeyValuePair<string, object?>> alternate, KeyValuePair<string, object?>[] other)
        {
            if (other is null || alternate.Length != other.Length) return false;
            for (var i = 0; i < other.Length; i++)
                if (alternate[i].Key != other[i].Key || !Equals(alternate[i].Value, other[i].Value)) return false;
            return true;
        }

        public int GetHashCode(ReadOnlySpan<KeyValuePair<string, object?>> alternate)
        {
            HashCode hash = default;
            foreach (var (name, value) in alternate)
            {
                hash.Add(name);
                hash.Add(value);
            }
            return hash.ToHashCode();
        }

        public KeyValuePair<string, object?>[] Create(ReadOnlySpan<KeyValuePair<string, object?>> alternate) => alternate.ToArray();
    }
}
