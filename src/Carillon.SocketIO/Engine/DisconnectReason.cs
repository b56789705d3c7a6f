namespace Carillon.SocketIO.Engine;

/// <summary>
/// Why a connection, or a socket on it, ended: the texts that Socket.IO servers use in every language, and one of our own.
/// </summary>
public static class DisconnectReason
{
    /// <summary>The client left this namespace.</summary>
    public const string ClientNamespaceDisconnect = "client namespace disconnect";

    /// <summary>The server disconnected this socket.</summary>
    public const string ServerNamespaceDisconnect = "server namespace disconnect";

    /// <summary>The transport was closed by the client or lost.</summary>
    public const string TransportClose = "transport close";

    /// <summary>The transport failed, or the client used it wrongly.</summary>
    public const string TransportError = "transport error";

    /// <summary>The client did not answer a ping in time.</summary>
    public const string PingTimeout = "ping timeout";

    /// <summary>The client sent something that is no Engine.IO packet.</summary>
    public const string ParseError = "parse error";

    /// <summary>The server closed the connection, or the client sent a Socket.IO packet that the protocol forbids.</summary>
    public const string ForcedClose = "forced close";

    /// <summary>
    /// As <see cref="ForcedClose"/>, where the transport could not be closed at once; also a client that joined no namespace in time.
    /// </summary>
    public const string ForcedServerClose = "forced server close";

    /// <summary>
    /// The client read so slowly that what waited for it passed the limit. The WebSocket's close frame contains the reason (code
    /// 1013).
    /// </summary>
    public const string SlowConsumer = "slow-consumer";

    /// <summary>The server is stopping.</summary>
    public const string ServerShuttingDown = "server shutting down";
}
