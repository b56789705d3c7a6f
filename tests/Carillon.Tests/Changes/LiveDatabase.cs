using System.Collections.Concurrent;
using System.ComponentModel;
using System.Diagnostics;
using System.Text.Json;
using Carillon.Changes;
using Carillon.Channels;
using Carillon.Channels.InProcess;
using Carillon.Storage;
using Microsoft.Data.Sqlite;

namespace Carillon.Tests.Changes;

/// <summary>A real SQLite file in a folder of its own, followed by a running pump; what the pump announces is received as a subscriber would.</summary>
public sealed class LiveDatabase : IAsyncDisposable
{
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(15);

    readonly DirectoryInfo folder;
    readonly bool ownsFolder;
    readonly ConcurrentQueue<Publication> received = new();
    readonly SemaphoreSlim arrived = new(0);
    readonly ConcurrentQueue<(string Table, Position Position)> newEpochs = new();

    LiveDatabase(DirectoryInfo folder, bool ownsFolder, ChangesOptions options)
    {
        (this.folder, this.ownsFolder, Options) = (folder, ownsFolder, options);
        Db = new Database(Path.Combine(folder.FullName, "shop's database.db"));
        Tables = new LiveTables(Db, options, Logged.Of<LiveTables>());
        Log = new ChangeLog(Db, Tables, options, TimeProvider.System);
        Layer = new InProcessChannelLayer(TimeProvider.System);
        Pump = new ChangePump(Db, Tables, Log, Layer, options, TimeProvider.System, Logged.Of<ChangePump>());
    }

    public Database Db { get; }
    internal Lines Logged { get; } = new();
    public ChangesOptions Options { get; }
    public LiveTables Tables { get; }
    internal ChangeLog Log { get; }
    public InProcessChannelLayer Layer { get; }
    internal ChangePump Pump { get; }

    static CancellationToken Ct => TestContext.Current.CancellationToken;

    /// <summary>Creates the tables, then starts to follow the live ones.</summary>
    public static async Task<LiveDatabase> StartAsync(string schema, params string[] tables) =>
        await StartAsync(schema, new ChangesOptions { Tables = [.. tables], PollInterval = TimeSpan.FromMilliseconds(20) });

    public static async Task<LiveDatabase> StartAsync(string schema, ChangesOptions options)
    {
        var hub = new LiveDatabase(Directory.CreateTempSubdirectory("carillon-"), true, options);
        if (schema != "") await hub.RawAsync(schema);
        await hub.FollowAsync();
        return hub;
    }

    /// <summary>Follows a database that is there already.</summary>
    public static async Task<LiveDatabase> StartAtAsync(DirectoryInfo folder, params string[] tables)
    {
        var hub = new LiveDatabase(folder, false, new ChangesOptions { Tables = [.. tables], PollInterval = TimeSpan.FromMilliseconds(20) });
        await hub.FollowAsync();
        return hub;
    }

    /// <summary>Another process on the same file, or the same one after a kill: nothing is handed over.</summary>
    public async Task<LiveDatabase> StartAnotherAsync(ChangesOptions? options = null)
    {
        var another = new LiveDatabase(folder, false, options ?? Options);
        await another.FollowAsync();
        return another;
    }

    async Task FollowAsync()
    {
        Layer.OnMessage(message =>
        {
            received.Enqueue(message);
            arrived.Release();
        });
        Pump.EpochChanged += (table, position) => newEpochs.Enqueue((table, position));
        foreach (var table in Options.Tables) await Layer.SubscribeAsync($"changes:{table}", Ct);
        await Pump.StartAsync(Ct);
    }

    /// <summary>What a SIGKILL leaves of the pump: nothing.</summary>
    public Task KillAsync() => Pump.StopAsync(CancellationToken.None);

    public async Task WriteAsync(string sql, object? parameters = null, string? actor = null)
    {
        await using var tx = await Db.BeginAsync(actor, Ct);
        await tx.ExecuteAsync(sql, parameters, Ct);
        await tx.CommitAsync(Ct);
    }

    /// <summary>Runs a script on a connection of its own, as code that knows nothing of Carillon does. Answers what SQLite says was changed.</summary>
    public async Task<int> RawAsync(string sql)
    {
        await using var connection = new SqliteConnection($"Data Source={Db.Path};Pooling=False");
        await connection.OpenAsync(Ct);
        await using var command = connection.CreateCommand();
        command.CommandText = sql;
        return await command.ExecuteNonQueryAsync(Ct);
    }

