using System.Data.Common;
using System.Globalization;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;
using Carillon.Storage;
using Magasin.Base;
using Microsoft.Data.Sqlite;

namespace Magasin.Sql;

/// <summary>
/// Any statement, for the test screen: it shows that writes which know nothing of Carillon are seen. It can do everything, so it is off
/// unless Magasin:AllowSql says otherwise or the shop runs in Development.
/// </summary>
internal static partial class SqlApi
{
    const int MostRows = 200;
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    internal sealed record Demande(string? Statement);

    internal sealed record Reponse(
        int RowsAffected,
        [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<string>? Columns,
        [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<IReadOnlyList<object?>>? Rows);

    public static void MapSql(this IEndpointRouteBuilder app) => app.MapPost("/api/sql", async (Demande request, Database db, Histoire histoire, CancellationToken ct) =>
    {
        if (string.IsNullOrWhiteSpace(request.Statement) || request.Statement.Length > 100_000) return Problemes.Invalid("statement must be SQL.");
        histoire.Executing(WithoutValues(request.Statement));

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
        catch (SqliteException ex)
        {
            return Problemes.Invalid(ex.SqliteErrorCode == 9 ? $"The statement took more than {Patience.TotalSeconds:0} seconds and was ended." : ex.Message);
        }
        catch (InvalidOperationException ex)
        {
            return Problemes.Invalid(ex.Message);   // parameters without values
        }
        finally
        {
            db.LookNow();
        }
    });

    static async Task<Reponse> RunAsync(DbConnection connection, string statement, CancellationToken ct)
    {
        await using var command = connection.CreateCommand();
        command.CommandText = statement;
        await using var reader = await command.ExecuteReaderAsync(ct);
        List<string>? columns = null;
        List<IReadOnlyList<object?>>? rows = null;
        do
        {
            if (reader.FieldCount == 0) continue;
            columns = [.. Enumerable.Range(0, reader.FieldCount).Select(reader.GetName)];
            rows = [];
            while (rows.Count < MostRows && await reader.ReadAsync(ct)) rows.Add([.. Enumerable.Range(0, reader.FieldCount).Select(n => Json(reader.GetValue(n)))]);
        }
        while (await reader.NextResultAsync(ct));

        return new Reponse(Math.Max(0, reader.RecordsAffected), columns, rows);
    }

    static object? Json(object value) => value switch
    {
        DBNull => null,
        byte[] bytes => $"x'{Convert.ToHexStringLower(bytes.AsSpan(0, Math.Min(bytes.Length, 64)))}{(bytes.Length > 64 ? "…" : "")}'",
        double number when !double.IsFinite(number) => number.ToString(CultureInfo.InvariantCulture),
        _ => value,
    };

    /// <summary>A statement as the log may show it: the texts in it left out, and not for ever.</summary>
    internal static string WithoutValues(string statement)
    {
        var story = Quoted().Replace(statement.ReplaceLineEndings(" ").Trim(), "'…'");
        return story.Length <= 200 ? story : story[..200] + "…";
    }

    [GeneratedRegex("'(?:[^']|'')*'?")]
    private static partial Regex Quoted();
}
