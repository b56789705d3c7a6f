namespace Carillon.Live;

/// <summary>What goes wrong, as clients are told: a stable code, a sentence for a person, and whether trying again can help.</summary>
/// <param name="Code">The stable code.</param>
/// <param name="Message">A sentence for a person.</param>
/// <param name="Retryable">Whether the same request may succeed later.</param>
public sealed record ErrorCode(string Code, string Message, bool Retryable)
{
    /// <summary>The client brought no token, or one that is not valid.</summary>
    public static readonly ErrorCode Unauthorized = new("unauthorized", "A valid token is needed to connect.", false);

    /// <summary>The client may not do this.</summary>
    public static readonly ErrorCode Forbidden = new("forbidden", "This channel is not open to you.", false);

    /// <summary>No area has such a channel.</summary>
    public static readonly ErrorCode UnknownChannel = new("unknown-channel", "There is no such channel.", false);

    /// <summary>The server knows no such event.</summary>
    public static readonly ErrorCode UnknownEvent = new("unknown-event", "There is no such event.", false);

    /// <summary>An argument is missing or has the wrong form.</summary>
    public static readonly ErrorCode InvalidPayload = new("invalid-payload", "The arguments of this event are not as they should be.", false);

    /// <summary>The client asked for more than its share.</summary>
    public static readonly ErrorCode RateLimited = new("rate-limited", "This is more than one connection may ask for.", true);

    /// <summary>The address, or the user, is banned for a while.</summary>
    public static readonly ErrorCode Banned = new("banned", "This address is banned for a while.", false);

    /// <summary>There is no room for one more connection.</summary>
    public static readonly ErrorCode TooManyConnections = new("too-many-connections", "There is no room for one more connection.", true);

    /// <summary>The thing that a request names does not exist.</summary>
    public static readonly ErrorCode NotFound = new("not-found", "There is no such thing.", false);

    /// <summary>Something the server needs is out of reach for the moment.</summary>
    public static readonly ErrorCode Unavailable = new("unavailable", "The server cannot answer this right now.", true);
}
