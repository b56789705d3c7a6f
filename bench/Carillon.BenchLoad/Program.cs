using System.Text.Encodings.Web;
using System.Text.Json;
using Carillon.BenchLoad;

// A load generator for real-time servers: one thread, a crowd of WebSocket clients, one JSON object. docs/benchmarks.md tells what its figures mean.
//   Carillon.BenchLoad fanout --url ws://127.0.0.1:9000 [--dialect eio4|signalr] [--connections N] [--rate N] [--payload N]
//       [--secs N] [--warm N] [--drain N] [--pid N] [--server-core N] [--wait]
if (!OperatingSystem.IsLinux())
{
    Console.Error.WriteLine("The load generator needs Linux: it uses epoll, and reads the server's CPU and memory from /proc.");
    return 2;
}
var scenarios = new Dictionary<string, Func<Run, object>>
{
    ["fanout"] = Fanout.Measure,
    ["chat"] = Chat.Measure,
    ["echo"] = Echo.Measure,
    ["idle"] = Idle.Measure,
    ["max"] = Maximum.Measure,
    ["stalled"] = Stalled.Measure,
    ["flood"] = Flood.Measure,
};
if (args.Length == 0 || !scenarios.TryGetValue(args[0], out var measure))
{
    Console.Error.WriteLine($"Say what to measure: {string.Join(", ", scenarios.Keys)}.");
    return 2;
}
try
{
    using var run = new Run(new Options(args[1..]));
    var result = measure(run);
    var json = new JsonSerializerOptions(JsonSerializerDefaults.Web) { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    Console.WriteLine(JsonSerializer.Serialize(new { Scenario = args[0], Payload = run.Size, Result = result }, json));
    return 0;
}
catch (LoadException ex)
{
    Console.Error.WriteLine(ex.Message);
    return 1;
}
