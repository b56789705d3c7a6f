using System.Text.Json;
using Carillon.Server.CommandLine;
using Microsoft.Data.Sqlite;

namespace Carillon.Server.Tests;

public sealed class TailTests : IDisposable
{
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

    [Fact]
    public async Task A_channel_that_is_not_there_ends_it()
    {
        await using var server = await RunningServer.StartAsync(_served);
        Assert.Equal(ExitCode.Failed, await _terminal.RunAsync("tail", "nowhere:7", "--url", server.Url));
        Assert.StartsWith("unknown-channel: ", _terminal.Error.All, StringComparison.Ordinal);
    }

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

    void Sql(string sql)
    {
        SQLitePCL.Batteries_V2.Init();
        using var connection = new SqliteConnection($"Data Source={_served.Path("carillon.db")};Pooling=False;Default Timeout=10");
        connection.Open();
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        command.ExecuteNonQuery();
    }
}
