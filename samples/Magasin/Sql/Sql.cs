using System.Data.Common;
using System.Globalization;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;
using Carillon.Storage;
using Magasin.Data;
using Magasin.Home;
using Microsoft.Data.Sqlite;

namespace Magasin.Sql;

/// <summary>
/// Any statement, for the test screen: it shows that writes which know nothing of Carillon are seen. It can do everything, so it is off
/// unless Magasin:AllowSql turns it on, in Development too: the shop listens to its whole network there as well.
/// </summary>
internal static partial class SqlApi
{
    public const string Switch = "Magasin:AllowSql";

    public static bool IsAllowed(IConfiguration configuration) => configuration.GetValue(Switch, defaultValue: false);

    const int MostRows = 200;
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    internal sealed record Request(string? Statement);

    internal sealed record Result(
        int RowsAffected,
        [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<string>? Columns,
        [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<IReadOnlyList<object?>>? Rows);

    public static void MapSql(this IEndpointRouteBuilder app) =>
        app.MapPost("/api/sql", async (Request request, HttpContext http, Database db, SqlLog histoire, CancellationToken ct) =>
    {
        if (!OriginCheck.NamesThisMachine(http.Request.Host)) return Problems.Forbidden(
            "Statements are taken under this machine's address or own name only.");
        if (string.IsNullOrWhiteSpace(request.Statement)
            || request.Statement.Length > 100_000) return Problems.Invalid("statement must be SQL.");
        histoire.Executing(Told(request.Statement));

        // A connection of its own, as any other tool has: a transaction it leaves open ends here with it.
        await using var connection = await db.OpenOwnAsync(ct);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
        limit.CancelAfter(Patience);
        // SQLite knows no timeout of a running statement; it can be interrupted.
        await using var interrupting = limit.Token.Register(() => SQLitePCL.raw.sqlite3_interrupt(((SqliteConnection)connection).Handle));
        try
        {
            return Results.Ok(await RunAsync(connection, request.Statement, ct));
        }
        catch (SqliteException ex) when (!Problems.IsBusy(ex))
        {
            return Problems.Invalid(ex.SqliteErrorCode == 9
                ? $"The statement took more than {Patience.TotalSeconds:0} seconds and was ended." : ex.Message);
        }
        catch (InvalidOperationException ex)
        {
            return Problems.Invalid(ex.Message);   // parameters without values
        }
        finally
        {
            db.NotifyCommitted();
        }
    });

    static async Task<Result> RunAsync(DbConnection connection, string statement, CancellationToken ct)
    {
        await using var command = connection.CreateCommand();
        command.CommandText = statement;
        command.CommandTimeout = (int)Patience.TotalSeconds;
        await using var reader = await command.ExecuteReaderAsync(ct);
        List<string>? columns = null;
        List<IReadOnlyList<object?>>? rows = null;
        do
        {
            if (reader.FieldCount == 0) continue;
            columns = [.. Enumerable.Range(0, reader.FieldCount).Select(reader.GetName)];
            rows = [];
            while (rows.Count < MostRows
                && await reader.ReadAsync(ct)) rows.Add([.. Enumerable.Range(0, reader.FieldCount).Select(n => Json(reader.GetValue(n)))]);
        }
        while (await reader.NextResultAsync(ct));

        return new Result(Math.Max(0, reader.RecordsAffected), columns, rows);
    }

    static object? Json(object value) => value switch
    {
        DBNull => null,
        byte[] bytes => $"x'{Convert.ToHexStringLower(bytes.AsSpan(0, Math.Min(bytes.Length, 64)))}{(bytes.Length > 64 ? "…" : "")}'",
        double number when !double.IsFinite(number) => number.ToString(CultureInfo.InvariantCulture),
        _ => value,
    };

    /// <summary>A statement as the log may show it: what it does and to which table; neither values nor comments.</summary>
    internal static string Told(string statement)
    {
        var said = Verb().Match(Unsaid().Replace(statement, " ? "));
        if (!said.Success) return "a statement";
        var verb = string.Join(' ', said.Groups["verb"].Value.ToUpperInvariant()
            .Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
        return said.Groups["table"] is { Success: true, Value: var table } ? $"{verb} {table} …" : $"{verb} …";
    }

    // Texts, names in quotes (which SQLite takes for texts where they name nothing) and comments.
    [GeneratedRegex("""'(?:[^']|'')*'?|"(?:[^"]|"")*"?|`[^`]*`?|\[[^\]]*\]?|--[^\n]*|/\*.*?(?:\*/|$)""", RegexOptions.Singleline)]
    private static partial Regex Unsaid();

    [GeneratedRegex("""
        ^[\s?;]*(?:
          (?<verb>(?:INSERT|REPLACE)(?:\s+OR\s+\w+)?\s+INTO|UPDATE(?:\s+OR\s+(?:ROLLBACK|ABORT|REPLACE|FAIL|IGNORE))?|DELETE\s+FROM|(?:CREATE|DROP|ALTER)\s+TABLE)(?:\s+(?:\w{1,60}\.)?(?<table>[a-z_]\w{0,59})\b)?
        | (?<verb>SELECT)\b(?:.*?\bFROM\s+(?:\w{1,60}\.)?(?<table>[a-z_]\w{0,59})\b)?
        | (?<verb>WITH|VALUES|PRAGMA|BEGIN|COMMIT|END|ROLLBACK|SAVEPOINT|RELEASE|CREATE|DROP|VACUUM|ANALYZE|REINDEX|ATTACH|DETACH|EXPLAIN)\b)
        """, RegexOptions.Singleline | RegexOptions.IgnoreCase | RegexOptions.IgnorePatternWhitespace | RegexOptions.CultureInvariant)]
    private static partial Regex Verb();
}
