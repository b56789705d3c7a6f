namespace Magasin.Base;

/// <summary>The story that the log tells: which statement runs, never with what.</summary>
internal sealed partial class Histoire(ILogger<Histoire> logger)
{
    public void Executing(string statement) => LogExecuting(logger, statement);

    [LoggerMessage(LogLevel.Information, "Executing: {Statement}")]
    static partial void LogExecuting(ILogger logger, string statement);
}
