using System.Net;
using System.Net.Http.Json;
using Carillon.Server.Configuration;

namespace Carillon.Server.Tests;

[Collection("Alone in the process")]
public sealed class TelemetryTests : IDisposable
{
    readonly Terminal _terminal = new();

    public void Dispose() => _terminal.Dispose();

    [Fact]
    public async Task Metrics_and_traces_reach_the_OTLP_endpoint_that_is_configured()
    {
        await using var collector = await Collector.StartAsync();
        ExportTo(collector);
        await using var server = await RunningServer.StartAsync(_terminal);
        await server.Http.GetAsync("/socket.io/?EIO=4&transport=polling");
        await server.Http.GetAsync("/health/live");
        await server.Http.GetAsync("/api/bans");

        await collector.UntilAsync(() => collector.Metrics.Contains("carillon.handshakes"));
        await collector.UntilAsync(() => collector.Metrics.Contains("dotnet.thread_pool.thread.count"));
        await collector.UntilAsync(() => collector.Spans.Any(span => span.Name == "GET /api/bans"));
        Assert.All(collector.Services, name => Assert.Equal("shop", name));
        Assert.All(collector.Paths, path => Assert.True(path is "/v1/metrics" or "/v1/traces", path));
        string[] untraced = ["socket.io", "health", "metrics"];
        Assert.DoesNotContain(collector.Spans, span => untraced.Any(path => span.Name.Contains(path, StringComparison.Ordinal)));
    }

    [Fact]
    public async Task The_trace_of_a_publication_reaches_the_endpoint_as_a_whole()
    {
        await using var collector = await Collector.StartAsync();
        ExportTo(collector);
        _terminal["CARILLON__Access__ApiKeys__0"] = "key";
        await using var server = await RunningServer.StartAsync(_terminal);
        server.Http.DefaultRequestHeaders.Add("Authorization", "ApiKey key");
        using var answer = await server.Http.PostAsJsonAsync("/api/publish", new { channel = "orders:7", data = 1 });
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);

        await collector.UntilAsync(() => collector.Spans.Any(span => span.Name == "POST /api/publish"));
        var call = collector.Spans.First(span => span.Name == "POST /api/publish");
        await collector.UntilAsync(() => collector.Spans.Any(span => span.TraceId == call.TraceId && span.Name == "publish"));
        var publish = collector.Spans.First(span => span.TraceId == call.TraceId && span.Name == "publish");
        Assert.Equal(call.Id, publish.ParentId);
    }

    [Fact]
    public async Task Prometheus_scrapes_while_an_OTLP_endpoint_does_not_answer()
    {
        _terminal["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:1";
        await using var server = await RunningServer.StartAsync(_terminal);
        Assert.Contains("carillon_connections", await server.Http.GetStringAsync("/metrics"), StringComparison.Ordinal);
    }

    [Fact]
    public void No_endpoint_no_export()
    {
        Assert.False(Settings.Read(_terminal.Shell).HasOtlpEndpoint);
        _terminal["OTEL_EXPORTER_OTLP_ENDPOINT"] = "";
        Assert.False(Settings.Read(_terminal.Shell).HasOtlpEndpoint);
    }

    [Fact]
    public void The_file_may_name_the_endpoint_and_variables_win()
    {
        _terminal.Write("carillon.json", """{ "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317", "OTEL_SERVICE_NAME": "shop" }""");
        _terminal["OTEL_SERVICE_NAME"] = "tills";
        var settings = Settings.Read(_terminal.Shell);
        Assert.Empty(settings.Problems);
        Assert.True(settings.HasOtlpEndpoint);
        Assert.Equal("tills", settings.OfTheHost["OTEL_SERVICE_NAME"]);
    }

    [Theory]
    [InlineData("collector:4317")]
    [InlineData("ftp://collector")]
    public void An_endpoint_must_be_an_address(string endpoint)
    {
        _terminal["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint;
        var problem = $"OTEL_EXPORTER_OTLP_ENDPOINT must be an address such as http://collector:4317; it is \"{endpoint}\".";
        Assert.Equal([problem], Settings.Read(_terminal.Shell).Problems);
    }

    [Fact]
    public async Task A_server_whose_telemetry_is_switched_off_serves_without_metrics()
    {
        _terminal["OTEL_SDK_DISABLED"] = "true";
        await using var server = await RunningServer.StartAsync(_terminal);
        Assert.True((await server.Http.GetAsync("/health/live")).IsSuccessStatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await server.Http.GetAsync("/metrics")).StatusCode);
    }

    void ExportTo(Collector collector)
    {
        (_terminal["OTEL_EXPORTER_OTLP_ENDPOINT"], _terminal["OTEL_EXPORTER_OTLP_PROTOCOL"]) = (collector.Url, "http/protobuf");
        (_terminal["OTEL_METRIC_EXPORT_INTERVAL"], _terminal["OTEL_BSP_SCHEDULE_DELAY"]) = ("100", "100");
        _terminal["OTEL_SERVICE_NAME"] = "shop";
    }
}
