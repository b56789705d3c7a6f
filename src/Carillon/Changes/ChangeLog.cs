using Carillon.Channels;
using Carillon.Storage;
using Dapper;
using Microsoft.Data.Sqlite;

namespace Carillon.Changes;

/// <summary>The durable history of the live tables: the log that their triggers write.</summary>
internal sealed class ChangeLog(Database db, LiveTables tables, ChangesOptions options, TimeProvider clock)
{
    // Short transactions: whoever writes waits for one batch at most.
    const int PruneBatch = 500;

    /// <summary>Whether a table is live, by its name as configured.</summary>
    public bool Knows(string table) => tables.Names.Contains(table);

    /// <summary>The changes of a table since a position: all of them or none. See <see cref="IChannelLayer.HistoryAsync"/>.</summary>
    public async ValueTask<History> HistoryAsync(string table, Position? since, int limit, CancellationToken ct)
    {
        if (!Knows(table)) throw new ArgumentException($"\"{table}\" is not a live table.", nameof(table));
        await tables.StartAsync(ct);

        var (state, rows) = await ReadAsync(table, since, limit, ct);
        return Serve(state, rows, since, limit);
    }

    internal static History Serve(TableState state, IReadOnlyList<LogRow> rows, Position? since, int limit)
    {
        var recoverable = since is { } seen && seen.Epoch == state.Epoch && seen.Offset >= state.PrunedThrough
            && seen.Offset <= state.LastOffset
            && state.LastOffset - seen.Offset <= limit && rows.Count == state.LastOffset - seen.Offset;
        return new History(state.Position, recoverable, recoverable ? [.. rows.Select(ChangeEncoder.Of)] : []);
    }

    /// <summary>
    /// Begins new epochs: what clients knew of these tables cannot be relied on. Only the server's own evidence leads here, such as the
    /// file beside the database; a position that a reader
    /// brings is that reader's word, and costs nobody else anything.
    /// </summary>
    public async Task StartAnewAsync(IReadOnlyCollection<string> names, CancellationToken ct)
    {
        await using var tx = await db.BeginAsync(null, ct);
        await StartAnewAsync(tx, names, ct);
        await tx.CommitAsync(ct);
    }

    public static Task StartAnewAsync(DatabaseTransaction tx, IReadOnlyCollection<string> names, CancellationToken ct) =>
        tx.ExecuteAsync("UPDATE carillon_tables SET epoch = lower(hex(randomblob(6))), last_offset = 0, pruned_through = 0 WHERE "
            + "table_name IN @names", new { names }, ct);

    /// <summary>Deletes what is too old or too much, in small transactions, and nothing that was not announced yet.</summary>
    public async Task<int> PruneAsync(long announcedThrough, CancellationToken ct)
    {
        var deleted = 0;
        foreach (var state in await db.QueryAsync<TableState>($"SELECT {TableState.Columns} FROM carillon_tables", ct: ct))
        {
            deleted += await PruneAsync(state, announcedThrough, ct);
            deleted += await PrunePastEpochsAsync(state, ct);
        }

        return deleted;
    }

    async Task<int> PruneAsync(TableState state, long announcedThrough, CancellationToken ct)
    {
        var cutoff = Cutoff(clock.GetUtcNow(), options.HistoryTtl);
        for (var deleted = 0; ;)
        {
            var oldest = await db.QueryAsync<LogRow>($"""
                SELECT {LogRow.Columns} FROM carillon_changes WHERE table_name = @Name AND epoch = @Epoch
                ORDER BY "offset" LIMIT {PruneBatch}
                """, state, ct);
            var through = oldest.TakeWhile(row => row.Id <= announcedThrough
                && (row.Offset <= state.LastOffset - options.HistorySize || string.CompareOrdinal(row.At, cutoff) < 0))
                .LastOrDefault()?.Offset;
            if (through is null) return deleted;

            await using var tx = await db.BeginAsync(null, ct);
            var of = new { state.Name, state.Epoch, through };
            await tx.ExecuteAsync(
                "UPDATE carillon_tables SET pruned_through = @through WHERE table_name = @Name AND epoch = @Epoch AND pruned_through < "
                + "@through", of, ct);
            deleted += await tx.ExecuteAsync(
                """DELETE FROM carillon_changes WHERE table_name = @Name AND epoch = @Epoch AND "offset" <= @through""", of, ct);
            await tx.CommitAsync(ct);
        }
    }

    async Task<int> PrunePastEpochsAsync(TableState state, CancellationToken ct)
    {
        // two ranges of the index, where <> would read it all
        const string past = "table_name = @Name AND (epoch < @Epoch OR epoch > @Epoch)";
        for (var deleted = 0; ;)
        {
            if ((await db.QueryAsync<long>($"SELECT id FROM carillon_changes WHERE {past} LIMIT 1", state, ct)).Count == 0) return deleted;
            await using var tx = await db.BeginAsync(null, ct);
            deleted += await tx.ExecuteAsync(
                $"DELETE FROM carillon_changes WHERE id IN (SELECT id FROM carillon_changes WHERE {past} LIMIT {PruneBatch})", state, ct);
            await tx.CommitAsync(ct);
        }
    }

    internal static string Cutoff(DateTimeOffset now, TimeSpan keepFor) =>
        Iso.Of(keepFor >= now - DateTimeOffset.UnixEpoch ? DateTimeOffset.UnixEpoch : now - keepFor);

    // State and rows of one moment: a read transaction.
    async Task<(TableState State, IReadOnlyList<LogRow> Rows)> ReadAsync(string table, Position? since, int limit, CancellationToken ct)
    {
        await using var connection = await db.OpenReadAsync(ct);
        await using var snapshot = ((SqliteConnection)connection).BeginTransaction(deferred: true);
        var state = await connection.QuerySingleAsync<TableState>(
            new CommandDefinition($"SELECT {TableState.Columns} FROM carillon_tables WHERE table_name = @table", new { table }, snapshot,
                cancellationToken: ct));
        if (since is not { } seen || seen.Epoch != state.Epoch || seen.Offset < state.PrunedThrough || seen.Offset >= state.LastOffset
            || state.LastOffset - seen.Offset > limit)
            return (state, []);

        var rows = await connection.QueryAsync<LogRow>(new CommandDefinition($"""
            SELECT {LogRow.Columns} FROM carillon_changes WHERE table_name = @table AND epoch = @Epoch AND "offset" > @Offset
            ORDER BY "offset"
            """, new { table, seen.Epoch, seen.Offset }, snapshot, cancellationToken: ct));
        return (state, rows.AsList());
    }
}

/// <summary>A row of carillon_tables.</summary>
internal sealed class TableState
{
    public const string Columns =
        """table_name AS "Name", epoch AS "Epoch", last_offset AS "LastOffset", pruned_through AS "PrunedThrough" """;

    public string Name { get; init; } = "";
    public string Epoch { get; init; } = "";
    public long LastOffset { get; init; }
    public long PrunedThrough { get; init; }

    public Position Position => new(Epoch, LastOffset);
}
