using Carillon.Access;
using Carillon.Api;
using Carillon.Audit;
using Carillon.Storage;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Carillon.Administration;

/// <summary>Takes a token back, or all tokens that a user was given until now. Connections that came with them end.</summary>
static class RevokeEndpoint
{
    const int MaxLength = 500;

    public sealed record Request(string? Jti, string? UserId);

    public static void Map(RouteGroupBuilder api) =>
        api.MapPost("/tokens/revoke", HandleAsync).RequirePolicy(EndpointPolicy.Users).WithMetadata(ActsWithoutStorage.Yes)
            .WithSummary("Takes back one token (jti), or all tokens that a user was given until now (userId).")
                .Produces(StatusCodes.Status204NoContent);

    static async Task<IResult> HandleAsync(
        Request request, Caller caller, PendingDecisions decisions, AccessOptions options, AuditLog audit, TimeProvider clock,
            HttpContext http, CancellationToken ct)
    {
        if ((request.Jti is null) == (request.UserId is null) || (request.Jti ?? request.UserId) is not { Length: > 0 and <= MaxLength })
            return Problem.Of(http, ErrorCode.InvalidPayload, "Either jti or userId is to be given.");
        var now = clock.GetUtcNow();
        var before = now.ToUnixTimeMilliseconds() + 1;
        var entry = new AuditEntry(now, caller.Actor, "token:revoked", request.UserId
            ?? "jti:" + request.Jti, caller.Address, AuditEntry.Allowed);
        var outcome = await decisions.ApplyAsync(new AccessDecision
        {
            TokenId = request.Jti,
            UserId = request.UserId,
            RevokedBefore = request.UserId is null ? null : DateTimeOffset.FromUnixTimeMilliseconds(before),
            Characters = 2 * MaxLength,
            StoreAsync = StoreAsync,
        }, ct);
        return DecisionAnswer.ProblemOf(outcome, http) ?? TypedResults.NoContent();

        async Task<bool> StoreAsync(DatabaseTransaction tx, CancellationToken stopping)
        {
            if (request.Jti is { } jti)
                await tx.ExecuteAsync("INSERT INTO carillon_revoked_tokens (jti, at) VALUES (@jti, @at) ON CONFLICT (jti) DO NOTHING",
                    new { jti, at = Iso.Of(now) }, stopping);
            else
                await tx.ExecuteAsync("""
                    INSERT INTO carillon_revoked_users (user_id, before_ms) VALUES (@UserId, @before) ON CONFLICT (user_id) DO UPDATE SET before_ms = max(before_ms, @before)
                    """, new { request.UserId, before }, stopping);
            // A token that is so old is refused as expired (OutlivesRevocation): its id need not be kept. One without iat may live for
            // longer, so ids are kept while there are not too many.
            await tx.ExecuteAsync("""
                DELETE FROM carillon_revoked_tokens
                WHERE EXISTS (SELECT 1 FROM carillon_revoked_tokens WHERE at < @before) AND at < @before AND at <= (SELECT at FROM carillon_revoked_tokens ORDER BY at DESC LIMIT 1 OFFSET @MaxRevokedTokens)
                """, new { before = Iso.Of(now - options.RevocationRetention - options.ClockSkew), options.MaxRevokedTokens }, stopping);
            await audit.WriteAsync(tx, entry, stopping);
            return true;
        }
    }
}
