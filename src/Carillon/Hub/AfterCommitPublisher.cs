using System.Diagnostics;
using Carillon.Channels;
using Carillon.Channels.InProcess;
using Carillon.Diagnostics;
using Carillon.Storage;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Carillon.Hub;

/// <summary>
/// Publishes what features have committed, in the order of the commits, without making the next writer wait. Of several states of one thing
/// that wait, only the latest is published, so
/// that it is never seen to go backwards.
/// </summary>
sealed partial class AfterCommitPublisher(
    ChannelHub hub, IChannelLayer layer, TimeProvider clock, ILogger<AfterCommitPublisher> logger) : BackgroundService
{
    sealed record Announcement(string Channel, string? Key)
    {
        public required object Payload { get; set; }

        /// <summary>What the caller was doing, for the trace; of several callers, the first.</summary>
        public Activity? Caller { get; } = ProductTraces.IsOn ? Activity.Current : null;
    }

    readonly Lock _gate = new();
    readonly Queue<Announcement> _waiting = new();
    readonly Dictionary<(string Channel, string Key), Announcement> _latest = [];
    readonly SemaphoreSlim _look = new(0);
    readonly SemaphoreSlim _publishing = new(1, 1);
    volatile Announcement? _postponed;

    public const string NoMemory = "Memory is short; nothing was stored.";
    public static readonly TimeSpan RetryEvery = TimeSpan.FromSeconds(1);

    /// <summary>Whether nothing can be published now, so that nothing must be committed that would have to be.</summary>
    public bool IsRefusing => hub.IsShortOfMemory || _postponed is not null || (
        layer is InProcessChannelLayer inProcess && inProcess.HeldBytes > inProcess.MaxBytes);

    /// <summary>Announces something when its transaction is committed.</summary>
    /// <param name="tx">The transaction.</param>
    /// <param name="channel">The channel.</param>
    /// <param name="payload">What is published.</param>
    /// <param name="key">What it is the state of, where only the latest matters; null where each announcement does.</param>
    public void Add(DatabaseTransaction tx, string channel, object payload, string? key) =>
        tx.WhenCommitted(() => Enqueue(channel, payload, key));

    /// <summary>Publishes what waits: when the server stops, everything that was committed.</summary>
    public async Task FlushAsync(CancellationToken ct)
    {
        await _publishing.WaitAsync(ct);
        try
        {
            while (!ct.IsCancellationRequested && (_postponed ?? TakeNext()) is { } next)
                try
                {
                    using var span = ProductTraces.Announce(next.Caller);
                    // Not given up half-way: it is taken already, and committed.
                    await hub.PublishAsync(next.Channel, next.Payload, importance: null, next.Key, CancellationToken.None);
                    _postponed = null;
                }
                catch (ChannelsFullException ex)
                {
                    // It is committed and acknowledged: it waits for room, and those behind it with it.
                    if (_postponed is null) LogPostponed(ex, next.Channel);
                    _postponed = next;
                    return;
                }
                catch (Exception ex)
                {
                    _postponed = null;
                    LogNotPublished(ex, next.Channel);      // it is committed: clients that load again see it
                }
        }
        finally
        {
            _publishing.Release();
        }
    }

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stopping)
    {
        try
        {
            while (true)
            {
                if (_postponed is null) await _look.WaitAsync(stopping);
                else await Task.Delay(RetryEvery, clock, stopping);
                await FlushAsync(stopping);
            }
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            await FlushAsync(CancellationToken.None);
            if (_postponed is { } lost) LogNotPublished(new ChannelsFullException("There was no room until the end."), lost.Channel);
        }
    }

    void Enqueue(string channel, object payload, string? key)
    {
        lock (_gate)
        {
            if (key is not null && _latest.TryGetValue((channel, key), out var waiting))
            {
                waiting.Payload = payload;
                return;
            }
            var announcement = new Announcement(channel, key) { Payload = payload };
            _waiting.Enqueue(announcement);
            if (key is not null) _latest[(channel, key)] = announcement;
            if (_waiting.Count == 1) _look.Release();
        }
    }

    Announcement? TakeNext()
    {
        lock (_gate)
        {
            if (!_waiting.TryDequeue(out var next)) return null;
            if (next.Key is { } key) _latest.Remove((next.Channel, key));
            return next;
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "An announcement on {Channel} could not be published")]
    partial void LogNotPublished(Exception error, string channel);

    [LoggerMessage(Level = LogLevel.Warning,
        Message = "There is no memory for {Channel}: announcements wait, and updates and votes are refused until there is")]
    partial void LogPostponed(Exception error, string channel);
}
