using System.Text.Json;
using Carillon.Access;
using Carillon.Access.Tokens;
using Carillon.Api;
using Carillon.Audit;
using Carillon.Storage;
using Dapper;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Carillon.Administration;

/// <summary>The directory over HTTP. Changes apply to open connections at once.</summary>
static class UsersEndpoints
{
    const int MaxName = 200, MaxRoles = 100;

    public sealed record Entry(
        string? Name, IReadOnlyList<string>? Roles, string? Region, IReadOnlyList<string>? Interests, bool? Disabled);

    public sealed record Item(
        string Id, string? Name, IReadOnlyList<string> Roles, string? Region, IReadOnlyList<string> Interests, bool Disabled,
        string CreatedAt, string UpdatedAt);

    [method: ExplicitConstructor]
    sealed record Row(string Id, string? Name, string Roles, string? Region, string Interests, long Disabled, string CreatedAt,
        string UpdatedAt);

    const string Select = """
        SELECT id AS Id, name AS Name, roles AS Roles, region AS Region, interests AS Interests, disabled AS Disabled, created_at AS CreatedAt, updated_at AS UpdatedAt
        FROM carillon_users WHERE deleted = 0
        """;

    public static void Map(RouteGroupBuilder api)
    {
        api.MapGet("/users", ListAsync).RequirePolicy(EndpointPolicy.ReadUsers).WithSummary("Lists the directory in the order of the ids.")
            .Produces<Page<Item>>();
        api.MapGet("/users/{id}", GetAsync).RequirePolicy(EndpointPolicy.ReadUsers).WithSummary("Reads one user.").Produces<Item>();
        api.MapPut("/users/{id}", PutAsync).RequirePolicy(EndpointPolicy.Users).WithMetadata(ActsWithoutStorage.Yes)
            .WithSummary("Enters a user, or replaces what is known of one. What is left out is empty afterwards.").Produces<Item>();
        api.MapDelete("/users/{id}", DeleteAsync).RequirePolicy(EndpointPolicy.Users).WithMetadata(ActsWithoutStorage.Yes)
            .WithSummary("Deletes a user: connections end, tokens are refused.").Produces(StatusCodes.Status204NoContent);
    }

    static async Task<IResult> ListAsync(string? limit, string? cursor, Database db, HttpContext http, CancellationToken ct)
    {
        if (!PageRequest.TryRead(limit, cursor, out var page)) return PageRequest.Refuse(http);
        var rows = await db.QueryAsync<Row>(
            Select + " AND (@After IS NULL OR id > @After) ORDER BY id LIMIT @most", new { page.After, most = page.Limit + 1 }, ct);
        return TypedResults.Ok(page.Cut([.. rows.Select(ItemOf)], item => item.Id));
    }

    static async Task<IResult> GetAsync(string id, Database db, HttpContext http, CancellationToken ct) =>
        await FindAsync(db, id, ct) is { } item ? TypedResults.Ok(item) : Problem.Of(http, ErrorCode.NotFound, "There is no such user.");

    static async Task<IResult> PutAsync(
        string id, Entry entry, Caller caller, Database db, PendingDecisions decisions, AccessOptions options, AccessChanges accessChanges,
            AuditLog audit, TimeProvider clock, HttpContext http, CancellationToken ct)
    {
        if (Wrong(id, entry) is { } wrong) return Problem.Of(http, ErrorCode.InvalidPayload, wrong);
        var now = clock.GetUtcNow();
        var givesAnyRole = caller.HasScope(Scopes.Manage);
        if (entry.Disabled == true)
        {
            // Disabling does not wait for a database that cannot be read; the transaction checks the roles again.
            if (!givesAnyRole && await TryReadTodayAsync() is { } before
                && MakesAdmin(entry, before, options)) return Problem.Of(http, ErrorCode.Forbidden, OnlyManageMakesAdmins);
            var outcome = await decisions.ApplyAsync(
                new AccessDecision { UserId = id, Characters = CharactersIn(entry), StoreAsync = StoreAsync }, ct);
            if (DecisionAnswer.ProblemOf(outcome, http) is { } problem) return problem;
        }
        else
        {
            await using var tx = await db.BeginAsync(caller.Actor, WriterLane.Administrative, ct);
            var today = givesAnyRole ? null : await TodayAsync(tx, id, ct);
            if (today is not null && MakesAdmin(entry, today, options)) return Problem.Of(http, ErrorCode.Forbidden, OnlyManageMakesAdmins);
            if (today is not null && LetsTokenDecide(entry, today)) return Problem.Of(http, ErrorCode.Forbidden, OnlyManageEmptiesRoles);
            await WriteAsync(tx, entry.Roles ?? [], ct);
            tx.WhenCommitted(() => decisions.Withdraw(id));
            await tx.CommitAsync(ct);
        }
        accessChanges.Raise(new AccessChange(id, null));
        return TypedResults.Ok(await FindAsync(db, id, ct));

        async Task<Today?> TryReadTodayAsync()
        {
            try
            {
                return TodayOf(await db.QuerySingleOrDefaultAsync<TodayRow>(SelectToday, new { id }, ct));
            }
            catch (Exception ex) when (DatabaseUnavailableException.Is(ex))
            {
                return null;
            }
        }

        async Task<bool> StoreAsync(DatabaseTransaction tx, CancellationToken stopping)
        {
            var roles = entry.Roles ?? [];
            // The user is disabled either way; roles that the key may not give stay as they are.
            if (!givesAnyRole && await TodayAsync(tx, id, stopping) is var today
                && (MakesAdmin(entry, today, options) || LetsTokenDecide(entry, today))) roles = today.Roles;
            await WriteAsync(tx, roles, stopping);
            return true;
        }

        async Task WriteAsync(DatabaseTransaction tx, IReadOnlyList<string> roles, CancellationToken stopping)
        {
            await tx.ExecuteAsync("""
                INSERT INTO carillon_users (id, name, roles, region, interests, disabled, created_at, updated_at) VALUES (@id, @Name, @roles, @Region, @interests, @disabled, @now, @now)
                ON CONFLICT (id) DO UPDATE SET name = @Name, roles = @roles, region = @Region, interests = @interests, disabled = @disabled, deleted = 0, updated_at = @now
                """, new
            {
                id,
                entry.Name,
                roles = JsonSerializer.Serialize(roles.Distinct()),
                entry.Region,
                interests = JsonSerializer.Serialize((entry.Interests ?? []).Distinct()),
                disabled = entry.Disabled == true ? 1 : 0,
                now = Iso.Of(now),
            }, stopping);
            var action = entry.Disabled == true ? "user:disabled" : "user:changed";
            await audit.WriteAsync(tx, new AuditEntry(now, caller.Actor, action, id, caller.Address, AuditEntry.Allowed), stopping);
        }
    }

