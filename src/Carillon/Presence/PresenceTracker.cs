using Carillon.Access;
using Carillon.Channels;
using Carillon.Hub;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Carillon.Presence;

/// <summary>A user in a channel, as clients read it.</summary>
sealed record PresentUser(string Id, string? Name, string State, string Since, string LastSeen, int Connections);

/// <summary>
/// The users in each channel, and the publications about them on <c>presence:{channel}</c>. Joins and leaves are batched, so that a
/// thousand of them are a few messages. A connection that the network lost counts until the heartbeat times out.
/// </summary>
sealed partial class PresenceTracker : BackgroundService
{
    const int MostInOneMessage = 500;
    public const string Prefix = "presence:";

    readonly ChannelHub _hub;
    readonly PermissionRefresher _rights;
    readonly PresenceOptions _options;
    readonly Area _area;
    readonly TimeProvider _clock;
    readonly ILogger<PresenceTracker> _logger;
    readonly SemaphoreSlim _telling = new(1, 1);                          // one batch at a time: positions only grow
    readonly Lock _gate = new();
    readonly Dictionary<string, ChannelPresence> _channels = new(StringComparer.Ordinal);
    // channels with something to publish, or with users who left a moment ago
    readonly HashSet<string> _moving = new(StringComparer.Ordinal);

    public PresenceTracker(
        ChannelHub hub, PermissionRefresher rights, PresenceOptions options, AreaList areas, TimeProvider clock,
        ILogger<PresenceTracker> logger)
    {
        (_hub, _rights, _options, _area, _clock, _logger) = (hub, rights, options, PresenceFeature.AreaIn(areas), clock, logger);
        hub.Joined += OnJoined;
        hub.Left += OnLeft;
        hub.IsPresent = Holds;
        _area.Exists = presence => ChannelOf(presence) is not null;
        _area.Subscribe = Grant.When((caller, presence) =>
            ChannelOf(presence) is { } channel ? hub.AdmitsAsync(caller, channel, ChannelPermission.Presence) : new(false));
        _area.ReadHistory = (presence, since, _, _) => new(HistoryOf(presence, since));
    }

    /// <summary>Whether a user is in a channel. A user who left less than <see cref="PresenceOptions.LeaveAfter"/> ago still is.</summary>
    public bool Holds(Caller caller, ChannelName channel)
    {
        if (caller.UserId is not { } userId) return false;
        lock (_gate) return _channels.TryGetValue(channel.Value, out var attendance) && attendance.Holds(userId);
    }

    /// <summary>The users in a channel whose ids come after one, in the order of the ids; and how many there are in all.</summary>
    public (IReadOnlyList<PresentUser> Users, int Count) Read(ChannelName channel, string? after, int most)
    {
        lock (_gate)
        {
            if (!_channels.TryGetValue(channel.Value, out var attendance)) return ([], 0);
            var now = _clock.GetUtcNow();
            return ([.. attendance.MembersAfter(after).Take(most).Select(member => UserOf(member, now))], attendance.Count);
        }
    }

    /// <summary>The number of channels in memory, for tests.</summary>
    internal int Count
    {
        get
        {
            lock (_gate) return _channels.Count;
        }
    }

