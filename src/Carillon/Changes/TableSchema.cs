using Carillon.Storage;

namespace Carillon.Changes;

/// <summary>
/// The schema that the triggers of a table are generated from: its real name, its columns, its key, and its unique constraints.
/// </summary>
/// <param name="Name">The name as the database spells it.</param>
/// <param name="Columns">The published columns, in order; virtual generated ones are omitted, because computing them may fail.</param>
/// <param name="Key">The primary key's columns, in the key's order; empty where there is none.</param>
/// <param name="RowId">The name under which the row id can be named, where there is one and no column hides it.</param>
/// <param name="Uniques">The unique constraints for which REPLACE may remove another row.</param>
internal sealed record TableSchema(
    string Name, IReadOnlyList<string> Columns, IReadOnlyList<string> Key, string? RowId, IReadOnlyList<UniqueKey> Uniques)
{
    /// <summary>Reads the shape; null where there is no such table (yet).</summary>
    /// <exception cref="InvalidOperationException">It is there, and cannot be live.</exception>
    public static async Task<TableSchema?> ReadAsync(DatabaseTransaction tx, string table, CancellationToken ct)
    {
        var found = await tx.QuerySingleOrDefaultAsync<SchemaRow>(
            "SELECT name, type, sql FROM sqlite_master WHERE type IN ('table', 'view') AND name = @table COLLATE NOCASE", new { table },
            ct);
        if (found is null) return null;
        if (found.Type == "view") throw new InvalidOperationException(
            $"\"{table}\" is a view and cannot be live: name the tables it reads instead.");
        if (found.Sql.StartsWith("CREATE VIRTUAL", StringComparison.OrdinalIgnoreCase))
            throw new InvalidOperationException(
                $"\"{table}\" is a virtual table and cannot be live: SQLite has no triggers on virtual tables.");

        var columns = await tx.QueryAsync<ColumnRow>(
            "SELECT name, type, pk, hidden FROM pragma_table_xinfo(@table)", new { table = found.Name }, ct);
        var key = columns.Where(column => column.Pk > 0).OrderBy(column => column.Pk).Select(column => column.Name).ToList();
        var rowId = await RowIdAsync(tx, found.Name, columns, ct);
        if (key.Count == 0 && rowId is null)
            throw new InvalidOperationException(
                $"\"{table}\" cannot be live: it has no primary key, and columns of it are named rowid, oid and _rowid_.");
        if (key.Count > Triggers.MostKeyColumns)
            throw new InvalidOperationException(
                $"\"{table}\" cannot be live: its primary key has {key.Count} columns; the limit is {Triggers.MostKeyColumns}.");

        return new TableSchema(found.Name, [.. columns.Where(column => column.Hidden is 0 or 3).Select(column => column.Name)], key, rowId,
            await UniquesAsync(tx, found.Name, columns, key, rowId, ct));
    }

    static readonly string[] RowIdAliases = ["rowid", "_rowid_", "oid"];

    static async Task<string?> RowIdAsync(DatabaseTransaction tx, string table, IReadOnlyList<ColumnRow> columns, CancellationToken ct)
    {
        // A table without row ids is its primary key's index: its first index of origin "pk" covers every column.
        var withoutRowId = await tx.ExecuteScalarAsync<long>(
            "SELECT count(*) FROM pragma_index_list(@table) l WHERE l.origin = 'pk' AND NOT EXISTS (SELECT 1 FROM "
            + "pragma_index_xinfo(l.name) x WHERE x.cid = -1)",
            new { table }, ct) > 0;
        return withoutRowId
            ? null
            : RowIdAliases.FirstOrDefault(alias => !columns.Any(column => column.Name.Equals(alias, StringComparison.OrdinalIgnoreCase)));
    }

    static async Task<IReadOnlyList<UniqueKey>> UniquesAsync(
        DatabaseTransaction tx, string table, IReadOnlyList<ColumnRow> columns, List<string> key, string? rowId, CancellationToken ct)
    {
        // Partial indexes and indexes on expressions are left out: a row that REPLACE takes away for one of those alone is not announced.
        var indexed = await tx.QueryAsync<IndexRow>("""
            SELECT l.name AS "Index", x.cid, x.name AS "Column", x.coll AS Collation
            FROM pragma_index_list(@table) l, pragma_index_xinfo(l.name) x
            WHERE l."unique" = 1 AND l.partial = 0 AND x.key = 1
            ORDER BY l.seq, x.seqno
            """, new { table }, ct);
        var uniques = indexed.GroupBy(row => row.Index).Where(index => index.All(row => row.Cid >= 0))
            .Select(index => new UniqueKey([.. index.Select(row => new UniqueColumn(row.Column!, row.Collation))])).ToList();

        // An INTEGER PRIMARY KEY is the row id itself and has no index of its own; a table without a key conflicts by its row id.
        var isRowId = key.Count == 1 && columns.Single(column => column.Pk > 0).Type.Equals("INTEGER", StringComparison.OrdinalIgnoreCase);
        if (isRowId) uniques.Insert(0, new UniqueKey([new UniqueColumn(key[0], null)]));
        else if (rowId is not null) uniques.Insert(0, new UniqueKey([new UniqueColumn(rowId, null)]));
        return uniques;
    }

    // Filled by property: the pragmas' columns have no declared types that a constructor could be matched by.
    sealed class SchemaRow
    {
        public string Name { get; init; } = "";
        public string Type { get; init; } = "";
        public string Sql { get; init; } = "";
    }

    sealed class ColumnRow
    {
        public string Name { get; init; } = "";
        public string Type { get; init; } = "";
        public long Pk { get; init; }
        public long Hidden { get; init; }
    }

    sealed class IndexRow
    {
        public string Index { get; init; } = "";
        public long Cid { get; init; }
        public string? Column { get; init; }
        public string? Collation { get; init; }
    }
}

internal sealed record UniqueKey(IReadOnlyList<UniqueColumn> Columns);

internal sealed record UniqueColumn(string Name, string? Collation);
