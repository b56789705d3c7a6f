using System.Net;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Text;
using Carillon.SocketIO.Engine;
using Carillon.SocketIO.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Carillon.SocketIO.Tests;

/// <summary>A real server on a free port of the loopback, and clients made by hand.</summary>
sealed class RunningServer : IAsyncDisposable
{
    readonly WebApplication _app;

    RunningServer(WebApplication app) => _app = app;

    public SocketServer Io => _app.Services.GetRequiredService<SocketServer>();

    public IHost Host => _app;

    public Uri Address => new(_app.Urls.First());

    public HttpClient Http { get; } = new();

    public string Polling => $"{Address}socket.io/?EIO=4&transport=polling";

    public static async Task<RunningServer> StartAsync(
        Action<SocketIOOptions>? configure = null, Action<SocketServer>? setUp = null, TimeProvider? clock = null, bool direct = false,
        Action<IServiceCollection>? services = null, System.Security.Cryptography.X509Certificates.X509Certificate2? certificate = null, int port = 0,
        Action<ListenOptions>? listening = null)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, port, listen =>
        {
            listening?.Invoke(listen);
            if (certificate is not null) listen.UseHttps(certificate);
        }));
        if (direct) builder.WebHost.UseSocketIO();
        if (clock is not null) builder.Services.AddSingleton(clock);
        builder.Services.AddSocketIO(configure);
        services?.Invoke(builder.Services);
        var app = builder.Build();
        setUp?.Invoke(app.Services.GetRequiredService<SocketServer>());
        app.MapSocketIO();
        await app.StartAsync();
        return new RunningServer(app);
    }

    /// <summary>Bare Engine.IO, at the path that is Socket.IO's elsewhere.</summary>
    public static async Task<RunningServer> StartEngineAsync(Action<EngineSocket> connected, Action<EngineOptions>? configure = null)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0));
        var app = builder.Build();
        app.MapEngineIO("/socket.io", connected, configure);
        await app.StartAsync();
        return new RunningServer(app);
    }

    public async Task<ClientWebSocket> ConnectAsync(Action<ClientWebSocketOptions>? configure = null)
    {
        var socket = new ClientWebSocket();
        configure?.Invoke(socket.Options);
        await socket.ConnectAsync(new Uri($"ws://{Address.Authority}/socket.io/?EIO=4&transport=websocket"), CancellationToken.None);
        return socket;
    }

    /// <summary>A client at another address of this machine, such as 127.0.0.2.</summary>
    public static HttpClient From(string address) => new(new SocketsHttpHandler
    {
        ConnectCallback = async (context, ct) =>
        {
            var socket = new System.Net.Sockets.Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            socket.Bind(new IPEndPoint(IPAddress.Parse(address), 0));
            await socket.ConnectAsync(context.DnsEndPoint.Host, context.DnsEndPoint.Port, ct);
            return new NetworkStream(socket, ownsSocket: true);
        },
    });

    public async Task<ClientWebSocket> JoinAsync(Action<ClientWebSocketOptions>? configure = null)
    {
        var socket = await ConnectAsync(configure);
        await ReceiveAsync(socket);
        await SendAsync(socket, "40");
        await ReceiveAsync(socket);
        return socket;
    }

    public async Task<TcpClient> TcpAsync()
    {
        var client = new TcpClient();
        await client.ConnectAsync(IPAddress.Loopback, Address.Port);
        return client;
    }

    public static Task SendAsync(WebSocket socket, string text) =>
        socket.SendAsync(Encoding.UTF8.GetBytes(text), WebSocketMessageType.Text, true, CancellationToken.None);

    public static async Task<string> ReceiveAsync(WebSocket socket)
    {
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        var buffer = new byte[64 * 1024];
        var length = 0;
        while (true)
        {
            var result = await socket.ReceiveAsync(buffer.AsMemory(length), deadline.Token);
            length += result.Count;
            if (result.EndOfMessage) return Encoding.UTF8.GetString(buffer, 0, length);
        }
    }

    public static Task UntilAsync(Func<bool> condition, string what) => UntilAsync(() => Task.FromResult(condition()), what);

    public static async Task UntilAsync(Func<Task<bool>> condition, string what)
    {
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        while (!await condition())
        {
            Assert.False(deadline.IsCancellationRequested, $"Not in time: {what}");
            await Task.Delay(10, CancellationToken.None);
        }
    }

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        await _app.StopAsync();
        await _app.DisposeAsync();
    }
}
