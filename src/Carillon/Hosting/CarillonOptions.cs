using Carillon.Access;
using Carillon.Changes;
using Carillon.Hub;
using Carillon.Presence;
using Carillon.Votes;

namespace Carillon.Hosting;

/// <summary>The settings of Carillon in an application.</summary>
public sealed class CarillonOptions
{
    /// <summary>
    /// The database of the application: <c>sqlite:path/to/file.db</c>. Carillon keeps its own tables in it, so that a change and its
    /// publication are one transaction.
    /// </summary>
    public string Database { get; set; } = "sqlite:carillon.db";

    /// <summary>
    /// Whether clients may connect without a token. Off. A shop on its own network may turn it on; such clients reach only the areas that
    /// are open to <see cref="Grant.Everyone"/>.
    /// </summary>
    public bool AllowAnonymous
    {
        get => Access.AllowAnonymous;
        set => Access.AllowAnonymous = value;
    }

    /// <summary>Tokens, API keys, and what they give access to.</summary>
    public AccessOptions Access { get; } = new();

    /// <summary>The live tables, and how long their changes are kept.</summary>
    public ChangesOptions Changes { get; } = new();

    /// <summary>The areas of channels: those of Carillon and its features, to be opened or narrowed, and the application's own.</summary>
    public AreaList Areas { get; } = FeatureList.CreateAreas();

    /// <summary>How the server stops.</summary>
    public ShutdownOptions Shutdown { get; } = new();

    /// <summary>Access to suggestions and votes.</summary>
    public VoteOptions Votes { get; } = new();

    /// <summary>When a user counts as present, gone or idle.</summary>
    public PresenceOptions Presence { get; } = new();

    /// <summary>How many channels one connection may join: 1,000, far more than a screen shows.</summary>
    public int MaxSubscriptions { get; set; } = 1000;

    /// <summary>
    /// How many missed publications are replayed at most: 1,000. A client that missed more is not recovered and reloads, which is faster
    /// by then.
    /// </summary>
    public int MaxRecovered { get; set; } = 1000;

    /// <summary>
    /// Free bytes on the disk of the database below which optional writes stop: 256 MiB. Audit entries of allowed acts and the stored
    /// answers of idempotent writes stop first, so that users can still write. Zero turns the watch off.
    /// </summary>
    public long MinFreeSpace { get; set; } = 256L << 20;

    internal string DatabasePath
    {
        get
        {
            const string scheme = "sqlite:";
            return Database.StartsWith(scheme, StringComparison.OrdinalIgnoreCase) && Database.Length > scheme.Length
                ? Database[scheme.Length..]
                : throw new InvalidOperationException(
                    $"Carillon's Database must be \"sqlite:\" and the path of a file; it is \"{Database}\".");
        }
    }

    internal void Validate()
    {
        _ = DatabasePath;
        if (MaxSubscriptions < 1) throw new InvalidOperationException("Carillon's MaxSubscriptions must be at least one.");
        if (MinFreeSpace < 0) throw new InvalidOperationException(
            "Carillon's MinFreeSpace must not be negative; zero turns the watch off.");
        if (Votes.Problem() is { } unlimited) throw new InvalidOperationException($"Carillon's Votes: {unlimited}");
        if (MaxRecovered < 1) throw new InvalidOperationException("Carillon's MaxRecovered must be at least one.");
        if (Access.Problem() is { } wrong) throw new InvalidOperationException($"Carillon's Access: {wrong}");
        if (Presence.Problem() is { } unsound) throw new InvalidOperationException($"Carillon's Presence: {unsound}");
        if (Shutdown.Problem() is { } never) throw new InvalidOperationException($"Carillon's Shutdown: {never}");
        if (Changes.Problem() is { } problem) throw new InvalidOperationException($"Carillon's Changes: {problem}");
    }
}
