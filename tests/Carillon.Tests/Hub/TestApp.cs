using System.Net;
using System.Net.WebSockets;
using System.Text;
using System.Text.Json;
using Carillon.Hosting;
using Carillon.Hub;
using Carillon.Storage;
using Carillon.Tests.Access;
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
    readonly bool _ownsFolder;
    bool _wasKilled;

    TestApp(WebApplication app, DirectoryInfo folder, bool ownsFolder) => (_app, _folder, _ownsFolder) = (app, folder, ownsFolder);

    public ChannelHub Live => _app.Services.GetRequiredService<ChannelHub>();

    public HttpClient Http => field ??= new HttpClient { BaseAddress = new Uri(_app.Urls.First()) };

    public Database Database => _app.Services.GetRequiredService<Database>();

    public T Get<T>() where T : notnull => _app.Services.GetRequiredService<T>();

    /// <param name="configure">The settings.</param>
    /// <param name="services">What is there before Carillon.</param>
    /// <param name="at">A folder with the database of an application before this one; it stays.</param>
    public static async Task<TestApp> StartAsync(Action<CarillonOptions> configure, Action<IServiceCollection>? services = null, DirectoryInfo? at = null)
    {
        var folder = at ?? Directory.CreateTempSubdirectory("carillon-");
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0));
        services?.Invoke(builder.Services);
        builder.Services.AddCarillon(options =>
        {
            options.Database = $"sqlite:{Path.Combine(folder.FullName, "app.db")}";
            options.Shutdown.ReadinessDelay = TimeSpan.Zero;     // nobody asks
            configure(options);
        });
        var app = builder.Build();
        app.MapCarillon();
        await app.StartAsync();
        return new TestApp(app, folder, ownsFolder: at is null);
    }

    /// <summary>What every application of these tests signs with, and the key of its back end.</summary>
    public const string Secret = "a secret of exactly 32 bytes, ok", Key = "the key of the back end";

    /// <summary>Starts an application that knows a back end and some users.</summary>
    public static async Task<TestApp> StartKnowingAsync(string[] users, Action<CarillonOptions>? configure = null, Action<IServiceCollection>? services = null)
    {
        var app = await StartAsync(options =>
        {
            options.Access.SigningKey = Secret;
            options.Access.ApiKeys = [Key];
            configure?.Invoke(options);
        }, services);
        foreach (var user in users) await app.PutUserAsync(user);
        return app;
    }

    /// <summary>A token of a user, with further claims.</summary>
    public string TokenOf(string user, object? claims = null, TimeSpan? expiresIn = null)
    {
        var now = Get<TimeProvider>().GetUtcNow();
        var all = JsonSerializer.SerializeToNode(claims ?? new { })!.AsObject();
        all["sub"] = user;
        all["exp"] ??= (now + (expiresIn ?? TimeSpan.FromHours(1))).ToUnixTimeSeconds();
        all["iat"] ??= now.ToUnixTimeSeconds();
        return Issuer.Hmac("""{"alg":"HS256","typ":"JWT"}""", all.ToJsonString(), Encoding.UTF8.GetBytes(Secret));
    }

    public Task PutUserAsync(string id, params string[] roles) => PutUserAsync(id, new { name = id.ToUpperInvariant(), roles });

    public async Task PutUserAsync(string id, object user) => Assert.Equal(HttpStatusCode.OK, (await CallAsync("PUT", $"/api/users/{id}", user)).Status);

    /// <summary>Calls the HTTP API with the back end's key, or with what is given.</summary>
    public async Task<(HttpStatusCode Status, JsonElement Body)> CallAsync(string method, string path, object? body = null, string? authorization = $"ApiKey {Key}", params (string Name, string Value)[] headers)
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), path);
        if (authorization is not null) request.Headers.TryAddWithoutValidation("Authorization", authorization);
        foreach (var (name, value) in headers) request.Headers.TryAddWithoutValidation(name, value);
        if (body is not null) request.Content = new StringContent(body as string ?? JsonSerializer.Serialize(body, JsonSerializerOptions.Web), Encoding.UTF8, "application/json");
        using var answer = await Http.SendAsync(request);
        var text = await answer.Content.ReadAsStringAsync();
        return (answer.StatusCode, text.Length == 0 ? default : JsonElement.Parse(text));
    }

    public Task<(HttpStatusCode Status, JsonElement Body)> CallAsAsync(string user, string method, string path, object? body = null) =>
        CallAsync(method, path, body, $"Bearer {TokenOf(user)}");

    public Task<TestClient> ConnectAsAsync(string user, object? claims = null) => ConnectAsync(TokenOf(user, claims));

    /// <summary>The code with which a client is refused; null where it is let in.</summary>
    public async Task<string?> RefusedAsync(string? token)
    {
        using var client = await OpenAsync(token);
        while (true)
        {
            var packet = await client.RawAsync() ?? throw new InvalidOperationException("The connection was closed without a word.");
            if (packet.StartsWith("40", StringComparison.Ordinal)) return null;
            if (!packet.StartsWith("44", StringComparison.Ordinal)) continue;
            Assert.Null(await client.RawAsync());     // a refused client is not kept open
            return JsonElement.Parse(packet[2..]).GetProperty("message").GetString();
        }
    }

    public async Task<TestClient> ConnectAsync(string? token = null, string query = "", bool hearsQuality = false, string? join = null)
    {
        var client = await OpenAsync(token, query, join, hearsQuality);
        client.Session = await client.NextAsync("session");
        return client;
    }

    /// <summary>A client that has asked to join and has not looked at the answer.</summary>
    public async Task<TestClient> OpenAsync(string? token = null, string query = "", string? join = null, bool hearsQuality = false)
    {
        var socket = new ClientWebSocket();
        var authority = new Uri(_app.Urls.First()).Authority;
        await socket.ConnectAsync(new Uri($"ws://{authority}/socket.io/?EIO=4&transport=websocket{query}"), CancellationToken.None);
        var client = new TestClient(socket) { HearsQuality = hearsQuality };
        await client.SendAsync(join ?? (token is null ? "40" : "40" + JsonSerializer.Serialize(new { token })));
        return client;
    }

    /// <summary>Takes the database away until the answer is disposed: it can be neither read nor written, and every attempt fails at once.</summary>
    public IDisposable HideDatabase()
    {
        var away = _folder.FullName + "-away";
        Directory.Move(_folder.FullName, away);
        Database.CloseIdleConnections();
        return new Hidden(() => Directory.Move(away, _folder.FullName));
    }

    sealed class Hidden(Action end) : IDisposable
    {
        public void Dispose() => end();
    }

    public Task StopAsync() => _app.StopAsync();

    /// <summary>Ends as a process does that is killed: nobody is told, and nothing is saved.</summary>
    public ValueTask KillAsync()
    {
        _wasKilled = true;
        return _app.DisposeAsync();
    }

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        if (!_wasKilled) await _app.StopAsync();
        await _app.DisposeAsync();
        if (_ownsFolder) _folder.Delete(recursive: true);
    }
}

