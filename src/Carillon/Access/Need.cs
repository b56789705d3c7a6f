using Microsoft.AspNetCore.Builder;

namespace Carillon.Access;

/// <summary>Who may call an endpoint. An endpoint that says nothing is not mapped at all.</summary>
/// <param name="Scope">Back ends whose key has this scope.</param>
/// <param name="People">Known users.</param>
/// <param name="Managers">Users who may administer.</param>
sealed record Need(string? Scope, bool People = false, bool Managers = false)
{
    /// <summary>A known user, for what is theirs.</summary>
    public static readonly Need Person = new(null, People: true);

    /// <summary>Administrators, people or back ends.</summary>
    public static readonly Need Manage = new(Scopes.Manage, Managers: true);

    /// <summary>A back end that keeps the directory.</summary>
    public static readonly Need Users = new(Scopes.Users);

    /// <summary>A back end that publishes, or a user, whose right to the channel the handler asks for.</summary>
    public static readonly Need Publish = new(Scopes.Publish, People: true);

    /// <summary>A back end that publishes.</summary>
    public static readonly Need BackEndPublish = new(Scopes.Publish);

    /// <summary>A back end that reads, or a user, whose right to the channel the handler asks for.</summary>
    public static readonly Need Read = new(Scopes.Read, People: true);

    /// <summary>A back end that keeps the directory, or a user, whose right to manage the channel the handler asks for.</summary>
    public static readonly Need Members = new(Scopes.Users, People: true);

    /// <summary>A back end that reads, or an administrator.</summary>
    public static readonly Need ReadUsers = new(Scopes.Read, Managers: true);

    /// <summary>Whether a caller may.</summary>
    public bool Admits(Caller caller) =>
        (Scope is { } scope && caller.HasScope(scope)) || (People && caller.IsKnown) || (Managers && caller.Manages);

    /// <summary>The schemes of authorization that are worth trying.</summary>
    public string Schemes => (Scope is not null, People || Managers) switch
    {
        (true, true) => "ApiKey, Bearer",
        (true, false) => "ApiKey",
        _ => "Bearer",
    };
}

static class Needing
{
    public static TBuilder Needs<TBuilder>(this TBuilder endpoint, Need need) where TBuilder : IEndpointConventionBuilder => endpoint.WithMetadata(need);
}
