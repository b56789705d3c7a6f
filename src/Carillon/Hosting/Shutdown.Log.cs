using Microsoft.Extensions.Logging;

namespace Carillon.Hosting;

internal sealed partial class Shutdown
{
    [LoggerMessage(LogLevel.Information, "Stopping within {Seconds} s, with {Connections} connections; readiness fails from now on")]
    partial void LogBegan(int connections, double seconds);

    [LoggerMessage(LogLevel.Information, "Nobody new is let in; told {Clients} clients to come back over {Seconds} s")]
    partial void LogTold(int clients, double seconds);

    [LoggerMessage(LogLevel.Information, "Closed the connections; {Connections} were left, for which {Bytes} bytes were waiting")]
    partial void LogClosed(int connections, long bytes);

    [LoggerMessage(LogLevel.Warning, "Saying goodbye took longer than {Seconds} s and was not waited for")]
    partial void LogTasksTimedOut(double seconds);

    [LoggerMessage(LogLevel.Error, "A goodbye failed")]
    partial void LogGoodbyeFailed(Exception error);

    [LoggerMessage(LogLevel.Warning, "The stop took too long; {Connections} connections were cut")]
    partial void LogNotInTime(int connections);
}
