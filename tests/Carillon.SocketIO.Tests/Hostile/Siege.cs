using System.Text;
using Carillon.SocketIO.Engine;
using Carillon.SocketIO.Sockets;
using Microsoft.Extensions.DependencyInjection;

namespace Carillon.SocketIO.Tests.Hostile;

/// <summary>A server under attack, and somebody who is to be served all the while.</summary>
sealed class Siege : IAsyncDisposable
{
    readonly Wire _bystander;
    int _asked;

    Siege(RunningServer server, Wire bystander) => (Server, _bystander) = (server, bystander);

    public RunningServer Server { get; }

    public EngineServer Engine => Server.Io.Engine;

    /// <summary>The room of the bystander alone.</summary>
    public string Bystander => _bystander.Joined.Split('"')[3];

    /// <param name="direct">Whether plain WebSockets are taken off the connection before HTTP sees them.</param>
    /// <param name="configure">Changes the settings. Addresses are not limited, because all come from one here.</param>
    /// <param name="setUp">Adds handlers to those that echo.</param>
    /// <param name="clock">The server's time.</param>
    /// <param name="services">Adds services.</param>
    /// <param name="bystander">How the bystander joins.</param>
    public static async Task<Siege> StartAsync(
        bool direct, Action<SocketIOOptions>? configure = null, Action<SocketServer>? setUp = null, TimeProvider? clock = null, Action<IServiceCollection>? services = null,
        string bystander = "40")
    {
        var server = await RunningServer.StartAsync(
            options =>
            {
                options.Engine.Limits.LimitAddresses = false;
                configure?.Invoke(options);
            },
            io =>
            {
                io.Root.On("echo", e => e.Ack(e.Arguments));
                setUp?.Invoke(io);
            },
            clock, direct, services);
        return new Siege(server, await Wire.JoinAsync(server, bystander));
    }

    /// <summary>The bystander asks and is answered.</summary>
    public async Task AssertServedAsync()
    {
        var pings = -1;
        // Once more where a ping came between: its pong has been heard, too, when we go on.
        while (pings != _bystander.Pings)
        {
            pings = _bystander.Pings;
            var id = ++_asked;
            await _bystander.TextAsync($"42{id}[\"echo\",{id}]");
            Assert.Equal($"43{id}[{id}]", await _bystander.TextAsync());
        }
    }

    /// <summary>Nothing is left but the bystander: no connection, no socket in a room, no deadline.</summary>
    public async Task AssertNothingLeftAsync()
    {
        await AssertServedAsync();
        await RunningServer.UntilAsync(() => Engine.ConnectionCount == 1, "connections are forgotten");
        await RunningServer.UntilAsync(() => Server.Io.Root.Count == 1, "sockets have left");
        await RunningServer.UntilAsync(() => Engine.Wheel.Count == 1, "deadlines are cancelled");
    }

    /// <summary>Opens a session over long-polling.</summary>
    public async Task<string> PollingAsync() => (await Server.Http.GetStringAsync(Server.Polling)).Split('"')[3];

    /// <summary>Opens a session over long-polling that has joined the root.</summary>
    public async Task<string> JoinedPollingAsync()
    {
        var sid = await PollingAsync();
        Assert.Equal(200, (await PostAsync(sid, "40")).Status);
        Assert.Equal(200, (await PollAsync(sid)).Status);
        return sid;
    }

    /// <summary>Joins over long-polling and moves to a WebSocket, as stock clients do unless they are told otherwise.</summary>
    public async Task<Wire> UpgradedAsync()
    {
        var wire = await Wire.OpenAsync(Server, $"&sid={await JoinedPollingAsync()}");
        await wire.TextAsync("2probe");
        Assert.Equal("3probe", await wire.TextAsync());
        await wire.TextAsync("5");
        return wire;
    }

    public Task<Wire.Answer> PostAsync(string sid, string body, string headers = "Content-Type: text/plain\r\n") => PostAsync(sid, Encoding.UTF8.GetBytes(body), headers);

    public Task<Wire.Answer> PostAsync(string sid, byte[] body, string headers = "Content-Type: text/plain\r\n") =>
        Wire.RequestAsync(Server, [.. Encoding.ASCII.GetBytes(
            $"POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: {Server.Address.Authority}\r\nContent-Length: {body.Length}\r\n{headers}\r\n"), .. body]);

    public Task<Wire.Answer> PollAsync(string sid) =>
        Wire.RequestAsync(Server, $"GET /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: {Server.Address.Authority}\r\n\r\n");

    public async ValueTask DisposeAsync()
    {
        _bystander.Dispose();
        await Server.DisposeAsync();
    }
}
