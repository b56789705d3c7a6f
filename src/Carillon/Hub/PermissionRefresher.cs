using System.Threading.Channels;
using Carillon.Access;
using Carillon.Audit;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Carillon.Hub;

/// <summary>
/// Keeps rights alive on open connections: when something changes about a user or a token, the connections that it concerns are looked at
/// anew, subscriptions that were lost are taken
/// away, and connections without a right to be there end. An expired token ends its connection after a grace.
/// </summary>
sealed partial class PermissionRefresher(
    ChannelHub hub, Authenticator authenticator, AccessChanges accessChanges, AuditLog audit, AccessOptions options, TimeProvider clock,
    ILogger<PermissionRefresher> logger) : BackgroundService
{
    // For tokens that expire; what changes is looked at when it does.
    static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(1);

    // Half of the second that is promised: for what the connection asked last to be done, and for a rule of the application to answer.
    static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(500);
    const int AtOnce = 8;

    readonly Channel<AccessChange> _changes = Channel.CreateUnbounded<AccessChange>(new UnboundedChannelOptions { SingleReader = true });
    readonly HashSet<Subscriber> _again = [];       // those that could not be looked at, because the database was out of reach

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stopping)
    {
        accessChanges.Changed += Note;
        await using var timer = clock.CreateTimer(_ => Note(default), null, LookEvery, LookEvery);
        while (!stopping.IsCancellationRequested)
        {
            try
            {
                await _changes.Reader.WaitToReadAsync(stopping);
                await LookAsync(TakeChanges(), stopping);
            }
            catch (OperationCanceledException) when (stopping.IsCancellationRequested)
            {
                break;
            }
        }
        accessChanges.Changed -= Note;
    }

    /// <summary>
    /// Somebody's rights have changed for a reason that no table tells, such as what the application's own rule answers: their connections
    /// are looked at anew.
    /// </summary>
    public void Note(AccessChange change) => _changes.Writer.TryWrite(change);

    /// <summary>
    /// Looks at one connection anew: whether its user is still let in, and as whom. Who is not is told, and the connection ends.
    /// </summary>
    public async Task<bool> IsStillKnownAsync(Subscriber subscriber)
    {
        while (true)
        {
            var (before, generation) = (subscriber.Caller, accessChanges.Generation);
            if (before.Token is null) return true;
            var (caller, error) = await authenticator.ReauthenticateAsync(before, CancellationToken.None);
            // A newer token may have come while the older one was looked up.
            if (caller is not null ? !subscriber.Replace(before, caller) : !ReferenceEquals(subscriber.Caller, before)) continue;
            if (error is not null) End(subscriber, error);
            else subscriber.Generation = generation;
            return error is null;
        }
    }

    /// <summary>
    /// Whether rights have changed since a connection was last looked at; then it is looked at now. Who asks for what was granted a moment
    /// ago must not come before the news of it.
    /// </summary>
    /// <param name="subscriber">The connection.</param>
    /// <param name="asOf">Its generation before it was asked what it may: somebody else may be looking at it, too.</param>
    public async ValueTask<bool> HasNewsAsync(Subscriber subscriber, long asOf) =>
        asOf != accessChanges.Generation && await IsStillKnownAsync(subscriber);

    /// <summary>Takes away what a connection has joined and may not hear any more. It must be its turn.</summary>
    public async Task RevokeSubscriptionsAsync(Subscriber subscriber)
    {
        foreach (var channel in subscriber.Channels)
        {
            if (!ChannelName.TryParse(channel, out var name) || await IsStillOpenAsync(subscriber.Caller, name)) continue;
            await hub.LeaveAsync(subscriber, name);
            subscriber.Socket.Emit("unsubscribed", new { channel, code = ErrorCode.Forbidden.Code });
            audit.Note(subscriber.Caller.Actor, "unsubscribed", channel, subscriber.Caller.Address, AuditEntry.Refused,
                ErrorCode.Forbidden.Code);
        }
    }

    // A rule that cannot answer grants nothing.
    async ValueTask<bool> IsStillOpenAsync(Caller caller, ChannelName channel)
    {
        try
        {
            return await hub.AdmitsAsync(caller, channel, ChannelPermission.Subscribe).AsTask().WaitAsync(Patience, clock);
        }
        catch (TimeoutException ex)
        {
            throw new OperationCanceledException($"The rule of {channel} did not answer.", ex);
        }
        catch (Exception ex)
        {
            hub.LogRuleFailed(ex, channel.Value);
            return false;
        }
    }

    (HashSet<string> Users, HashSet<string> Tokens) TakeChanges()
    {
        HashSet<string> users = [], tokens = [];
        while (_changes.Reader.TryRead(out var change))
        {
            if (change.UserId is { } user) users.Add(user);
            if (change.TokenId is { } token) tokens.Add(token);
        }
        return (users, tokens);
    }

    async Task LookAsync((HashSet<string> Users, HashSet<string> Tokens) changed, CancellationToken ct)
    {
        var now = clock.GetUtcNow();
        List<Subscriber> concerned;
        lock (_again)
        {
            concerned = [.. _again.Where(subscriber => subscriber.Socket.IsConnected)];
            _again.Clear();
        }
        foreach (var subscriber in hub.Subscribers)
        {
            var caller = subscriber.Caller;
            if (Concerns(changed, caller)) concerned.Add(subscriber);
            else if (caller.ExpiresAt is { } end && end <= now) Expire(subscriber, late: now - end);
        }
        if (concerned.Count > 0)
            await Parallel.ForEachAsync(
                concerned.Distinct(), new ParallelOptions { MaxDegreeOfParallelism = AtOnce, CancellationToken = ct },
                async (subscriber, _) => await LookAgainAsync(subscriber));
    }

    static bool Concerns((HashSet<string> Users, HashSet<string> Tokens) changed, Caller caller) =>
        (caller.UserId is { } user && changed.Users.Contains(user)) || (caller.Token?.Id is { } token && changed.Tokens.Contains(token));

    async Task LookAgainAsync(Subscriber subscriber)
    {
        try
        {
            // Not in its turn: who is not let in any more is not let wait for what it has asked before.
            if (await IsStillKnownAsync(subscriber) && subscriber.TryBeginLook()) _ = TakeAwayInTurnAsync(subscriber);
        }
        catch (Exception ex)
        {
            Again(subscriber, ex);
        }
    }

    // Nobody else waits for this connection. Where its turn or an answer does not come in time, it is cut: the client comes back, and joins
    // what it may.
    async Task TakeAwayInTurnAsync(Subscriber subscriber)
    {
        try
        {
            using var patience = new CancellationTokenSource(Patience, clock);
            using var turn = await subscriber.TakeTurnAsync(patience.Token);
            subscriber.EndLook();           // what changes from here on is another look
            if (!subscriber.HasEnded) await RevokeSubscriptionsAsync(subscriber);
        }
        catch (OperationCanceledException)
        {
            LogCut(subscriber.Socket.Id);
            subscriber.Socket.Connection.Abort();
        }
        catch (Exception ex)
        {
            Again(subscriber, ex);
        }
    }

    void Again(Subscriber subscriber, Exception ex)
    {
        LogNotLooked(ex, subscriber.Socket.Id);
        lock (_again) _again.Add(subscriber);
    }

    void Expire(Subscriber subscriber, TimeSpan late)
    {
        if (late >= options.ExpiryGrace)
        {
            End(subscriber, ErrorCode.TokenExpired);
            return;
        }
        if (subscriber.ExpiryReported) return;
        subscriber.ExpiryReported = true;
        subscriber.Socket.Emit("error", Answer.Told(ErrorCode.TokenExpired, "token:refresh"));
    }

    void End(Subscriber subscriber, ErrorCode error)
    {
        if (!subscriber.Socket.IsConnected) return;
        subscriber.Socket.Emit("error", Answer.Told(error, "connect"));
        audit.Note(subscriber.Caller.Actor, "connection:ended", subscriber.Socket.Id, subscriber.Caller.Address, AuditEntry.Refused,
            error.Code);
        subscriber.Socket.Disconnect(close: true);
    }

    [LoggerMessage(Level = LogLevel.Warning,
        Message = "Connection {Connection} was cut: its rights have changed while something it asked for did not end")]
    partial void LogCut(string connection);

    [LoggerMessage(Level = LogLevel.Error, Message = "The rights of connection {Connection} could not be looked at; they are in a moment")]
    partial void LogNotLooked(Exception error, string connection);
}
