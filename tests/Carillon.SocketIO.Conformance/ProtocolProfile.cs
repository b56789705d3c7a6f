using Carillon.SocketIO.Sockets;
using Microsoft.AspNetCore.Builder;

namespace Carillon.SocketIO.Conformance;

/// <summary>Profile 1: what the official Socket.IO protocol suite asks of a server.</summary>
static class ProtocolProfile
{
    public static WebApplication Create(WebApplicationBuilder builder)
    {
        builder.Services.AddSocketIO(options =>
        {
            options.Engine.PingInterval = TimeSpan.FromMilliseconds(300);
            options.Engine.PingTimeout = TimeSpan.FromMilliseconds(200);
            options.Engine.AllowedOrigins.Add("*");
            options.ConnectTimeout = TimeSpan.FromSeconds(1);
        });
        var app = builder.Build();
        var io = app.Services.GetRequiredService<SocketServer>();
        foreach (var nsp in new[] { io.Root, io.Of("/custom") }) nsp.OnConnection(socket => socket.Emit("auth", socket.Handshake.Auth));
        io.Root.On("message", e => e.Socket.Emit("message-back", e.Arguments));
        io.Root.On("message-with-ack", e => e.Ack(e.Arguments));
        app.MapSocketIO();
        return app;
    }
}
