using System.Collections.Concurrent;
using System.Security.Cryptography;

namespace Carillon.Channels.InProcess;

/// <summary>
/// The channel layer of a single process: positions, history and delivery in memory. A restart begins new epochs, so nobody is told
/// "recovered" about publications that went with the process, unless what <see cref="Export"/> gave is handed to <see cref="Import"/>.
/// </summary>
/// <remarks>
/// The layer keeps a publication's body by reference: whoever publishes must not change it afterwards. Asking about channels that
/// nobody publishes to or subscribes to costs no memory, whatever names are asked for.
/// </remarks>
/// <param name="clock">The clock of the history's age.</param>
/// <param name="maxBytes">
/// The limit of all history and channels, in bytes; an eighth of the memory that the process may use if omitted. Above it the largest
/// channels lose their oldest publications first, then unused channels are forgotten; their readers get <c>recovered: false</c>. If that
/// does not free enough, new channels are refused.
/// </param>
public sealed partial class InProcessChannelLayer(TimeProvider clock, long? maxBytes = null) : IChannelLayer
{
    // A channel without subscribers and without history is forgotten after this: longer than any sensible absence, shorter than for ever.
    static readonly TimeSpan IdleFor = TimeSpan.FromHours(1);
    static readonly TimeSpan SweepEvery = TimeSpan.FromMinutes(1);

