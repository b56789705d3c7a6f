using System.Globalization;
using System.Security.Claims;
using Carillon.Access.Tokens;

namespace Carillon.Access;

/// <summary>The identity from the application's own authentication, as a token.</summary>
static class HostPrincipal
{
    public static Token? Of(ClaimsPrincipal user, DateTimeOffset now)
    {
        if (user.Identity?.IsAuthenticated != true || (user.FindFirst("sub")
            ?? user.FindFirst(ClaimTypes.NameIdentifier))?.Value is not { } id || !Claims.IsSubject(id)) return null;
        return new Token(
            Subject: id,
            Name: user.Identity.Name ?? user.FindFirst("name")?.Value,
            Roles: [.. user.FindAll(claim => claim.Type is "role" or "roles" or ClaimTypes.Role).Select(claim => claim.Value).Distinct()],
            Region: user.FindFirst("region")?.Value,
            Interests: [],
            Id: user.FindFirst("jti")?.Value,
            // A session that does not say since when it is: as of now. To end sessions is the application's; a revocation ends the
            // connections that are open.
            IssuedAt: TimeOf(user.FindFirst("iat")) ?? now,
            // A session of the application without an end ends with the connection.
            ExpiresAt: TimeOf(user.FindFirst("exp")) ?? DateTimeOffset.MaxValue,
            Capabilities: new Dictionary<string, IReadOnlyList<string>>());
    }

    static DateTimeOffset? TimeOf(Claim? claim) =>
        long.TryParse(claim?.Value, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds) && seconds < 253_402_300_800
            ? DateTimeOffset.FromUnixTimeSeconds(seconds) : null;
}
