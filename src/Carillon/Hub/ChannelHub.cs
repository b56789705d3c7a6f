using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Runtime.CompilerServices;
using System.Text.Json;
using Carillon.Access;
using Carillon.Channels;
using Carillon.Diagnostics;
using Carillon.SocketIO.Sockets;
using Microsoft.Extensions.Logging;

namespace Carillon.Hub;

/// <summary>
/// The channels that clients join: it finds a channel's area, lets in whom the area admits, replays what was missed, and hands each
/// publication to
/// the room of its channel. Inject it to publish.
/// </summary>
public sealed partial class ChannelHub : IDisposable
{
    static readonly TimeSpan RuleWithin = TimeSpan.FromSeconds(5);

    // One meter for all servers of the process: with one for each, they would export the same series.
    static readonly Meter Meter = new("Carillon");
    static readonly ConditionalWeakTable<ChannelHub, object?> Watched = [];

    readonly SocketServer _server;
    readonly IChannelLayer _layer;
    readonly AreaList _areas;
    readonly SubscriptionLimits _limits;
    readonly AccessChanges _accessChanges;
    readonly TimeProvider _clock;
    readonly ILogger<ChannelHub> _logger;
    readonly ConcurrentDictionary<string, LocalChannel> _channels = new();
    readonly ConcurrentDictionary<Socket, Subscriber> _subscribers = new();

    static ChannelHub() =>
        Meter.CreateObservableUpDownCounter("carillon.subscriptions", CountSubscriptions, "{subscription}", "Subscriptions to channels");

    internal ChannelHub(
        SocketServer server, IChannelLayer layer, AreaList areas, SubscriptionLimits limits, AccessChanges accessChanges,
            TimeProvider clock, ILogger<ChannelHub> logger)
    {
        (_server, _layer, _areas, _limits, _accessChanges, _clock, _logger) = (server, layer, areas, limits, accessChanges, clock, logger);
        layer.OnMessage(Deliver);
        Watched.Add(this, null);
    }

    /// <summary>Publishes to a channel. Everyone who joined it hears it, on every node.</summary>
    /// <param name="channel">The channel's name.</param>
    /// <param name="payload">The value that is written as JSON, in camelCase.</param>
    /// <param name="ct">Ends the waiting.</param>
    /// <returns>The publication's position.</returns>
    /// <exception cref="ArgumentException">The text is no channel name, or no area has such a channel.</exception>
    /// <exception cref="ChannelsFullException">Memory is short, and nothing was published. The same call may succeed a moment
    /// later.</exception>
    public ValueTask<Position> PublishAsync(string channel, object payload, CancellationToken ct = default) =>
        PublishAsync(channel, payload, importance: null, key: null, ct);

    /// <summary>Publishes to a channel. Everyone who joined it hears it, on every node.</summary>
    /// <param name="channel">The channel's name.</param>
    /// <param name="payload">The value that is written as JSON, in camelCase.</param>
    /// <param name="importance">How much it matters; null: as the area says.</param>
    /// <param name="key">What it is about, for areas that keep only the latest for who reads slowly.</param>
    /// <param name="ct">Ends the waiting.</param>
    /// <returns>The publication's position.</returns>
    /// <exception cref="ArgumentException">The text is no channel name, or no area has such a channel.</exception>
    /// <exception cref="ChannelsFullException">Memory is short, and nothing was published. The same call may succeed a moment
    /// later.</exception>
    public ValueTask<Position> PublishAsync(
        string channel, object payload, Importance? importance, string? key = null, CancellationToken ct = default)
    {
        if (!ChannelName.TryParse(channel, out var name) || AreaOf(name) is not { } area)
            throw new ArgumentException($"No area has a channel \"{channel}\".", nameof(channel));
        if (IsShortOfMemory) throw new ChannelsFullException("Memory is short; nothing was published.");
        return PublishAsync(
            name, area, area.Event, JsonSerializer.SerializeToUtf8Bytes(payload, JsonSerializerOptions.Web), importance, key, ct);
    }

    /// <summary>How many connections of this node have joined a channel.</summary>
    public int CountOf(string channel) => _server.Root.To(LocalChannel.RoomOf(channel)).Count;

