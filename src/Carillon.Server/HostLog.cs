using Carillon.Server.CommandLine;

namespace Carillon.Server;

/// <summary>
/// Limits what the generic host logs of itself. While the server starts, that is only what is critical: <see cref="CommandLine.Serve"/>
/// reports a failed start in one sentence, and the host would add its stack trace and those of the background services that end with it.
/// </summary>
sealed class HostLog
{
    enum Stage
    {
        Starting,
        Started,
        Failed,
    }

    volatile Stage _stage;

    public void AddTo(ILoggingBuilder logging) => logging.AddFilter("Microsoft.Extensions.Hosting.Internal.Host", IsEnabled);

    public void Started() => _stage = Stage.Started;

    public void Failed() => _stage = Stage.Failed;

    bool IsEnabled(LogLevel level) => _stage switch
    {
        Stage.Starting => level >= LogLevel.Critical,
        Stage.Started => level >= LogLevel.Information,
        _ => false,
    };
}
