using Microsoft.Extensions.Logging;

namespace Carillon.SocketIO;

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

    [LoggerMessage(Level = LogLevel.Error, Message = "A handler of connection {Id} threw; the connection was closed")]
    internal partial void LogHandlerFailed(Exception error, string id);
}