    /// <summary>
    /// Says that a rule of the application (<see cref="Grant.When(Func{Caller, ChannelName, bool})"/>) would answer differently for a user
    /// now: the user's connections are looked at anew,
    /// and what they may not hear any more is taken away. Carillon's own tables need no such word.
    /// </summary>
    /// <param name="userId">The user.</param>
    public void RightsChanged(string userId) => _accessChanges.Raise(new AccessChange(userId, null));

    /// <inheritdoc/>
    public void Dispose() => Watched.Remove(this);

    /// <summary>
    /// Raised when a connection has joined a channel, and when it has left it, for whatever reason. In the connection's turn: return at
    /// once.
    /// </summary>
    internal event Action<Subscriber, ChannelName, Area>? Joined;

    /// <inheritdoc cref="Joined"/>
    internal event Action<Subscriber, ChannelName>? Left;

    /// <summary>Tells whether a user is in a channel, on whatever device.</summary>
    internal Func<Caller, ChannelName, bool> IsPresent { get; set; } = static (_, _) => false;

    /// <summary>The connections that are open.</summary>
    internal IEnumerable<Subscriber> Subscribers => _subscribers.Values;

    /// <summary>The position of a channel, what followed another one, and whether that is all of it.</summary>
    internal ValueTask<History> HistoryAsync(ChannelName name, Area area, Position? since, int limit, CancellationToken ct) =>
        area.ReadHistory is { } read
        ? read(name, since, limit, ct)
        : _layer.HistoryAsync(name.Value, since, limit, ct);

    /// <summary>Publishes a body that is JSON already, under an event of its own; in a channel without an area nothing is kept.</summary>
    internal ValueTask<Position> PublishAsync(
        ChannelName name, Area? area, string @event, ReadOnlyMemory<byte> body, Importance? importance, string? key,
            CancellationToken ct) =>
        PublishAsync(name, area, body, new PublishOptions
        {
            Event = @event,
            HistorySize = area?.HistorySize ?? 0,
            HistoryTtl = area?.HistoryTtl ?? TimeSpan.Zero,
            HistoryBytes = area?.HistoryBytes ?? 0,
            Importance = importance,
            Key = key,
        }, ct);

    /// <summary>Publishes what has a position of its own.</summary>
    internal ValueTask<Position> PublishAsync(ChannelName name, Area area, object payload, Position position, CancellationToken ct) =>
        PublishAsync(name, area, JsonSerializer.SerializeToUtf8Bytes(payload, JsonSerializerOptions.Web),
            new PublishOptions { Event = area.Event, Position = position }, ct);

    ValueTask<Position> PublishAsync(ChannelName name, Area? area, ReadOnlyMemory<byte> body, PublishOptions options, CancellationToken ct)
    {
        if (ProductTraces.IsOn) return PublishTracedAsync(name, area, body, options, ct);
        var published = _layer.PublishAsync(name.Value, body, options, ct);
        ProductMeters.Published(area?.Pattern);
        return published;
    }

    async ValueTask<Position> PublishTracedAsync(
        ChannelName name, Area? area, ReadOnlyMemory<byte> body, PublishOptions options, CancellationToken ct)
    {
        using var span = ProductTraces.Publish(area?.Pattern);
        var position = await _layer.PublishAsync(name.Value, body, options, ct);
        ProductMeters.Published(area?.Pattern);
        return position;
    }

    internal Area? AreaOf(ChannelName name) => _areas.AreaOf(name);

    /// <summary>Whether a caller may do something with a channel.</summary>
    internal ValueTask<bool> AdmitsAsync(Caller caller, ChannelName name, ChannelPermission action) =>
        AreaOf(name) is { } area ? AdmitsAsync(caller, name, area, action) : new(Area.AdmitsBackEnd(caller, action));

    /// <inheritdoc cref="AdmitsAsync(Caller, ChannelName, ChannelPermission)"/>
    internal ValueTask<bool> AdmitsAsync(Caller caller, ChannelName name, Area area, ChannelPermission action) =>
        WithinAsync(area.AdmitsAsync(caller, name, action, IsPresent));

    // A rule of the application that does not answer must not hold a connection's turn for ever.
    ValueTask<bool> WithinAsync(ValueTask<bool> rule) => rule.IsCompleted ? rule : new(rule.AsTask().WaitAsync(RuleWithin, _clock));

    /// <summary>Whether a caller may do something with a channel by a grant of a feature, whatever the capabilities of the token.</summary>
    internal ValueTask<bool> AdmitsAsync(Caller caller, ChannelName name, Grant grant, ChannelPermission action) =>
        AreaOf(name) is { } area ? WithinAsync(area.AdmitsAsync(caller, name, grant, action, IsPresent)) : new(false);