    // A channel that was never published to has a position without having any state: epoch "start-generation", offset 0. Forgetting a
    // channel that had publications raises the generation of its name's bucket, so that its old positions are never taken for current
    // ones. The other names of the bucket lose at most a "recovered"; with many buckets those are few.
    string start = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(6));
    readonly int[] generations = new int[1024];

    // Looking up takes no lock. Coming and going of states is serialised here, so that one name never has two states of one epoch.
    // Always the innermost lock: a delivery, under its channel's gate, may itself publish to a channel that is new.
    readonly ConcurrentDictionary<string, ChannelState> channels = new(StringComparer.Ordinal);
    readonly Lock comingAndGoing = new();

    Action<Publication> deliver = static _ => { };
    long sweptAt = clock.GetTimestamp();

    /// <inheritdoc />
    public void OnMessage(Action<Publication> deliver) => this.deliver = deliver;

    /// <inheritdoc />
    public ValueTask SubscribeAsync(string channel, CancellationToken ct)
    {
        WithState(channel, static state => state.Subscribed = true);
        TrimWhenFull();
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc />
    public ValueTask UnsubscribeAsync(string channel, CancellationToken ct)
    {
        if (channels.TryGetValue(channel, out var state))
            lock (state.Gate)
            {
                state.Subscribed = false;
                state.TouchedAt = clock.GetTimestamp();
                // Nothing was ever published: the state says no more than its absence does.
                if (state.Offset == 0) Forget(channel, state);
            }

        return ValueTask.CompletedTask;
    }

    /// <inheritdoc />
    public ValueTask<Position> PublishAsync(string channel, ReadOnlyMemory<byte> body, PublishOptions options, CancellationToken ct)
    {
        ArgumentNullException.ThrowIfNull(options);
        SweepNowAndThen();

        var id = options.Id ?? Guid.CreateVersion7().ToString();
        var at = options.At ?? clock.GetUtcNow();
        var position = options.Position is { } given
            ? Pass(new Publication(channel, options.Event, given, id, at, body) { Importance = options.Importance, Key = options.Key })
            : WithState(channel, state => Append(
                state, new Publication(
                    channel, options.Event, default, id, at, body) { Importance = options.Importance, Key = options.Key }, options));
        TrimWhenFull();
        return ValueTask.FromResult(position);
    }

    /// <inheritdoc />
    public ValueTask<History> HistoryAsync(string channel, Position? since, int limit, CancellationToken ct)
    {
        if (channels.TryGetValue(channel, out var state))
            lock (state.Gate)
                if (!state.Forgotten)
                {
                    DropExpired(state);
                    return ValueTask.FromResult(Since(new Position(state.Epoch, state.Offset), state.Kept, since, limit));
                }

        return ValueTask.FromResult(Since(new Position(CurrentEpoch(channel), 0), [], since, limit));
    }

    /// <summary>
    /// Returns the state of every channel that had publications, for <see cref="Import"/> into the layer of the next process. Call it
    /// after the last publication: later ones get offsets that the next process assigns again.
    /// </summary>
    public LayerSnapshot Export()
    {
        List<ChannelSnapshot> all = [];
        foreach (var (channel, state) in channels)
            lock (state.Gate)
            {
                if (state.Forgotten || state.Offset == 0) continue;
                DropExpired(state);
                all.Add(new(channel, state.Epoch, state.Offset, [.. state.Kept.Select(one =>
                    new PublicationSnapshot(one.Message, UntilOf(one)))]));
            }
        return new(new SnapshotOrigin(start, [.. generations]), all);
    }

    /// <summary>
    /// Takes back what <see cref="Export"/> gave: positions go on in their epochs, and who comes back with an old one recovers. Call it
    /// before anybody subscribes. A channel that has had
    /// publications here already keeps its own history.
    /// </summary>
    /// <param name="all">What was remembered. A message whose time is over is forgotten; a history with a gap is forgotten whole, and its
    /// position kept.</param>
    public void Import(LayerSnapshot all)
    {
        ArgumentNullException.ThrowIfNull(all);
        lock (comingAndGoing)
            if (channels.IsEmpty && all.Origin.Generations.Count == generations.Length)
            {
                start = all.Origin.Start;
                for (var i = 0; i < generations.Length; i++) generations[i] = all.Origin.Generations[i];
            }
        foreach (var channel in all.Channels)
            WithState(channel.Channel, state =>
            {
                if (state.Offset > 0 || channel.Offset <= 0) return;
                (state.Epoch, state.Offset) = (channel.Epoch, channel.Offset);
                if (!IsWhole(channel)) return;
                foreach (var (message, until) in channel.Publications) Keep(state, message, until - clock.GetUtcNow());
                DropExpired(state);
            });
        TrimWhenFull();
    }

    static bool IsWhole(ChannelSnapshot channel)
    {
        var expected = channel.Offset - channel.Publications.Count;
        return channel.Publications.All(kept => kept.Publication.Position == new Position(channel.Epoch, ++expected));
    }

    DateTimeOffset UntilOf(Kept one)
    {
        var (now, left) = (clock.GetUtcNow(), one.HistoryTtl - clock.GetElapsedTime(one.Since));
        return left < DateTimeOffset.MaxValue - now ? now + left : DateTimeOffset.MaxValue;
    }

    /// <summary>How many channels have state, for tests and measurements.</summary>
    internal int Count => channels.Count;

    /// <summary>All or nothing: what follows the reader's position, when every bit of it is still there and within the limit.</summary>
    internal static History Since(Position now, IReadOnlyCollection<Kept> kept, Position? since, int limit)
    {
        if (since is not { } seen || seen.Epoch != now.Epoch || seen.Offset < 0 || seen.Offset > now.Offset) return new(now, false, []);

        var missed = now.Offset - seen.Offset;
        if (missed > limit || missed > kept.Count) return new(now, false, []);
        if (missed == 0) return new(now, true, []);

        var messages = new List<Publication>((int)missed);
        foreach (var one in kept)
            if (one.Message.Position.Offset > seen.Offset) messages.Add(one.Message);
        return new(now, true, messages);
    }

    // The lock orders delivery within the channel; the callback neither blocks nor throws by contract.
    Position Append(ChannelState state, Publication message, PublishOptions options)
    {
        message = message with { Position = new Position(state.Epoch, ++state.Offset) };
        if (options.HistorySize > 0) Keep(state, message, options.HistoryTtl);
        while (state.Kept.Count > Math.Max(0, options.HistorySize)
            || (options.HistoryBytes > 0 && state.Bytes > options.HistoryBytes)) DropOldest(state);
        DropExpired(state);

        if (state.Subscribed) deliver(message);
        return message.Position;
    }

    // Durable history: the publisher's table is the log, the layer only delivers.
    Position Pass(Publication message)
    {
        if (channels.TryGetValue(message.Channel, out var state))
            lock (state.Gate)
                if (state.Subscribed) deliver(message);
        return message.Position;
    }

    void DropExpired(ChannelState state)
    {
        while (state.Kept.TryPeek(out var oldest) && clock.GetElapsedTime(oldest.Since) >= oldest.HistoryTtl) DropOldest(state);
        if (state.Kept.Count == 0) state.Kept.TrimExcess();
    }

    string CurrentEpoch(string channel) => $"{start}-{Volatile.Read(ref generations[Bucket(channel)])}";

    // The same in every process, unlike the hash code of a string (FNV-1a). Channels that share a bucket lose at most a
    // "recovered", so that names chosen to collide do no harm.
    int Bucket(string channel)
    {
        var hash = 2166136261u;
        foreach (var letter in channel) hash = (hash ^ letter) * 16777619u;
        return (int)(hash % (uint)generations.Length);
    }

    void WithState(string channel, Action<ChannelState> act) =>
        WithState(channel, state =>
        {
            act(state);
            return default(Position);
        });

    Position WithState(string channel, Func<ChannelState, Position> act)
    {
        while (true)
        {
            var state = channels.TryGetValue(channel, out var known) ? known : Create(channel);
            lock (state.Gate)
            {
                if (state.Forgotten) continue;   // the sweep was quicker: take the next state
                state.TouchedAt = clock.GetTimestamp();
                return act(state);
            }
        }
    }

    ChannelState Create(string channel)
    {
        if (IsFull) throw new ChannelsFullException("There is no memory for one more channel.");
        lock (comingAndGoing)
        {
            if (channels.TryGetValue(channel, out var known)) return known;
            Interlocked.Add(ref held, CostOf(channel));
            return channels[channel] = new ChannelState(CurrentEpoch(channel));
        }
    }

    // The state's gate is held.
    void Forget(string channel, ChannelState state)
    {
        if (state.Forgotten) return;
        state.Forgotten = true;
        lock (comingAndGoing)
        {
            // before the state goes: no moment shows an old epoch
            if (state.Offset > 0) Interlocked.Increment(ref generations[Bucket(channel)]);
            if (channels.TryRemove(channel, out _)) Interlocked.Add(ref held, -CostOf(channel) - state.Bytes);
        }
    }

    // Paid by whoever publishes, at most once a minute; without publications nothing grows, so nothing needs sweeping.
    void SweepNowAndThen()
    {
        var last = Volatile.Read(ref sweptAt);
        if (clock.GetElapsedTime(last) < SweepEvery || Interlocked.CompareExchange(ref sweptAt, clock.GetTimestamp(), last) != last) return;

        foreach (var (channel, state) in channels)
            lock (state.Gate)
            {
                DropExpired(state);
                if (!state.Subscribed && state.Kept.Count == 0 && clock.GetElapsedTime(state.TouchedAt) >= IdleFor) Forget(channel, state);
            }
    }

    internal readonly record struct Kept(Publication Message, long Since, TimeSpan HistoryTtl);

    sealed class ChannelState(string epoch)
    {
        public readonly Lock Gate = new();
        public string Epoch = epoch;
        public readonly Queue<Kept> Kept = new();
        public long Offset;
        public long Bytes;      // of what is kept
        public bool Subscribed;
        public bool Forgotten;
        public long TouchedAt;
    }
}
