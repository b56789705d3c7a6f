using System.Text.Json;
using Carillon.Hosting;
using Carillon.Server.Configuration;
using Carillon.SocketIO.Engine;

namespace Carillon.Server.Tests;

public sealed class SettingsTests : IDisposable
{
    readonly Terminal _terminal = new();

    public void Dispose() => _terminal.Dispose();

    [Theory]
    [InlineData("Database", "postgres://user:hunter2@host:5432/name", "CARILLON__Database names a PostgreSQL server, which this version does not serve yet. Use a file, such as CARILLON__Database=sqlite:carillon.db, or leave it out.")]
    [InlineData("Database", "carillon.db", "CARILLON__Database must be sqlite: and the path of a file, such as CARILLON__Database=sqlite:carillon.db.")]
    [InlineData("Database", "sqlite:", "CARILLON__Database must be sqlite: and the path of a file, such as CARILLON__Database=sqlite:carillon.db.")]
    [InlineData("Database", "mysql://user:hunter2@host/name", "CARILLON__Database must be sqlite: and the path of a file, such as CARILLON__Database=sqlite:carillon.db.")]
    [InlineData("Redis", "redis://:hunter2@host:6379", "CARILLON__Redis names a Redis server, which this version does not use yet: it runs as one process. Leave it out.")]
    [InlineData("Access__SigningKey", "hunter2", "CARILLON__Access__SigningKey has 7 bytes; it must have 32 or more. `openssl rand -base64 48` makes one.")]
    [InlineData("Access__Jwks", "https://user:hunter2@issuer.example/keys", "CARILLON__Access__Jwks must not hold a user or a password: a key set is public.")]
    [InlineData("Access__ClockSkew", "a while", "CARILLON__Access__ClockSkew must be a time as hours:minutes:seconds, such as 00:00:05; it is \"a while\".")]
    [InlineData("Access__ClockSkew", "5", "CARILLON__Access__ClockSkew must be a time as hours:minutes:seconds, such as 00:00:05; it is \"5\".")]
    [InlineData("Changes__HistoryTtl", "24:00:00", "CARILLON__Changes__HistoryTtl must be a time as hours:minutes:seconds, such as 7.00:00:00; it is \"24:00:00\".")]
    [InlineData("Access__ClockSkew", "01:00:00", "CARILLON__Access__ClockSkew must lie between zero and ten minutes.")]
    [InlineData("Access__MaxTokenLength", "8k", "CARILLON__Access__MaxTokenLength must be a whole number, such as 8192; it is \"8k\".")]
    [InlineData("Access__SigningKy", "hunter2", "CARILLON__Access__SigningKy is not a key that Carillon knows. Did you mean CARILLON__Access__SigningKey?")]
    [InlineData("SigningKey", "hunter2", "CARILLON__SigningKey is not a key that Carillon knows. Did you mean CARILLON__Access__SigningKey?")]
    [InlineData("Acess__ApiKeys__0", "hunter2", "CARILLON__Acess__ApiKeys__0 is not a key that Carillon knows. Did you mean CARILLON__Access__ApiKeys__0?")]
    [InlineData("Access__ApiKeys", "hunter2", "CARILLON__Access__ApiKeys is not a key that Carillon knows. Did you mean CARILLON__Access__ApiKeys__0?")]
    [InlineData("AllowedOrigin__0", "https://shop.example", "CARILLON__AllowedOrigin__0 is not a key that Carillon knows. Did you mean CARILLON__AllowedOrigins__0?")]
    [InlineData("Limits__ConectionsPerAddress", "7", "CARILLON__Limits__ConectionsPerAddress is not a key that Carillon knows. Did you mean CARILLON__Limits__ConnectionsPerAddress?")]
    [InlineData("Weather", "hunter2", "CARILLON__Weather is not a key that Carillon knows. docs/server.md lists those that it knows.")]
    [InlineData("AllowedOrigins__0", "shop.example", "CARILLON__AllowedOrigins holds \"shop.example\", which is no web origin: that is a scheme, a host and a port, such as https://shop.example.")]
    [InlineData("AllowedOrigins__0", "null", "CARILLON__AllowedOrigins must not hold \"null\": a sandboxed frame of any page sends that origin.")]
    [InlineData("AllowedOrigins__0", "capacitor://", "CARILLON__AllowedOrigins holds \"capacitor://\", which is no web origin: that is a scheme, a host and a port, such as https://shop.example.")]
    [InlineData("AllowedOrigins__0", "app://./page", "CARILLON__AllowedOrigins holds \"app://./page\", which is no web origin: that is a scheme, a host and a port, such as https://shop.example.")]
    [InlineData("AllowedOrigins__0", "https://shop.example/path", "CARILLON__AllowedOrigins holds \"https://shop.example/path\", which is no web origin: that is a scheme, a host and a port, such as https://shop.example.")]
    [InlineData("AllowAnonymous", "maybe", "CARILLON__AllowAnonymous must be true or false; it is \"maybe\".")]
    [InlineData("MaxSubscriptions", "many", "CARILLON__MaxSubscriptions must be a whole number, such as 1000; it is \"many\".")]
    [InlineData("MaxSubscriptions", "0", "Carillon's MaxSubscriptions must be at least one.")]
    [InlineData("Votes__MayVote", "Anybody", "CARILLON__Votes__MayVote must be one or several of everyone, users, nobody, owner, members, subscribers, present, admins and role:… with commas between; it is \"Anybody\".")]
    [InlineData("Areas__0__Subscribe", "users", "CARILLON__Areas__0__Pattern is missing: the names of the area's channels, such as orders:{id}.")]
    [InlineData("Areas__0__Pattern", "orders:{id}", "CARILLON__Areas__0__Event is missing: the name of the event under which clients receive what is published to orders:{id}.")]
    [InlineData("Changes__Tables__0", "sqlite_master", "Carillon's Changes: The table \"sqlite_master\" cannot be live: it belongs to SQLite or to Carillon itself.")]
    public async Task A_mistake_is_told_in_one_sentence_that_helps(string key, string value, string sentence)
    {
        _terminal[$"CARILLON__{key}"] = value;
        Assert.Equal([sentence], Settings.Read(_terminal.Shell).Problems);

        Assert.Equal(ExitCode.Misconfigured, await _terminal.RunAsync());
        Assert.Equal($"Carillon cannot start with this configuration:\n  - {sentence}\n", _terminal.Error.All.ReplaceLineEndings("\n"));
        Assert.DoesNotContain("hunter2", _terminal.Error.All + _terminal.Out.All, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("8080")]
    [InlineData("localhost:8080")]
    [InlineData("ftp://localhost")]
    [InlineData("http://localhost:99999")]
    public void An_address_that_is_none_is_told(string urls)
    {
        _terminal["ASPNETCORE_URLS"] = urls;
        Assert.Equal([$"ASPNETCORE_URLS must be addresses such as http://0.0.0.0:8080, with semicolons between them; \"{urls}\" is none."], Settings.Read(_terminal.Shell).Problems);
    }

    [Fact]
    public void All_mistakes_are_told_at_once()
    {
        (_terminal["CARILLON__Redis"], _terminal["CARILLON__Weather"], _terminal["CARILLON__Access__SigningKey"]) = ("redis://host", "fine", "short");
        Assert.Equal(3, Settings.Read(_terminal.Shell).Problems.Count);
    }

    [Fact]
    public void Nothing_needs_to_be_said()
    {
        var settings = Settings.Read(_terminal.Shell);
        Assert.Empty(settings.Problems);
        Assert.Equal(_terminal.Path("carillon.db"), settings.DatabaseFile);
        Assert.Equal(["http://0.0.0.0:8080"], settings.Urls);
        Assert.Empty(settings.AllowedOrigins);
    }

    [Fact]
    public void Each_key_reaches_its_option()
    {
        var secret = new string('s', 32);
        (string Key, string Value)[] said =
        [
            ("Database", "sqlite:data/shop.db"), ("Access__SigningKey", secret), ("Access__Jwks", "keys.json"), ("Access__Issuer", "joe"), ("ACCESS__AUDIENCE", "shop"),
            ("Access__ApiKeys__0", "one"), ("Access__ApiKeys__1", "two"), ("Access__ClockSkew", "00:00:10"), ("AllowedOrigins__0", "https://a.example/"), ("AllowedOrigins__1", "http://b.example:81"),
            ("Changes__Tables__0", "orders"), ("Changes__HistoryTtl", "1.00:00:00"), ("Votes__MaySuggest", "role:author"), ("Access__AdminRoles__0", "boss"), ("AllowAnonymous", "true"), ("MaxRecovered", "7"),
            ("Limits__ConnectionsPerAddress", "5"), ("Limits__PerConnection__EventsPerSecond", "9"), ("Limits__AllowList__0", "192.0.2.0/24"), ("Limits__FirstBan", "00:00:30"),
            ("Areas__0__Pattern", "kitchen:{table}"), ("Areas__0__Event", "order-ready"), ("Areas__0__Subscribe", "everyone"), ("Areas__0__HistorySize", "100"),
            ("Areas__1__Pattern", "changes:{table}"), ("Areas__1__Subscribe", "role:manager, admins"),
            ("Redis", ""), ("Access__Nothing", ""),
        ];
        foreach (var (key, value) in said) _terminal[$"CARILLON__{key}"] = value;
        _terminal["ASPNETCORE_URLS"] = "http://127.0.0.1:9000;http://[::1]:9000";

        var settings = Settings.Read(_terminal.Shell);
        Assert.Empty(settings.Problems);
        var (options, engine) = (new CarillonOptions(), new EngineOptions());
        settings.Apply(options);
        settings.Apply(engine);
        Assert.Equal($"sqlite:{_terminal.Path("data/shop.db")}", options.Database);
        Assert.Equal((secret, _terminal.Path("keys.json"), "joe", "shop"), (options.Access.SigningKey, options.Access.Jwks, options.Access.Issuer, options.Access.Audience));
        Assert.Equal(["one", "two"], options.Access.ApiKeys);
        Assert.Equal((TimeSpan.FromSeconds(10), TimeSpan.FromDays(1)), (options.Access.ClockSkew, options.Changes.HistoryTtl));
        Assert.Equal(["orders"], options.Changes.Tables);
        Assert.Equal(("role:author", true, 7), (options.Votes.MaySuggest.ToString(), options.AllowAnonymous, options.MaxRecovered));
        Assert.Equal(["boss"], options.Access.AdminRoles);
        var area = options.Areas["kitchen:{table}"];
        Assert.Equal(("order-ready", "everyone", 100), (area.Event, area.Subscribe.ToString(), area.HistorySize));
        Assert.Equal(("role:manager,admins", 1), (options.Areas.Changes.Subscribe.ToString(), options.Areas.Count(one => one.Pattern == "changes:{table}")));
        Assert.Equal(["https://a.example", "http://b.example:81"], engine.AllowedOrigins);
        Assert.Equal((5, 9, TimeSpan.FromSeconds(30)), (engine.Limits.ConnectionsPerAddress, engine.Limits.PerConnection.EventsPerSecond, engine.Limits.FirstBan));
        Assert.Equal(["192.0.2.0/24"], engine.Limits.AllowList);
        Assert.Equal(["http://127.0.0.1:9000", "http://[::1]:9000"], settings.Urls);
    }

    [Theory]
    [InlineData("Changes__KeepFor", "1.00:00:00", "Changes__HistoryTtl")]
    [InlineData("changes__keepcount", "7", "Changes__HistorySize")]
    [InlineData("Access__ManagerRoles__0", "boss", "Access__AdminRoles__0")]
    [InlineData("Access__KeepAudit", "1.00:00:00", "Access__AuditRetention")]
    [InlineData("Access__TicketsLastFor", "00:00:07", "Access__TicketLifetime")]
    [InlineData("Access__JwksPause", "00:00:07", "Access__JwksMinInterval")]
    [InlineData("Fairness__FirstBan", "00:00:07", "Limits__FirstBan")]
    [InlineData("Fairness__HandshakeWithin", "00:00:07", "Limits__HandshakeTimeout")]
    [InlineData("Fairness__PerConnection__EventsPerSecond", "7", "Limits__PerConnection__EventsPerSecond")]
    [InlineData("Presence__TellEvery", "00:00:01", "Presence__PresenceInterval")]
    [InlineData("Shutdown__Within", "00:00:07", "Shutdown__Timeout")]
    [InlineData("Shutdown__ReadinessFirst", "00:00:02", "Shutdown__ReadinessDelay")]
    public void A_renamed_key_is_still_read_with_a_warning(string old, string value, string today)
    {
        _terminal[$"CARILLON__{today}"] = value;
        var expected = Settings.Read(_terminal.Shell);
        _terminal[$"CARILLON__{today}"] = "";
        _terminal[$"CARILLON__{old}"] = value;

        var settings = Settings.Read(_terminal.Shell);
        Assert.Empty(settings.Problems);
        Assert.Contains($"CARILLON__{today}", Assert.Single(settings.Warnings), StringComparison.OrdinalIgnoreCase);
        Assert.Equal(Everything(expected), Everything(settings));
        Assert.NotEqual(Everything(Settings.Read(new Terminal().Shell)), Everything(settings));

        static string Everything(Settings settings)
        {
            var engine = new EngineOptions();
            settings.Apply(engine);
            return JsonSerializer.Serialize(new { settings.Carillon.Changes, settings.Carillon.Access, settings.Carillon.Presence, settings.Carillon.Shutdown, engine.Limits });
        }
    }

    [Fact]
    public void Renamed_keys_and_words_of_areas_are_still_read_with_warnings()
    {
        (string Key, string Value)[] said =
        [
            ("Areas__0__Pattern", "mailbox:{me}"), ("Areas__0__Event", "mail"), ("Areas__0__Subscribe", "managers, owner"), ("Areas__0__KeepCount", "5"), ("Areas__0__KeepFor", "00:01:00"),
            ("Areas__0__JoinsOwner", "true"), ("Areas__0__TellsPresence", "false"), ("Areas__0__GatherFor", "00:00:01"), ("Votes__MayVote", "managers"),
        ];
        foreach (var (key, value) in said) _terminal[$"CARILLON__{key}"] = value;

        var settings = Settings.Read(_terminal.Shell);
        Assert.Empty(settings.Problems);
        Assert.Equal(8, settings.Warnings.Count);
        var area = settings.Carillon.Areas["mailbox:{user}"];
        Assert.Equal(("admins,owner", 5, TimeSpan.FromMinutes(1)), (area.Subscribe.ToString(), area.HistorySize, area.HistoryTtl));
        Assert.Equal((true, false, TimeSpan.FromSeconds(1)), (area.AutoSubscribe, area.EmitsPresence, area.BatchWindow));
        Assert.Equal("admins", settings.Carillon.Votes.MayVote.ToString());
    }

    [Theory]
    [InlineData("""{ "Access": { "Issuer": "joe", "ApiKeys": ["one"] }, "MaxRecovered": 7, "ASPNETCORE_URLS": "http://127.0.0.1:9000" }""")]
    [InlineData("""{ "Carillon": { "Access": { "Issuer": "joe", "ApiKeys": ["one"] }, "MaxRecovered": 7 }, "urls": "http://127.0.0.1:9000" }""")]
    [InlineData("""{ "CARILLON__Access__Issuer": "joe", "CARILLON__Access__ApiKeys__0": "one", "CARILLON__MaxRecovered": "7", "ASPNETCORE_URLS": "http://127.0.0.1:9000" }""")]
    public void A_file_says_the_same_as_variables(string text)
    {
        _terminal.Write("carillon.json", text);
        var settings = Settings.Read(_terminal.Shell);

        Assert.Empty(settings.Problems);
        Assert.Equal(_terminal.Path("carillon.json"), settings.File);
        Assert.Equal(("joe", 7), (settings.Carillon.Access.Issuer, settings.Carillon.MaxRecovered));
        Assert.Equal(["one"], settings.Carillon.Access.ApiKeys);
        Assert.Equal(["http://127.0.0.1:9000"], settings.Urls);
    }

    [Fact]
    public void Variables_win_over_the_file_and_the_command_line_over_both()
    {
        _terminal.Write("other.json", """{ "Access": { "Issuer": "joe", "Audience": "shop" }, "ASPNETCORE_URLS": "http://127.0.0.1:9000" }""");
        (_terminal["CARILLON__Access__Issuer"], _terminal["ASPNETCORE_URLS"]) = ("ann", "http://127.0.0.1:9001");
        var settings = Settings.Read(_terminal.Shell, "other.json", "http://127.0.0.1:9002");

        Assert.Empty(settings.Problems);
        Assert.Equal(("ann", "shop"), (settings.Carillon.Access.Issuer, settings.Carillon.Access.Audience));
        Assert.Equal(["http://127.0.0.1:9002"], settings.Urls);
        Assert.Equal(["http://127.0.0.1:9001"], Settings.Read(_terminal.Shell, "other.json").Urls);
    }

    [Fact]
    public void A_file_that_is_not_there_or_is_no_JSON_is_told()
    {
        Assert.Equal([$"There is no file {_terminal.Path("none.json")}, which --config names."], Settings.Read(_terminal.Shell, "none.json").Problems);

        _terminal.Write("carillon.json", "{\n  \"Access\": { \"SigningKey\": hunter2 }\n}");
        Assert.Equal([$"{_terminal.Path("carillon.json")} cannot be read as JSON; look at line 2."], Settings.Read(_terminal.Shell).Problems);
    }

    [Fact]
    public async Task A_limit_that_cannot_be_is_told_as_well()
    {
        _terminal["CARILLON__Limits__ConnectionsPerAddress"] = "-1";
        Assert.Equal(ExitCode.Misconfigured, await _terminal.RunAsync("serve", "--urls", "http://127.0.0.1:0"));
        Assert.Equal("Carillon cannot start with this configuration:\n  - CARILLON__Limits__ConnectionsPerAddress must not be negative; zero is no limit.\n", _terminal.Error.All.ReplaceLineEndings("\n"));
    }
}
