namespace Magasin.Data;

/// <summary>The story that the log tells: which statement runs, never with what.</summary>
internal sealed partial class SqlLog(ILogger<SqlLog> logger)
{
    public void Executing(string statement) => LogExecuting(logger, statement);

    [LoggerMessage(LogLevel.Information, "Executing: {Statement}")]
    static partial void LogExecuting(ILogger logger, string statement);
}
