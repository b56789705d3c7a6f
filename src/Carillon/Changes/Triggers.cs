using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Carillon.Changes;

/// <summary>
/// The SQL of a table's triggers: a pure function of the table's shape, so that "are they right?" is a comparison of texts.
/// They use SQLite's built-in functions alone (the sqlite3 tool writes too), and must never make the application's own write fail: no
/// constraint can be violated in them, no BLOB reaches a JSON function, no list of arguments or depth of expression exceeds SQLite's
/// limits.
/// An OR clause of the application's statement overrides the clauses inside of triggers, so they have none.
/// </summary>
internal static class Triggers
{
    /// <summary>json_object takes two arguments a column and functions take 100; what is wider than this is no small row anyway.</summary>
    public const int MostRowColumns = 32;

    /// <summary>The key is published as a JSON object of its columns.</summary>
    public const int MostKeyColumns = 32;

    const int LongestValue = 500;   // characters of one value; a longer one leaves the row out before any JSON is made of it
    const int LongestRow = 700;     // characters; with the rest of the announcement about 1 KB
    const int Places = 8;           // p1 … p8 of carillon_replaced

    // Raised when the text below changes in meaning: a process of an older version then leaves newer triggers alone.
    public const int Version = 2;

    static readonly string[] Kinds = ["before_insert", "after_insert", "before_update", "after_update", "after_delete"];

    internal sealed record Trigger(string Name, string Sql);

    /// <param name="table">The name in the configuration, which is also the one in the log and in the channel.</param>
    /// <param name="shape">The table.</param>
    public static IReadOnlyList<Trigger> For(string table, TableSchema shape)
    {
        var name = Text(table);
        var (newKey, oldKey) = (Key(shape, "NEW"), Key(shape, "OLD"));
        var stage = Stage(shape, name, exceptOld: false);
        var stageOther = Stage(shape, name, exceptOld: true);
        var unstage = $"DELETE FROM carillon_replaced WHERE table_name = {name};";
        var all = AllColumns(shape);
        // A row noted before the write and no longer there was taken away silently, except for the very row that was written.
        string Gone(string andNot) =>
            $"UPDATE carillon_replaced SET gone = 1 WHERE table_name = {name} AND key <> {newKey}{andNot} AND NOT EXISTS (SELECT 1 FROM "
            + $"{Name(shape.Name)} AS x WHERE {SameRow(shape)});";
        string replaced = $"EXISTS (SELECT 1 FROM carillon_replaced WHERE table_name = {name} AND key = {newKey})";

        return
        [
            Create("before_insert", "BEFORE INSERT", "", stage),
            Create("after_insert", "AFTER INSERT", "",
                $"""
                {Gone("")}
                {Announce($"CASE WHEN {replaced} THEN 'update' ELSE 'insert' END", newKey, Text(all), Row(shape, "NEW"))}
                {unstage}
                """),
            Create("before_update", "BEFORE UPDATE", UniqueChanged(shape), stageOther),
            Create("after_update", "AFTER UPDATE", "",
                $"""
                {Gone($" AND key <> {oldKey}")}
                {Announce("'delete'", oldKey, "'[]'", "NULL", onlyIf: $"{oldKey} <> {newKey}")}
                {Announce($"CASE WHEN {oldKey} = {newKey} OR {replaced} THEN 'update' ELSE 'insert' END", newKey, $"CASE WHEN {oldKey} = {newKey} THEN {ChangedColumns(shape)} ELSE {Text(all)} END", Row(shape, "NEW"))}
                {unstage}
                """),
            Create("after_delete", "AFTER DELETE", "",
                $"""
                DELETE FROM carillon_replaced WHERE table_name = {name} AND key = {oldKey};
                {Announce("'delete'", oldKey, "'[]'", "NULL")}
                """),
        ];

        Trigger Create(string kind, string when, string condition, string body) =>
            new($"carillon_{kind}_{table}",
                $"CREATE TRIGGER {Name($"carillon_{kind}_{table}")} {when} ON {Name(shape.Name)}{condition} BEGIN -- "
                    + $"carillon:{Version}\n{body.ReplaceLineEndings("\n")}\nEND");

        string Announce(string operation, string key, string columns, string row, string? onlyIf = null)
        {
            var condition = onlyIf is null ? "" : $" AND {onlyIf}";
            return $"""
                UPDATE carillon_tables SET last_offset = last_offset + 1 WHERE table_name = {name}{condition};
                INSERT INTO carillon_changes (table_name, epoch, offset, operation, key, columns, row, actor) SELECT table_name, epoch, last_offset, {operation}, {key}, {columns}, {row}, (SELECT actor FROM carillon_context) FROM carillon_tables WHERE table_name = {name}{condition};
                """;
        }
    }

    public static IReadOnlyList<string> NamesFor(string table) =>
        [.. Kinds.Select(kind => $"carillon_{kind}_{table}")];

    /// <summary>The version that wrote a trigger; 0 for a text that is not ours.</summary>
    public static int VersionOf(string sql)
    {
        const string mark = "-- carillon:";
        var at = sql.IndexOf(mark, StringComparison.Ordinal);
        if (at < 0) return 0;
        var digits = sql.AsSpan(at + mark.Length);
        var end = digits.IndexOf('\n');
        return int.TryParse(end < 0 ? digits : digits[..end], NumberStyles.None, CultureInfo.InvariantCulture, out var version)
            ? version : 0;
    }