    static async Task<IResult> DeleteAsync(
        string id, Caller caller, PendingDecisions decisions, UserDeletion deletion, AuditLog audit, TimeProvider clock,
        HttpContext http, CancellationToken ct)
    {
        var now = clock.GetUtcNow();
        var outcome = await decisions.ApplyAsync(new AccessDecision { UserId = id, Characters = id.Length, StoreAsync = StoreAsync }, ct);
        return DecisionAnswer.ProblemOf(outcome, http) ?? TypedResults.NoContent();

        async Task<bool> StoreAsync(DatabaseTransaction tx, CancellationToken stopping)
        {
            // The id stays, so that the user is not created again on the next connection; personal data does not.
            var deleted = await tx.ExecuteAsync(
                "UPDATE carillon_users SET name = NULL, roles = '[]', region = NULL, interests = '[]', deleted = 1, updated_at = @now "
                + "WHERE id = @id AND deleted = 0",
                new { id, now = Iso.Of(now) }, stopping);
            if (deleted == 0) return false;
            await deletion.RunAsync(tx, id, stopping);
            await audit.WriteAsync(tx, new AuditEntry(now, caller.Actor, "user:deleted", id, caller.Address, AuditEntry.Allowed), stopping);
            return true;
        }
    }

    /// <summary>What limits the roles that a key with the scope <c>users</c> may give.</summary>
    /// <param name="Roles">The roles in the directory.</param>
    /// <param name="WasDeleted">Whether the user was deleted, and the roles with it.</param>
    internal sealed record Today(IReadOnlyList<string> Roles, bool WasDeleted = false);

    [method: ExplicitConstructor]
    sealed record TodayRow(string Roles, long Deleted);

    const string SelectToday = "SELECT roles AS Roles, deleted AS Deleted FROM carillon_users WHERE id = @id";

    static async Task<Today> TodayAsync(DatabaseTransaction tx, string id, CancellationToken ct) =>
        TodayOf(await tx.QuerySingleOrDefaultAsync<TodayRow>(SelectToday, new { id }, ct));

    static Today TodayOf(TodayRow? row) => row is null ? new([]) : new(Words(row.Roles), row.Deleted == 1);

    const string OnlyManageMakesAdmins = "Only an API key with the scope manage gives a user a role that administers.";

    const string OnlyManageEmptiesRoles =
        "Only an API key with the scope manage leaves a user without roles who had some or was deleted: the roles of the user's token "
        + "would count.";

    // A key that keeps the directory must not give itself, by way of a user, what its scope withholds. An administrator who is one
    // already stays one.
    internal static bool MakesAdmin(Entry entry, Today today, AccessOptions options) =>
        (entry.Roles ?? []).Except(today.Roles).Any(options.AdminRoles.Contains);

    // Nor by taking away the roles that win over those of the token.
    internal static bool LetsTokenDecide(Entry entry, Today today) =>
        entry.Roles is not { Count: > 0 } && (today.Roles.Count > 0 || today.WasDeleted);

    static int CharactersIn(Entry entry) => (entry.Name?.Length ?? 0) + (entry.Region?.Length ?? 0) + (entry.Roles ?? []).Concat(
        entry.Interests ?? []).Sum(word => word.Length + 16);

    static string? Wrong(string id, Entry entry) =>
        !Claims.IsSubject(id) ? $"An id has 1 to {Claims.LongestSubject} characters, no colon and no control characters." :
        entry.Name?.Length > MaxName || entry.Region?.Length > MaxName ? $"name and region have at most {MaxName} characters." :
        !AreWords(entry.Roles) || !AreWords(entry.Interests)
            ? $"roles and interests are lists of at most {MaxRoles} texts of 1 to {MaxName} characters." :
        null;

    static bool AreWords(IReadOnlyList<string>? words) =>
        words is null || (words.Count <= MaxRoles && words.All(word => word is { Length: > 0 and <= MaxName }));

    static async Task<Item?> FindAsync(Database db, string id, CancellationToken ct) =>
        await db.QuerySingleOrDefaultAsync<Row>(Select + " AND id = @id", new { id }, ct) is { } row ? ItemOf(row) : null;

    static Item ItemOf(Row row) =>
        new(row.Id, row.Name, Words(row.Roles), row.Region, Words(row.Interests), row.Disabled == 1, row.CreatedAt, row.UpdatedAt);

    static string[] Words(string json) => JsonSerializer.Deserialize<string[]>(json)!;
}
