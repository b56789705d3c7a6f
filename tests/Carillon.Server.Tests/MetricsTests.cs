using System.Diagnostics.Metrics;
using System.Net;

namespace Carillon.Server.Tests;

/// <summary>
/// Meters belong to the process: ASP.NET Core makes its own for each host, and an exporter would see those of servers that other tests run beside it.
/// </summary>
[CollectionDefinition("Alone in the process", DisableParallelization = true)]
public sealed class AloneInTheProcess;

[Collection("Alone in the process")]
public sealed class MetricsTests : IAsyncLifetime
{
    readonly Terminal _terminal = new();
    readonly Meter _meter = new("Carillon");
    RunningServer _server = null!;

    public async ValueTask InitializeAsync() => _server = await RunningServer.StartAsync(_terminal);

    public async ValueTask DisposeAsync()
    {
        await _server.DisposeAsync();
        _meter.Dispose();
        _terminal.Dispose();
    }

    [Fact]
    public async Task A_server_exports_its_own_metrics_and_those_of_the_runtime_and_of_HTTP()
    {
        await _server.Http.GetAsync("/socket.io/?EIO=4&transport=polling");
        await _server.Http.GetAsync("/health/live");
        using var answer = await _server.Http.GetAsync("/metrics");
        Assert.Equal(("text/plain", "utf-8"), (answer.Content.Headers.ContentType!.MediaType, answer.Content.Headers.ContentType.CharSet));
        Assert.Contains(answer.Content.Headers.ContentType.Parameters, parameter => parameter is { Name: "version", Value: "0.0.4" });

        var told = Exposition.Parse(await answer.Content.ReadAsStringAsync());
        Assert.Equal("gauge", told.Types["carillon_connections"]);
        Assert.True(told["carillon_connections", ("transport", "polling")] >= 1);
        Assert.True(told["carillon_handshakes_total", ("transport", "polling")] >= 1);
        Assert.True(told["carillon_bytes_sent_total"] > 0);
        Assert.Equal("histogram", told.Types["http_server_request_duration_seconds"]);
        Assert.True(told["http_server_request_duration_seconds_count", ("http_route", "/health/live")] >= 1);
        Assert.True(told["dotnet_process_memory_working_set_bytes"] > 1e6);
        Assert.Equal("gauge", told.Types["dotnet_thread_pool_thread_count"]);
        Assert.Equal("gauge", told.Types["dotnet_thread_pool_queue_length"]);
        Assert.Contains("kestrel_active_connections", told.Types.Keys);
        Assert.DoesNotContain(told.Types.Keys, name => name is "target_info" or "otel_scope_info");
        var labels = told.Samples.SelectMany(sample => sample.Labels.Keys);
        Assert.DoesNotContain(labels, label => label.StartsWith("otel_scope", StringComparison.Ordinal));
        Assert.DoesNotContain("dotnet_jit_compiled_methods_total", told.Types.Keys);      // one of many that nobody reads
    }

    [Fact]
    public async Task Metrics_are_read_with_GET_only()
    {
        using var answer = await _server.Http.PostAsync("/metrics", null);
        Assert.Equal(HttpStatusCode.MethodNotAllowed, answer.StatusCode);
    }

    [Fact]
    public async Task Counters_gauges_and_histograms_are_exported_with_their_units()
    {
        var sent = _meter.CreateCounter<long>("test.sent", "By", "Bytes sent");
        var waiting = _meter.CreateUpDownCounter<int>("test.waiting", "{client}");
        var level = _meter.CreateGauge<double>("test.level", "ms");
        InstrumentAdvice<double> buckets = new() { HistogramBucketBoundaries = [0.001, 0.0025, 2.5, 5, 10] };
        var took = _meter.CreateHistogram("test.took", "s", "Time taken", null, buckets);
        sent.Add(5);
        sent.Add(7);
        waiting.Add(3);
        waiting.Add(-1);
        level.Record(4);
        level.Record(2.5);
        foreach (var seconds in new[] { 0.0004, 0.001, 0.002, 3, 100 }) took.Record(seconds);

        var told = await ScrapeAsync();
        Assert.Equal((12, 2, 2.5), (told["test_sent_bytes_total"], told["test_waiting"], told["test_level_milliseconds"]));
        Assert.Equal(("counter", "gauge"), (told.Types["test_sent_bytes_total"], told.Types["test_waiting"]));
        Assert.Equal(("gauge", "histogram"), (told.Types["test_level_milliseconds"], told.Types["test_took_seconds"]));
        double Bucket(string le) => told["test_took_seconds_bucket", ("le", le)];
        Assert.Equal((2, 3, 3, 4, 4, 5), (Bucket("0.001"), Bucket("0.0025"), Bucket("2.5"), Bucket("5"), Bucket("10"), Bucket("+Inf")));
        Assert.Equal((5, 103.0034), (told["test_took_seconds_count"], Math.Round(told["test_took_seconds_sum"], 6)));
    }

