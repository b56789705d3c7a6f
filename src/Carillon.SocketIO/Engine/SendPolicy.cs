namespace Carillon.SocketIO.Engine;

/// <summary>
/// The treatment of a message when a client reads so slowly that its queue is full (<see cref="EngineOptions.MaxQueuedBytes"/>).
/// </summary>
public enum Overflow
{
    /// <summary>
    /// Messages of lower priority make room. If that is not enough, the client is disconnected (<c>slow-consumer</c>): it reconnects and
    /// catches
    /// up.
    /// </summary>
    Queue,

    /// <summary>The message is dropped for this client.</summary>
    Drop,

    /// <summary>Only the latest message of each <see cref="SendPolicy.Key"/> stays in the queue.</summary>
    KeepLatest,

    /// <summary>The client is disconnected (<c>slow-consumer</c>) at once: it comes back and catches up.</summary>
    Disconnect,
}

/// <summary>Which messages leave first, and which are dropped first, when a client or the server cannot keep up.</summary>
public enum SendPriority
{
    /// <summary>The first that is dropped.</summary>
    Low,

    /// <summary>The usual.</summary>
    Normal,

    /// <summary>Dropped only with the client itself.</summary>
    High,

    /// <summary>Overtakes everything else that waits for the same client, except earlier messages of its own stream.</summary>
    Critical,
}

/// <summary>How messages are treated where they cannot leave at once. One object serves any number of messages.</summary>
public sealed record SendPolicy
{
    /// <summary>The policy of messages that name none: normal priority, queued, of no stream.</summary>
    public static readonly SendPolicy Default = new();

    /// <summary>Nothing overtakes these: the packet that a client has joined, and the events that it missed.</summary>
    internal static readonly SendPolicy Barrier = new() { Priority = SendPriority.High };

    /// <summary>When the message leaves, or is dropped, compared with others.</summary>
    public SendPriority Priority { get; init; } = SendPriority.Normal;

    /// <summary>The treatment of the message when a client's queue is full.</summary>
    public Overflow Overflow { get; init; }

    /// <summary>
    /// The stream it belongs to, such as the name of a channel. Messages of one stream never overtake each other. Critical ones without a
    /// stream keep their order, too.
    /// </summary>
    public string? Stream { get; init; }

    /// <summary>
    /// The subject of the message, for <see cref="Overflow.KeepLatest"/>: a later message of the same stream and key replaces it. Where
    /// null, the
    /// whole stream is about one thing.
    /// </summary>
    public string? Key { get; init; }
}

/// <summary>The action for a message to a client whose queue may be full.</summary>
enum OverflowAction { Queue, Drop, MakeRoom, Disconnect }

/// <summary>The decision about a message for a client that reads slowly.</summary>
static class OverflowRule
{
    /// <param name="policy">The message's policy.</param>
    /// <param name="fits">Whether there is room for it.</param>
    /// <param name="isShed">Whether memory is short, and messages of this priority are the first to go.</param>
    public static OverflowAction Decide(SendPolicy policy, bool fits, bool isShed = false) =>
        isShed ? OverflowAction.Drop
        : fits ? OverflowAction.Queue
        : policy.Overflow == Overflow.Disconnect ? OverflowAction.Disconnect
        : policy.Priority == SendPriority.Critical ? OverflowAction.MakeRoom      // never dropped: silence would lie
        : policy.Overflow == Overflow.KeepLatest ? OverflowAction.MakeRoom        // the latest is the one that stays
        : policy.Overflow == Overflow.Drop || policy.Priority == SendPriority.Low ? OverflowAction.Drop
        : OverflowAction.MakeRoom;
}
