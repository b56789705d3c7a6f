using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Carillon.Server.Configuration;
using Microsoft.AspNetCore.OpenApi;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;

namespace Carillon.Server.Tests;

public sealed class ServingTests : IDisposable
{
    readonly Terminal _terminal = new();

    public void Dispose() => _terminal.Dispose();

    [Fact]
    public async Task It_starts_with_nothing_and_says_that_nobody_can_connect_yet()
    {
        await using var server = await RunningServer.StartAsync(_terminal);
        Assert.Equal(HttpStatusCode.OK, (await server.Http.GetAsync("/health/live")).StatusCode);
        Assert.Equal(0, await server.StopAsync());

        Assert.Contains($"Database:       {_terminal.Path("carillon.db")}", _terminal.Out.All, StringComparison.Ordinal);
        Assert.Contains("WARNING: nobody can connect", _terminal.Out.All, StringComparison.Ordinal);
        Assert.Contains("export CARILLON__Access__SigningKey=", _terminal.Out.All, StringComparison.Ordinal);
        Assert.True(File.Exists(_terminal.Path("carillon.db")));
        Assert.Empty(_terminal.Error.All);
    }

    [Fact]
    public async Task With_a_key_it_says_how_to_make_a_token_and_never_the_key()
    {
        (_terminal["CARILLON__Access__SigningKey"], _terminal["CARILLON__Access__ApiKeys__0"]) = (new string('s', 40), "hunter2");
        await using var server = await RunningServer.StartAsync(_terminal);
        await server.StopAsync();

        Assert.Contains("token --sub alice", _terminal.Out.All, StringComparison.Ordinal);
        Assert.DoesNotContain("WARNING", _terminal.Out.All, StringComparison.Ordinal);
        Assert.DoesNotContain("ssssssss", _terminal.Out.All, StringComparison.Ordinal);
        Assert.DoesNotContain("hunter2", _terminal.Out.All, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_file_of_keys_that_is_not_there_is_told_and_looked_for_later()
    {
        _terminal["CARILLON__Access__Jwks"] = "keys.json";
        await using var server = await RunningServer.StartAsync(_terminal);
        await server.StopAsync();
        Assert.Contains($"WARNING: {_terminal.Path("keys.json")} is not there", _terminal.Out.All, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_address_in_use_is_told_in_a_sentence()
    {
        using var other = new TcpListener(IPAddress.Loopback, 0);
        other.Start();
        Assert.Equal(ExitCode.Failed, await _terminal.RunAsync("--urls", $"http://{other.LocalEndpoint}"));
        Assert.Contains("address already in use", _terminal.Error.All, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain("   at ", _terminal.Error.All, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("sqlite:none/such/folder.db", "there is no folder")]
    [InlineData("sqlite:rubbish.db", "is not an SQLite database")]
    public async Task A_database_that_cannot_be_opened_is_told_in_a_sentence(string database, string sentence)
    {
        _terminal.Write("rubbish.db", new string('x', 5000));
        _terminal["CARILLON__Database"] = database;
        Assert.Equal(ExitCode.Failed, await _terminal.RunAsync("--urls", "http://127.0.0.1:0"));
        Assert.StartsWith("Carillon cannot start: ", _terminal.Error.All, StringComparison.Ordinal);
        Assert.Contains(sentence, _terminal.Error.All, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", _terminal.Error.All, StringComparison.Ordinal);
    }

    [Fact]
    public async Task It_is_ready_while_its_database_can_be_read_and_lives_all_the_same()
    {
        Directory.CreateDirectory(_terminal.Path("data"));
        _terminal["CARILLON__Database"] = "sqlite:data/shop.db";
        await using var server = await RunningServer.StartAsync(_terminal);
        Assert.Equal("""{"status":"healthy","checks":{"carillon":{"status":"healthy","description":"Clients are served."}}}""", await server.Http.GetStringAsync("/health/ready"));

        Directory.Delete(_terminal.Path("data"), recursive: true);
        HttpResponseMessage answer;
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        while ((answer = await server.Http.GetAsync("/health/ready", patience.Token)).IsSuccessStatusCode) await Task.Delay(20, patience.Token);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, answer.StatusCode);
        Assert.Equal("unhealthy", JsonElement.Parse(await answer.Content.ReadAsStringAsync()).GetProperty("status").GetString());
        Assert.Equal(HttpStatusCode.OK, (await server.Http.GetAsync("/health/live")).StatusCode);
    }

    [Theory]
    [InlineData("BEGIN EXCLUSIVE")]
    [InlineData("BEGIN; SELECT count(*) FROM items")]     // an open cursor: the journal mode cannot be changed
    public async Task It_listens_while_it_waits_for_a_locked_database_and_says_what_it_waits_for(string hold)
    {
        _terminal["CARILLON__Database"] = "sqlite:shop.db";
        (_terminal["CARILLON__AllowAnonymous"], _terminal["CARILLON__Changes__Tables__0"]) = ("true", "items");
        using var other = new SqliteConnection($"Data Source={_terminal.Path("shop.db")};Pooling=False");
        other.Open();
        Execute("CREATE TABLE items (id INTEGER PRIMARY KEY)");
        Execute(hold);

        await using var server = await RunningServer.StartAsync(_terminal);
        Assert.Equal(HttpStatusCode.OK, (await server.Http.GetAsync("/health/live")).StatusCode);
        using var answer = await server.Http.GetAsync("/health/ready");
        Assert.Equal(HttpStatusCode.ServiceUnavailable, answer.StatusCode);
        Assert.Contains("Clients are not served yet.", await answer.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await server.Http.GetAsync("/api/suggestions")).StatusCode);
        Assert.Contains("listens, and serves clients as soon as it can", _terminal.Out.All, StringComparison.Ordinal);

        Execute("COMMIT");
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        while (!(await server.Http.GetAsync("/health/ready", patience.Token)).IsSuccessStatusCode) await Task.Delay(20, patience.Token);
        Assert.Equal(HttpStatusCode.Unauthorized, (await server.Http.GetAsync("/api/suggestions")).StatusCode);

        void Execute(string sql)
        {
            using var command = new SqliteCommand(sql, other);
            command.ExecuteNonQuery();
        }
    }

    [Fact]
    public async Task The_API_describes_itself()
    {
        await using var server = await RunningServer.StartAsync(_terminal);
        var document = JsonElement.Parse(await server.Http.GetStringAsync("/openapi/v1.json"));

        Assert.Equal("Carillon", document.GetProperty("info").GetProperty("title").GetString());
        Assert.Equal(Description.Version, document.GetProperty("info").GetProperty("version").GetString());
        Assert.True(document.GetProperty("paths").TryGetProperty("/api/bans", out _));
        Assert.DoesNotContain(document.GetProperty("paths").EnumerateObject(), path => !path.Name.StartsWith("/api/", StringComparison.Ordinal));
        var schemes = document.GetProperty("components").GetProperty("securitySchemes");
        Assert.Equal("Authorization", schemes.GetProperty("ApiKey").GetProperty("name").GetString());
        Assert.Equal("bearer", schemes.GetProperty("Bearer").GetProperty("scheme").GetString());
    }

    [Fact]
    public async Task The_page_of_the_API_is_there_where_it_is_wanted_and_loads_nothing_from_elsewhere()
    {
        await using (var without = await RunningServer.StartAsync(_terminal))
            Assert.Equal(HttpStatusCode.NotFound, (await without.Http.GetAsync("/docs")).StatusCode);

        _terminal["CARILLON__ApiPage"] = "true";
        await using var server = await RunningServer.StartAsync(_terminal);
        using var answer = await server.Http.GetAsync("/docs");
        var page = await answer.Content.ReadAsStringAsync();
        Assert.Equal("text/html", answer.Content.Headers.ContentType?.MediaType);
        Assert.Contains("<title>Carillon</title>", page, StringComparison.Ordinal);
        Assert.DoesNotContain("//", page, StringComparison.Ordinal);      // no address of another host
        Assert.Contains("connect-src 'self'", answer.Headers.GetValues("Content-Security-Policy").Single(), StringComparison.Ordinal);
        foreach (var script in new[] { "scalar.js", "scalar.aspnetcore.js" })
        {
            using var served = await server.Http.GetAsync($"/docs/{script}");
            Assert.Equal(HttpStatusCode.OK, served.StatusCode);
            Assert.EndsWith("/javascript", served.Content.Headers.ContentType?.MediaType, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("https://shop.example", "https://shop.example")]
    [InlineData("https://other.example", null)]
    public async Task Pages_of_allowed_origins_may_call_the_API(string origin, string? allowed)
    {
        _terminal["CARILLON__AllowedOrigins__0"] = "https://shop.example";
        await using var server = await RunningServer.StartAsync(_terminal);
        using var preflight = new HttpRequestMessage(HttpMethod.Options, "/api/bans");
        preflight.Headers.Add("Origin", origin);
        preflight.Headers.Add("Access-Control-Request-Method", "GET");
        preflight.Headers.Add("Access-Control-Request-Headers", "authorization");
        using var answer = await server.Http.SendAsync(preflight);
        Assert.Equal(allowed, answer.Headers.TryGetValues("Access-Control-Allow-Origin", out var origins) ? origins.Single() : null);

        using var handshake = new HttpRequestMessage(HttpMethod.Get, "/socket.io/?EIO=4&transport=polling");
        handshake.Headers.Add("Origin", origin);
        Assert.Equal(allowed is null ? HttpStatusCode.Forbidden : HttpStatusCode.OK, (await server.Http.SendAsync(handshake)).StatusCode);
    }

    [Theory]
    [InlineData("capacitor://localhost")]
    [InlineData("ionic://localhost")]
    [InlineData("tauri://localhost")]
    [InlineData("app://.")]
    [InlineData("file://")]
    public async Task The_shell_of_an_application_may_connect_and_call_the_API_where_its_origin_is_allowed(string origin)
    {
        _terminal["CARILLON__AllowedOrigins__0"] = origin;
        await using var server = await RunningServer.StartAsync(_terminal);
        foreach (var (sent, status) in new[] { (origin, HttpStatusCode.OK), ("null", HttpStatusCode.Forbidden), ("shell://localhost", HttpStatusCode.Forbidden) })
        {
            using var handshake = new HttpRequestMessage(HttpMethod.Get, "/socket.io/?EIO=4&transport=polling");
            handshake.Headers.TryAddWithoutValidation("Origin", sent);
            handshake.Headers.Host = "localhost";
            using var answer = await server.Http.SendAsync(handshake);
            Assert.Equal(status, answer.StatusCode);

            using var preflight = new HttpRequestMessage(HttpMethod.Options, "/api/bans");
            preflight.Headers.TryAddWithoutValidation("Origin", sent);
            preflight.Headers.Add("Access-Control-Request-Method", "GET");
            using var allowed = await server.Http.SendAsync(preflight);
            Assert.Equal(status == HttpStatusCode.OK ? sent : null, allowed.Headers.TryGetValues("Access-Control-Allow-Origin", out var origins) ? origins.Single() : null);
        }
    }

    [Fact]
    public async Task The_description_of_the_API_is_built_once()
    {
        _terminal["CARILLON__AllowAnonymous"] = "true";
        await using var app = Host.Create(Settings.Read(_terminal.Shell, null, "http://127.0.0.1:0"));
        var builds = 0;
        app.Services.GetRequiredService<IOptionsMonitor<OpenApiOptions>>().Get("v1").AddDocumentTransformer((_, _, _) =>
            Interlocked.Increment(ref builds) == 1 ? throw new InvalidOperationException("The first attempt fails.") : Task.CompletedTask);
        await app.StartAsync();
        using var http = new HttpClient { BaseAddress = new Uri(app.Urls.First()) };
        Assert.Equal(HttpStatusCode.InternalServerError, (await http.GetAsync("/openapi/v1.json")).StatusCode);
        for (var i = 0; i < 20; i++) Assert.Equal(HttpStatusCode.OK, (await http.GetAsync("/openapi/v1.json")).StatusCode);
        Assert.Equal(2, builds);
        await app.StopAsync();
    }

    [Fact]
    public async Task The_description_of_the_API_is_not_sent_again_to_those_who_have_it()
    {
        await using var server = await RunningServer.StartAsync(_terminal);
        using var first = await server.Http.GetAsync("/openapi/v1.json");
        var document = await first.Content.ReadAsStringAsync();
        Assert.Equal("application/json", first.Content.Headers.ContentType?.MediaType);
        Assert.Equal(document, await server.Http.GetStringAsync("/openapi/v1.json"));
        using var again = new HttpRequestMessage(HttpMethod.Get, "/openapi/v1.json");
        again.Headers.IfNoneMatch.Add(first.Headers.ETag!);
        using var known = await server.Http.SendAsync(again);
        Assert.Equal((HttpStatusCode.NotModified, ""), (known.StatusCode, await known.Content.ReadAsStringAsync()));
    }

    [Theory]
    [InlineData("/api/bans")]
    [InlineData("/api/nothing")]
    [InlineData("/openapi/v1.json")]
    [InlineData("/health/live")]
    [InlineData("/metrics")]
    [InlineData("/socket.io/?EIO=4&transport=polling")]
    public async Task Browsers_do_not_guess_what_an_answer_is(string path)
    {
        await using var server = await RunningServer.StartAsync(_terminal);
        using var answer = await server.Http.GetAsync(path);
        Assert.Equal(["nosniff"], answer.Headers.GetValues("X-Content-Type-Options"));
    }

    [Fact]
    public async Task Hosts_that_the_configuration_does_not_allow_are_refused_on_every_way_in()
    {
        _terminal.Write("carillon.json", """{ "AllowedHosts": "shop.example", "Logging": { "LogLevel": { "Default": "None" } } }""");
        await using var server = await RunningServer.StartAsync(_terminal);
        foreach (var (host, allowed) in new[] { ("shop.example", true), ("evil.example", false) })
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, "/socket.io/?EIO=4&transport=polling") { Headers = { Host = host } };
            using var answer = await server.Http.SendAsync(request);
            Assert.Equal(allowed ? HttpStatusCode.OK : HttpStatusCode.BadRequest, answer.StatusCode);

            using var socket = new System.Net.WebSockets.ClientWebSocket();
            socket.Options.SetRequestHeader("Host", host);
            var connecting = socket.ConnectAsync(new Uri($"ws{server.Url["http".Length..]}/socket.io/?EIO=4&transport=websocket"), CancellationToken.None);
            if (allowed) await connecting;
            else Assert.Contains("400", (await Assert.ThrowsAsync<System.Net.WebSockets.WebSocketException>(() => connecting)).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task What_there_is_not_is_a_problem_with_a_code()
    {
        await using var server = await RunningServer.StartAsync(_terminal);
        using var answer = await server.Http.GetAsync("/api/nothing");
        Assert.Equal(HttpStatusCode.NotFound, answer.StatusCode);
        Assert.Equal("not-found", JsonElement.Parse(await answer.Content.ReadAsStringAsync()).GetProperty("code").GetString());
    }

    [Theory]
    [InlineData("--version")]
    [InlineData("--help", "serve", "token", "publish", "tail", "check", "--config", "--version")]
    [InlineData("serve --help", "--urls", "--config")]
    [InlineData("token --help", "--sub", "--name", "--role", "--expires", "--capability")]
    [InlineData("publish --help", "<channel>", "<json>", "--event", "--url", "--key")]
    [InlineData("tail --help", "<channel>", "--since", "--url", "--token")]
    [InlineData("check --help", "--config")]
    public async Task The_command_line_explains_itself(string line, params string[] words)
    {
        Assert.Equal(ExitCode.Done, await _terminal.RunAsync(line.Split(' ')));
        Assert.All(words, word => Assert.Contains(word, _terminal.Out.All, StringComparison.Ordinal));
        if (line == "--version") Assert.Equal(Description.Version, _terminal.Out.All.Trim());
    }

    [Theory]
    [InlineData("dance", "'dance'")]
    [InlineData("token", "--sub")]
    [InlineData("publish orders:7", "Required argument")]
    [InlineData("serve --port 7", "'--port'")]
    public async Task What_the_command_line_does_not_know_is_told(string line, string word)
    {
        Assert.Equal(ExitCode.Misconfigured, await _terminal.RunAsync(line.Split(' ')));
        Assert.Contains(word, _terminal.Error.All, StringComparison.Ordinal);
        Assert.EndsWith("--help lists the commands and options.", _terminal.Error.All.TrimEnd(), StringComparison.Ordinal);
        Assert.Empty(_terminal.Out.All);
    }
}
