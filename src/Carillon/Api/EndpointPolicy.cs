using Carillon.Access;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;

namespace Carillon.Api;

/// <summary>The callers that an endpoint or an event is for. An endpoint without a policy is not mapped at all.</summary>
/// <param name="Scopes">Back ends whose key has one of these scopes.</param>
/// <param name="People">Known users.</param>
/// <param name="Admins">Users who may administer.</param>
/// <param name="Anonymous">Clients that connected without a token, where the host allows it.</param>
sealed record EndpointPolicy(IReadOnlyList<string> Scopes, bool People = false, bool Admins = false, bool Anonymous = false)
{
    /// <summary>Every connected client; where the event names a channel, the handler checks the right to it.</summary>
    public static readonly EndpointPolicy Client = new([], People: true, Anonymous: true);

    /// <summary>A known user.</summary>
    public static readonly EndpointPolicy Person = new([], People: true);

    /// <summary>Administrators, people or back ends.</summary>
    public static readonly EndpointPolicy Manage = new([Access.Scopes.Manage], Admins: true);

    /// <summary>A back end that keeps the directory.</summary>
    public static readonly EndpointPolicy Users = new([Access.Scopes.Users]);

    /// <summary>A back end that publishes, or a user; the handler checks the right to the channel.</summary>
    public static readonly EndpointPolicy Publish = new([Access.Scopes.Publish], People: true);

    /// <summary>A back end that publishes.</summary>
    public static readonly EndpointPolicy BackEndPublish = new([Access.Scopes.Publish]);

    /// <summary>A back end that reads, or a user; the handler checks the right to the channel.</summary>
    public static readonly EndpointPolicy Read = new([Access.Scopes.Read], People: true);

    /// <summary>A back end that keeps the directory, or a user; the handler checks the right to manage the channel.</summary>
    public static readonly EndpointPolicy Members = new([Access.Scopes.Users], People: true);

    /// <summary>A back end that reads, or keeps the directory, or an administrator.</summary>
    public static readonly EndpointPolicy ReadUsers = new([Access.Scopes.Read, Access.Scopes.Users], Admins: true);

    /// <summary>Whether only those who keep the directory or administer may call it.</summary>
    public bool IsAdministrative => this == Users || this == Manage;

    /// <summary>Whether it is for a caller.</summary>
    public bool Admits(Caller caller) =>
        Scopes.Any(caller.HasScope) || (People && caller.IsKnown) || (Admins && caller.IsAdmin)
            || (Anonymous && caller is { IsKnown: false, KeyId: null });

    /// <summary>The callers it is for, in the description of the API.</summary>
    public string Sentence
    {
        get
        {
            List<string> whom = [];
            if (Scopes.Count > 0) whom.Add($"API keys with the scope {string.Join(" or ", Scopes)}");
            if (People) whom.Add("known users" + (Scopes.Count > 0 ? ", as far as their rights to the channel go" : ""));
            if (Admins) whom.Add("users who may administer");
            return $"For {string.Join("; for ", whom)}.";
        }
    }

    /// <summary>The authorization schemes that a caller may use.</summary>
    public string Schemes => (Scopes.Count > 0, People || Admins) switch
    {
        (true, true) => "ApiKey, Bearer",
        (true, false) => "ApiKey",
        _ => "Bearer",
    };
}

static class EndpointPolicyExtensions
{
    public static TBuilder RequirePolicy<TBuilder>(
        this TBuilder endpoint, EndpointPolicy policy) where TBuilder : IEndpointConventionBuilder =>
        endpoint.WithMetadata(policy).WithDescription(policy.Sentence);
}

/// <summary>Marks an endpoint whose answer holds a secret: it is not stored for repeated requests.</summary>
sealed record AnswersSecret
{
    public static readonly AnswersSecret Yes = new();
}

/// <summary>Marks an endpoint that must act even where its <c>Idempotency-Key</c> cannot be stored: repeating it does no harm.</summary>
sealed record ActsWithoutStorage
{
    public static readonly ActsWithoutStorage Yes = new();
}
