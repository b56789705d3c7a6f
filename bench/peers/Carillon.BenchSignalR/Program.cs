using System.Net;
using Microsoft.AspNetCore.Http.Connections;
using Microsoft.AspNetCore.SignalR;

// ASP.NET Core SignalR with its JSON protocol, WebSocket alone: Join room, Pub room payload, Echo payload.
//   dotnet Carillon.BenchSignalR.dll --port 9000
var port = int.Parse(args[Array.IndexOf(args, "--port") + 1]);
var builder = WebApplication.CreateSlimBuilder();
builder.Logging.ClearProviders();
builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, port));
builder.WebHost.UseSockets(sockets => sockets.Backlog = 4096);
builder.Services.AddSignalR();
await using var app = builder.Build();
app.MapHub<BenchHub>("/hub", options => options.Transports = HttpTransportType.WebSockets);
await app.StartAsync();
Console.WriteLine("ready");
await app.WaitForShutdownAsync();

sealed class BenchHub : Hub
{
    public Task Join(string room) => Groups.AddToGroupAsync(Context.ConnectionId, room);

    public Task Pub(string room, string payload) => Clients.Group(room).SendAsync("msg", payload);

    public string Echo(string payload) => payload;
}
