using Carillon.Access;
using Carillon.Audit;
using Carillon.Hub;
using Carillon.SocketIO.Sockets;

namespace Carillon.ClientEvents;

/// <summary>The event <c>token:refresh</c>: a newer token of the same user for the open connection. Subscriptions stay, but for those that the newer token does not allow.</summary>
sealed class TokenRefresh(ChannelHub hub, PermissionRefresher rights, Authenticator authenticator, AccessChanges accessChanges, AccessOptions options, AuditLog audit)
{
    public void On(SocketNamespace root) => root.On("token:refresh", HandleAsync);

    async Task HandleAsync(SocketEvent e)
    {
        if (hub.Find(e.Socket) is not { } subscriber) return;
        if (options.UseHostAuthentication || subscriber.Caller.UserId is not { } userId)
        {
            Answer.Refuse(e, ErrorCode.Forbidden, channel: null);      // who came without a token has none to refresh
            return;
        }
        if (e.Arguments[0]["token"].AsString() is not { } text)
        {
            e.Socket.ReportMalformed();
            Answer.Refuse(e, ErrorCode.InvalidPayload, channel: null);
            return;
        }
        if (!e.Socket.TryAcquire(1, out var retryAfter))
        {
            Answer.Refuse(e, ErrorCode.RateLimited, channel: null, retryAfter);
            return;
        }
        using var turn = await subscriber.TakeTurnAsync();
        if (subscriber.HasEnded) return;
        var generation = accessChanges.Generation;
        var (caller, error, _) = await authenticator.AuthenticateTokenAsync(text, subscriber.Caller.Address, CancellationToken.None);
        // A connection is one user's as long as it lasts.
        if (caller is not null && caller.UserId != userId) (caller, error) = (null, ErrorCode.Forbidden);
        if (caller is null)
        {
            audit.NoteRefusal(userId, "token:refresh", e.Socket.Id, subscriber.Caller.Address, error!.Code);
            Answer.Refuse(e, error, channel: null);
            return;
        }
        while (!subscriber.Replace(subscriber.Caller, caller))
        {
            // A look at the older token came between; the newer one wins.
        }
        subscriber.ExpiryReported = false;
        subscriber.Generation = generation;
        audit.NoteAct(userId, "token:refresh", e.Socket.Id, caller.Address);
        e.Ack(new { ok = true, expiresAt = caller.ExpiresAt is { } end ? Iso.Of(end) : null });
        await rights.RevokeSubscriptionsAsync(subscriber);
        // What was revoked while this was read was looked at with the token from before.
        rights.Note(new AccessChange(userId, caller.Token!.Id));
    }
}