    /// <summary>Publishes what changed since the last time, and counts users as gone who left long enough ago.</summary>
    public async Task SendAsync(CancellationToken ct)
    {
        await _telling.WaitAsync(ct);
        try
        {
            foreach (var (channel, movement, position) in TakeMovements())
                try
                {
                    await _hub.PublishAsync(channel, _area, movement, position, ct);
                }
                catch (Exception ex) when (!ct.IsCancellationRequested)
                {
                    LogNotTold(ex);      // the diffs of other channels are already taken; subscribers see this one as a gap
                }
        }
        finally
        {
            _telling.Release();
        }
    }

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stopping)
    {
        using var timer = new PeriodicTimer(_options.PresenceInterval, _clock);
        try
        {
            while (await timer.WaitForNextTickAsync(stopping))
                try
                {
                    await SendAsync(stopping);
                }
                catch (Exception ex) when (!stopping.IsCancellationRequested)
                {
                    LogNotTold(ex);      // an OperationCanceledException of a layer's timeout does not stop the service
                }
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
        }
    }

    ChannelName? ChannelOf(ChannelName presence) =>
        ChannelName.TryParse(presence.Value[Prefix.Length..], out var name) && _hub.AreaOf(name) is { EmitsPresence: true } ? name : null;

    void OnJoined(Subscriber connection, ChannelName channel, Area area)
    {
        if (!area.EmitsPresence || connection.Caller.UserId is not { } userId) return;
        lock (_gate)
        {
            ChannelPresenceOf(channel.Value).Join(connection, userId, _clock.GetUtcNow());
            _moving.Add(channel.Value);
        }
    }

    void OnLeft(Subscriber connection, ChannelName channel)
    {
        lock (_gate)
        {
            if (connection.Caller.UserId is { } userId && _channels.TryGetValue(channel.Value, out var attendance))
            {
                attendance.Leave(connection, userId, _clock.GetUtcNow(), _clock.GetTimestamp());
                _moving.Add(channel.Value);
            }
            // It may have been the last subscriber of a presence channel.
            if (channel.Value.StartsWith(Prefix, StringComparison.Ordinal)
                && _channels.ContainsKey(channel.Value[Prefix.Length..])) _moving.Add(channel.Value[Prefix.Length..]);
        }
    }

    // Only the position is stored, not the publications: a client that missed something is not recovered, and reads the list again.
    History HistoryOf(ChannelName presence, Position? since)
    {
        var channel = presence.Value[Prefix.Length..];
        lock (_gate)
        {
            var now = ChannelPresenceOf(channel).BeginToTell();
            _moving.Add(channel);           // so that a channel that was only read is removed again
            return new History(now, since == now, []);
        }
    }

    ChannelPresence ChannelPresenceOf(string channel) =>
        _channels.TryGetValue(channel, out var known) ? known : _channels[channel] = new ChannelPresence();

    List<(ChannelName Channel, PresenceDiff Movement, Position Position)> TakeMovements()
    {
        List<(ChannelName, PresenceDiff, Position)> movements = [];
        lock (_gate)
        {
            var leftUntil = _clock.GetTimestamp() - (long)(_options.LeaveAfter.TotalSeconds * _clock.TimestampFrequency);
            foreach (var channel in _moving.ToArray())
            {
                if (!_channels.TryGetValue(channel, out var attendance))
                {
                    _moving.Remove(channel);
                    continue;
                }
                // Leaving a channel may end its presence subscription.
                foreach (var gone in attendance.LetGo(leftUntil)) _rights.Note(new AccessChange(gone, null));
                while (attendance.TakeDiff(MostInOneMessage) is { } movement)
                    if (attendance.Told is { } told && ChannelName.TryParse(Prefix + channel, out var presence))
                        movements.Add((presence, movement, attendance.TellNext(told)));
                if (!attendance.IsQuiet) continue;
                _moving.Remove(channel);
                // A channel without users and without subscribers to its presence is removed; a later subscriber begins a new epoch.
                if (attendance.Count == 0 && !_hub.HasSubscribers(Prefix + channel)) _channels.Remove(channel);
            }
        }
        return movements;
    }

    PresentUser UserOf(ChannelPresence.Member member, DateTimeOffset now)
    {
        var lastSeen = member.Connections.Count == 0
            ? member.LeftAt ?? now : member.Connections.Max(connection => connection.Socket.LastEventAt);
        if (lastSeen < member.Since) lastSeen = member.Since;       // joining counts as activity
        return new PresentUser(member.Id, member.Name, now - lastSeen >= _options.IdleAfter ? "idle"
            : "active", Iso.Of(member.Since), Iso.Of(lastSeen), member.Connections.Count);
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "Presence changes could not be published")]
    partial void LogNotTold(Exception error);
}
