using System.Diagnostics.Metrics;
using Carillon.Server.Configuration;
using Microsoft.AspNetCore.Routing;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace Carillon.Server;

/// <summary>Metrics and traces: <c>GET /metrics</c> for Prometheus, and OTLP where an endpoint is configured.</summary>
static class Telemetry
{
    // The runtime, ASP.NET Core and Kestrel publish many instruments. An operator reads these.
    static readonly HashSet<string> Others =
    [
        "dotnet.process.memory.working_set", "dotnet.process.cpu.time", "dotnet.process.cpu.count",
        "dotnet.gc.collections", "dotnet.gc.pause.time", "dotnet.gc.heap.total_allocated",
        "dotnet.gc.last_collection.memory.committed_size", "dotnet.gc.last_collection.heap.size",
        "dotnet.monitor.lock_contentions", "dotnet.exceptions",
        "kestrel.active_connections", "kestrel.queued_connections", "kestrel.rejected_connections",
        "kestrel.active_tls_handshakes", "kestrel.tls_handshake.duration",
        "http.server.request.duration", "http.server.active_requests",
    ];

    static readonly Meter ThreadPoolMeter = CreateThreadPoolMeter();

    static readonly string[] Meters =
        ["Carillon", ThreadPoolMeter.Name, "System.Runtime", "Microsoft.AspNetCore.Hosting", "Microsoft.AspNetCore.Server.Kestrel"];

    public static void Add(IServiceCollection services, Settings settings)
    {
        var telemetry = services.AddOpenTelemetry()
            .ConfigureResource(resource => resource
                .AddService("carillon", serviceVersion: Description.Version)
                .AddEnvironmentVariableDetector())      // last, so that OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win
            .WithMetrics(metrics => metrics
                .AddMeter(Meters)
                .AddView(instrument => IsExported(instrument) ? null : MetricStreamConfiguration.Drop)
                .AddPrometheusExporter(prometheus =>
                {
                    prometheus.ScopeInfoEnabled = false;
                    prometheus.TargetInfoEnabled = false;
                    prometheus.ScrapeResponseCacheDurationMilliseconds = 0;     // a scrape reads the present
                }));
        if (!settings.HasOtlpEndpoint) return;
        telemetry.WithMetrics(metrics => metrics.AddOtlpExporter())
            .WithTracing(traces => traces
                .AddSource("Carillon")
                // A long poll or a WebSocket lasts as long as its client stays, and says nothing about a call.
                .AddAspNetCoreInstrumentation(http => http.Filter = static context => context.Request.Path.StartsWithSegments("/api"))
                .AddOtlpExporter());
    }

    public static void Map(WebApplication app)
    {
        if (app.Configuration.GetValue<bool>("OTEL_SDK_DISABLED")) return;
        app.MapPrometheusScrapingEndpoint("/metrics")
            .WithMetadata(new HttpMethodMetadata([HttpMethods.Get]), new ExcludeFromDescriptionAttribute());
    }

    static bool IsExported(Instrument instrument) =>
        instrument.Meter.Name == "Carillon" || instrument.Meter == ThreadPoolMeter || Others.Contains(instrument.Name);

    // The runtime declares these two as counters, although they fall as well as rise.
    static Meter CreateThreadPoolMeter()
    {
        var meter = new Meter("Carillon.Server");
        meter.CreateObservableGauge(
            "dotnet.thread_pool.thread.count", static () => ThreadPool.ThreadCount, "{thread}", "Threads of the pool");
        meter.CreateObservableGauge(
            "dotnet.thread_pool.queue.length", static () => ThreadPool.PendingWorkItemCount, "{work_item}", "Work items that wait");
        return meter;
    }
}
