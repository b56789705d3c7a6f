namespace Carillon.Access.Tokens;

/// <summary>The claims of a validated token.</summary>
/// <param name="Subject">The user's id (<c>sub</c>); fit to be a part of a channel's name.</param>
/// <param name="Name">The user's name, for people.</param>
/// <param name="Roles">The user's roles.</param>
/// <param name="Region">Where the user is at home, in the application's own words.</param>
/// <param name="Interests">The user's interests.</param>
/// <param name="Id">The token's own id (<c>jti</c>), by which it can be revoked.</param>
/// <param name="IssuedAt">When it was issued (<c>iat</c>).</param>
/// <param name="ExpiresAt">From when on it is not good any more (<c>exp</c>).</param>
/// <param name="Capabilities">The permissions in the token itself: actions, by the name of a channel or a pattern.</param>
sealed record Token(
    string Subject,
    string? Name,
    IReadOnlyList<string> Roles,
    string? Region,
    IReadOnlyList<string> Interests,
    string? Id,
    DateTimeOffset? IssuedAt,
    DateTimeOffset ExpiresAt,
    IReadOnlyDictionary<string, IReadOnlyList<string>> Capabilities);

/// <summary>The result of validating a token: the token, or the reason for which it is refused.</summary>
/// <param name="Token">The token; null where it is refused.</param>
/// <param name="Error">The error code for the client; null if the token is valid.</param>
/// <param name="Reason">The reason for the log and the audit log; it never contains a part of the token.</param>
readonly record struct TokenResult(Token? Token, ErrorCode? Error, string? Reason)
{
    public static TokenResult Valid(Token token) => new(token, null, null);

    public static TokenResult Refused(string reason) => new(null, ErrorCode.Unauthorized, reason);

    public static TokenResult Expired() => new(null, ErrorCode.TokenExpired, "The token has expired.");
}
