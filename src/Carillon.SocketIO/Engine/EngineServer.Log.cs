using System.Net;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Carillon.SocketIO;

public sealed partial class EngineServer
{
    int _proxyTold;

    // An operator who forgot the proxy would see all the world as one address; once is enough, for anybody can write the header.
    void LogProxyOnce(IPAddress? address, EngineRefusal refusal)
    {
        if (address is not null && refusal.Status != StatusCodes.Status503ServiceUnavailable && Interlocked.Exchange(ref _proxyTold, 1) == 0) LogProxy(AddressKey.Of(address));
    }

    [LoggerMessage(Level = LogLevel.Warning,
        Message = "A client at {Address} was refused that says it is a proxy. If it is yours, name it in FairnessOptions.TrustedProxies: all its users count as one address")]
    partial void LogProxy(AddressKey address);

    [LoggerMessage(Level = LogLevel.Debug, Message = "Connection {Id} was opened over {Transport}")]
    internal partial void LogOpened(string id, string transport);

    [LoggerMessage(Level = LogLevel.Debug, Message = "Connection {Id} was closed: {Reason}")]
    internal partial void LogClosed(string id, string reason);

    [LoggerMessage(Level = LogLevel.Debug, Message = "Connection {Id} moved to WebSocket")]
    internal partial void LogUpgraded(string id);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Connection {Id} did not read {Bytes} waiting bytes and was closed")]
    internal partial void LogOverflow(string id, int bytes);

    [LoggerMessage(Level = LogLevel.Error, Message = "A deadline of a connection failed")]
    partial void LogDeadlineFailed(Exception error);

    [LoggerMessage(Level = LogLevel.Error, Message = "Writing to connection {Id} failed; it was closed")]
    internal partial void LogWriteFailed(Exception error, string id);

    [LoggerMessage(Level = LogLevel.Error, Message = "A handler of connection {Id} threw; the connection was closed")]
    internal partial void LogHandlerFailed(Exception error, string id);
}
