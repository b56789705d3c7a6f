using System.Data.Common;
using Carillon.Channels;
using Carillon.Diagnostics;
using Carillon.Storage;
using Dapper;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Carillon.Changes;

/// <summary>
/// Announces what the triggers logged, in the order of the commits. It is poked after commits of this process and looks by itself for those
/// of others.
/// It logs every failure of the file and retries: it never ends before the application does.
/// </summary>
internal sealed partial class ChangePump(
    Database db, LiveTables tables, ChangeLog log, IChannelLayer layer, ChangesOptions options, TimeProvider clock,
        ILogger<ChangePump> logger) : BackgroundService
{
    const int Batch = 500;
    const string Area = "changes:{table}";
    static readonly TimeSpan LongestBackOff = TimeSpan.FromSeconds(5);
    static readonly TimeSpan RememberEvery = TimeSpan.FromSeconds(1);

    // The process listens after this time, whatever the database does.
    static readonly TimeSpan StartWithin = TimeSpan.FromSeconds(1);

    readonly SemaphoreSlim poke = new(0, 1);
    readonly Dictionary<string, string> epochs = new(StringComparer.Ordinal);
    LogCursor seen = LogCursor.Unknown;
    LogCursor remembered = LogCursor.Unknown;   // what the file beside the database says
    long rememberedAt;
    volatile bool cannotRemember;
    volatile string? trouble;

    /// <summary>
    /// Raised with the table's name and its position when a table begins a new epoch while we run: its subscribers cannot recover and
    /// must be told. Raised before anything of the new epoch is published; the handler must return at once.
    /// </summary>
    public event Action<string, Position>? EpochChanged;

    /// <summary>Why the database cannot be followed now; null where it can.</summary>
    internal string? Trouble => trouble;

    /// <summary>Whether the file beside the database could not be written the last time.</summary>
    internal bool CannotRemember => cannotRemember;

    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        db.Committed += Poke;
        try
        {
            // A configuration that cannot work stops the start, with the reason.
            await tables.StartStrictlyAsync(cancellationToken).WaitAsync(StartWithin, clock, cancellationToken);
        }
        catch (Exception ex) when (ex is DbException or IOException or TimeoutException)
        {
            // The loop tries again, and says what is in the way; clients are served by then, so that a table which cannot be live stops
            // nothing any more, and shows in the health check.
        }

        await base.StartAsync(cancellationToken);
    }

    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        db.Committed -= Poke;
        await base.StopAsync(cancellationToken);
        Remember();
    }

    public override void Dispose()
    {
        // The loop first, which still runs where the host could not start and stops nothing.
        base.Dispose();
        poke.Dispose();
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await Task.Yield();
        var backOff = options.PollInterval;
        while (!stoppingToken.IsCancellationRequested)
            try
            {
                await FollowAsync(Succeeded, stoppingToken);
            }
            catch (Exception) when (stoppingToken.IsCancellationRequested)
            {
                return;
            }
            catch (Exception ex)
            {
                if (ex.Message != trouble) LogDatabaseInTrouble(ex);
                trouble = ex.Message;
                // A statement of our own is wrong only where our tables are missing: the file was replaced while nothing had it open.
                if (ex is SqliteException { SqliteErrorCode: 1 })
                {
                    db.CloseIdleConnections();
                    tables.Restart();
                }
                await Task.Delay(backOff, clock, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                backOff = backOff * 2 < LongestBackOff ? backOff * 2 : LongestBackOff;
            }

        void Succeeded()
        {
            backOff = options.PollInterval;
            if (trouble is not null) LogFollowing();
            trouble = null;
        }
    }

    // One connection for as long as all goes well: SQLite's data_version says whether others wrote since this very connection last asked.
    async Task FollowAsync(Action succeeded, CancellationToken ct)
    {
        var start = await tables.StartAsync(ct);
        if (seen == LogCursor.Unknown) seen = start.End;
        foreach (var (table, epoch) in start.Epochs) epochs.TryAdd(table, epoch);   // not over what a file before this one had told
        await using var connection = (SqliteConnection)await db.OpenReadAsync(ct);
        var (dataVersion, schemaVersion, prunedAt) = (-1L, -1L, clock.GetTimestamp());

        while (true)
        {
            if (Database.HasMoved(connection))
            {
                db.CloseIdleConnections();
                tables.Restart();
                throw new IOException("The database file was deleted, moved or replaced.");
            }

            if (await PragmaAsync(connection, "PRAGMA data_version", ct) is var version && version != dataVersion)
            {
                if (dataVersion >= 0 && options.BatchWindow > TimeSpan.Zero) await Task.Delay(options.BatchWindow, clock, ct);
                // Asked again, since we waited; before reading, so that a commit during the reading is a difference the next time.
                dataVersion = await PragmaAsync(connection, "PRAGMA data_version", ct);
                if (await PragmaAsync(connection, "PRAGMA schema_version", ct) is var schema && schema != schemaVersion)
                {
                    await tables.VerifyAsync(ct);
                    schemaVersion = schema;
                }

                await AnnounceAsync(connection, ct);
            }

            if (clock.GetElapsedTime(prunedAt) >= options.PruneEvery)
            {
                if (await log.PruneAsync(seen.Id, ct) is > 0 and var pruned) LogPruned(pruned);
                prunedAt = clock.GetTimestamp();
            }

            if (clock.GetElapsedTime(rememberedAt) >= RememberEvery) Remember();
            succeeded();
            await poke.WaitAsync(options.PollInterval, ct);
        }
    }

    void Remember()
    {
        rememberedAt = clock.GetTimestamp();
        if (seen == remembered || seen == LogCursor.Unknown) return;
        try
        {
            PumpCheckpoint.Write(db, seen);
            remembered = seen;
            cannotRemember = false;
        }
        catch (Exception ex) when (ex is IOException or UnauthorizedAccessException)
        {
            // Logged once, tried again and again: a disk that was full for a minute must not end the guard for good.
            if (!cannotRemember) LogCannotRemember(ex);
            cannotRemember = true;
        }
    }

    async Task AnnounceAsync(SqliteConnection connection, CancellationToken ct)
    {
        while (true)
        {
            var (rows, states, sequence) = await ReadAsync(connection, seen.Id, ct);
            if (WasRestored(seen, rows.FirstOrDefault(), states, sequence))
            {
                // The log is not the one we announced from. Its offsets will be given again to other changes: new epochs, everywhere.
                LogRestored();
                await log.StartAnewAsync([.. states.Keys], ct);
                seen = LogCursor.PrunedAt(sequence);
                continue;
            }

            TellNewEpochs(states);
            if (ProductMeters.LogSize.Enabled)
                ProductMeters.LogSize.Record(states.Values.Sum(state => state.LastOffset - state.PrunedThrough));
            var fresh = rows.Where(row => row.Id > seen.Id).ToList();
            foreach (var row in fresh)
            {
                // Rows of a past epoch are not published: subscribers were just told to reload.
                if (states.TryGetValue(row.Table, out var state) && state.Epoch == row.Epoch) await PublishAsync(row, ct);
                seen = LogCursor.Of(row);
            }

            if (fresh.Count > 0) LogSaw(fresh.Count, string.Join(", ", fresh.Select(row => row.Table).Distinct()));
            if (rows.Count <= Batch) return;
        }
    }

    async Task PublishAsync(LogRow row, CancellationToken ct)
    {
        var change = ChangeEncoder.Of(row);
        using var span = ProductTraces.PublishChange(Area, change.At);
        await layer.PublishAsync(change.Channel, change.Body,
            new PublishOptions { Event = change.Event, Id = change.Id, At = change.At, Position = change.Position }, ct);
        ProductMeters.Published(Area);
        ProductMeters.Pumped(change.At, clock);
        LogPublished(row.Operation, row.Table, row.Epoch, row.Offset);
    }

    void TellNewEpochs(Dictionary<string, TableState> states)
    {
        foreach (var table in tables.Names)
        {
            if (!states.TryGetValue(table, out var state)) continue;
            var isNew = epochs.TryGetValue(table, out var known) && known != state.Epoch;
            epochs[table] = state.Epoch;
            if (!isNew) continue;
            LogNewEpoch(table);
            EpochChanged?.Invoke(table, state.Position);
        }
    }

    /// <summary>
    /// Whether the log is not the one that we read up to <paramref name="seen"/>: shorter, or with another row in that place.
    /// </summary>
    internal static bool WasRestored(LogCursor seen, LogRow? first, Dictionary<string, TableState> states, long sequence)
    {
        if (sequence < seen.Id) return true;
        if (seen.Table is null) return false;   // the row was pruned when we first looked: nothing to compare
        if (first is not null && first.Id == seen.Id) return first.Table != seen.Table || first.Epoch != seen.Epoch
            || first.Offset != seen.Offset || first.At != seen.At;
        // The row is not there: fine if it was pruned, by us or by another process.
        return !states.TryGetValue(seen.Table, out var state) || (state.Epoch == seen.Epoch && state.PrunedThrough < seen.Offset);
    }

    // The row we saw last, and what follows it; with the tables' states of the same moment.
    static async Task<(List<LogRow> Rows, Dictionary<string, TableState> States, long Sequence)> ReadAsync(
        SqliteConnection connection, long from, CancellationToken ct)
    {
        await using var snapshot = connection.BeginTransaction(deferred: true);
        var rows = await connection.QueryAsync<LogRow>(new CommandDefinition(
            $"SELECT {LogRow.Columns} FROM carillon_changes WHERE id >= @from ORDER BY id LIMIT {Batch + 1}", new { from }, snapshot,
                cancellationToken: ct));
        var states = await connection.QueryAsync<TableState>(
            new CommandDefinition($"SELECT {TableState.Columns} FROM carillon_tables", transaction: snapshot, cancellationToken: ct));
        var sequence = await connection.ExecuteScalarAsync<long>(new CommandDefinition(
            "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'carillon_changes'), 0)", transaction: snapshot,
            cancellationToken: ct));
        return (rows.AsList(), states.ToDictionary(state => state.Name), sequence);
    }

    static async Task<long> PragmaAsync(SqliteConnection connection, string pragma, CancellationToken ct)
    {
        await using var command = connection.CreateCommand();
        command.CommandText = pragma;
        return (long)(await command.ExecuteScalarAsync(ct))!;
    }

    void Poke()
    {
        try
        {
            if (poke.CurrentCount == 0) poke.Release();
        }
        catch (Exception ex) when (ex is SemaphoreFullException or ObjectDisposedException)
        {
            // Somebody else just poked, or nobody is there to be poked.
        }
    }
}
