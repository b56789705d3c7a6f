using System.Net;
using Carillon.SocketIO;

// The server that benchmarks drive: `join` room, `pub` room payload, `echo` payload.
//   dotnet run -c Release --project bench/Carillon.BenchServer -- --port 9000
// Read once, before the first socket: completions run on the thread that polls for them.
Environment.SetEnvironmentVariable("DOTNET_SYSTEM_NET_SOCKETS_INLINE_COMPLETIONS", "1");
var port = int.Parse(args[Array.IndexOf(args, "--port") + 1]);
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
    // One machine plays all the clients, and one client sends what thousands would.
    options.Engine.Fairness.LimitAddresses = false;
    options.Engine.Fairness.PerConnection.EventsPerSecond = 0;
    options.Engine.Fairness.PerConnection.BytesPerSecond = 0;
});
await using var app = builder.Build();
var root = app.Services.GetRequiredService<SocketServer>().Root;
root.On("join", e =>
{
    if (e.Arguments[0].AsString() is { } room) e.Socket.Join(room);
    e.Ack();
});
root.On("pub", e => root.To(e.Arguments[0].AsString() ?? "").Emit("msg", e.Arguments[1]));
root.On("echo", e => e.Ack(e.Arguments[0]));
app.MapSocketIO();
await app.StartAsync();
Console.WriteLine("ready");
await app.WaitForShutdownAsync();