    internal void Enter(Subscriber subscriber) => _subscribers[subscriber.Socket] = subscriber;

    internal Subscriber? Find(Socket socket) => _subscribers.GetValueOrDefault(socket);

    internal async Task OnDisconnectedAsync(Socket socket)
    {
        if (!_subscribers.TryRemove(socket, out var subscriber)) return;
        using (await subscriber.TakeTurnAsync())
            foreach (var name in subscriber.End())
                try
                {
                    await LeaveNodeAsync(subscriber, name);
                }
                catch (Exception ex)
                {
                    LogNotLeft(ex, name);      // there are others to leave
                }
    }

    /// <summary>Joins a new connection to the channels that are its user's own. It must be its turn.</summary>
    internal async Task<IReadOnlyList<string>> JoinOwnAsync(Subscriber subscriber, CancellationToken ct)
    {
        if (subscriber.Caller.UserId is not { } userId) return [];
        List<string> joined = [];
        foreach (var area in _areas.Where(area => area.AutoSubscribe))
        {
            if (!area.TryOwnedBy(userId, out var name) || !await IsOwnAsync(subscriber.Caller, name, area)) continue;
            await JoinAsync(subscriber, name, area, since: null, static (_, _) => { }, ct);
            joined.Add(name.Value);
        }
        return joined;
    }

    // A rule that fails keeps one channel away, and not the person.
    async ValueTask<bool> IsOwnAsync(Caller caller, ChannelName name, Area area)
    {
        try
        {
            return await AdmitsAsync(caller, name, area, ChannelPermission.Subscribe);
        }
        catch (Exception ex)
        {
            LogRuleFailed(ex, name.Value);
            return false;
        }
    }

    /// <summary>Whether publications are refused because memory is short.</summary>
    internal bool IsShortOfMemory => _server.Engine.IsShortOfMemory;

    /// <summary>The memory of all subscriptions.</summary>
    internal SubscriptionBudget Budget { get; set; } = new(MemoryShare.OneIn(8));

    /// <summary>Whether anybody on this node has joined a channel, or is about to.</summary>
    internal bool HasSubscribers(string channel) => _channels.TryGetValue(channel, out var local) && !local.HasEnded;

    /// <summary>
    /// Joins a subscriber to a channel. Publications are held back for it from the first moment, the history is read, and what was held
    /// follows without what
    /// the history had already: nothing is lost between the two and nothing comes twice. It must be the subscriber's turn.
    /// </summary>
    internal async Task JoinAsync(
        Subscriber subscriber, ChannelName name, Area area, Position? since, Action<Position, bool> tell, CancellationToken ct)
    {
        var isNew = !subscriber.Has(name.Value);
        var channel = isNew || !_channels.TryGetValue(name.Value, out var known)
            ? await JoinNodeAsync(subscriber.Account, name.Value, area, ct) : known;
        subscriber.Add(name.Value);
        LocalChannel.PendingJoin? hold = null;
        try
        {
            hold = channel.BeginJoin(subscriber.Socket);
            if (isNew) Joined?.Invoke(subscriber, name, area);
            // The node has subscribed before the history is read: the other order would lose what is published in between.
            var history = await HistoryAsync(name, area, since, _limits.MaxRecovered, ct);
            var recovered = channel.Complete(hold, history, recovered: since is not null && history.Recovered, tell);
            if (since is not null) ProductMeters.CaughtUp(area.Pattern, recovered);
        }
        catch
        {
            if (hold is not null) channel.Cancel(hold);
            subscriber.Socket.Leave(LocalChannel.RoomOf(name.Value));
            if (subscriber.Remove(name.Value)) await LeaveNodeAsync(subscriber, name.Value);
            throw;
        }
    }

    /// <summary>Takes a subscriber out of a channel. It must be the subscriber's turn.</summary>
    internal async Task LeaveAsync(Subscriber subscriber, ChannelName name)
    {
        subscriber.Socket.Leave(LocalChannel.RoomOf(name.Value));
        if (subscriber.Remove(name.Value)) await LeaveNodeAsync(subscriber, name.Value);
    }

