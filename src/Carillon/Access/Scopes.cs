namespace Carillon.Access;

/// <summary>The scopes of a back end's key.</summary>
static class Scopes
{
    /// <summary>Everything.</summary>
    public const string All = "*";

    /// <summary>The directory, memberships and revocation.</summary>
    public const string Users = "users";

    /// <summary>Publishing, resource updates among it.</summary>
    public const string Publish = "publish";

    /// <summary>Presence and history of any channel, and what is in the directory.</summary>
    public const string Read = "read";

    /// <summary>Audit log, keys, bans and limits.</summary>
    public const string Manage = "manage";

    public static readonly IReadOnlyList<string> Known = [All, Users, Publish, Read, Manage];
}
