using System.Net;
using Carillon.SocketIO.Engine;
using Carillon.SocketIO.Sockets;
using Microsoft.AspNetCore.Builder;

// The server that benchmarks drive: `join` room, `pub` room payload, `echo` payload.
//   dotnet run -c Release --project bench/Carillon.BenchServer -- --port 9000 [--queue-bytes N] [--overflow POLICY] [--limits [--first-ban SECONDS]]
// --queue-bytes: what may wait for a client that does not read.  --overflow: what happens beyond it: queue, drop, keep-latest or disconnect.
// --limits: keeps the limits for each address and connection, which a generator on one machine would run into at once.
// Read once, before the first socket: completions run on the thread that polls for them.
Environment.SetEnvironmentVariable("DOTNET_SYSTEM_NET_SOCKETS_INLINE_COMPLETIONS", "1");
var port = int.Parse(Value("--port") ?? "9000");
var builder = WebApplication.CreateSlimBuilder();
builder.Logging.ClearProviders();
builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, port));
builder.WebHost.UseSockets(sockets =>
{
    sockets.Backlog = 4096;
    sockets.UnsafePreferInlineScheduling = true;
});
builder.WebHost.UseSocketIO();
builder.Services.AddSocketIO(options =>
{
    options.Engine.AllowedOrigins.Add("*");   // load generators say where they come from
    if (Value("--queue-bytes") is { } bytes) options.Engine.MaxQueuedBytes = int.Parse(bytes);
    if (args.Contains("--limits"))
    {
        if (Value("--first-ban") is { } seconds) options.Engine.Limits.FirstBan = TimeSpan.FromSeconds(double.Parse(seconds));
        return;
    }
    // One machine plays all the clients, and one client sends what thousands would.
    options.Engine.Limits.LimitAddresses = false;
    options.Engine.Limits.PerConnection.EventsPerSecond = 0;
    options.Engine.Limits.PerConnection.BytesPerSecond = 0;
});
await using var app = builder.Build();
var root = app.Services.GetRequiredService<SocketServer>().Root;
root.On("join", e =>
{
    if (e.Arguments[0].AsString() is { } room) e.Socket.Join(room);
    e.Ack();
});
if (Value("--overflow") is { } overflow)
{
    var policy = new SendPolicy { Overflow = Enum.Parse<Overflow>(overflow.Replace("-", ""), ignoreCase: true), Stream = "msg" };
    root.On("pub", e => root.To(e.Arguments[0].AsString() ?? "").With(policy).Emit("msg", e.Arguments[1]));
}
else root.On("pub", e => root.To(e.Arguments[0].AsString() ?? "").Emit("msg", e.Arguments[1]));
root.On("echo", e => e.Ack(e.Arguments[0]));
app.MapSocketIO();
await app.StartAsync();
Console.WriteLine("ready");
await app.WaitForShutdownAsync();

string? Value(string name) => Array.IndexOf(args, name) is >= 0 and var at ? args[at + 1] : null;
