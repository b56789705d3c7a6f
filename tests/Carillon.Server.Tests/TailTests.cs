using System.Text.Json;
using System.Text.RegularExpressions;
using Carillon.Server.CommandLine;
using Microsoft.Data.Sqlite;

namespace Carillon.Server.Tests;

public sealed class TailTests : IDisposable
{
    const string Secret = "a secret of exactly 32 bytes, ok";

    readonly Terminal _served = new();
    readonly Terminal _terminal = new();
    readonly CancellationTokenSource _stop = new();

    public TailTests()
    {
        _served["CARILLON__AllowAnonymous"] = "true";
        _served["CARILLON__Areas__0__Pattern"] = "changes:{table}";
        _served["CARILLON__Areas__0__Subscribe"] = "everyone";
        _served["CARILLON__Changes__Tables__0"] = "orders";
        Sql("CREATE TABLE orders (id INTEGER PRIMARY KEY, goods TEXT)");
    }

    public void Dispose()
    {
        _stop.Dispose();
        _terminal.Dispose();
        _served.Dispose();
    }

    [Fact]
    public async Task Publications_are_printed_and_a_restart_of_the_server_loses_none()
    {
        var server = await RunningServer.StartAsync(_served);
        var tail = _terminal.RunAsync(_stop.Token, "tail", "changes:orders", "--since", "0:0", "--url", server.Url);
        // Nobody knows that position: it is told, and from then on nothing is missing.
        Assert.StartsWith("GAP: what came after 0:0 is not kept any more.", await _terminal.Error.NextAsync("GAP"), StringComparison.Ordinal);

        Sql("INSERT INTO orders (goods) VALUES ('soup')");
        var first = JsonElement.Parse(await _terminal.Out.NextAsync());
        Assert.Equal(("change", "changes:orders", "insert"), (first.GetProperty("event").GetString(), first.GetProperty("channel").GetString(), first.GetProperty("data").GetProperty("operation").GetString()));

        var url = server.Url;
        await server.DisposeAsync();
        Sql("INSERT INTO orders (goods) VALUES ('bread')");
        Sql("INSERT INTO orders (goods) VALUES ('cheese')");
        await using var again = await RunningServer.StartAsync(_served, url);
        var (second, third) = (JsonElement.Parse(await _terminal.Out.NextAsync()), JsonElement.Parse(await _terminal.Out.NextAsync()));
        Assert.Equal([1, 2, 3], new[] { first, second, third }.Select(line => line.GetProperty("offset").GetInt64()));
        Assert.DoesNotContain("GAP", _terminal.Error.All[(_terminal.Error.All.IndexOf("GAP", StringComparison.Ordinal) + 3)..], StringComparison.Ordinal);

        await _stop.CancelAsync();
        Assert.Equal(ExitCode.Done, await tail);

        // From the first position on, the other two come again.
        using var other = new Terminal();
        using var enough = new CancellationTokenSource();
        var replay = other.RunAsync(enough.Token, "tail", "changes:orders", "--since", $"{first.GetProperty("epoch").GetString()}:1", "--url", url);
        Assert.Equal(2, JsonElement.Parse(await other.Out.NextAsync()).GetProperty("offset").GetInt64());
        Assert.Equal(3, JsonElement.Parse(await other.Out.NextAsync()).GetProperty("offset").GetInt64());
        await enough.CancelAsync();
        Assert.Equal(ExitCode.Done, await replay);
        Assert.Empty(other.Error.All);
    }

