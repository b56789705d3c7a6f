using System.Text.Json;
using System.Text.Json.Serialization;
using Carillon.Access;
using Carillon.Api;
using Carillon.Audit;
using Carillon.Storage;
using Dapper;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Carillon.Administration;

/// <summary>
/// Makes, lists and takes away the keys of back ends. A key is shown once, when it is made; those of the configuration are not listed.
/// </summary>
static class KeysEndpoints
{
    public sealed record Request(string? Name, IReadOnlyList<string>? Scopes, DateTimeOffset? ExpiresAt);

    public sealed record Item(
        string Id, string Name, IReadOnlyList<string> Scopes, string CreatedBy, string CreatedAt,
        [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? ExpiresAt,
        [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Key = null);

    [method: ExplicitConstructor]
    sealed record Row(string Id, string Name, string Scopes, string CreatedBy, string CreatedAt, string? ExpiresAt);

    public static void Map(RouteGroupBuilder api)
    {
        api.MapPost("/keys", CreateAsync).RequirePolicy(EndpointPolicy.Manage).WithMetadata(AnswersSecret.Yes)
            .WithSummary($"Makes a key with a name and scopes ({string.Join(", ", Scopes.Known)}), which is shown this once.")
                .Produces<Item>(StatusCodes.Status201Created);
        api.MapGet("/keys", ListAsync).RequirePolicy(EndpointPolicy.Manage)
            .WithSummary("Lists the keys that were made, without their secrets.").Produces<Page<Item>>();
        api.MapDelete("/keys/{id}", DeleteAsync).RequirePolicy(EndpointPolicy.Manage).WithMetadata(ActsWithoutStorage.Yes)
            .WithSummary("Takes a key away.").Produces(StatusCodes.Status204NoContent);
    }

    static async Task<IResult> CreateAsync(
        Request request, Caller caller, Database db, UserDirectory directory, DailyQuotas quotas, AuditLog audit, TimeProvider clock,
            HttpContext http, CancellationToken ct)
    {
        var now = clock.GetUtcNow();
        if (request.Name is not { Length: > 0 and <= 200 } || request.Scopes is not { Count: > 0 and <= 10 }
            || request.Scopes.Except(Scopes.Known).Any() || request.ExpiresAt <= now)
            return Problem.Of(http, ErrorCode.InvalidPayload,
                $"A key has a name, at least one of the scopes {string.Join(", ", Scopes.Known)}, and may have a time to come as expiresAt.");
        // Nobody gives what they have not.
        if (caller.KeyId is not null && !request.Scopes.All(caller.HasScope)) return Problem.Of(
            http, ErrorCode.Forbidden, "A key cannot make one with more scopes than its own.");
        if (!quotas.Keys.TryTake(caller, out var wait)) return Problem.Of(
            http, ErrorCode.RateLimited, "You have made all the keys of a day.", wait);
        // Nor longer than they have it: a key its own time, a person the role in the directory, or the time of the token that says so.
        var byRole = caller.UserId is not null && await directory.IsAdminByRoleAsync(caller.UserId, ct);
        var expiresAt = !byRole && caller.ExpiresAt is { } last && !(request.ExpiresAt < last) ? last : request.ExpiresAt;
        var (id, text, hash) = ApiKeys.Create();
        var item = new Item(id, request.Name, [.. request.Scopes.Distinct()], caller.Actor!, Iso.Of(now), expiresAt is { } end ? Iso.Of(end)
            : null, text);
        await quotas.Keys.SpendAsync(caller, async () =>
        {
            await using var tx = await db.BeginAsync(caller.Actor, WriterLane.Administrative, ct);
            await tx.ExecuteAsync("""
                INSERT INTO carillon_api_keys (id, name, hash, scopes, created_by, created_at, expires_at, maker, maker_token)
                VALUES (@Id, @Name, @hash, @scopes, @CreatedBy, @CreatedAt, @ExpiresAt,
                    coalesce(@UserId, (SELECT maker FROM carillon_api_keys WHERE id = @KeyId)), coalesce(@token, (SELECT maker_token FROM carillon_api_keys WHERE id = @KeyId)))
                """, new
            {
                item.Id,
                item.Name,
                hash,
                scopes = JsonSerializer.Serialize(item.Scopes),
                item.CreatedBy,
                item.CreatedAt,
                item.ExpiresAt,
                caller.UserId,
                caller.KeyId,
                token = caller.UserId is null || byRole ? null : JsonSerializer.Serialize(caller.Token),
            }, ct);
            await audit.WriteAsync(tx, new AuditEntry(now, caller.Actor, "key:made", id, caller.Address, AuditEntry.Allowed), ct);
            await tx.CommitAsync(ct);
            return true;
        });
        return TypedResults.Created($"/api/keys/{id}", item);
    }

    static async Task<IResult> ListAsync(string? limit, string? cursor, Database db, HttpContext http, CancellationToken ct)
    {
        if (!PageRequest.TryRead(limit, cursor, out var page)) return PageRequest.Refuse(http);
        var rows = await db.QueryAsync<Row>("""
            SELECT id AS Id, name AS Name, scopes AS Scopes, created_by AS CreatedBy, created_at AS CreatedAt, expires_at AS ExpiresAt
            FROM carillon_api_keys WHERE @After IS NULL OR id > @After ORDER BY id LIMIT @most
            """, new { page.After, most = page.Limit + 1 }, ct);
        return TypedResults.Ok(page.Cut([.. rows.Select(row =>
            new Item(row.Id, row.Name, JsonSerializer.Deserialize<string[]>(row.Scopes)!, row.CreatedBy, row.CreatedAt, row.ExpiresAt))],
                item => item.Id));
    }

    static async Task<IResult> DeleteAsync(
        string id, Caller caller, PendingDecisions decisions, AuditLog audit, TimeProvider clock, HttpContext http, CancellationToken ct)
    {
        var entry = new AuditEntry(clock.GetUtcNow(), caller.Actor, "key:removed", id, caller.Address, AuditEntry.Allowed);
        var outcome = await decisions.ApplyAsync(new AccessDecision { KeyId = id, Characters = id.Length, StoreAsync = StoreAsync }, ct);
        return DecisionAnswer.ProblemOf(outcome, http) ?? TypedResults.NoContent();

        async Task<bool> StoreAsync(DatabaseTransaction tx, CancellationToken stopping)
        {
            if (await tx.ExecuteAsync("DELETE FROM carillon_api_keys WHERE id = @id", new { id }, stopping) == 0) return false;
            await audit.WriteAsync(tx, entry, stopping);
            return true;
        }
    }
}
