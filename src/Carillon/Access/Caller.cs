using System.Net;
using Carillon.Access.Tokens;
using Microsoft.AspNetCore.Http;

namespace Carillon.Access;

/// <summary>The caller: a known user, a back end with an API key, or a client that the host admits without a token.</summary>
/// <param name="UserId">The user's id; <see langword="null"/> for all others.</param>
/// <param name="Name">The user's name, for people.</param>
/// <param name="Roles">The user's roles: those of the directory or, where it has none, of the token.</param>
/// <param name="Address">Where the request came from.</param>
public sealed record Caller(string? UserId, string? Name, IReadOnlyList<string> Roles, IPAddress? Address)
{
    /// <summary>A client without a token.</summary>
    public static Caller Anonymous(IPAddress? address) => new(null, null, [], address);

    /// <summary>Whether this is a known user.</summary>
    public bool IsKnown => UserId is not null;

    /// <summary>Whether the caller may administer: see the audit log, keys and bans.</summary>
    public bool IsAdmin { get; init; }

    /// <summary>The id of a back end's key; <see langword="null"/> for all others.</summary>
    public string? KeyId { get; init; }

    /// <summary>
    /// The permissions in the token, besides the grants of areas: names of channels, or patterns with <c>*</c>, each with the actions that
    /// are allowed
    /// there.
    /// </summary>
    public IReadOnlyDictionary<string, IReadOnlyList<string>> Capabilities { get; init; } = new Dictionary<string, IReadOnlyList<string>>();

    /// <summary>The channels that the user is a member of.</summary>
    public IReadOnlySet<string> Memberships { get; init; } = new HashSet<string>();

    /// <summary>When the token ends; <see langword="null"/> where there is none.</summary>
    public DateTimeOffset? ExpiresAt { get; init; }

    /// <summary>The token that the caller came with, to be looked at again when rights change.</summary>
    internal Token? Token { get; init; }

    /// <summary>The scopes of a back end's key.</summary>
    internal IReadOnlyList<string> Scopes { get; init; } = [];

    /// <summary>How the caller is called in the audit log and as the actor of a change.</summary>
    internal string? Actor => UserId ?? (KeyId is { } key ? "key:" + key : null);

    internal bool HasScope(string scope) => KeyId is not null && (Scopes.Contains(scope) || Scopes.Contains(Access.Scopes.All));

    /// <summary>Lets handlers of HTTP take the caller as a parameter.</summary>
    /// <param name="context">The request, of an endpoint that Carillon guards.</param>
    public static ValueTask<Caller?> BindAsync(HttpContext context) => new(Of(context));

    internal static Caller Of(HttpContext context) => context.Features.Get<Caller>() ?? Anonymous(context.Connection.RemoteIpAddress);
}
