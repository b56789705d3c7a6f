using System.Collections.Concurrent;
using System.Diagnostics;
using Carillon.Hub;
using Carillon.Tests.Live;

namespace Carillon.Tests.Diagnostics;

public sealed class ProductTracesTests : IDisposable
{
    readonly ConcurrentQueue<Activity> _spans = [];
    readonly ActivityListener _listener;

    public ProductTracesTests()
    {
        _listener = new ActivityListener
        {
            ShouldListenTo = static source => source.Name is "Carillon" or "Microsoft.AspNetCore",
            Sample = static (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllDataAndRecorded,
            ActivityStopped = _spans.Enqueue,
        };
        ActivitySource.AddActivityListener(_listener);
    }

    public void Dispose() => _listener.Dispose();

    [Fact]
    public async Task A_trace_follows_a_publication_from_the_call_to_its_delivery()
    {
        await using var app = await TestApp.StartKnowingAsync(
            ["alice"], options => options.Areas.Add(new Area("traced:{id}", "stock") { Subscribe = Grant.Everyone }));
        using var phone = await app.ConnectAsAsync("alice");
        using var laptop = await app.ConnectAsAsync("alice");
        await phone.AskAsync("subscribe", "traced:1");
        await laptop.AskAsync("subscribe", "traced:1");

        var trace = await CallTracedAsync(app, "/api/publish", new { channel = "traced:1", data = 1 });

        var call = await SpanAsync(trace, "Microsoft.AspNetCore");
        var (publish, deliver) = (await SpanAsync(trace, "publish"), await SpanAsync(trace, "deliver"));
        Assert.Equal((call.SpanId, publish.SpanId), (publish.ParentSpanId, deliver.ParentSpanId));
        Assert.Equal(("traced:{id}", "traced:{id}"), (AreaOf(publish), AreaOf(deliver)));
        Assert.Equal(2, deliver.GetTagItem("carillon.subscribers"));
        Assert.True(publish.StartTimeUtc <= deliver.StartTimeUtc);
        Assert.True(deliver.StartTimeUtc + deliver.Duration <= publish.StartTimeUtc + publish.Duration);
    }

    [Fact]
    public async Task The_trace_of_a_call_goes_on_behind_its_commit()
    {
        await using var app = await TestApp.StartKnowingAsync([]);
        var trace = await CallTracedAsync(app, "/api/resources/7/updates", new { operation = "update", data = new { } });

        var (call, publish) = (await SpanAsync(trace, "Microsoft.AspNetCore"), await SpanAsync(trace, "publish"));
        var announce = await SpanAsync(trace, "announce");
        Assert.Equal((call.SpanId, announce.SpanId), (announce.ParentSpanId, publish.ParentSpanId));
        Assert.Equal("resource:updates:{resourceId}", AreaOf(publish));
    }

    [Fact]
    public async Task The_trace_of_a_change_begins_with_its_commit()
    {
        await using var app = await TestApp.StartAsync(options =>
        {
            options.AllowAnonymous = true;
            options.Changes.Tables = ["followed"];
            options.Areas.Changes.Subscribe = Grant.Everyone;
        });
        await WriteAsync("CREATE TABLE followed (id INTEGER PRIMARY KEY)");
        using var client = await app.ConnectAsync();
        await client.AskAsync("subscribe", "changes:followed");
        await WriteAsync("INSERT INTO followed DEFAULT VALUES");
        var change = await client.UntilAsync("change");
        Assert.Equal("followed", change.GetProperty("table").GetString());

        // Other tests of this process publish changes as well: one of the traces is ours, and they are all of one form.
        Activity? deliver = null;
        await Wait.UntilAsync(() =>
            (deliver = _spans.FirstOrDefault(span => span.OperationName == "deliver" && AreaOf(span) == "changes:{table}")) is not null);
        var publish = await SpanAsync(deliver!.TraceId, "publish");
        Assert.Equal((default, publish.SpanId), (publish.ParentSpanId, deliver.ParentSpanId));
        Assert.True(publish.StartTimeUtc <= deliver.StartTimeUtc);

        async Task WriteAsync(string sql)
        {
            await using var tx = await app.Database.BeginAsync(null, CancellationToken.None);
            await tx.ExecuteAsync(sql);
            await tx.CommitAsync(CancellationToken.None);
        }
    }

    static async Task<ActivityTraceId> CallTracedAsync(TestApp app, string path, object body)
    {
        var trace = ActivityTraceId.CreateRandom();
        await app.CallAsync("POST", path, body, headers: ("traceparent", $"00-{trace}-{ActivitySpanId.CreateRandom()}-01"));
        return trace;
    }

    static string? AreaOf(Activity span) => (string?)span.GetTagItem("carillon.area");

    /// <summary>The span of a trace by its name, or by that of its source.</summary>
    async Task<Activity> SpanAsync(ActivityTraceId trace, string name)
    {
        Activity? found = null;
        await Wait.UntilAsync(() =>
        {
            found = _spans.FirstOrDefault(span => span.TraceId == trace && (span.OperationName == name || span.Source.Name == name));
            return found is not null;
        });
        return found!;
    }
}
