using System.Collections.Concurrent;
using System.Net;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Carillon.Server.Tests;

/// <summary>
/// An OTLP endpoint (HTTP with protobuf) on a free port: it collects the names of the metrics and spans that arrive, and of the services.
/// </summary>
sealed class Collector : IAsyncDisposable
{
    readonly WebApplication _app;

    Collector(WebApplication app) => _app = app;

    public ConcurrentQueue<string> Metrics { get; } = [];

    public ConcurrentQueue<Span> Spans { get; } = [];

    public ConcurrentQueue<string> Services { get; } = [];

    public ConcurrentQueue<string> Paths { get; } = [];

    public string Url => _app.Urls.First();

    public sealed record Span(string Name, string TraceId, string Id, string ParentId);

    public static async Task<Collector> StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0));
        var app = builder.Build();
        var collector = new Collector(app);
        app.Run(collector.ReceiveAsync);
        await app.StartAsync();
        return collector;
    }

    /// <summary>Waits until what has arrived satisfies a condition.</summary>
    public async Task UntilAsync(Func<bool> holds)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        while (!holds())
        {
            Assert.False(patience.IsCancellationRequested,
                $"Metrics: {string.Join(", ", Metrics.Distinct())}. Spans: {string.Join(", ", Spans.Select(span => span.Name))}.");
            await Task.Delay(20);
        }
    }

    public async ValueTask DisposeAsync() => await _app.DisposeAsync();

    // The numbers are those of the fields in opentelemetry/proto: metrics and traces share the outer three levels.
    async Task ReceiveAsync(HttpContext http)
    {
        var body = new MemoryStream();
        await http.Request.Body.CopyToAsync(body, http.RequestAborted);
        Paths.Enqueue(http.Request.Path);
        foreach (var resourceSignals in Fields(body.ToArray(), 1))
        {
            foreach (var attribute in Fields(resourceSignals, 1).SelectMany(resource => Fields(resource, 1)))
                if (Text(attribute, 1) == "service.name") Services.Enqueue(Text(Fields(attribute, 2).Single(), 1));
            foreach (var signal in Fields(resourceSignals, 2).SelectMany(scope => Fields(scope, 2)))
                if (http.Request.Path == "/v1/metrics") Metrics.Enqueue(Text(signal, 1));
                else Spans.Enqueue(new Span(Text(signal, 5), Hex(signal, 1), Hex(signal, 2), Hex(signal, 4)));
        }
        http.Response.ContentType = "application/x-protobuf";
    }

    static string Text(byte[] message, int number) => Encoding.UTF8.GetString(Fields(message, number).Single());

    static string Hex(byte[] message, int number) => Convert.ToHexStringLower(Fields(message, number).SingleOrDefault() ?? []);

    /// <summary>The values of a field with a length, as protobuf encodes them.</summary>
    static List<byte[]> Fields(byte[] message, int number)
    {
        List<byte[]> found = [];
        for (var at = 0; at < message.Length;)
        {
            var key = Varint();
            var length = (key & 7) switch
            {
                0 => 0 * (int)Varint(),
                1 => 8,
                2 => (int)Varint(),
                5 => 4,
                var type => throw new InvalidDataException($"Wire type {type}."),
            };
            if (key >> 3 == (ulong)number && (key & 7) == 2) found.Add(message[at..(at + length)]);
            at += length;

            ulong Varint()
            {
                ulong value = 0;
                for (var shift = 0; ; shift += 7)
                {
                    var next = message[at++];
                    value |= (ulong)(next & 0x7f) << shift;
                    if (next < 0x80) return value;
                }
            }
        }
        return found;
    }
}