    /// <summary>Runs a script in another process: the sqlite3 tool.</summary>
    public async Task<string> Sqlite3Async(string sql, bool expectFailure = false)
    {
        Process process;
        try
        {
            process = Process.Start(new ProcessStartInfo("sqlite3", ["-batch", "-bail", Db.Path])
            {
                RedirectStandardInput = true,
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            })!;
        }
        catch (Win32Exception)
        {
            throw new InvalidOperationException("The tests write to the database with the sqlite3 tool, which is not installed. ./test installs it, or: apt-get install sqlite3");
        }

        using (process)
        {
            await process.StandardInput.WriteAsync(".timeout 5000\n" + sql + "\n");
            process.StandardInput.Close();
            var output = await process.StandardOutput.ReadToEndAsync(Ct);
            var errors = await process.StandardError.ReadToEndAsync(Ct);
            await process.WaitForExitAsync(Ct);
            Assert.True(process.ExitCode == 0 != expectFailure, $"sqlite3 answered: {output}{errors}");
            return output + errors;
        }
    }

    public async Task<T> ScalarAsync<T>(string sql)
    {
        await using var connection = await Db.OpenReadAsync(Ct);
        await using var command = connection.CreateCommand();
        command.CommandText = sql;
        return (T)(await command.ExecuteScalarAsync(Ct))!;
    }

    public async Task<Change> NextAsync()
    {
        Assert.True(await arrived.WaitAsync(Patience, Ct), "no change was announced");
        Assert.True(received.TryDequeue(out var message));
        return Change.Of(message);
    }

    /// <summary>The next changes, each as "operation key".</summary>
    public async Task<string[]> NextAsync(int count)
    {
        var changes = new string[count];
        for (var n = 0; n < count; n++) changes[n] = (await NextAsync()).ToString();
        return changes;
    }

    /// <summary>Writes a row to a table kept for that and waits for its change: whatever was to come before it has come.</summary>
    public async Task<string[]> UntilNowAsync(string sentinelTable)
    {
        await RawAsync($"INSERT INTO \"{sentinelTable}\" DEFAULT VALUES");
        var changes = new List<string>();
        while (await NextAsync() is var change && change.Table != sentinelTable) changes.Add(change.ToString());
        return [.. changes];
    }

    public async Task<(string Table, Position Position)> NextNewEpochAsync()
    {
        var waited = Stopwatch.StartNew();
        while (true)
        {
            if (newEpochs.TryDequeue(out var epoch)) return epoch;
            Assert.True(waited.Elapsed < Patience, "no new epoch was told");
            await Task.Delay(5, Ct);
        }
    }

    public bool AnyNewEpoch => !newEpochs.IsEmpty;

    public static async Task UntilAsync(Func<Task<bool>> condition, string what)
    {
        var waited = Stopwatch.StartNew();
        while (!await HoldsAsync())
        {
            Assert.True(waited.Elapsed < Patience, $"never came: {what}");
            await Task.Delay(5, Ct);
        }

        // A file that is being replaced cannot be read for a moment.
        async Task<bool> HoldsAsync()
        {
            try
            {
                return await condition();
            }
            catch (DatabaseUnavailableException)
            {
                return false;
            }
        }
    }

    public Task<History> HistoryAsync(string table, Position? since, int limit = 1000) => Log.HistoryAsync(table, since, limit, Ct).AsTask();

    public async Task<Position> PositionAsync(string table) => (await HistoryAsync(table, null)).Position;

    public async ValueTask DisposeAsync()
    {
        await Pump.StopAsync(CancellationToken.None);
        Pump.Dispose();
        Tables.Dispose();
        await Db.DisposeAsync();
        arrived.Dispose();
        if (ownsFolder) folder.Delete(recursive: true);
    }
}

/// <summary>An announced change, read back from its JSON.</summary>
public sealed record Change(string Id, string Table, string Operation, JsonElement Key, string[] Columns, JsonElement? Row, string? Actor, string At, Publication Message)
{
    public static Change Of(Publication message)
    {
        using var document = JsonDocument.Parse(message.Body);
        var json = document.RootElement.Clone();
        return new Change(
            json.GetProperty("id").GetString()!, json.GetProperty("table").GetString()!, json.GetProperty("operation").GetString()!,
            json.GetProperty("key"), [.. json.GetProperty("columns").EnumerateArray().Select(column => column.GetString()!)],
            json.TryGetProperty("row", out var row) ? row : null, json.TryGetProperty("actor", out var actor) ? actor.GetString() : null,
            json.GetProperty("at").GetString()!, message);
    }

    public override string ToString() => $"{Operation} {(Key.ValueKind == JsonValueKind.String ? Key.GetString() : Key.GetRawText())}";
}