    /// <summary>The history of a channel was replaced: those who joined it are told that they cannot rely on what they have.</summary>
    internal void BeginEpoch(string channel, Position position)
    {
        LogEpochBegan(channel);
        if (!_channels.TryGetValue(channel, out var local)) return;
        local.BeginEpoch(position);
        ProductMeters.MustLoadAgain(local.Area, local.Subscribers);
    }

    // The joins and leaves of one channel wait for each other, so that the layer gets them in order; those of different channels do not.
    async ValueTask<LocalChannel> JoinNodeAsync(string account, string name, Area area, CancellationToken ct)
    {
        while (true)
        {
            var channel = _channels.GetOrAdd(name, static (name, of) =>
                new LocalChannel(of.Hub._server, name, of.Area, of.Hub._clock), (Hub: this, Area: area));
            using var turn = await channel.Membership.TakeAsync(ct);
            if (channel.HasEnded) continue;      // the last subscriber left while we waited
            try
            {
                await AddSubscriberAsync(channel, account, name, area, ct);
                return channel;
            }
            finally
            {
                if (channel.Subscribers == 0) Remove(channel, name);
            }
        }
    }

    async ValueTask AddSubscriberAsync(LocalChannel channel, string account, string name, Area area, CancellationToken ct)
    {
        var isFirst = channel.Subscribers == 0;
        var cost = SubscriptionBudget.JoinCost + (isFirst ? SubscriptionBudget.ChannelCost : 0);
        // A person's own channels are few: nobody is kept away because others have joined too many.
        if (area.AutoSubscribe) Budget.Take(account, cost);
        else if (!Budget.TryTake(account, cost)) throw new ChannelsFullException("There is no memory for one more subscription.");
        try
        {
            if (isFirst) await _layer.SubscribeAsync(name, ct);
        }
        catch
        {
            Budget.GiveBack(account, cost);
            throw;
        }
        if (isFirst) channel.Account = account;
        channel.Subscribers++;
    }

    void Remove(LocalChannel channel, string name)
    {
        channel.End();
        _channels.TryRemove(name, out _);
    }

    async ValueTask LeaveNodeAsync(Subscriber subscriber, string name)
    {
        if (_channels.TryGetValue(name, out var channel)) channel.Forget(subscriber.Socket);
        try
        {
            await LeaveNodeAsync(subscriber.Account, name);
        }
        finally
        {
            if (ChannelName.TryParse(name, out var left)) Left?.Invoke(subscriber, left);
        }
    }

    async ValueTask LeaveNodeAsync(string account, string name)
    {
        if (!_channels.TryGetValue(name, out var channel)) return;
        using var turn = await channel.Membership.TakeAsync();
        Budget.GiveBack(account, SubscriptionBudget.JoinCost);
        if (--channel.Subscribers > 0) return;
        Budget.GiveBack(channel.Account, SubscriptionBudget.ChannelCost);
        channel.End();
        try
        {
            await _layer.UnsubscribeAsync(name, CancellationToken.None);
        }
        finally
        {
            Remove(channel, name);      // not before: the next to join must subscribe after us
        }
    }

    void Deliver(Publication message)
    {
        if (!_channels.TryGetValue(message.Channel, out var channel)) return;
        using var span = ProductTraces.Deliver(channel.Area);
        var clients = channel.Deliver(message);
        ProductMeters.Delivered(channel.Area, clients);
        span?.SetTag("carillon.subscribers", clients);
        LogBroadcasting(message.Event, clients, message.Channel);
    }

    static IEnumerable<Measurement<long>> CountSubscriptions() =>
        Watched.SelectMany(hub => hub.Key._channels.Values).GroupBy(channel => channel.Area, static (area, channels) =>
            new Measurement<long>(channels.Sum(channel => (long)channel.Subscribers), ProductMeters.Area(area)));

    [LoggerMessage(Level = LogLevel.Debug, Message = "Broadcasting {Event} to {Clients} clients on {Channel}")]
    partial void LogBroadcasting(string @event, int clients, string channel);

    [LoggerMessage(Level = LogLevel.Error, Message = "The rule of {Channel} failed; it grants nothing until it answers again")]
    internal partial void LogRuleFailed(Exception error, string channel);

    [LoggerMessage(Level = LogLevel.Error, Message = "{Channel} was left here, and the channel layer could not be told")]
    partial void LogNotLeft(Exception error, string channel);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The history of {Channel} began anew; its subscribers were told to load again")]
    partial void LogEpochBegan(string channel);
}