    [Theory]
    [InlineData("nowhere:7", "start the server with CARILLON__Areas__0__Pattern")]
    [InlineData("changes:products", "start it with CARILLON__Changes__Tables__0=products. The table must exist in its database.")]
    public async Task A_channel_that_is_not_there_ends_it_and_the_setting_is_named(string channel, string hint)
    {
        await using var server = await RunningServer.StartAsync(_served);
        Assert.Equal(ExitCode.Failed, await _terminal.RunAsync("tail", channel, "--url", server.Url));
        Assert.StartsWith("unknown-channel: ", _terminal.Error.All, StringComparison.Ordinal);
        Assert.Contains(hint, _terminal.Error.All, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(null, null, "unauthorized: ", "set CARILLON__Access__SigningKey here to the key that the server has")]
    [InlineData("another secret of exactly 32 byte", null, "unauthorized: ", "the server must have the same key")]
    [InlineData(Secret, null, "unknown-user: ", "start the server with CARILLON__Access__UnknownUsers=create")]
    [InlineData(Secret, "a token that allows nothing", "forbidden: ", "--capability \"changes:orders=subscribe\"")]
    public async Task What_is_missing_is_said(string? key, string? token, string code, string hint)
    {
        _served["CARILLON__AllowAnonymous"] = "false";
        _served["CARILLON__Access__SigningKey"] = Secret;
        _served["CARILLON__Areas__0__Subscribe"] = "nobody";
        if (key is not null) _terminal["CARILLON__Access__SigningKey"] = key;
        if (token is not null) _served["CARILLON__Access__UnknownUsers"] = "create";
        await using var server = await RunningServer.StartAsync(_served);
        string[] args = ["tail", "changes:orders", "--url", server.Url];
        if (token is not null)
        {
            Assert.Equal(ExitCode.Done, await _terminal.RunAsync("token", "--sub", "alice"));
            args = [.. args, "--token", _terminal.Out.All.Trim()];
        }
        Assert.Equal(ExitCode.Failed, await _terminal.RunAsync(args));
        Assert.StartsWith(code, _terminal.Error.All, StringComparison.Ordinal);
        Assert.Contains(hint, _terminal.Error.All, StringComparison.Ordinal);
        Assert.DoesNotContain(Secret, _terminal.Error.All, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_the_readme_shows_is_enough()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(folder!.FullName, "Carillon.slnx"))) folder = folder.Parent;
        var readme = await File.ReadAllTextAsync(Path.Combine(folder.FullName, "README.md"), TestContext.Current.CancellationToken);
        var block = Regex.Match(readme, @"```sh\n((?:(?!```).)*tail changes:orders.*?)```", RegexOptions.Singleline).Groups[1].Value;
        using var terminal = new Terminal();
        foreach (Match export in Regex.Matches(block, @"^export (\w+)=(?:""([^""]*)""|(\S+))", RegexOptions.Multiline))
        {
            var value = export.Groups[2].Value + export.Groups[3].Value;
            terminal[export.Groups[1].Value] = value.StartsWith("$(", StringComparison.Ordinal) ? Secret : value;
        }
        var statements = Regex.Matches(block, @"^sqlite3 carillon\.db ""(.*)""", RegexOptions.Multiline)
            .Select(match => match.Groups[1].Value).ToList();
        Assert.Equal(2, statements.Count);

        Sql(statements[0], terminal);
        await using var server = await RunningServer.StartAsync(terminal);
        var tail = terminal.RunAsync(_stop.Token, "tail", "changes:orders", "--url", server.Url);
        // Nothing tells when it has subscribed: rows are added until one of them is printed.
        var printed = terminal.Out.NextAsync("\"channel\":\"changes:orders\"");
        while (!printed.IsCompleted)
        {
            Sql(statements[1], terminal);
            await Task.WhenAny(printed, tail, terminal.Error.NextAsync().WaitAsync(TimeSpan.FromMilliseconds(300)));
        }
        Assert.Equal("insert", JsonElement.Parse(await printed).GetProperty("data").GetProperty("operation").GetString());
        await _stop.CancelAsync();
        Assert.Equal(ExitCode.Done, await tail);
    }

    [Theory]
    [InlineData("""{ "pingInterval": 25000, "pingTimeout": 20000 }""", 45_000)]
    [InlineData("""{ "pingInterval": -1, "pingTimeout": 0 }""", 2000)]
    [InlineData("""{ "pingInterval": 9223372036854775807, "pingTimeout": 9223372036854775807 }""", 1_200_000)]
    public void The_heartbeat_that_a_server_announces_is_clamped(string open, int expected) =>
        Assert.Equal(expected, Tail.PatienceOf(JsonElement.Parse(open)).TotalMilliseconds);

    [Fact]
    public async Task A_token_that_is_not_good_ends_it()
    {
        _served["CARILLON__AllowAnonymous"] = "false";
        await using var server = await RunningServer.StartAsync(_served);
        Assert.Equal(ExitCode.Failed, await _terminal.RunAsync("tail", "changes:orders", "--url", server.Url, "--token", "hunter2"));
        Assert.StartsWith("unauthorized: ", _terminal.Error.All, StringComparison.Ordinal);
        Assert.DoesNotContain("hunter2", _terminal.Error.All + _terminal.Out.All, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_server_that_is_not_there_is_tried_again()
    {
        var tail = _terminal.RunAsync(_stop.Token, "tail", "changes:orders", "--url", "http://127.0.0.1:1");
        await _terminal.Error.NextAsync("The connection is lost");
        await _terminal.Error.NextAsync("The connection is lost");
        await _stop.CancelAsync();
        Assert.Equal(ExitCode.Done, await tail);
    }

    [Theory]
    [InlineData("--url", "127.0.0.1", "--url must be an address")]
    [InlineData("--since", "seven", "--since must be a position")]
    [InlineData("--since", ":7", "--since must be a position")]
    [InlineData("--since", "a:-7", "--since must be a position")]
    public async Task What_makes_no_sense_is_told(string option, string value, string sentence)
    {
        Assert.Equal(ExitCode.Misconfigured, await _terminal.RunAsync("tail", "changes:orders", option, value));
        Assert.StartsWith(sentence, _terminal.Error.All, StringComparison.Ordinal);
    }

    [Fact]
    public void Pauses_double_up_to_half_a_minute_and_a_part_of_them_is_chance()
    {
        Assert.Equal([0.5, 1, 2, 4, 8, 16, 30, 30], Enumerable.Range(0, 8).Select(failures => Tail.Pause(failures, 1).TotalSeconds));
        Assert.Equal(0.25, Tail.Pause(0, 0).TotalSeconds);
        Assert.Equal(15, Tail.Pause(1_000_000, 0).TotalSeconds);
    }

    void Sql(string sql) => Sql(sql, _served);

    static void Sql(string sql, Terminal terminal)
    {
        SQLitePCL.Batteries_V2.Init();
        using var connection = new SqliteConnection($"Data Source={terminal.Path("carillon.db")};Pooling=False;Default Timeout=10");
        connection.Open();
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        command.ExecuteNonQuery();
    }
}
