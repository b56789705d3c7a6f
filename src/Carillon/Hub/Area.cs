using Carillon.Access;
using Carillon.Channels;
using Carillon.SocketIO.Engine;

namespace Carillon.Hub;

/// <summary>
/// A family of channels with the same rights, history and event, such as <c>changes:{table}</c>. A part in braces stands for any one part
/// of a name.
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

    /// <summary>Who may join its channels. Nobody, unless it is said: rights are given, never assumed.</summary>
    public Grant Subscribe { get; set; } = Grant.Nobody;

    /// <summary>Which users may publish to its channels by <c>POST /api/publish</c>. Nobody: that is for back ends.</summary>
    public Grant Publish { get; set; } = Grant.Nobody;

    /// <summary>Who may see who is in a channel: those who are in it.</summary>
    public Grant Presence { get; set; } = Grant.Present;

    /// <summary>Who may read what was published: all who may subscribe.</summary>
    public Grant History { get; set; } = Grant.Subscribers;

    /// <summary>Who may administer a channel: say who its members are. Those who may administer everything.</summary>
    public Grant Manage { get; set; } = Grant.Admins;

    /// <summary>
    /// Whether a user's own channels of this area (those with the user's id at <c>{user}</c>) are joined for each of the user's
    /// connections without being asked.
    /// </summary>
    public bool AutoSubscribe { get; set; }

    /// <summary>Whether it is told on <c>presence:{channel}</c> who comes and goes. On.</summary>
    public bool EmitsPresence { get; set; } = true;

    /// <summary>How many publications of a channel are kept for those who were away; none where left out.</summary>
    public int HistorySize { get; set; }

    /// <summary>How long a publication is kept.</summary>
    public TimeSpan HistoryTtl { get; set; } = TimeSpan.FromMinutes(10);

    /// <summary>
    /// How many bytes of a channel's publications are kept: 8 MiB, the most that is replayed to one client. The oldest go first. All
    /// channels together keep an eighth of the memory that the process may use.
    /// </summary>
    public long HistoryBytes { get; set; } = 8L << 20;

    /// <summary>
    /// How much its publications matter, unless a publication says otherwise. Critical ones overtake all else that waits for a client.
    /// </summary>
    public Importance Importance { get; set; } = Importance.Informative;

    /// <summary>
    /// What happens to a publication for a client that reads so slowly that its queue is full. Offsets tell a client what it did not get;
    /// a client that is disconnected (<c>slow-consumer</c>) comes back and recovers.
    /// </summary>
    public Overflow Overflow { get; set; }

    /// <summary>
    /// How long publications are gathered, to leave in one piece: gentle on mobile links, whose radio sleeps in between. Zero, the
    /// default, sends at once; critical ones never wait.
    /// </summary>
    public TimeSpan BatchWindow { get; set; }

    // Where the history lies in a table of its own (durable), how to read it, and which channels exist. Nobody but the table's own
    // feature publishes there.
    internal Func<ChannelName, Position?, int, CancellationToken, ValueTask<History>>? ReadHistory { get; set; }

    internal Func<ChannelName, bool>? Exists { get; set; }

    /// <summary>Whether only the server itself publishes to its channels.</summary>
    internal bool IsOfTheServer { get; set; }

    /// <summary>
    /// Whether a part of the pattern stands for the whole rest of a name: <c>presence:{channel}</c> is said of any channel.
    /// </summary>
    internal bool TakesRest { get; init; }

    /// <summary>
    /// Whether it has such a channel. A name that is one of its pattern and does not exist belongs to no other area either.
    /// </summary>
    internal bool Has(ChannelName channel) => Exists?.Invoke(channel) != false;

    /// <summary>Whether a name is one of its pattern.</summary>
    internal bool Matches(ChannelName channel)
    {
        var at = 0;
        var name = channel.Value.AsSpan();
        foreach (var range in name.Split(':'))
        {
            if (at == _parts.Length) return TakesRest;
            var part = _parts[at++];
            if (!(part is ['{', .., '}'] || name[range].SequenceEqual(part))) return false;
        }
        return at == _parts.Length;
    }

    /// <summary>
    /// The part of a channel's name at a place of the pattern, such as <c>{user}</c>; empty where the pattern has no such place.
    /// </summary>
    internal ReadOnlySpan<char> PartOf(ChannelName channel, string place)
    {
        var wanted = Array.IndexOf(_parts, place);
        if (wanted < 0) return default;
        var at = 0;
        foreach (var range in channel.Value.AsSpan().Split(':'))
            if (at++ == wanted) return channel.Value.AsSpan(range);
        return default;
    }

    /// <summary>The channel of this area that belongs to a user; false where the name would be none, because it is too long.</summary>
    internal bool TryOwnedBy(string userId, out ChannelName name) =>
        ChannelName.TryParse(Pattern.Replace("{user}", userId, StringComparison.Ordinal), out name);

    /// <summary>Whether a caller may do something with one of its channels.</summary>
    internal ValueTask<bool> AdmitsAsync(
        Caller caller, ChannelName channel, ChannelPermission action, Func<Caller, ChannelName, bool> isPresent) =>
        Capability.Allows(caller.Capabilities, channel.Value, WordOf(action))
            ? new(true) : AdmitsAsync(caller, channel, GrantOf(action), action, isPresent);

    /// <summary>Whether a caller may do something by a grant, of the area or beside it. Capabilities do not count.</summary>
    internal ValueTask<bool> AdmitsAsync(
        Caller caller, ChannelName channel, Grant grant, ChannelPermission action, Func<Caller, ChannelName, bool> isPresent) =>
        AdmitsBackEnd(caller, action) ? new(true) : grant.AdmitsAsync(new Grant.Request(caller, channel, this, action, isPresent));

    /// <summary>Whether a caller is a back end whose key has the scope for something, which then holds for all channels.</summary>
    internal static bool AdmitsBackEnd(Caller caller, ChannelPermission action) => action switch
    {
        ChannelPermission.Publish => caller.HasScope(Scopes.Publish),
        ChannelPermission.Presence or ChannelPermission.History => caller.HasScope(Scopes.Read),
        ChannelPermission.Manage => caller.HasScope(Scopes.Users),
        _ => false,
    };

    Grant GrantOf(ChannelPermission action) => action switch
    {
        ChannelPermission.Subscribe => Subscribe,
        ChannelPermission.Publish => Publish,
        ChannelPermission.Presence => Presence,
        ChannelPermission.History => History,
        _ => Manage,
    };

    static string WordOf(ChannelPermission action) => action switch
    {
        ChannelPermission.Subscribe => "subscribe",
        ChannelPermission.Publish => "publish",
        ChannelPermission.Presence => "presence",
        ChannelPermission.History => "history",
        _ => "manage",
    };
}
