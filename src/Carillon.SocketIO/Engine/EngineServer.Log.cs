using Microsoft.Extensions.Logging;

namespace Carillon.SocketIO.Engine;

public sealed partial class EngineServer
{
    [LoggerMessage(Level = LogLevel.Debug, Message = "Connection {Id} was opened over {Transport}")]
    internal partial void LogOpened(string id, string transport);

    [LoggerMessage(Level = LogLevel.Debug, Message = "Connection {Id} was closed: {Reason}")]
    internal partial void LogClosed(string id, string reason);

    [LoggerMessage(Level = LogLevel.Debug, Message = "Connection {Id} moved to WebSocket")]
    internal partial void LogUpgraded(string id);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Connection {Id} did not read {Bytes} waiting bytes and was closed")]
    internal partial void LogOverflow(string id, int bytes);

    [LoggerMessage(Level = LogLevel.Warning,
        Message = "All connections together hold too much; connection {Id}, which held {Bytes} bytes, was closed")]
    internal partial void LogShed(string id, long bytes);

    [LoggerMessage(Level = LogLevel.Error, Message = "Closing connections that hold too much failed")]
    partial void LogSheddingFailed(Exception error);

    [LoggerMessage(Level = LogLevel.Error, Message = "A deadline of a connection failed")]
    partial void LogDeadlineFailed(Exception error);

    [LoggerMessage(Level = LogLevel.Error, Message = "Writing to connection {Id} failed; it was closed")]
    internal partial void LogWriteFailed(Exception error, string id);

    [LoggerMessage(Level = LogLevel.Error, Message = "A handler of connection {Id} threw; the connection was closed")]
    internal partial void LogHandlerFailed(Exception error, string id);
}
