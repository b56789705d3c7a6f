using Microsoft.Extensions.Logging;

namespace Carillon.Hosting;

internal sealed partial class HistoryHandover
{
    [LoggerMessage(LogLevel.Information, "Saved the history of {Channels} channels for the next start")]
    partial void LogSaved(int channels);

    [LoggerMessage(LogLevel.Information, "Took back the history of {Channels} channels; clients that come back miss nothing")]
    partial void LogTaken(int channels);

    [LoggerMessage(LogLevel.Warning, "The history could not be saved; after the next start clients load anew")]
    partial void LogNotSaved(Exception error);

    [LoggerMessage(LogLevel.Warning, "Clients are not served yet: {Reason}")]
    partial void LogWaiting(string reason);

    [LoggerMessage(LogLevel.Critical, "Clients cannot be served, and the server stops")]
    partial void LogCannotOpen(Exception error);

    [LoggerMessage(LogLevel.Information, "The database is open; clients are served")]
    partial void LogOpened();

    [LoggerMessage(LogLevel.Warning, "The saved history could not be read and was deleted; clients load anew")]
    partial void LogUnreadable(Exception error);
}
