using System.Collections.Concurrent;
using System.Diagnostics.Metrics;

namespace Carillon.Tests.Diagnostics;

/// <summary>Listens to the meter <c>Carillon</c>: sums of counters, counts of histograms, and the last values of gauges.</summary>
sealed class Measurements : IDisposable
{
    readonly MeterListener _listener = new();
    readonly ConcurrentDictionary<string, double> _values = new();

    public Measurements()
    {
        _listener.InstrumentPublished = static (instrument, listener) =>
        {
            if (instrument.Meter.Name == "Carillon") listener.EnableMeasurementEvents(instrument);
        };
        _listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) => Add(instrument, value, tags));
        _listener.SetMeasurementEventCallback<double>((instrument, _, tags, _) => Add(instrument, 1, tags));
        _listener.Start();
    }

    public void Dispose() => _listener.Dispose();

    public double this[string instrument, params ReadOnlySpan<KeyValuePair<string, object?>> tags] =>
        _values.GetValueOrDefault(KeyOf(instrument, tags));

    public IEnumerable<string> Series => _values.Keys;

    public void Observe() => _listener.RecordObservableInstruments();

    public static KeyValuePair<string, object?> Area(string pattern) => new("area", pattern);

    void Add(Instrument instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        var replaces = instrument is { IsObservable: true } or Gauge<long>;
        _values.AddOrUpdate(KeyOf(instrument.Name, tags), value, (_, before) => replaces ? value : before + value);
    }

    static string KeyOf(string instrument, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        List<string> parts = [instrument];
        foreach (var (name, value) in tags) parts.Add($"{name}={value}");
        return string.Join(' ', parts);
    }
}