    public static string Name(string identifier) => $"\"{identifier.Replace("\"", "\"\"", StringComparison.Ordinal)}\"";

    // The rows that stand in the way of the new one, by each unique key. Rows noted in vain do no harm: only what is gone afterwards
    // counts.
    static string Stage(TableSchema shape, string name, bool exceptOld)
    {
        if (shape.Uniques.Count == 0) return "SELECT 1;";
        var places = PlaceColumns(shape);
        var key = Key(shape, "x");
        var except = exceptOld ? $" AND {key} <> {Key(shape, "OLD")}" : "";
        var found = shape.Uniques.Select(unique =>
            $"SELECT {name}, {key}, {string.Join(", ", places.Select(column => $"x.{column}"))} FROM {Name(shape.Name)} AS x WHERE "
                + $"{string.Join(" AND ", unique.Columns.Select(Conflict))}{except}");
        return $"INSERT INTO carillon_replaced (table_name, key, {string.Join(", ", places.Select((_, place) => $"p{place + 1}"))}) "
            + $"{string.Join(" UNION ", found)};";

        static string Conflict(UniqueColumn column) =>
            $"x.{Name(column.Name)} = NEW.{Name(column.Name)}{(column.Collation is null ? "" : $" COLLATE {Name(column.Collation)}")}";
    }

    static string UniqueChanged(TableSchema shape) =>
        $" WHEN "
            + $"{string.Join(" OR ", shape.Uniques.SelectMany(unique => unique.Columns).Select(column => column.Name).Distinct(StringComparer.Ordinal)
            .Select(column => $"NEW.{Name(column)} IS NOT OLD.{Name(column)} COLLATE BINARY").DefaultIfEmpty("0"))}";

    static List<string> PlaceColumns(TableSchema shape) =>
        shape.RowId is { } rowId ? [Name(rowId)] : [.. shape.Key.Take(Places).Select(Name)];

    static string SameRow(TableSchema shape)
    {
        var places = PlaceColumns(shape).Select((column, place) => $"x.{column} = carillon_replaced.p{place + 1}");
        return string.Join(" AND ", shape.RowId is null
            && shape.Key.Count > Places ? places.Append($"{Key(shape, "x")} = carillon_replaced.key") : places);
    }

    static string Key(TableSchema shape, string of)
    {
        if (shape.Key.Count == 0) return $"json_quote(CAST({of}.{Name(shape.RowId!)} AS TEXT))";
        if (shape.Key.Count > 1)
            return $"json_object({string.Join(", ", shape.Key.Select(column => $"{Text(column)}, {KeyValue(column)}"))})";
        var only = $"{of}.{Name(shape.Key[0])}";
        return $"json_quote(CASE typeof({only}) WHEN 'blob' THEN hex({only}) ELSE CAST({only} AS TEXT) END)";

        // BLOBs and infinite numbers have no JSON.
        string KeyValue(string column)
        {
            var value = $"{of}.{Name(column)}";
            return $"CASE typeof({value}) WHEN 'blob' THEN hex({value}) WHEN 'real' THEN CAST({value} AS TEXT) ELSE {value} END";
        }
    }

    static string Row(TableSchema shape, string of)
    {
        if (shape.Columns.Count > MostRowColumns || shape.Columns.Sum(column => column.Length) > LongestRow) return "NULL";
        var hasNoJson = string.Join(" OR ", shape.Columns.Select(column => HasNoJson($"{of}.{Name(column)}")));
        var row = $"json_object({string.Join(", ", shape.Columns.Select(column => $"{Text(column)}, {of}.{Name(column)}"))})";
        return $"(SELECT CASE WHEN length(r) <= {LongestRow} AND json_valid(r) THEN r END FROM (SELECT CASE WHEN {hasNoJson} THEN NULL "
            + $"ELSE {row} END AS r))";
    }

    // SQLite writes an infinite number as 9.0e+999, which readers of JSON understand differently or not at all.
    static string HasNoJson(string value) =>
        $"typeof({value}) = 'blob' OR (typeof({value}) = 'real' AND abs({value}) = 9e999) OR length({value}) > {LongestValue}";

    // Concatenated, in brackets of 32: a JSON function would meet its limit of arguments, a straight chain the one of depth.
    static string ChangedColumns(TableSchema shape)
    {
        var parts = shape.Columns.Select(column =>
            $"CASE WHEN OLD.{Name(column)} IS NOT NEW.{Name(column)} COLLATE BINARY THEN {Text("," + Json(column))} ELSE '' END");
        return $"'[' || substr({string.Join(" || ", parts.Chunk(32).Select(chunk => $"({string.Join(" || ", chunk)})"))}, 2) || ']'";
    }

    static string AllColumns(TableSchema shape) => $"[{string.Join(',', shape.Columns.Select(Json))}]";

    static string Json(string text) => $"\"{JsonEncodedText.Encode(text, JavaScriptEncoder.UnsafeRelaxedJsonEscaping)}\"";

    static string Text(string value) => $"'{value.Replace("'", "''", StringComparison.Ordinal)}'";
}
