using Carillon.Access;
using Carillon.Channels;
using Carillon.SocketIO;

namespace Carillon.Live;

/// <summary>
/// A family of channels with the same rights, history and event, such as <c>changes:{table}</c>. A part in braces stands for any one part of a name.
/// </summary>
public sealed class Area
{
    readonly string[] _parts;

    /// <summary>Describes an area.</summary>
    /// <param name="pattern">The names of its channels, such as <c>orders:{id}</c>.</param>
    /// <param name="event">The name of the event under which clients receive its publications.</param>
    /// <exception cref="ArgumentException">The pattern or the event is empty.</exception>
    public Area(string pattern, string @event)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(pattern);
        ArgumentException.ThrowIfNullOrWhiteSpace(@event);
        (Pattern, Event, _parts) = (pattern, @event, pattern.Split(':'));
    }

    /// <summary>The names of its channels.</summary>
    public string Pattern { get; }

    /// <summary>The name of the event under which clients receive its publications.</summary>
    public string Event { get; }

    /// <summary>To whom it is open. To nobody, unless it is said: rights are given, never assumed.</summary>
    public Audience Audience { get; set; }

    /// <summary>A finer rule, asked after <see cref="Audience"/> let the caller pass: whether this caller may join that channel.</summary>
    public Func<Caller, ChannelName, bool>? MaySubscribe { get; set; }

    /// <summary>How many publications of a channel are kept for those who were away; none where left out.</summary>
    public int KeepCount { get; set; }

    /// <summary>How long a publication is kept.</summary>
    public TimeSpan KeepFor { get; set; } = TimeSpan.FromMinutes(10);

    /// <summary>How much its publications matter, unless a publication says otherwise. Critical ones overtake all else that waits for a client.</summary>
    public Importance Importance { get; set; } = Importance.Informative;

    /// <summary>
    /// What happens to a publication for a client that reads so slowly that its queue is full. Offsets tell a client what it did not get; a client that is disconnected
    /// (<c>slow-consumer</c>) comes back and recovers.
    /// </summary>
    public Overflow Overflow { get; set; }

    /// <summary>
    /// How long publications are gathered, to leave in one piece: gentle on mobile links, whose radio sleeps in between. Zero, the default, sends at once; critical ones never
    /// wait.
    /// </summary>
    public TimeSpan GatherFor { get; set; }

    // Where the history lies in a table of its own (durable), how to read it, and which channels exist.
    internal Func<ChannelName, Position?, int, CancellationToken, ValueTask<History>>? ReadHistory { get; init; }

    internal Func<ChannelName, bool>? Exists { get; init; }

    internal bool Matches(ChannelName channel)
    {
        var at = 0;
        var name = channel.Value.AsSpan();
        foreach (var range in name.Split(':'))
        {
            if (at == _parts.Length) return false;
            var part = _parts[at++];
            if (!(part is ['{', .., '}'] || name[range].SequenceEqual(part))) return false;
        }
        return at == _parts.Length && Exists?.Invoke(channel) != false;
    }

    /// <summary>Whether a caller may join one of its channels.</summary>
    internal bool Admits(Caller caller, ChannelName channel) => Audience switch
    {
        Audience.Everyone => true,
        Audience.KnownUsers => caller.IsKnown,
        _ => false,
    } && MaySubscribe?.Invoke(caller, channel) != false;
}
