using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Text;

namespace Carillon.Server.Metrics;

/// <summary>
/// Listens to the meters of Carillon, the runtime and Kestrel, and tells what they measured in the text format of Prometheus. Measuring must not be felt: no allocation and no lock for
/// a series that is known.
/// </summary>
sealed class PrometheusMeter : IDisposable
{
    // Of the many that the runtime and Kestrel have, those that an operator looks at.
    static readonly HashSet<string> Others =
    [
        "dotnet.process.memory.working_set", "dotnet.process.cpu.time", "dotnet.process.cpu.count", "dotnet.gc.collections", "dotnet.gc.pause.time", "dotnet.gc.heap.total_allocated",
        "dotnet.gc.last_collection.memory.committed_size", "dotnet.gc.last_collection.heap.size", "dotnet.thread_pool.thread.count", "dotnet.thread_pool.queue.length",
        "dotnet.monitor.lock_contentions", "dotnet.exceptions",
        "kestrel.active_connections", "kestrel.queued_connections", "kestrel.rejected_connections", "kestrel.active_tls_handshakes", "kestrel.tls_handshake.duration",
        "http.server.request.duration", "http.server.active_requests",
    ];

    readonly ConcurrentDictionary<string, Family> _families = new(StringComparer.Ordinal);
    readonly MeterListener _listener = new();
    readonly Lock _reading = new();

    public PrometheusMeter()
    {
        _listener.InstrumentPublished = Listen;
        _listener.SetMeasurementEventCallback<byte>((_, value, tags, family) => ((Family)family!).Measure(value, tags));
        _listener.SetMeasurementEventCallback<short>((_, value, tags, family) => ((Family)family!).Measure(value, tags));
        _listener.SetMeasurementEventCallback<int>((_, value, tags, family) => ((Family)family!).Measure(value, tags));
        _listener.SetMeasurementEventCallback<long>((_, value, tags, family) => ((Family)family!).Measure(value, tags));
        _listener.SetMeasurementEventCallback<float>((_, value, tags, family) => ((Family)family!).Measure(value, tags));
        _listener.SetMeasurementEventCallback<double>((_, value, tags, family) => ((Family)family!).Measure(value, tags));
        _listener.SetMeasurementEventCallback<decimal>((_, value, tags, family) => ((Family)family!).Measure((double)value, tags));
        _listener.Start();
    }

    public static void Map(WebApplication app) => app.MapGet("/metrics", (PrometheusMeter meter) => TypedResults.Text(meter.Read(), "text/plain; version=0.0.4", Encoding.UTF8))
        .ExcludeFromDescription();

    /// <summary>All that was measured, in the text format 0.0.4.</summary>
    public string Read()
    {
        lock (_reading)
        {
            // Those that are asked say all they have each time; what they do not say any more is gone.
            foreach (var family in _families.Values) family.BeginAsking();
            _listener.RecordObservableInstruments();
            var text = new StringBuilder();
            foreach (var (_, family) in _families.OrderBy(entry => entry.Key, StringComparer.Ordinal)) family.Write(text);
            return text.ToString();
        }
    }

    void Listen(Instrument instrument, MeterListener listener)
    {
        if (instrument.Meter.Name != "Carillon" && !Others.Contains(instrument.Name)) return;
        var (name, kind) = (PrometheusName.Of(instrument), Family.KindOf(instrument));
        // A name has one kind: what comes second with another one is left out.
        var family = _families.GetOrAdd(name, static (name, instrument) => new Family(name, instrument), instrument);
        if (family.Kind == kind) listener.EnableMeasurementEvents(instrument, family);
    }

    public void Dispose() => _listener.Dispose();
}
