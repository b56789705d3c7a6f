using Carillon.Access;
using Carillon.Api;
using Carillon.Audit;
using Carillon.Hub;

namespace Carillon.ClientEvents;

/// <summary>
/// The event <c>token:refresh</c>: a newer token of the same user for the open connection. Subscriptions stay, except those that the
/// newer token does not allow.
/// </summary>
sealed class TokenRefresh(
    PermissionRefresher rights, Authenticator authenticator, AccessChanges accessChanges, AccessOptions options, AuditLog audit)
{
    public void Map(EventMap events) =>
        events.Map("token:refresh", EndpointPolicy.Client, request => request.Argument["token"].AsString(), HandleAsync, inTurn: true);

    async ValueTask<Refusal?> HandleAsync(ClientRequest request, string token)
    {
        var subscriber = request.Subscriber;
        // A client that connected without a token has none to refresh.
        if (options.UseHostAuthentication || subscriber.Caller.UserId is not { } userId)
            return new Refusal(ErrorCode.Forbidden) { IsAudited = false };
        var generation = accessChanges.Generation;
        var (caller, error, _) = await authenticator.AuthenticateTokenAsync(token, subscriber.Caller.Address, CancellationToken.None);
        if (caller is null) return new Refusal(error!);
        if (caller.UserId != userId) return new Refusal(ErrorCode.Forbidden);       // a connection belongs to one user as long as it lasts
        while (!subscriber.Replace(subscriber.Caller, caller))
        {
            // The older token was re-evaluated in between; the newer one wins.
        }
        subscriber.ExpiryReported = false;
        subscriber.Generation = generation;
        audit.NoteAct(userId, "token:refresh", request.Subject, caller.Address);
        request.Acknowledge(new { expiresAt = caller.ExpiresAt is { } end ? Iso.Of(end) : null });
        await rights.RevokeSubscriptionsAsync(subscriber);
        // Revocations that arrived meanwhile were applied to the older token.
        rights.Note(new AccessChange(userId, caller.Token!.Id));
        return null;
    }
}
