using Carillon.SocketIO.Engine;
using Carillon.SocketIO.Limits;
using Carillon.SocketIO.Packets;

namespace Carillon.SocketIO.Sockets;

/// <summary>The settings of the Socket.IO server. <see cref="Engine"/> holds those of the transports.</summary>
public sealed class SocketIOOptions
{
    /// <summary>Transports, heartbeat, limits and origins.</summary>
    public EngineOptions Engine { get; } = new();

    /// <summary>How long a connection may stay without joining a namespace. 45 seconds, as Socket.IO servers do.</summary>
    public TimeSpan ConnectTimeout { get; set; } = TimeSpan.FromSeconds(45);

    /// <summary>
    /// How many bytes a connection may hold before it has joined a namespace: in one message, in requests to join that are not decided yet,
    /// and in its send queue. 32 KiB: a large token for
    /// each of a dozen namespaces. No request to join may be larger, before the first join or after it.
    /// </summary>
    public int MaxBytesBeforeJoin { get; set; } = 32 * 1024;

    /// <summary>
    /// How many rooms one socket may be in, its own not counted. 10,000: ten times what an application has that makes a room of all that a
    /// screen shows.
    /// </summary>
    public int MaxRoomsPerSocket { get; set; } = 10_000;

    /// <summary>
    /// How many acknowledgements of one socket may be awaited at once. 10,000: a client that answers nothing must not make the server
    /// remember more.
    /// </summary>
    public int MaxPendingAcks { get; set; } = 10_000;

    /// <summary>
    /// How many namespaces may exist that were made from a pattern, whose names clients choose. 10,000, some 20 MB. A client that asks for
    /// one more is refused with
    /// <c>unavailable</c>, as is an account, or an address without one, for which more were made than are left.
    /// </summary>
    public int MaxPatternNamespaces { get; set; } = 10_000;

    /// <summary>How many levels of nesting the JSON of a packet may have. 64: deeper than any payload a person designs.</summary>
    public int MaxDepth { get; set; } = 64;

    /// <summary>How many bytes the name of a namespace may have. 512: a path, not a document.</summary>
    public int MaxNamespaceLength { get; set; } = 512;

    /// <summary>
    /// How many namespaces one connection may join. 100: more than an application has, far fewer than a pattern could make.
    /// </summary>
    public int MaxNamespacesPerConnection { get; set; } = 100;

    /// <summary>
    /// How many asynchronous handlers of one connection may be under way at once: 1,000. Events beyond it are refused with
    /// <c>rate-limited</c>, because each of them holds memory.
    /// </summary>
    public int MaxUnfinishedHandlers { get; set; } = 1000;

    /// <summary>
    /// Whether the client library is served under the server's path (<c>socket.io.js</c> and its variants). On: many pages load it from
    /// there.
    /// </summary>
    public bool ServeClient { get; set; } = true;

    /// <summary>
    /// How long the state of a lost connection is kept, so that the client that returns gets its id, rooms, data and missed events back
    /// (connection
    /// state recovery). <see langword="null"/>, the default, keeps none: with it each event carries one more argument, which not every
    /// client expects. Socket.IO servers that turn it on use two minutes.
    /// </summary>
    public TimeSpan? RecoveryWindow { get; set; }

    /// <summary>
    /// How many bytes of recent events a namespace keeps for clients that come back: 64 MiB. The oldest go first; a client that missed them
    /// begins anew, and is told so. They count in
    /// <see cref="LimitOptions.MaxBufferedBytes"/>. Where that is exceeded, they are forgotten down to a quarter of it before connections
    /// are closed.
    /// </summary>
    public long MaxRecoverableBytes { get; set; } = 64 * 1024 * 1024;

    /// <summary>Whether the middlewares are skipped for a recovered connection, which they have let in before. On.</summary>
    public bool SkipMiddlewaresOnRecovery { get; set; } = true;

    internal PacketLimits PacketLimits => new(PacketWriter.MaxAttachments, MaxDepth, MaxNamespaceLength);

    internal void Validate()
    {
        Engine.Validate();
        if (ConnectTimeout <= TimeSpan.Zero) throw new InvalidOperationException(
            "SocketIOOptions.ConnectTimeout must be longer than zero.");
        if (MaxBytesBeforeJoin < 1024) throw new InvalidOperationException("SocketIOOptions.MaxBytesBeforeJoin must be at least 1,024.");
        if (MaxRoomsPerSocket < 1) throw new InvalidOperationException("SocketIOOptions.MaxRoomsPerSocket must be at least one.");
        if (MaxPendingAcks < 1) throw new InvalidOperationException("SocketIOOptions.MaxPendingAcks must be at least one.");
        if (MaxPatternNamespaces < 1) throw new InvalidOperationException("SocketIOOptions.MaxPatternNamespaces must be at least one.");
        if (MaxUnfinishedHandlers < 1) throw new InvalidOperationException("SocketIOOptions.MaxUnfinishedHandlers must be at least one.");
        if (MaxDepth is < 1 or > 1000) throw new InvalidOperationException("SocketIOOptions.MaxDepth must lie between 1 and 1000.");
        if (MaxRecoverableBytes < 1) throw new InvalidOperationException("SocketIOOptions.MaxRecoverableBytes must be at least one.");
        if (RecoveryWindow <= TimeSpan.Zero) throw new InvalidOperationException(
            "SocketIOOptions.RecoveryWindow must be longer than zero, or null.");
    }
}
