using Microsoft.Extensions.Logging;

namespace Carillon.Changes;

public sealed partial class LiveTables
{
    [LoggerMessage(LogLevel.Information, "Watching table {Table}")]
    partial void LogWatching(string table);

    [LoggerMessage(LogLevel.Information, "Adapted the triggers to the new shape of table {Table}")]
    partial void LogAdapted(string table);

    [LoggerMessage(LogLevel.Warning, "Table {Table} is gone; it will be watched again as soon as it is there")]
    partial void LogTableGone(string table);

    [LoggerMessage(LogLevel.Information, "Released table {Table}: its changes are not seen until it is watched again")]
    partial void LogReleased(string table);

    [LoggerMessage(LogLevel.Warning, "The database is an older copy than the one that was followed last: all live tables begin new epochs")]
    partial void LogRestoredWhileStopped();

    [LoggerMessage(LogLevel.Error, "Table {Table} is not live any more: {Reason}")]
    partial void LogCannotBeLive(string table, string reason);
}