    [Fact]
    public async Task Servers_of_one_process_export_each_series_once()
    {
        using var terminal = new Terminal();
        await ScrapeAsync();
        await using (await RunningServer.StartAsync(terminal)) await ScrapeAsync();
        await using (await RunningServer.StartAsync(terminal))
            Assert.True((await ScrapeAsync())["carillon_storage_free_bytes"] > 0);     // Parse refuses a series that comes twice
    }

    [Fact]
    public void Every_histogram_of_Carillon_names_its_buckets()
    {
        List<string> without = [];
        using MeterListener listener = new();
        listener.InstrumentPublished = (instrument, _) =>
        {
            if (instrument is not Histogram<double> { Meter.Name: "Carillon", Advice: null }) return;
            if (!instrument.Name.StartsWith("test.", StringComparison.Ordinal)) without.Add(instrument.Name);
        };
        listener.Start();
        Assert.Empty(without);
    }

    [Fact]
    public async Task Labels_are_escaped_and_the_same_ones_in_another_order_are_the_same_series()
    {
        var counter = _meter.CreateCounter<int>("test.odd", null, "A help with \\ and\nanother line");
        counter.Add(1, new("a.b", "x\"y\\z\nw"), new("c", 7));
        counter.Add(2, new("c", 7), new("a.b", "x\"y\\z\nw"));
        counter.Add(4, new("c", null), new("a.b", true));

        var told = await ScrapeAsync();
        Assert.Equal(3, told["test_odd_total", ("a_b", "x\"y\\z\nw"), ("c", "7")]);
        Assert.Equal(4, told["test_odd_total", ("a_b", "true")]);
    }

    [Fact]
    public async Task A_label_without_bounds_does_not_fill_the_memory()
    {
        var counter = _meter.CreateCounter<int>("test.users");
        for (var i = 0; i < 3000; i++) counter.Add(1, new KeyValuePair<string, object?>("user", i));

        var told = await ScrapeAsync();
        var series = told.Samples.Where(sample => sample.Name == "test_users_total").ToList();
        Assert.InRange(series.Count, 1000, 2001);
        Assert.Equal(3000, series.Sum(sample => sample.Value));
        Assert.Equal(3000 - (series.Count - 1), told["test_users_total", ("otel_metric_overflow", "true")]);
    }

    [Fact]
    public async Task An_observable_instrument_is_read_anew_at_each_scrape()
    {
        KeyValuePair<string, object?> first = new("queue", "a"), second = new("queue", "b");
        List<Measurement<long>> now = [new(1, first), new(2, second)];
        _meter.CreateObservableGauge("test.queue", () => now);
        Assert.Equal(2, (await ScrapeAsync())["test_queue", ("queue", "b")]);

        now = [new(3, first)];
        var told = await ScrapeAsync();
        Assert.Equal(3, Assert.Single(told.Samples, sample => sample.Name == "test_queue").Value);
    }

    [Fact]
    public void Measuring_allocates_nothing_once_a_series_is_known()
    {
        var (counter, histogram) = (_meter.CreateCounter<long>("test.cheap"), _meter.CreateHistogram<double>("test.cheap.time", "s"));
        KeyValuePair<string, object?> transport = new("transport", "websocket");
        Measure();
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 1000; i++) Measure();
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);

        void Measure()
        {
            counter.Add(1, transport);
            histogram.Record(0.5);
        }
    }

    [Fact]
    public async Task Nothing_is_lost_when_many_measure_at_once()
    {
        var (counter, histogram) = (_meter.CreateCounter<int>("test.busy"), _meter.CreateHistogram<double>("test.busy.time", "s"));
        await Task.WhenAll(Enumerable.Range(0, 8).Select(i => Task.Run(() =>
        {
            for (var n = 0; n < 5000; n++)
            {
                counter.Add(1, new KeyValuePair<string, object?>("who", i % 2));
                histogram.Record(0.5);
            }
        })));
        var told = await ScrapeAsync();
        Assert.Equal((20_000, 20_000), (told["test_busy_total", ("who", "0")], told["test_busy_total", ("who", "1")]));
        Assert.Equal((40_000, 20_000), (told["test_busy_time_seconds_count"], told["test_busy_time_seconds_sum"]));
    }

    [Theory]
    [InlineData("named.events.sent", "{event}", true, "named_events_sent_total")]
    [InlineData("named.bytes.sent", "{byte}", true, "named_bytes_sent_total")]
    [InlineData("named.fanout.duration", "s", false, "named_fanout_duration_seconds")]
    [InlineData("named.send_queue.max", "By", false, "named_send_queue_max_bytes")]
    public async Task Names_have_underscores_and_units(string name, string unit, bool isCounter, string told)
    {
        if (isCounter) _meter.CreateCounter<int>(name, unit).Add(7);
        else _meter.CreateGauge<int>(name, unit).Record(7);
        Assert.Equal(7, (await ScrapeAsync())[told]);
    }

    async Task<Exposition> ScrapeAsync() => Exposition.Parse(await _server.Http.GetStringAsync("/metrics"));
}