/// <summary>A Socket.IO client of a few lines, which sees what a stock client sees.</summary>
sealed class TestClient(ClientWebSocket socket) : IDisposable
{
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);
    readonly byte[] _buffer = new byte[256 * 1024];
    int _ackId;

    public JsonElement Session { get; set; }

    /// <summary>Whether <c>connection:quality</c> is read like any other event; it comes when it comes, and most tests are about something else.</summary>
    public bool HearsQuality { get; init; }

    /// <summary>Whether pings are read like any other packet instead of answered.</summary>
    public bool HoldsPings { get; set; }

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

    /// <summary>Whether packets came before an acknowledgement and stay to be read.</summary>
    public bool HasWaiting => Waiting.Count > 0;

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
            if (packet.StartsWith("44", StringComparison.Ordinal)) throw new InvalidOperationException($"The server refused: {packet}");
        }
    }

    /// <summary>Reads on until an event of this name comes; its arguments.</summary>
    public async Task<JsonElement> UntilAsync(string name)
    {
        while (true)
            if (await NextAnyAsync() is var arguments && arguments[0].GetString() == name) return arguments[1];
    }

    /// <summary>Reads on until the connection ends; the names of the events that came before.</summary>
    public async Task<string[]> UntilClosedAsync()
    {
        List<string> names = [];
        while (await RawAsync() is { } packet)
            if (packet.StartsWith("42[", StringComparison.Ordinal)) names.Add(JsonElement.Parse(packet[2..])[0].GetString()!);
        return [.. names];
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
            if (packet == "2" && !HoldsPings) await SendAsync("3");
            else if (HearsQuality || !packet.StartsWith("42[\"connection:quality\"", StringComparison.Ordinal)) return packet;
        }
    }

    /// <summary>Answers the end of the WebSocket.</summary>
    public Task EndAsync() => socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, null, CancellationToken.None);

    async Task<string> PacketAsync() => await RawAsync() ?? throw new InvalidOperationException("The server closed the connection.");

    public void Dispose() => socket.Dispose();
}
