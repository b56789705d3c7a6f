namespace Carillon.SocketIO;

/// <summary>The settings of the Socket.IO server. <see cref="Engine"/> holds those of the transports.</summary>
public sealed class SocketIOOptions
{
    /// <summary>Transports, heartbeat, limits and origins.</summary>
    public EngineOptions Engine { get; } = new();

    /// <summary>How long a connection may stay without joining a namespace. 45 seconds, as Socket.IO servers do.</summary>
    public TimeSpan ConnectTimeout { get; set; } = TimeSpan.FromSeconds(45);

    /// <summary>How many levels of nesting the JSON of a packet may have. 64: deeper than any payload a person designs.</summary>
    public int MaxDepth { get; set; } = 64;

    /// <summary>How many bytes the name of a namespace may have. 512: a path, not a document.</summary>
    public int MaxNamespaceLength { get; set; } = 512;

    /// <summary>How many namespaces one connection may join. 100: more than an application has, far fewer than a pattern could make.</summary>
    public int MaxNamespacesPerConnection { get; set; } = 100;

    /// <summary>
    /// How many asynchronous handlers of one connection may be under way at once: 1,000. Events beyond it are refused with <c>rate-limited</c>, because each of them holds memory.
    /// </summary>
    public int MaxUnfinishedHandlers { get; set; } = 1000;

    /// <summary>
    /// Whether the client library is served under the server's path (<c>socket.io.js</c> and its variants). On: many pages load it from there.
    /// </summary>
    public bool ServeClient { get; set; } = true;

    /// <summary>
    /// How long the state of a lost connection is kept, so that the client that returns gets its id, rooms, data and missed events back (connection
    /// state recovery). <see langword="null"/>, the default, keeps none: with it each event carries one more argument, which not every
    /// client expects. Socket.IO servers that turn it on use two minutes.
    /// </summary>
    public TimeSpan? RecoverWithin { get; set; }

    /// <summary>
    /// How many bytes of recent events a namespace keeps for clients that come back: 64 MiB. The oldest go first; who missed them begins anew, and knows it.
    /// </summary>
    public long MaxRecoverableBytes { get; set; } = 64 * 1024 * 1024;

    /// <summary>Whether the middlewares are skipped for a recovered connection, which they have let in before. On.</summary>
    public bool SkipMiddlewaresOnRecovery { get; set; } = true;

    internal PacketLimits PacketLimits => new(PacketWriter.MaxAttachments, MaxDepth, MaxNamespaceLength);

    internal void Validate()
    {
        Engine.Validate();
        if (ConnectTimeout <= TimeSpan.Zero) throw new InvalidOperationException("SocketIOOptions.ConnectTimeout must be longer than zero.");
        if (MaxUnfinishedHandlers < 1) throw new InvalidOperationException("SocketIOOptions.MaxUnfinishedHandlers must be at least one.");
        if (MaxDepth is < 1 or > 1000) throw new InvalidOperationException("SocketIOOptions.MaxDepth must lie between 1 and 1000.");
        if (MaxRecoverableBytes < 1) throw new InvalidOperationException("SocketIOOptions.MaxRecoverableBytes must be at least one.");
        if (RecoverWithin <= TimeSpan.Zero) throw new InvalidOperationException("SocketIOOptions.RecoverWithin must be longer than zero, or null.");
    }
}
