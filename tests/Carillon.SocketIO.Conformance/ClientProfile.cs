using System.Text.Json;
using Carillon.SocketIO.Packets;
using Carillon.SocketIO.Sockets;
using Microsoft.AspNetCore.Builder;

namespace Carillon.SocketIO.Conformance;

/// <summary>Profile 3: what the suite of the JavaScript client asks of a server.</summary>
static class ClientProfile
{
    static readonly byte[] SomeBytes = "asdfasdf"u8.ToArray();

    public static WebApplication Create(WebApplicationBuilder builder)
    {
        builder.Services.AddSocketIO(options =>
        {
            options.Engine.PingInterval = TimeSpan.FromSeconds(2);
            options.RecoveryWindow = TimeSpan.FromMinutes(2);
            options.Engine.AllowRequest = async _ =>
            {
                await Task.Delay(10);   // the suite tries clients that wait for no time at all
                return null;
            };
        });
        var app = builder.Build();
        var io = app.Services.GetRequiredService<SocketServer>();
        foreach (var name in new[] { "/timeout_socket", "/valid", "/asd" }) io.Of(name);
        io.Of("/foo").On("getId", e => e.Ack(e.Socket.Id));
        io.Of("/abc").OnConnection(socket => socket.Emit("handshake", HandshakeView.Of(socket.Handshake)));
        io.Of("/no").Use(_ => Refuse("Auth failed (custom namespace)"));
        io.Root.Use(socket => socket.Handshake.QueryValue("fail") is null ? Accept : Refuse("Auth failed (main namespace)"));
        Handle(io.Root);
        app.MapSocketIO();
        return app;
    }

    static ValueTask<ConnectRefusal?> Accept => default;

    static ValueTask<ConnectRefusal?> Refuse(string message) => new(new ConnectRefusal(message));

    static void Handle(SocketNamespace root)
    {
        root.On("hi", e => e.Socket.Emit("hi"));
        root.On("echo", e => e.Ack(e.Arguments[0]));
        root.On("ack", async e =>
        {
            var answer = await e.Socket.EmitWithAckAsync("ack", TimeSpan.FromSeconds(10));
            if (answer[0].Json is { ValueKind: JsonValueKind.Number } five && five.GetInt32() == 5
                && answer[1]["test"].Json.ValueKind == JsonValueKind.True) e.Socket.Emit("got it");
        });
        root.On("getAckDate", e => e.Ack(Now));
        root.On("getDate", e => e.Socket.Emit("takeDate", Now));
        root.On("getDateObj", e => e.Socket.Emit("takeDateObj", new { date = Now }));
        root.On("getUtf8", e =>
        {
            foreach (var text in new[] { "てすと", "Я Б Г Д Ж Й", "Ä ä Ü ü ß", "utf8 — string", "utf8 — string" }) e.Socket.Emit("takeUtf8", text);
        });
        root.On("false", e => e.Socket.Emit("false", false));
        root.On("doge", e => e.Socket.Emit("doge", SomeBytes));
        root.On("getbin", e => e.Socket.Emit("takebin", SomeBytes));
        root.On("buffa", e => EmitIf(e, e.Arguments[0].IsBinary, "buffack"));
        root.On("jsonbuff", e => EmitIf(e, IsGreeting(e.Arguments[0]), "jsonbuff-ack"));
        root.On("abuff1", e => e.Socket.Data["abuff1"] = e.Arguments[0].IsBinary);
        root.On("abuff2", e => EmitIf(e, e.Socket.Data.TryGetValue("abuff1", out var came) && came is true, "abuff2-ack"));
        root.On("getHandshake", e => e.Ack(HandshakeView.Of(e.Socket.Handshake)));
        root.On("getId", e => e.Ack(e.Socket.Id));
        root.On("blob", e => EmitIf(e, e.Arguments[0].IsBinary, "back"));
        root.On("jsonblob", e => EmitIf(e, IsGreeting(e.Arguments[0]), "jsonblob-ack"));
        root.On("blob1", e => e.Socket.Data["blob1"] = e.Arguments[0].IsBinary);
        root.On("blob2", e => e.Socket.Data["blob2"] = e.Socket.Data.TryGetValue("blob1", out var came) && came is true);
        root.On("blob3", e => EmitIf(e, e.Socket.Data.TryGetValue("blob2", out var came) && came is true, "blob3-ack"));
    }

    static bool IsGreeting(SocketValue value) =>
        value["hello"].AsString() == "lol" && value["message"].IsBinary && value["goodbye"].AsString() == "gotcha";

    static void EmitIf(SocketEvent e, bool holds, string name)
    {
        if (holds) e.Socket.Emit(name);
    }

    static string Now => TimeProvider.System.GetUtcNow().ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'");
}
