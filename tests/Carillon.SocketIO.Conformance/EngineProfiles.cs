using System.Text.Json;
using Carillon.SocketIO.Engine;
using Microsoft.AspNetCore.Builder;

namespace Carillon.SocketIO.Conformance;

/// <summary>Profiles 0 and 2: bare Engine.IO.</summary>
static class EngineProfiles
{
    public static WebApplication Protocol(WebApplicationBuilder builder)
    {
        var app = builder.Build();
        app.MapEngineIO("/engine.io", Echo, options =>
        {
            options.PingInterval = TimeSpan.FromMilliseconds(300);
            options.PingTimeout = TimeSpan.FromMilliseconds(200);
            options.Limits.LimitAddresses = false;
            options.AllowedOrigins.Add("*");
        });
        return app;
    }

    public static WebApplication Client(WebApplicationBuilder builder)
    {
        var app = builder.Build();
        app.MapEngineIO("/engine.io", Answer, options =>
        {
            options.PingInterval = TimeSpan.FromMilliseconds(500);
            options.MaxPayload = 100;
            options.Limits.LimitAddresses = false;
            options.AllowRequest = handshake => ValueTask.FromResult(handshake.QueryValue("deny") is null ? null : "Forbidden");
            options.OnHandshakeResponse = context =>
            {
                var headers = context.Response.Headers;
                headers.Append("Set-Cookie", "1=1; Max-Age=86400");
                headers.Append("Set-Cookie", "2=2; Path=/; HttpOnly; Secure; SameSite=Strict");
                headers.Append("Set-Cookie", "3=3; Max-Age=0");
                headers.Append("Set-Cookie", $"4=4; Expires={TimeProvider.System.GetUtcNow():R}");
            };
        });
        return app;
    }

    static void Echo(EngineSocket socket) => socket.MessageReceived = message => SendBack(socket, message);

    static void Answer(EngineSocket socket)
    {
        socket.MessageReceived = message =>
        {
            switch (message.IsBinary ? null : message.Text)
            {
                case "give binary":
                    socket.Send(new byte[] { 0, 1, 2, 3, 4 });
                    break;
                case "give utf8":
                    socket.Send("пойду спать всем спокойной ночи");
                    break;
                case "sendHeaders":
                    socket.Send(JsonSerializer.Serialize(
                        message.RequestHeaders?.ToDictionary(h => h.Key.ToLowerInvariant(), h => h.Value.ToString()) ?? []));
                    break;
                default:
                    SendBack(socket, message);
                    break;
            }
        };
        socket.Send("hi");
    }

    static void SendBack(EngineSocket socket, EngineMessage message)
    {
        if (message.IsBinary) socket.Send(message.Data.ToArray());
        else socket.Send(message.Text);
    }
}
