namespace Magasin.Data;

/// <summary>Logs which statement runs, never its parameters.</summary>
internal sealed partial class SqlLog(ILogger<SqlLog> logger)
{
    public void Executing(string statement) => LogExecuting(logger, statement);

    [LoggerMessage(LogLevel.Information, "Executing: {Statement}")]
    static partial void LogExecuting(ILogger logger, string statement);
}
