using Carillon.Storage;

namespace Carillon.Changes;

/// <summary>
/// A place in the whole log, of all tables: everything up to it was seen. What the row said tells a restored file, which counts the same
/// ids again, from the one we knew.
/// </summary>
internal sealed record LogCursor(long Id, string? Table, string? Epoch, long Offset, string? At)
{
    public static readonly LogCursor Unknown = PrunedAt(-1);

    public static LogCursor PrunedAt(long id) => new(id, null, null, 0, null);

    public static LogCursor Of(LogRow row) => new(row.Id, row.Table, row.Epoch, row.Offset, row.At);

    public static async Task<LogCursor> ReadAsync(DatabaseTransaction tx, CancellationToken ct)
    {
        var last = await tx.QuerySingleOrDefaultAsync<LogRow>(
            $"SELECT {LogRow.Columns} FROM carillon_changes ORDER BY id DESC LIMIT 1", ct: ct);
        // The newest row may have been pruned: the sequence remembers its id.
        var sequence = await tx.ExecuteScalarAsync<long>(
            "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'carillon_changes'), 0)", ct: ct);
        return last is not null && last.Id >= sequence ? Of(last) : PrunedAt(sequence);
    }
}

/// <summary>Where the pump begins: the end of the log and the epochs of the tables, of one moment.</summary>
internal sealed record StartingPoint(LogCursor End, IReadOnlyDictionary<string, string> Epochs);

/// <summary>A row of carillon_changes.</summary>
internal sealed class LogRow
{
    public const string Columns =
        """id AS "Id", table_name AS "Table", epoch AS "Epoch", offset AS "Offset", operation AS "Operation", key AS "Key", columns AS "ChangedColumns", row AS "Row", actor AS "Actor", at AS "At" """;

    public long Id { get; init; }
    public string Table { get; init; } = "";
    public string Epoch { get; init; } = "";
    public long Offset { get; init; }
    public string Operation { get; init; } = "";
    public string Key { get; init; } = "";
    public string ChangedColumns { get; init; } = "";
    public string? Row { get; init; }
    public string? Actor { get; init; }
    public string At { get; init; } = "";
}
