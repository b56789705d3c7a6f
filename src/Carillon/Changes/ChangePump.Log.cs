using Microsoft.Extensions.Logging;

namespace Carillon.Changes;

internal sealed partial class ChangePump
{
    [LoggerMessage(LogLevel.Debug, "Saw {Count} changes in {Tables}")]
    partial void LogSaw(int count, string tables);

    [LoggerMessage(LogLevel.Debug, "Published {Operation} in {Table} at {Epoch}:{Offset}")]
    partial void LogPublished(string operation, string table, string epoch, long offset);

    [LoggerMessage(LogLevel.Debug, "Pruned {Count} old changes from the log")]
    partial void LogPruned(int count);

    [LoggerMessage(LogLevel.Warning,
        "Table {Table} begins a new epoch; its subscribers were told to reload")]
    partial void LogNewEpoch(string table);

    [LoggerMessage(LogLevel.Warning,
        "No file can be written beside the database: a backup restored while the server is stopped may go unnoticed")]
    partial void LogCannotRemember(Exception exception);

    [LoggerMessage(LogLevel.Warning, "The database was restored from an older copy")]
    partial void LogRestored();

    [LoggerMessage(LogLevel.Error, "The database cannot be followed; this is tried again until it can")]
    partial void LogDatabaseInTrouble(Exception exception);

    [LoggerMessage(LogLevel.Information, "The database is followed again")]
    partial void LogFollowing();
}
