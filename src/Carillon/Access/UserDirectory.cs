using System.Net;
using System.Text.Json;
using Carillon.Access.Tokens;
using Carillon.Audit;
using Carillon.Storage;
using Dapper;

namespace Carillon.Access;

/// <summary>The stored data about a user and a token.</summary>
sealed record UserRecord
{
    public bool IsKnown { get; init; }

    public bool IsDisabled { get; init; }

    public bool IsDeleted { get; init; }

    public string? Name { get; init; }

    public IReadOnlyList<string> Roles { get; init; } = [];

    public bool TokenIsRevoked { get; init; }

    public DateTimeOffset? RevokedBefore { get; init; }

    public IReadOnlySet<string> Memberships { get; init; } = new HashSet<string>();
}

/// <summary>The users on record: who is known, with which roles, and what was revoked.</summary>
sealed class UserDirectory(Database db, AccessOptions options, PendingDecisions decisions, AuditLog audit, TimeProvider clock)
{
    // With properties: what a subquery answers where there is nothing has no type that a constructor could be chosen by.
    sealed record Row
    {
        public string? Name { get; init; }

        public string? Roles { get; init; }

        public bool Disabled { get; init; }

        public bool Deleted { get; init; }

        public long? TokenRevoked { get; init; }

        public long? RevokedBefore { get; init; }
    }

    /// <summary>Looks a token's user up, and enters a new one where the options say so.</summary>
    public async ValueTask<(Caller? Caller, ErrorCode? Error)> LookUpAsync(Token token, IPAddress? address, CancellationToken ct)
    {
        if (RefusesUnread(token) is { } refused) return (null, refused);
        var user = await ReadAsync(token, ct);
        if (!user.IsKnown && options.UnknownUsers == UnknownUsers.Create)
        {
            await EnterAsync(token, address, ct);
            user = await ReadAsync(token, ct);
        }
        return Evaluate(user, token, address);
    }

    // Tokens of the host and the tokens of keys pass here too, and not the checks of signed ones.
    ErrorCode? RefusesUnread(Token token) =>
        decisions.Refuses(token)
            ?? (token.Id is not null && options.OutlivesRevocation(token.IssuedAt, clock.GetUtcNow()) ? ErrorCode.TokenExpired : null);

    (Caller? Caller, ErrorCode? Error) Evaluate(UserRecord user, Token token, IPAddress? address) =>
        Decide(user, token) is { } error ? (null, error) : (CallerOf(user, token, address), null);

    /// <summary>Whether a user may administer by a role in the directory.</summary>
    public async ValueTask<bool> IsAdminByRoleAsync(string userId, CancellationToken ct) =>
        await db.QuerySingleOrDefaultAsync<string>(
            "SELECT roles FROM carillon_users WHERE id = @userId AND disabled = 0 AND deleted = 0", new { userId }, ct) is { } roles
        && IsAdmin(JsonSerializer.Deserialize<string[]>(roles)!);

    bool IsAdmin(IEnumerable<string> roles) => roles.Any(options.AdminRoles.Contains);

    /// <summary>Whether the person who made a key may still make keys.</summary>
    /// <param name="userId">The person.</param>
    /// <param name="token">The token that gave the right, and is judged as if it were presented now; null where a role in the directory
    /// gave it.</param>
    /// <param name="ct">Ends the query.</param>
    public async ValueTask<bool> MayStillMakeKeysAsync(string userId, Token? token, CancellationToken ct) =>
        token is null
            ? !decisions.Bars(userId) && await IsAdminByRoleAsync(userId, ct)
            : RefusesUnread(token) is null && Evaluate(await ReadAsync(token, ct), token, null).Caller?.IsAdmin == true;

    /// <summary>Whether somebody with such a record and such a token is let in.</summary>
    internal static ErrorCode? Decide(UserRecord user, Token token) =>
        user.TokenIsRevoked ? ErrorCode.TokenRevoked :
        // Without a time of issue nobody can say that it was given after the revocation.
        user.RevokedBefore is { } before && !(token.IssuedAt >= before) ? ErrorCode.TokenRevoked :
        !user.IsKnown || user.IsDeleted || user.IsDisabled ? ErrorCode.UnknownUser :
        null;

    Caller CallerOf(UserRecord user, Token token, IPAddress? address)
    {
        // The directory wins; what the token says counts only where the directory says nothing.
        var roles = user.Roles.Count > 0 ? user.Roles : token.Roles;
        return new Caller(token.Subject, user.Name ?? token.Name, roles, address)
        {
            Capabilities = options.TokenCapabilities ? token.Capabilities : new Dictionary<string, IReadOnlyList<string>>(),
            Memberships = user.Memberships,
            ExpiresAt = token.ExpiresAt == DateTimeOffset.MaxValue ? null : token.ExpiresAt,
            IsAdmin = IsAdmin(roles) || (options.TokenCapabilities && Capability.Allows(token.Capabilities, "*", "manage")),
            Token = token,
        };
    }

    async Task<UserRecord> ReadAsync(Token token, CancellationToken ct)
    {
        await using var connection = await db.OpenReadAsync(ct);
        var row = await connection.QuerySingleAsync<Row>(new CommandDefinition("""
            SELECT u.name AS Name, u.roles AS Roles, u.disabled AS Disabled, u.deleted AS Deleted,
                   (SELECT 1 FROM carillon_revoked_tokens WHERE jti = @Id) AS TokenRevoked,
                   (SELECT before_ms FROM carillon_revoked_users WHERE user_id = @Subject) AS RevokedBefore
            FROM (SELECT @Subject AS id) AS asked LEFT JOIN carillon_users u ON u.id = asked.id
            """, new { token.Id, token.Subject }, cancellationToken: ct));
        var memberships = await connection.QueryAsync<string>(new CommandDefinition(
            "SELECT channel FROM carillon_members WHERE user_id = @Subject", new { token.Subject }, cancellationToken: ct));
        return new UserRecord
        {
            IsKnown = row.Roles is not null,
            IsDisabled = row.Disabled,
            IsDeleted = row.Deleted,
            Name = row.Name,
            Roles = row.Roles is null ? [] : JsonSerializer.Deserialize<string[]>(row.Roles)!,
            TokenIsRevoked = row.TokenRevoked is not null,
            RevokedBefore = row.RevokedBefore is { } ms ? DateTimeOffset.FromUnixTimeMilliseconds(ms) : null,
            Memberships = memberships.ToHashSet(StringComparer.Ordinal),
        };
    }

    async Task EnterAsync(Token token, IPAddress? address, CancellationToken ct)
    {
        await using var tx = await db.BeginAsync(token.Subject, ct);
        var now = Iso.Of(clock.GetUtcNow());
        var entered = await tx.ExecuteAsync("""
            INSERT INTO carillon_users (id, name, region, interests, created_at, updated_at)
            VALUES (@Subject, @Name, @Region, @interests, @now, @now)
            ON CONFLICT (id) DO NOTHING
            """, new { token.Subject, token.Name, token.Region, interests = JsonSerializer.Serialize(token.Interests), now }, ct);
        if (entered == 1) await audit.WriteAsync(
            tx, new AuditEntry(clock.GetUtcNow(), token.Subject, "user:created", token.Subject, address, AuditEntry.Allowed), ct);
        await tx.CommitAsync(ct);
    }
}
