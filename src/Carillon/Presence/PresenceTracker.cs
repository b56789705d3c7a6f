using Carillon.Access;
using Carillon.Channels;
using Carillon.Hub;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Carillon.Presence;

/// <summary>A user in a channel, as it is read.</summary>
sealed record PresentUser(string Id, string? Name, string State, string Since, string LastSeen, int Connections);

/// <summary>
/// Who is in which channel, and the telling of it on <c>presence:{channel}</c>: gathered, so that a thousand arrivals are a few messages. Connections that the network lost count until
/// the heartbeat misses them.
/// </summary>
sealed partial class PresenceTracker : BackgroundService
{
    const int MostInOneMessage = 500;
    const string Prefix = "presence:";

    readonly ChannelHub _hub;
    readonly PermissionRefresher _rights;
    readonly PresenceOptions _options;
    readonly Area _area;
    readonly TimeProvider _clock;
    readonly ILogger<PresenceTracker> _logger;
    readonly SemaphoreSlim _telling = new(1, 1);                          // one after the other: positions only grow
    readonly Lock _gate = new();
    readonly Dictionary<string, ChannelPresence> _channels = new(StringComparer.Ordinal);
    readonly HashSet<string> _moving = new(StringComparer.Ordinal);       // channels with something to tell, or with people who are about to be gone

    public PresenceTracker(ChannelHub hub, PermissionRefresher rights, PresenceOptions options, AreaList areas, TimeProvider clock, ILogger<PresenceTracker> logger)
    {
        (_hub, _rights, _options, _area, _clock, _logger) = (hub, rights, options, areas.Presence, clock, logger);
        hub.Joined += OnJoined;
        hub.Left += OnLeft;
        hub.IsPresent = Holds;
        _area.ReadHistory = (presence, since, _, _) => new(HistoryOf(presence, since));
    }

    /// <summary>Whether a user is in a channel; who has just left it and may be back still is.</summary>
    public bool Holds(Caller caller, ChannelName channel)
    {
        if (caller.UserId is not { } userId) return false;
        lock (_gate) return _channels.TryGetValue(channel.Value, out var attendance) && attendance.Holds(userId);
    }

    /// <summary>Who is in a channel, in the order of the ids, after one of them; and how many there are in all.</summary>
    public (IReadOnlyList<PresentUser> Users, int Count) Read(ChannelName channel, string? after, int most)
    {
        lock (_gate)
        {
            if (!_channels.TryGetValue(channel.Value, out var attendance)) return ([], 0);
            var now = _clock.GetUtcNow();
            return ([.. attendance.MembersAfter(after).Take(most).Select(member => UserOf(member, now))], attendance.Count);
        }
    }

    /// <summary>How many channels are kept in mind, for tests.</summary>
    internal int Count
    {
        get
        {
            lock (_gate) return _channels.Count;
        }
    }

    /// <summary>Tells what has not been told, and counts those as gone whose time is over.</summary>
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
                    LogNotTold(ex);      // the others' movements are taken already; this one shows as a gap
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
                    LogNotTold(ex);      // a layer's time-out is no reason to stop, whatever its exception says
                }
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
        }
    }

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
            // The last who followed the comings and goings of a channel may have left.
            if (channel.Value.StartsWith(Prefix, StringComparison.Ordinal) && _channels.ContainsKey(channel.Value[Prefix.Length..])) _moving.Add(channel.Value[Prefix.Length..]);
        }
    }

    // What was told is not kept, only where it stands: who missed something is told so, and reads the list anew.
    History HistoryOf(ChannelName presence, Position? since)
    {
        var channel = presence.Value[Prefix.Length..];
        lock (_gate)
        {
            var now = ChannelPresenceOf(channel).BeginToTell();
            _moving.Add(channel);           // who only reads leaves nothing behind
            return new History(now, since == now, []);
        }
    }

    ChannelPresence ChannelPresenceOf(string channel) => _channels.TryGetValue(channel, out var known) ? known : _channels[channel] = new ChannelPresence();

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
                // Who sees others because of being there does not any more.
                foreach (var gone in attendance.LetGo(leftUntil)) _rights.Note(new AccessChange(gone, null));
                while (attendance.TakeDiff(MostInOneMessage) is { } movement)
                    if (attendance.Told is { } told && ChannelName.TryParse(Prefix + channel, out var presence))
                        movements.Add((presence, movement, attendance.TellNext(told)));
                if (!attendance.IsQuiet) continue;
                _moving.Remove(channel);
                // Without anybody there and anybody who listens it is forgotten; whoever listens later begins a new epoch, and is told so.
                if (attendance.Count == 0 && !_hub.HasSubscribers(Prefix + channel)) _channels.Remove(channel);
            }
        }
        return movements;
    }

    PresentUser UserOf(ChannelPresence.Member member, DateTimeOffset now)
    {
        var lastSeen = member.Connections.Count == 0 ? member.LeftAt ?? now : member.Connections.Max(connection => connection.Socket.LastEventAt);
        if (lastSeen < member.Since) lastSeen = member.Since;       // coming is a sign of life
        return new PresentUser(member.Id, member.Name, now - lastSeen >= _options.IdleAfter ? "idle" : "active", Iso.Of(member.Since), Iso.Of(lastSeen), member.Connections.Count);
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "Who came and went could not be told")]
    partial void LogNotTold(Exception error);
}
