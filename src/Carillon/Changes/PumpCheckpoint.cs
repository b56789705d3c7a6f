using System.Text.Json;
using Carillon.Storage;
using Dapper;

namespace Carillon.Changes;

/// <summary>
/// How far the log was announced, kept in a small file beside the database. A backup that is restored while the server is stopped looks,
/// from inside, like any other
/// file; beside it stands what it should hold. Where the two do not agree, all live tables begin new epochs.
/// </summary>
/// <remarks>
/// The file may be a little behind, or missing: then less is noticed, and nothing wrong is said. It must not be part of the backup.
/// </remarks>
internal static class PumpCheckpoint
{
    public static string FileFor(Database db) => db.Path + "-carillon";

    public static void Write(Database db, LogCursor end)
    {
        var file = FileFor(db);
        File.WriteAllBytes(file + "~", JsonSerializer.SerializeToUtf8Bytes(end));
        File.Move(file + "~", file, overwrite: true);
    }

    /// <summary>Whether the database is not the one whose log was announced.</summary>
    public static async Task<bool> ContradictsAsync(Database db, DatabaseTransaction tx, CancellationToken ct)
    {
        if (Read(FileFor(db)) is not { } seen) return false;
        var first = await tx.QuerySingleOrDefaultAsync<LogRow>(
            $"SELECT {LogRow.Columns} FROM carillon_changes WHERE id >= @id ORDER BY id LIMIT 1", new { id = seen.Id }, ct);
        var states = await tx.QueryAsync<TableState>($"SELECT {TableState.Columns} FROM carillon_tables", ct: ct);
        var sequence = await tx.ExecuteScalarAsync<long>(
            "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'carillon_changes'), 0)", ct: ct);
        return ChangePump.WasRestored(seen, first, states.ToDictionary(state => state.Name), sequence);
    }

    static LogCursor? Read(string file)
    {
        try
        {
            return JsonSerializer.Deserialize<LogCursor>(File.ReadAllBytes(file));
        }
        catch (Exception ex) when (
            ex is FileNotFoundException or DirectoryNotFoundException or UnauthorizedAccessException or JsonException)
        {
            // not there yet, not ours to read, or cut off by a crash; any other fault of the disk is tried again with the start
            return null;
        }
    }
}
