using System.Net;
using System.Net.WebSockets;
using System.Text;
using System.Text.Json;
using Carillon.Live;
using Carillon.SocketIO;
using Carillon.Storage;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Carillon.Tests.Live;

/// <summary>An application with Carillon on a free port and a database in a temporary folder.</summary>
sealed class TestApp : IAsyncDisposable
{
    readonly WebApplication _app;
    readonly DirectoryInfo _folder;

    TestApp(WebApplication app, DirectoryInfo folder) => (_app, _folder) = (app, folder);

    public LiveChannels Live => _app.Services.GetRequiredService<LiveChannels>();

    public HttpClient Http => field ??= new HttpClient { BaseAddress = new Uri(_app.Urls.First()) };

    public Database Database => _app.Services.GetRequiredService<Database>();

    public T Get<T>() where T : notnull => _app.Services.GetRequiredService<T>();

    public static async Task<TestApp> StartAsync(Action<CarillonOptions> configure, Action<IServiceCollection>? services = null)
    {
        var folder = Directory.CreateTempSubdirectory("carillon-");
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0));
        services?.Invoke(builder.Services);
        builder.Services.AddCarillon(options =>
        {
            options.Database = $"sqlite:{Path.Combine(folder.FullName, "app.db")}";
            configure(options);
        });
        var app = builder.Build();
        app.MapCarillon();
        await app.StartAsync();
        return new TestApp(app, folder);
    }

    public async Task<TestClient> ConnectAsync()
    {
        var client = await OpenAsync();
        client.Session = await client.NextAsync("session");
        return client;
    }

    /// <summary>A client that has asked to join and has not looked at the answer.</summary>
    public async Task<TestClient> OpenAsync()
    {
        var socket = new ClientWebSocket();
        var authority = new Uri(_app.Urls.First()).Authority;
        await socket.ConnectAsync(new Uri($"ws://{authority}/socket.io/?EIO=4&transport=websocket"), CancellationToken.None);
        var client = new TestClient(socket);
        await client.SendAsync("40");
        return client;
    }

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        await _app.StopAsync();
        await _app.DisposeAsync();
        _folder.Delete(recursive: true);
    }
}

/// <summary>A Socket.IO client of a few lines, which sees what a stock client sees.</summary>
sealed class TestClient(ClientWebSocket socket) : IDisposable
{
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);
    readonly byte[] _buffer = new byte[256 * 1024];
    int _ackId;

    public JsonElement Session { get; set; }

    public Task SendAsync(string packet) => socket.SendAsync(Encoding.UTF8.GetBytes(packet), WebSocketMessageType.Text, true, CancellationToken.None);

    public Task EmitAsync(string name, object? argument) => SendAsync("42" + JsonSerializer.Serialize(new[] { name, argument }, JsonSerializerOptions.Web));

    /// <summary>Emits and waits for the acknowledgement; events in between stay to be read.</summary>
    public async Task<JsonElement> AskAsync(string name, object? argument)
    {
        var id = ++_ackId;
        await SendAsync($"42{id}" + JsonSerializer.Serialize(new[] { name, argument }, JsonSerializerOptions.Web));
        while (true)
        {
            var packet = await PacketAsync();
            if (packet.StartsWith($"43{id}[", StringComparison.Ordinal)) return JsonElement.Parse(packet[packet.IndexOf('[')..])[0];
            Waiting.Enqueue(packet);
        }
    }

    Queue<string> Waiting { get; } = new();

    /// <summary>The next event; its name must be this one. Its arguments.</summary>
    public async Task<JsonElement> NextAsync(string name) => (await NextWithMetaAsync(name))[1];

    public async Task<JsonElement> NextWithMetaAsync(string name)
    {
        var arguments = await NextAnyAsync();
        Assert.Equal(name, arguments[0].GetString());
        return arguments;
    }

    /// <summary>The next event, whatever its name: the name and the arguments.</summary>
    public async Task<JsonElement> NextAnyAsync()
    {
        while (true)
        {
            var packet = Waiting.TryDequeue(out var waiting) ? waiting : await PacketAsync();
            if (packet.StartsWith("42[", StringComparison.Ordinal)) return JsonElement.Parse(packet[2..]);
        }
    }

    /// <summary>The next packet of any kind, pings left out; null when the connection is closed.</summary>
    public async Task<string?> RawAsync()
    {
        using var deadline = new CancellationTokenSource(Patience);
        while (true)
        {
            var length = 0;
            ValueWebSocketReceiveResult result;
            do
            {
                result = await socket.ReceiveAsync(_buffer.AsMemory(length), deadline.Token);
                if (result.MessageType == WebSocketMessageType.Close) return null;
                length += result.Count;
            } while (!result.EndOfMessage);
            var packet = Encoding.UTF8.GetString(_buffer, 0, length);
            if (packet == "2") await SendAsync("3");
            else return packet;
        }
    }

    async Task<string> PacketAsync() => await RawAsync() ?? throw new InvalidOperationException("The server closed the connection.");

    public void Dispose() => socket.Dispose();
}
