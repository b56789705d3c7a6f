using System.Collections.Concurrent;
using Carillon.Storage;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Logging;

namespace Carillon.Changes;

/// <summary>
/// The live tables of the application's database and the triggers that watch them. The triggers follow the tables by themselves: altered,
/// dropped, made again. A table that was not watched for a moment starts a new epoch, so that nobody is told "recovered" about it.
/// </summary>
public sealed partial class LiveTables : IDisposable
{
    readonly Database db;
    readonly HashSet<string> released = new(StringComparer.Ordinal);
    readonly ConcurrentDictionary<string, string> notLive = new(StringComparer.Ordinal);     // the reason, by table
    readonly SemaphoreSlim verifying = new(1);
    readonly ILogger logger;
    volatile StartingPoint? start;

    /// <summary>Names the tables; nothing is opened yet.</summary>
    /// <param name="db">The application's database.</param>
    /// <param name="options">Which tables are live.</param>
    /// <param name="logger">Logs what is installed and what is refused.</param>
    /// <exception cref="InvalidOperationException">The options make no sense; the message says why.</exception>
    public LiveTables(Database db, ChangesOptions options, ILogger<LiveTables> logger)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (options.Problem() is { } problem) throw new InvalidOperationException(problem);
        this.db = db;
        this.logger = logger;
        Names = [.. options.Tables];
    }

    /// <summary>The live tables' names, as configured.</summary>
    public IReadOnlyList<string> Names { get; }

    /// <summary>
    /// Takes the triggers off a table while it is changed in ways that SQLite refuses with triggers on it
    /// (<c>ALTER TABLE … DROP COLUMN</c>). Dispose the answer to watch the table again: with a new epoch, because what was written
    /// meanwhile went unseen. Another process does the same within one transaction of its own by dropping the triggers named
    /// <c>carillon_…_{table}</c>; they come back by themselves.
    /// </summary>
    /// <param name="table">A live table, as configured.</param>
    /// <param name="ct">Ends the waiting.</param>
    public async ValueTask<IAsyncDisposable> ReleaseAsync(string table, CancellationToken ct)
    {
        if (!Names.Contains(table)) throw new ArgumentException($"\"{table}\" is not a live table.", nameof(table));
        await StartAsync(ct);
        await verifying.WaitAsync(ct);
        try
        {
            await using var tx = await db.BeginAsync(null, ct);
            foreach (var name in Triggers.NamesFor(table)) await tx.ExecuteAsync($"DROP TRIGGER IF EXISTS {Triggers.Name(name)}", ct: ct);
            await tx.CommitAsync(ct);
            released.Add(table);
        }
        finally
        {
            verifying.Release();
        }

        LogReleased(table);
        return new Release(this, table);
    }

    /// <summary>
    /// Makes sure, once, that the triggers are there, and answers where the log ended at that moment. Reading the history waits for
    /// this: what is committed after it is announced by the pump, what was committed before it is in the history.
    /// </summary>
    internal async ValueTask<StartingPoint> StartAsync(CancellationToken ct) => start ?? await VerifyAsync(Mode.Start, ct);

    /// <summary>The same at the start of the process, where a table that cannot be live is a mistake in the configuration.</summary>
    /// <exception cref="InvalidOperationException">A table cannot be live; the message says why.</exception>
    internal Task<StartingPoint> StartStrictlyAsync(CancellationToken ct) => VerifyAsync(Mode.StrictStart, ct);

    /// <summary>The file is another one now: begin again.</summary>
    internal void Restart() => start = null;

    /// <summary>
    /// Compares every live table with its triggers and puts right what is not. A table that cannot be live is logged, and the others go on.
    /// </summary>
    internal Task<StartingPoint> VerifyAsync(CancellationToken ct) => VerifyAsync(Mode.Again, ct);

    /// <summary>The tables that cannot be live, in a sentence; null where all can.</summary>
    internal string? Warning => notLive.IsEmpty ? null : string.Join(
        " ", notLive.OrderBy(table => table.Key).Select(table => $"Table {table.Key} is not live: {table.Value}"));

    enum Mode
    {
        StrictStart,
        Start,
        Again,
    }

    async Task<StartingPoint> VerifyAsync(Mode mode, CancellationToken ct)
    {
        await verifying.WaitAsync(ct);
        try
        {
            if (mode == Mode.Start && start is { } known) return known;
            await using var tx = await db.BeginAsync(null, ct);
            foreach (var table in Names)
                if (mode == Mode.StrictStart) await VerifyAsync(tx, table, ct);
                else await TryVerifyAsync(tx, table, ct);
            if (start is null && await PumpCheckpoint.ContradictsAsync(db, tx, ct))
            {
                await ChangeLog.StartAnewAsync(tx, Names, ct);
                LogRestoredWhileStopped();
            }
            var end = await LogCursor.ReadAsync(tx, ct);
            var states = await tx.QueryAsync<TableState>($"SELECT {TableState.Columns} FROM carillon_tables", ct: ct);
            await tx.CommitAsync(ct);
            return start ??= new StartingPoint(end, states.ToDictionary(state => state.Name, state => state.Epoch));
        }
        finally
        {
            verifying.Release();
        }
    }

    /// <inheritdoc />
    public void Dispose() => verifying.Dispose();

    // A table whose triggers SQLite refuses now is not watched any more, and the others go on.
    async Task TryVerifyAsync(DatabaseTransaction tx, string table, CancellationToken ct)
    {
        await tx.ExecuteAsync("SAVEPOINT carillon_table", ct: ct);
        try
        {
            await VerifyAsync(tx, table, ct);
            notLive.TryRemove(table, out _);
        }
        catch (Exception ex) when (ex is InvalidOperationException or SqliteException && !DatabaseUnavailableException.Is(ex))
        {
            await tx.ExecuteAsync("ROLLBACK TO carillon_table", ct: ct);
            if (!notLive.ContainsKey(table)) LogCannotBeLive(table, ex.Message);
            notLive[table] = ex.Message;
            var present = await PresentAsync(tx, table, ct);
            await NameAsync(tx, table, ct);
            var watched = await IsWatchedAsync(tx, table, ct);
            await DropAsync(tx, present, ct);
            await SetAsync(tx, table, watched: false, newEpoch: watched, ct);
        }
        await tx.ExecuteAsync("RELEASE carillon_table", ct: ct);
    }

    static Task<IReadOnlyList<PresentTrigger>> PresentAsync(DatabaseTransaction tx, string table, CancellationToken ct) =>
        tx.QueryAsync<PresentTrigger>(
        "SELECT name, tbl_name AS OnTable, sql FROM sqlite_master WHERE type = 'trigger' AND name IN @names",
        new { names = Triggers.NamesFor(table) }, ct);

    static async Task<bool> NameAsync(DatabaseTransaction tx, string table, CancellationToken ct) => await tx.ExecuteAsync(
        "INSERT INTO carillon_tables (table_name) SELECT @table WHERE NOT EXISTS (SELECT 1 FROM carillon_tables WHERE table_name = @table)",
        new { table }, ct) > 0;

    static Task<bool> IsWatchedAsync(DatabaseTransaction tx, string table, CancellationToken ct) =>
        tx.ExecuteScalarAsync<bool>("SELECT watched FROM carillon_tables WHERE table_name = @table", new { table }, ct);

    async Task VerifyAsync(DatabaseTransaction tx, string table, CancellationToken ct)
    {
        var isNew = await NameAsync(tx, table, ct);
        var watched = await IsWatchedAsync(tx, table, ct);
        if (released.Contains(table)) return;

        var shape = await TableSchema.ReadAsync(tx, table, ct);
        var present = await PresentAsync(tx, table, ct);

        switch (Decide(shape, shape is null ? [] : Triggers.For(table, shape), present, watched, isNew))
        {
            case Verdict.Right:
                return;
            case Verdict.Absent:
                await DropAsync(tx, present, ct);
                await SetAsync(tx, table, watched: false, newEpoch: watched, ct);
                if (watched) LogTableGone(table);
                return;
            case Verdict.Outdated:
                await InstallAsync(tx, table, shape!, present, ct);
                await SetAsync(tx, table, watched: true, newEpoch: false, ct);
                LogAdapted(table);
                return;
            case Verdict.Unwatched:
                await InstallAsync(tx, table, shape!, present, ct);
                await SetAsync(tx, table, watched: true, newEpoch: !isNew, ct);
                LogWatching(table);
                return;
        }
    }

    internal enum Verdict
    {
        Right,
        Absent,
        /// <summary>All triggers are there and saw every write, but were made for another shape.</summary>
        Outdated,
        /// <summary>Writes may have gone unseen.</summary>
        Unwatched,
    }

    internal static Verdict Decide(
        TableSchema? shape, IReadOnlyList<Triggers.Trigger> wanted, IReadOnlyList<PresentTrigger> present, bool watched, bool isNew)
    {
        if (shape is null) return present.Count > 0 || watched ? Verdict.Absent : Verdict.Right;

        var onTheTable = present.Where(trigger => trigger.OnTable.Equals(shape.Name, StringComparison.OrdinalIgnoreCase))
            .ToDictionary(trigger => trigger.Name, trigger => trigger.Sql);
        if (isNew || !watched || !wanted.All(trigger => onTheTable.ContainsKey(trigger.Name))) return Verdict.Unwatched;
        if (onTheTable.Values.Any(sql => Triggers.VersionOf(sql) > Triggers.Version)) return Verdict.Right;
        return wanted.All(trigger => onTheTable[trigger.Name] == trigger.Sql) ? Verdict.Right : Verdict.Outdated;
    }

    static async Task InstallAsync(
        DatabaseTransaction tx, string table, TableSchema shape, IReadOnlyList<PresentTrigger> present, CancellationToken ct)
    {
        await DropAsync(tx, present, ct);
        await tx.ExecuteAsync("DELETE FROM carillon_replaced WHERE table_name = @table", new { table }, ct);
        foreach (var trigger in Triggers.For(table, shape)) await tx.ExecuteAsync(trigger.Sql, ct: ct);

        // A trigger's names are resolved when it is compiled into a statement: compile each kind now, so that a mistake of ours fails
        // here and is rolled back, and never fails a write of the application.
        var name = Triggers.Name(shape.Name);
        try
        {
            await tx.QueryAsync<object>($"EXPLAIN INSERT INTO {name} DEFAULT VALUES", ct: ct);
            await tx.QueryAsync<object>($"EXPLAIN DELETE FROM {name}", ct: ct);
            if (shape.Columns.Count > 0) await tx.QueryAsync<object>(
                $"EXPLAIN UPDATE {name} SET {Triggers.Name(shape.Columns[0])} = {Triggers.Name(shape.Columns[0])}", ct: ct);
        }
        catch (SqliteException ex) when (ex.SqliteErrorCode == 1 && !ex.Message.Contains("generated column", StringComparison.Ordinal))
        {
            throw new InvalidOperationException($"The table \"{table}\" cannot be live: SQLite refuses its triggers. {ex.Message}", ex);
        }
    }

    static async Task DropAsync(DatabaseTransaction tx, IReadOnlyList<PresentTrigger> present, CancellationToken ct)
    {
        foreach (var trigger in present) await tx.ExecuteAsync($"DROP TRIGGER {Triggers.Name(trigger.Name)}", ct: ct);
    }

    static Task<int> SetAsync(DatabaseTransaction tx, string table, bool watched, bool newEpoch, CancellationToken ct) =>
        tx.ExecuteAsync("""
            UPDATE carillon_tables SET watched = @watched,
                epoch = CASE WHEN @newEpoch THEN lower(hex(randomblob(6))) ELSE epoch END,
                last_offset = CASE WHEN @newEpoch THEN 0 ELSE last_offset END,
                pruned_through = CASE WHEN @newEpoch THEN 0 ELSE pruned_through END
            WHERE table_name = @table
            """, new { table, watched, newEpoch }, ct);

    internal sealed class PresentTrigger
    {
        public string Name { get; init; } = "";
        public string OnTable { get; init; } = "";
        public string Sql { get; init; } = "";
    }

    sealed class Release(LiveTables tables, string table) : IAsyncDisposable
    {
        public async ValueTask DisposeAsync()
        {
            await tables.verifying.WaitAsync();
            try
            {
                tables.released.Remove(table);
            }
            finally
            {
                tables.verifying.Release();
            }
            await tables.VerifyAsync(CancellationToken.None);
        }
    }
}
