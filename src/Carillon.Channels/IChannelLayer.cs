namespace Carillon.Channels;

/// <summary>
/// The seam between the nodes of one Carillon: it carries publications and remembers the latest of them. Rooms, presence, rights and
/// acknowledgements live above it. Every implementation passes the same specification test class.
/// </summary>
public interface IChannelLayer
{
    /// <summary>
    /// Sets who receives the messages of subscribed channels on this node. Called once, before the first subscription. The callback is
    /// called in the order of the offsets within one channel, must not block and must not throw.
    /// </summary>
    void OnMessage(Action<Publication> deliver);

    /// <summary>
    /// Starts delivery of a channel to this node. When the task ends, every later publication is delivered. Repeating it changes nothing.
    /// </summary>
    ValueTask SubscribeAsync(string channel, CancellationToken ct);

    /// <summary>Ends delivery of a channel to this node. Its history is kept as long as it would be with subscribers.</summary>
    ValueTask UnsubscribeAsync(string channel, CancellationToken ct);

    /// <summary>
    /// Publishes to a channel: gives the message its position, keeps it in the history as the options say, and delivers it to every
    /// subscribed node.
    /// </summary>
    /// <returns>The position that the message got: one offset after the one before it in this channel.</returns>
    ValueTask<Position> PublishAsync(string channel, ReadOnlyMemory<byte> body, PublishOptions options, CancellationToken ct);

    /// <summary>Reads what was published after a position, oldest first: all of it or nothing.</summary>
    /// <param name="channel">The channel's name.</param>
    /// <param name="since">The last position that the reader has seen; <see langword="null"/> asks for the current position alone.</param>
    /// <param name="limit">How many messages at most; when more are missing the answer is not recovered.</param>
    /// <param name="ct">Ends the waiting.</param>
    ValueTask<History> HistoryAsync(string channel, Position? since, int limit, CancellationToken ct);
}

/// <summary>
/// A place in a channel. The offset grows by one with each publication; a new epoch means that the history before it is gone, so
/// an offset means nothing without its epoch.
/// </summary>
/// <param name="Epoch">Which history the offset counts in: an opaque text.</param>
/// <param name="Offset">How many publications the channel has had in this epoch; 0 before the first.</param>
public readonly record struct Position(string Epoch, long Offset);

/// <summary>One publication as it travels and as it is kept.</summary>
/// <param name="Channel">The channel's name.</param>
/// <param name="Event">The name of the event under which clients receive it.</param>
/// <param name="Position">Its place in the channel.</param>
/// <param name="Id">Its id: the same on every node and in every replay.</param>
/// <param name="At">When it happened, UTC.</param>
/// <param name="Body">The payload, one JSON value in UTF-8.</param>
public sealed record Publication(string Channel, string Event, Position Position, string Id, DateTimeOffset At, ReadOnlyMemory<byte> Body)
{
    /// <summary>How much it matters that it arrives, and soon; <see langword="null"/> where the channel's own rule holds.</summary>
    public Importance? Importance { get; init; }

    /// <summary>What it is about, where only the latest publication about one thing matters to who reads slowly.</summary>
    public string? Key { get; init; }
}

/// <summary>What a publication carries besides its body, and how long the layer keeps it.</summary>
public sealed record PublishOptions
{
    /// <summary>The name of the event under which clients receive the publication.</summary>
    public required string Event { get; init; }

    /// <summary>The publication's id; a new version 7 UUID where it is left out.</summary>
    public string? Id { get; init; }

    /// <summary>When it happened, UTC; the layer's own time where it is left out.</summary>
    public DateTimeOffset? At { get; init; }

    /// <summary>How much it matters that it arrives, and soon; <see langword="null"/> where the channel's own rule holds.</summary>
    public Importance? Importance { get; init; }

    /// <summary>What it is about, where only the latest publication about one thing matters to who reads slowly.</summary>
    public string? Key { get; init; }

    /// <summary>How many publications of this channel the layer keeps; 0 keeps none.</summary>
    public int HistorySize { get; init; }

    /// <summary>How long the layer keeps a publication.</summary>
    public TimeSpan HistoryTtl { get; init; }

    /// <summary>
    /// How many bytes of publications of this channel the layer keeps, their bodies and what is kept with each; zero is no bound of the
    /// channel's own.
    /// </summary>
    public long HistoryBytes { get; init; }

    /// <summary>
    /// The position, where the publisher's own table is the log (durable history). The layer then counts and keeps nothing itself.
    /// </summary>
    public Position? Position { get; init; }
}

/// <summary>The answer to a reader that was away.</summary>
/// <param name="Position">The channel's position now.</param>
/// <param name="Recovered">Whether <paramref name="Publications"/> holds everything since the reader's position. A gap is never hidden: in
/// doubt this is false.</param>
/// <param name="Publications">What was missed, oldest first; empty unless recovered.</param>
public sealed record History(Position Position, bool Recovered, IReadOnlyList<Publication> Publications);
