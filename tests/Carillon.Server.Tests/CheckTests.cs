using System.Net;
using System.Net.Sockets;
using Microsoft.Data.Sqlite;

namespace Carillon.Server.Tests;

public sealed class CheckTests : IDisposable
{
    readonly Terminal _terminal = new();

    public CheckTests()
    {
        _terminal["CARILLON__Access__SigningKey"] = new string('s', 40);
        _terminal["ASPNETCORE_URLS"] = "http://127.0.0.1:0";
    }

    public void Dispose() => _terminal.Dispose();

    [Fact]
    public async Task Where_nothing_is_wrong_each_thing_is_ok_and_nothing_is_made()
    {
        Assert.Equal(ExitCode.Done, await _terminal.RunAsync("check"));
        Assert.Equal("ok     configuration\nok     database\nok     tokens\nok     address http://127.0.0.1:0\n", _terminal.Out.All.ReplaceLineEndings("\n"));
        Assert.Empty(Directory.EnumerateFileSystemEntries(_terminal.Folder));
    }

    [Fact]
    public async Task Beside_a_server_that_runs_only_its_address_is_taken()
    {
        await using var server = await RunningServer.StartAsync(_terminal);
        _terminal["ASPNETCORE_URLS"] = server.Url;
        Assert.Equal(ExitCode.Failed, await _terminal.RunAsync("check"));
        Assert.Contains("ok     database", _terminal.Out.All, StringComparison.Ordinal);
        Assert.Contains($"wrong  address {server.Url}: another program listens there", _terminal.Out.All, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("0.0.0.0")]
    [InlineData("*")]
    [InlineData("localhost")]
    public async Task An_address_that_is_taken_is_found_however_it_is_written(string host)
    {
        using var other = new TcpListener(IPAddress.Loopback, 0);
        other.Start();
        await AssertWrongAsync($"address http://{host}:", "another program listens there", "ASPNETCORE_URLS", $"http://{host}:{((IPEndPoint)other.LocalEndpoint).Port}");
    }

    [Fact]
    public Task Without_a_key_nobody_could_connect() => AssertWrongAsync("tokens: ", "nobody can connect", "CARILLON__Access__SigningKey", "");

    [Fact]
    public async Task A_database_that_is_none_is_told()
    {
        _terminal.Write("rubbish.db", new string('x', 5000));
        await AssertWrongAsync("database: ", "is not an SQLite database", "CARILLON__Database", "sqlite:rubbish.db");
    }

    [Theory]
    [InlineData("CREATE TABLE a (id INTEGER PRIMARY KEY, n INT) STRICT")]
    [InlineData("CREATE TABLE a (id INTEGER PRIMARY KEY, j TEXT); CREATE VIEW v AS SELECT j->>'x' FROM a")]
    [InlineData("CREATE TABLE a (id INTEGER PRIMARY KEY, n INT); CREATE TRIGGER t AFTER UPDATE ON a WHEN NEW.n IS DISTINCT FROM OLD.n BEGIN SELECT 1; END")]
    [InlineData("CREATE TABLE a (id INTEGER PRIMARY KEY, n TEXT COLLATE german); CREATE INDEX i ON a (n)")]
    public async Task A_sound_database_with_any_schema_is_fine(string schema)
    {
        Run(schema);
        _terminal["CARILLON__Database"] = "sqlite:s.db";
        Assert.Equal(ExitCode.Done, await _terminal.RunAsync("check"));
    }

    [Fact]
    public async Task A_schema_newer_than_the_library_is_not_called_damage()
    {
        Run("CREATE TABLE a (id INTEGER PRIMARY KEY); PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = 'CREATE TABLE a (id INTEGER PRIMARY KEY) FUTURE'");
        await AssertWrongAsync("database: ", "The file is sound; keep it as it is.", "CARILLON__Database", "sqlite:s.db");
        Assert.DoesNotContain("ove it away", _terminal.Out.All, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("UPDATE sqlite_master SET rootpage = 99")]
    [InlineData("INSERT INTO sqlite_master (type, name, tbl_name, rootpage, sql) VALUES ('index', 'lost', 'nothing', 2, NULL)")]
    public async Task A_schema_that_points_to_nothing_is_damage_and_not_a_newer_one(string damage)
    {
        Run($"CREATE TABLE a (id INTEGER PRIMARY KEY, n INT); CREATE INDEX i ON a (n); PRAGMA writable_schema = ON; {damage}");
        await AssertWrongAsync("database: ", ".recover", "CARILLON__Database", "sqlite:s.db");
        Assert.DoesNotContain("The file is sound", _terminal.Out.All, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("CREATE TABLE a (id INTEGER PRIMARY KEY, n TEXT COLLATE german); CREATE INDEX i ON a (n)", "no such collation sequence: german")]
    [InlineData("CREATE TABLE a (id INTEGER PRIMARY KEY, n TEXT COLLATE german)", "no such collation sequence: german")]
    [InlineData("CREATE TABLE a (id INTEGER PRIMARY KEY, n TEXT CHECK (known(n)))", "unknown function: known()")]
    [InlineData("CREATE TABLE a (id INTEGER PRIMARY KEY, n TEXT)", null)]
    [InlineData("CREATE TABLE b (id INTEGER PRIMARY KEY)", null)]
    public async Task A_live_table_that_needs_what_only_the_application_knows_is_found_before_the_start(string schema, string? missing)
    {
        Run(schema);
        _terminal["CARILLON__Changes__Tables__0"] = "a";
        if (missing is not null) await AssertWrongAsync("database: ", missing, "CARILLON__Database", "sqlite:s.db");
        else
        {
            _terminal["CARILLON__Database"] = "sqlite:s.db";
            Assert.Equal(ExitCode.Done, await _terminal.RunAsync("check"));
        }
    }

    [Fact]
    public async Task A_damaged_database_is_told_how_to_be_rescued()
    {
        Run("CREATE TABLE a (id INTEGER PRIMARY KEY)");
        var bytes = File.ReadAllBytes(_terminal.Path("s.db"));
        bytes.AsSpan(100, 200).Fill(0xFF);      // the head of the first page's tree
        File.WriteAllBytes(_terminal.Path("s.db"), bytes);
        await AssertWrongAsync("database: ", ".recover", "CARILLON__Database", "sqlite:s.db");
    }

    [Fact]
    public async Task A_lock_of_another_program_is_told_as_one()
    {
        Run("CREATE TABLE a (id INTEGER PRIMARY KEY)");
        using var other = new SqliteConnection($"Data Source={_terminal.Path("s.db")};Pooling=False");
        other.Open();
        using var lockIt = new SqliteCommand("BEGIN EXCLUSIVE", other);
        lockIt.ExecuteNonQuery();
        await AssertWrongAsync("database: ", "another program holds the lock", "CARILLON__Database", "sqlite:s.db");
    }

    [Fact]
    public async Task Where_the_database_is_named_wrongly_no_other_one_is_called_fine()
    {
        await AssertWrongAsync("configuration: ", "sqlite:", "CARILLON__Database", "shop.db");
        Assert.DoesNotContain("database\n", _terminal.Out.All, StringComparison.Ordinal);
    }

    void Run(string sql)
    {
        using var connection = new SqliteConnection($"Data Source={_terminal.Path("s.db")};Pooling=False");
        connection.Open();
        connection.CreateCollation("german", string.CompareOrdinal);
        connection.CreateFunction("known", (string? text) => text is not null);
        using var command = new SqliteCommand(sql, connection);
        command.ExecuteNonQuery();
    }

    [Fact]
    public Task A_folder_that_is_not_there_is_told() => AssertWrongAsync("database: ", "there is no folder", "CARILLON__Database", "sqlite:none/such.db");

    [Fact]
    public Task A_mistake_in_the_configuration_is_told() => AssertWrongAsync("configuration: ", "Did you mean CARILLON__Database?", "CARILLON__Databse", "sqlite:x.db");

    [Theory]
    [InlineData("none.json", null, "cannot be read")]
    [InlineData("keys.json", "rubbish", "It is no JSON.")]
    [InlineData("keys.json", "{}", "there is no list of keys")]
    [InlineData("keys.json", """{"keys":[{"kty":"oct","k":"aaaa"}]}""", "can check a token (1 left out)")]
    [InlineData("http://127.0.0.1:1/keys", null, "cannot be read")]
    public async Task Keys_that_are_of_no_use_are_told(string jwks, string? text, string sentence)
    {
        if (text is not null) _terminal.Write(jwks, text);
        await AssertWrongAsync("tokens: ", sentence, "CARILLON__Access__Jwks", jwks.StartsWith("http", StringComparison.Ordinal) ? jwks : _terminal.Path(jwks));
    }

    async Task AssertWrongAsync(string thing, string sentence, string variable, string value)
    {
        _terminal[variable] = value;
        Assert.Equal(ExitCode.Failed, await _terminal.RunAsync("check"));
        var wrong = Assert.Single(_terminal.Out.All.Split('\n'), line => line.StartsWith("wrong", StringComparison.Ordinal));
        Assert.StartsWith($"wrong  {thing}", wrong, StringComparison.Ordinal);
        Assert.Contains(sentence, wrong, StringComparison.Ordinal);
    }
}
