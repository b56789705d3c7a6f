using System.Collections.Concurrent;
using System.Text.Json;
using System.Text.RegularExpressions;
using Carillon.SocketIO.Packets;
using Carillon.SocketIO.Sockets;
using Microsoft.AspNetCore.Builder;

namespace Carillon.SocketIO.Conformance;

/// <summary>Profile 4, and 5 with recovery: rooms, acknowledgements, refusals and the life of a connection, for other people's clients.</summary>
static class HeldOutProfile
{
    static readonly TimeSpan AskFor = TimeSpan.FromSeconds(2);
    static readonly TimeSpan VoteFor = TimeSpan.FromSeconds(1);

    public static WebApplication Create(WebApplicationBuilder builder, TimeSpan? recoverWithin)
    {
        builder.Services.AddSocketIO(options =>
        {
            options.Engine.PingInterval = TimeSpan.FromSeconds(1);
            options.Engine.PingTimeout = TimeSpan.FromSeconds(2);
            options.Engine.AllowedOrigins.Add("*");
            options.Engine.AllowCredentials = true;
            options.Engine.CookieName = "io";
            options.Engine.AllowRequest = handshake =>
                ValueTask.FromResult(string.IsNullOrEmpty(handshake.QueryValue("deny")) ? null : "blocked by policy");
            options.RecoveryWindow = recoverWithin;
        });
        var app = builder.Build();
        var io = app.Services.GetRequiredService<SocketServer>();
        var reasons = new ConcurrentQueue<object[]>();
        io.Root.Use(socket => new(socket.Handshake.Auth.TryGetProperty("block", out var block) && IsTruthy(block)
            ? new ConnectRefusal("blocked", new { code = 7 })
            : null));
        io.Of("/secure").Use(socket => new(socket.Handshake.Auth.TryGetProperty("token", out var token) && token.ValueEquals("let-me-in")
            ? null
            : new ConnectRefusal("not authorized", new { code = 401, hint = "token" })));
        foreach (var handlers in new SocketHandlers[] { io.Root, io.Of("/plain"), io.Of("/secure"), io.Of(new Regex("^/dyn-[0-9]+$")) })
            Handle(handlers, reasons);
        app.MapSocketIO();
        return app;
    }

    static void Handle(SocketHandlers nsp, ConcurrentQueue<object[]> reasons)
    {
        nsp.OnConnection(socket =>
        {
            if (!socket.Recovered) socket.Emit("welcome", new { sid = socket.Id, nsp = socket.Namespace.Name, auth = socket.Handshake.Auth });
        });
        nsp.OnDisconnect((socket, reason) => reasons.Enqueue([socket.Id, reason]));

        nsp.On("echo", e =>
        {
            if (e.WantsAck) e.Ack(e.Arguments);
            else e.Socket.Emit("echo-back", e.Arguments);
        });
        nsp.On("ask", async e =>
        {
            try
            {
                var answer = await e.Socket.EmitWithAckAsync("question", AskFor, e.Arguments[0]);
                e.Ack(answer[0]);
            }
            catch (TimeoutException)
            {
                e.Ack("timeout");
            }
        });
        nsp.On("reverse", e =>
        {
            var bytes = e.Arguments[0].AsBinary()?.ToArray() ?? [];
            Array.Reverse(bytes);
            e.Ack(new { len = bytes.Length, data = bytes });
        });
        nsp.On("nested", e => e.Socket.Emit("nested-back",
            new { got = e.Arguments[0], list = new object[] { new byte[] { 1, 2, 3 }, "x", Array.Empty<byte>() } }));
        nsp.On("join", e =>
        {
            e.Socket.Join(Text(e.Arguments[0]));
            e.Ack(true);
        });
        nsp.On("leave", e =>
        {
            e.Socket.Leave(Text(e.Arguments[0]));
            e.Ack(true);
        });
        nsp.On("say", e => e.Socket.Namespace.To(RoomsOf(e.Arguments[0])).Emit("said", e.Arguments[0], e.Arguments[1]));
        nsp.On("say-others", e => e.Socket.To(RoomsOf(e.Arguments[0])).Emit("said", e.Arguments[0], e.Arguments[1]));
        nsp.On("say-except", e => e.Socket.Namespace.To(RoomsOf(e.Arguments[0])).Except(RoomsOf(e.Arguments[1]))
            .Emit("said", e.Arguments[0], e.Arguments[2]));
        nsp.On("bcast", e => e.Socket.Namespace.Emit("bcast", e.Arguments[0]));
        nsp.On("bcast-volatile", e => e.Socket.Namespace.Everyone.Volatile.Emit("bcast", e.Arguments[0]));
        nsp.On("ballot", async e =>
        {
            var result = await e.Socket.Namespace.To(RoomsOf(e.Arguments[0])).EmitWithAcksAsync("vote", VoteFor);
            e.Ack(result.Complete ? "ok" : "timeout",
                result.Answers.OrderBy(a => a.AsString() ?? a.Json.ToString(), StringComparer.Ordinal).ToArray());
        });
        nsp.On("members", e => e.Ack(
            e.Socket.Namespace.To(RoomsOf(e.Arguments[0])).Sockets().Select(s => s.Id).Order(StringComparer.Ordinal).ToArray()));
        nsp.On("whoami", e => e.Ack(new
        {
            sid = e.Socket.Id,
            nsp = e.Socket.Namespace.Name,
            transport = e.Socket.Connection.TransportName,
            rooms = e.Socket.Rooms.Order(StringComparer.Ordinal).ToArray(),
            recovered = e.Socket.Recovered,
            data = e.Socket.Data,
        }));
        nsp.On("remember", e =>
        {
            e.Socket.Data["remembered"] = e.Arguments[0];
            e.Ack(true);
        });
        nsp.On("burst", e =>
        {
            var n = e.Arguments[0].As<int>();
            for (var i = 0; i < n; i++) e.Socket.Emit("tick", i);
        });
        nsp.On("big", e => e.Ack(new string('x', e.Arguments[0].As<int>())));
        nsp.On("kick", e => e.Socket.Disconnect());
        nsp.On("kick-all", e => e.Socket.Disconnect(close: true));
        nsp.On("drop", e => e.Socket.Connection.Abort());
        nsp.On("reasons", e =>
        {
            List<object[]> told = [];
            while (reasons.TryDequeue(out var one)) told.Add(one);
            e.Ack(told);
        });
    }

    static string[] RoomsOf(SocketValue value) =>
        value.Json.ValueKind == JsonValueKind.Array ? value.Json.EnumerateArray().Select(room => room.ToString()).ToArray() : [Text(value)];

    static string Text(SocketValue value) => value.Json.ToString();

    static bool IsTruthy(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.False or JsonValueKind.Null or JsonValueKind.Undefined => false,
        JsonValueKind.Number => value.GetDouble() != 0,
        JsonValueKind.String => value.GetString() != "",
        _ => true,
    };
}
