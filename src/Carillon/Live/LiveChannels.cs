using System.Collections.Concurrent;
using System.Text.Json;
using Carillon.Access;
using Carillon.Channels;
using Carillon.SocketIO;
using Microsoft.Extensions.Logging;

namespace Carillon.Live;

/// <summary>
/// The channels that clients join: it finds a channel's area, lets in whom the area admits, replays what was missed, and hands each publication to
/// the room of its channel. Inject it to publish.
/// </summary>
public sealed partial class LiveChannels : IDisposable
{
    readonly SocketServer _server;
    readonly IChannelLayer _layer;
    readonly CarillonOptions _options;
    readonly Area[] _areas;
    readonly TimeProvider _clock;
    readonly ILogger<LiveChannels> _logger;
    readonly ConcurrentDictionary<string, LiveChannel> _channels = new();
    readonly ConcurrentDictionary<Socket, Subscriber> _subscribers = new();
    readonly SemaphoreSlim _coming = new(1, 1);      // a channel comes to this node, or leaves it

    internal LiveChannels(SocketServer server, IChannelLayer layer, CarillonOptions options, IEnumerable<Area> areas, TimeProvider clock, ILogger<LiveChannels> logger)
    {
        (_server, _layer, _options, _areas, _clock, _logger) = (server, layer, options, [.. areas, .. options.Areas], clock, logger);
        layer.OnMessage(Deliver);
    }

    /// <summary>Publishes to a channel. Everyone who joined it hears it, on every node.</summary>
    /// <param name="channel">The channel's name.</param>
    /// <param name="payload">What is written as JSON, in camelCase.</param>
    /// <param name="ct">Ends the waiting.</param>
    /// <returns>The publication's position.</returns>
    /// <exception cref="ArgumentException">The text is no channel name, or no area has such a channel.</exception>
    public ValueTask<Position> PublishAsync(string channel, object payload, CancellationToken ct = default) => PublishAsync(channel, payload, importance: null, key: null, ct);

    /// <summary>Publishes to a channel. Everyone who joined it hears it, on every node.</summary>
    /// <param name="channel">The channel's name.</param>
    /// <param name="payload">What is written as JSON, in camelCase.</param>
    /// <param name="importance">How much it matters; null: as the area says.</param>
    /// <param name="key">What it is about, for areas that keep only the latest for who reads slowly.</param>
    /// <param name="ct">Ends the waiting.</param>
    /// <returns>The publication's position.</returns>
    /// <exception cref="ArgumentException">The text is no channel name, or no area has such a channel.</exception>
    public ValueTask<Position> PublishAsync(string channel, object payload, Importance? importance, string? key = null, CancellationToken ct = default)
    {
        if (!ChannelName.TryParse(channel, out var name) || AreaOf(name) is not { } area)
            throw new ArgumentException($"No area has a channel \"{channel}\".", nameof(channel));
        var body = JsonSerializer.SerializeToUtf8Bytes(payload, JsonSerializerOptions.Web);
        return _layer.PublishAsync(channel, body, new PublishOptions
        {
            Event = area.Event,
            KeepCount = area.KeepCount,
            KeepFor = area.KeepFor,
            Importance = importance,
            Key = key,
        }, ct);
    }

    /// <summary>How many connections of this node have joined a channel.</summary>
    public int CountOf(string channel) => _server.Root.To(LiveChannel.RoomOf(channel)).Count;

    /// <inheritdoc/>
    public void Dispose() => _coming.Dispose();

    internal Area? AreaOf(ChannelName name)
    {
        foreach (var area in _areas)
            if (area.Matches(name)) return area;
        return null;
    }

    internal Subscriber Welcome(Socket socket, Caller caller) => _subscribers[socket] = new Subscriber(socket, caller);

    internal Subscriber? Find(Socket socket) => _subscribers.GetValueOrDefault(socket);

    internal async Task FarewellAsync(Socket socket)
    {
        if (!_subscribers.TryRemove(socket, out var subscriber)) return;
        using (await subscriber.TakeTurnAsync())
            foreach (var name in subscriber.End()) await LeaveNodeAsync(name);
    }

    /// <summary>
    /// Joins a subscriber to a channel. Publications are held back for it from the first moment, the history is read, and what was held follows without what
    /// the history had already: nothing is lost between the two and nothing comes twice. It must be the subscriber's turn.
    /// </summary>
    internal async Task JoinAsync(Subscriber subscriber, ChannelName name, Area area, Position? since, Action<Position, bool> tell, CancellationToken ct)
    {
        var channel = await ComeToNodeAsync(name.Value, area, joins: !subscriber.Has(name.Value), ct);
        subscriber.Add(name.Value);
        var hold = channel.HoldFor(subscriber.Socket);
        try
        {
            // The node has subscribed before the history is read: the other order would lose what is published in between.
            var history = area.ReadHistory is { } read
                ? await read(name, since, _options.MaxRecovered, ct)
                : await _layer.HistoryAsync(name.Value, since, _options.MaxRecovered, ct);
            channel.Release(hold, history, recovered: since is not null && history.Recovered, tell);
        }
        catch
        {
            channel.Abandon(hold);
            if (subscriber.Remove(name.Value)) await LeaveNodeAsync(name.Value);
            throw;
        }
    }

    /// <summary>Takes a subscriber out of a channel. It must be the subscriber's turn.</summary>
    internal async Task LeaveAsync(Subscriber subscriber, ChannelName name)
    {
        subscriber.Socket.Leave(LiveChannel.RoomOf(name.Value));
        if (subscriber.Remove(name.Value)) await LeaveNodeAsync(name.Value);
    }

    /// <summary>The history of a channel was replaced: those who joined it are told that they cannot rely on what they have.</summary>
    internal void BeginEpoch(string channel, Position position)
    {
        LogEpochBegan(channel);
        if (_channels.TryGetValue(channel, out var live)) live.BeginEpoch(position);
    }

    async ValueTask<LiveChannel> ComeToNodeAsync(string name, Area area, bool joins, CancellationToken ct)
    {
        await _coming.WaitAsync(ct);
        try
        {
            if (!_channels.TryGetValue(name, out var channel))
            {
                // What is published before the channel stands here is in the history, which is read later.
                await _layer.SubscribeAsync(name, ct);
                _channels[name] = channel = new LiveChannel(_server, name, area, _clock);
            }
            if (joins) channel.Subscribers++;
            return channel;
        }
        finally
        {
            _coming.Release();
        }
    }

    async ValueTask LeaveNodeAsync(string name)
    {
        await _coming.WaitAsync();
        try
        {
            if (!_channels.TryGetValue(name, out var channel) || --channel.Subscribers > 0) return;
            _channels.TryRemove(name, out _);
            channel.End();
            await _layer.UnsubscribeAsync(name, CancellationToken.None);
        }
        finally
        {
            _coming.Release();
        }
    }

    void Deliver(ChannelMessage message)
    {
        if (!_channels.TryGetValue(message.Channel, out var channel)) return;
        var clients = channel.Deliver(message);
        LogBroadcasting(message.Event, clients, message.Channel);
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Broadcasting {Event} to {Clients} clients on {Channel}")]
    partial void LogBroadcasting(string @event, int clients, string channel);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The history of {Channel} began anew; its subscribers were told to load again")]
    partial void LogEpochBegan(string channel);
}
