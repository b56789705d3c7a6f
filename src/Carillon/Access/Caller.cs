using System.Net;

namespace Carillon.Access;

/// <summary>Who asks: a known user, or somebody the host lets in without a token.</summary>
/// <param name="UserId">The user's id; <see langword="null"/> for a client let in without a token.</param>
/// <param name="Name">The user's name, for people.</param>
/// <param name="Roles">The user's roles.</param>
/// <param name="Address">Where the request came from.</param>
public sealed record Caller(string? UserId, string? Name, IReadOnlyList<string> Roles, IPAddress? Address)
{
    /// <summary>A client without a token.</summary>
    public static Caller Anonymous(IPAddress? address) => new(null, null, [], address);

    /// <summary>Whether this is a known user.</summary>
    public bool IsKnown => UserId is not null;
}

/// <summary>To whom an area is open, before any finer rule is asked.</summary>
public enum Audience
{
    /// <summary>To nobody: what is not granted is denied.</summary>
    Nobody,

    /// <summary>To every known user.</summary>
    KnownUsers,

    /// <summary>To everyone whom the host lets in, with a token or without.</summary>
    Everyone,
}
