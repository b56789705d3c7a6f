using System.Diagnostics.Metrics;
using Carillon.Server.Metrics;

namespace Carillon.Server.Tests;

public sealed class MetricsTests : IDisposable
{
    readonly Meter _meter = new("Carillon");
    readonly PrometheusMeter _prometheus = new();

    public void Dispose()
    {
        _prometheus.Dispose();
        _meter.Dispose();
    }

    [Fact]
    public async Task A_server_tells_what_it_does()
    {
        using var terminal = new Terminal();
        await using var server = await RunningServer.StartAsync(terminal);
        await server.Http.GetAsync("/socket.io/?EIO=4&transport=polling");
        await server.Http.GetAsync("/health/live");
        using var answer = await server.Http.GetAsync("/metrics");
        Assert.Equal("text/plain; version=0.0.4; charset=utf-8", answer.Content.Headers.ContentType!.ToString());

        var told = Exposition.Parse(await answer.Content.ReadAsStringAsync());
        Assert.Equal("gauge", told.Types["carillon_connections"]);
        Assert.True(told["carillon_connections", ("transport", "polling")] >= 1);
        Assert.True(told["carillon_handshakes_total", ("transport", "polling")] >= 1);
        Assert.Equal("histogram", told.Types["http_server_request_duration_seconds"]);
        Assert.True(told["http_server_request_duration_seconds_count", ("http_route", "/health/live")] >= 1);
        Assert.True(told["dotnet_process_memory_working_set_bytes"] > 1e6);
        Assert.Equal("gauge", told.Types["dotnet_thread_pool_thread_count"]);
        Assert.Contains("kestrel_active_connections", told.Types.Keys);
    }

    [Fact]
    public void Counters_gauges_and_histograms_are_told_with_their_units()
    {
        var (sent, waiting) = (_meter.CreateCounter<long>("test.bytes.sent", "By", "What was sent"), _meter.CreateUpDownCounter<int>("test.waiting", "{client}"));
        var (level, took) = (_meter.CreateGauge<double>("test.level", "ms"), _meter.CreateHistogram<double>("test.took", "s"));
        sent.Add(5);
        sent.Add(7);
        waiting.Add(3);
        waiting.Add(-1);
        level.Record(4);
        level.Record(2.5);
        foreach (var seconds in new[] { 0.0004, 0.001, 0.002, 3, 100 }) took.Record(seconds);

        var told = Exposition.Parse(_prometheus.Read());
        Assert.Equal((12, 2, 2.5), (told["test_bytes_sent_total"], told["test_waiting"], told["test_level_milliseconds"]));
        Assert.Equal(("counter", "gauge", "gauge", "histogram"), (told.Types["test_bytes_sent_total"], told.Types["test_waiting"], told.Types["test_level_milliseconds"], told.Types["test_took_seconds"]));
        double Bucket(string le) => told["test_took_seconds_bucket", ("le", le)];
        Assert.Equal((2, 3, 3, 4, 4, 5), (Bucket("0.001"), Bucket("0.0025"), Bucket("2.5"), Bucket("5"), Bucket("10"), Bucket("+Inf")));
        Assert.Equal((5, 103.0034), (told["test_took_seconds_count"], Math.Round(told["test_took_seconds_sum"], 6)));
    }

    [Fact]
    public void Labels_are_escaped_and_the_same_ones_in_another_order_are_the_same_series()
    {
        var counter = _meter.CreateCounter<int>("test.odd", null, "A help with \\ and\nanother line");
        counter.Add(1, new("a.b", "x\"y\\z\nw"), new("c", 7));
        counter.Add(2, new("c", 7), new("a.b", "x\"y\\z\nw"));
        counter.Add(4, new("c", null), new("a.b", true));

        var told = Exposition.Parse(_prometheus.Read());
        Assert.Equal(3, told["test_odd_total", ("a_b", "x\"y\\z\nw"), ("c", "7")]);
        Assert.Equal(4, told["test_odd_total", ("a_b", "True"), ("c", "")]);
    }

    [Fact]
    public void A_label_without_bounds_does_not_fill_the_memory()
    {
        var counter = _meter.CreateCounter<int>("test.users");
        for (var i = 0; i < 2000; i++) counter.Add(1, new KeyValuePair<string, object?>("user", i));
        Assert.Equal(Family.MostSeries, Exposition.Parse(_prometheus.Read()).Samples.Count(sample => sample.Name == "test_users_total"));
    }

    [Fact]
    public void What_is_asked_for_is_told_anew_each_time()
    {
        List<Measurement<long>> now = [new(1, new KeyValuePair<string, object?>("queue", "a")), new(2, new KeyValuePair<string, object?>("queue", "b"))];
        _meter.CreateObservableGauge("test.queue", () => now);
        Assert.Equal(2, Exposition.Parse(_prometheus.Read())["test_queue", ("queue", "b")]);

        now = [new(3, new KeyValuePair<string, object?>("queue", "a"))];
        var told = Exposition.Parse(_prometheus.Read());
        Assert.Equal(3, Assert.Single(told.Samples, sample => sample.Name == "test_queue").Value);
    }

    [Fact]
    public void A_name_has_one_kind()
    {
        _meter.CreateCounter<int>("test.twice").Add(1);
        _meter.CreateCounter<int>("test.twice.total").Add(2);
        _meter.CreateHistogram<int>("test.twice_total").Record(3);
        Assert.Equal(3, Exposition.Parse(_prometheus.Read())["test_twice_total"]);
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
        var told = Exposition.Parse(_prometheus.Read());
        Assert.Equal((20_000, 20_000), (told["test_busy_total", ("who", "0")], told["test_busy_total", ("who", "1")]));
        Assert.Equal((40_000, 20_000), (told["test_busy_time_seconds_count"], told["test_busy_time_seconds_sum"]));
    }

    [Theory]
    [InlineData("carillon.events.sent", "{event}", true, "carillon_events_sent_total")]
    [InlineData("carillon.bytes.sent", "By", true, "carillon_bytes_sent_total")]
    [InlineData("carillon.fanout.duration", "s", false, "carillon_fanout_duration_seconds")]
    [InlineData("carillon.queue.deepest", "By", false, "carillon_queue_deepest_bytes")]
    [InlineData("7.odd-name/x", "1", false, "_7_odd_name_x")]
    public void Names_have_underscores_and_units(string name, string unit, bool isCounter, string told) => Assert.Equal(told, PrometheusName.Of(name, unit, isCounter));
}
