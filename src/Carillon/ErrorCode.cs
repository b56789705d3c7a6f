namespace Carillon;

/// <summary>What goes wrong, as clients are told: a stable code, a sentence for a person, and whether trying again can help.</summary>
/// <param name="Code">The stable code.</param>
/// <param name="Message">A sentence for a person.</param>
/// <param name="Retryable">Whether the same request may succeed later.</param>
public sealed record ErrorCode(string Code, string Message, bool Retryable)
{
    /// <summary>The client brought no token or key, or one that is not valid.</summary>
    public static readonly ErrorCode Unauthorized = new("unauthorized", "A valid token is needed.", false);

    /// <summary>The token was valid once; a newer one is needed.</summary>
    public static readonly ErrorCode TokenExpired = new("token-expired", "This token has expired. A newer one is needed.", false);

    /// <summary>The token, or all tokens of its user, were taken back.</summary>
    public static readonly ErrorCode TokenRevoked = new("token-revoked", "This token was taken back.", false);

    /// <summary>A ticket is good for one connection, and this one was used.</summary>
    public static readonly ErrorCode TokenReplayed = new("token-replayed", "This ticket was used before.", false);

    /// <summary>The token is valid, and its user is not known, or is disabled.</summary>
    public static readonly ErrorCode UnknownUser = new("unknown-user", "This user is not known here.", false);

    /// <summary>The client may not do this.</summary>
    public static readonly ErrorCode Forbidden = new("forbidden", "This is not open to you.", false);

    /// <summary>No area has such a channel.</summary>
    public static readonly ErrorCode UnknownChannel = new("unknown-channel", "There is no such channel.", false);

    /// <summary>The server knows no such event.</summary>
    public static readonly ErrorCode UnknownEvent = new("unknown-event", "There is no such event.", false);

    /// <summary>An argument is missing or has the wrong form.</summary>
    public static readonly ErrorCode InvalidPayload = new("invalid-payload", "The arguments are not as they should be.", false);

    /// <summary>A request is larger than it may be.</summary>
    public static readonly ErrorCode PayloadTooLarge = new("payload-too-large", "This is more than one request may hold.", false);

    /// <summary>The client asked for more than its share.</summary>
    public static readonly ErrorCode RateLimited = new("rate-limited", "This is more than your share. Try again later.", true);

    /// <summary>The address, or the user, is banned for a while.</summary>
    public static readonly ErrorCode Banned = new("banned", "This address is banned for a while.", false);

    /// <summary>There is no room for one more connection.</summary>
    public static readonly ErrorCode TooManyConnections = new("too-many-connections", "There is no room for one more connection.", true);

    /// <summary>The thing that a request names does not exist.</summary>
    public static readonly ErrorCode NotFound = new("not-found", "There is no such thing.", false);

    /// <summary>The request contradicts what is there already.</summary>
    public static readonly ErrorCode Conflict = new("conflict", "This contradicts what is there already.", false);

    /// <summary>The thing that a request names existed once.</summary>
    public static readonly ErrorCode Gone = new("gone", "This is not there any more.", false);

    /// <summary>Something the server needs is out of reach for the moment.</summary>
    public static readonly ErrorCode Unavailable = new("unavailable", "The server cannot answer this right now.", true);

    /// <summary>The client read so slowly that what waited for it had to be dropped.</summary>
    public static readonly ErrorCode SlowConsumer = new("slow-consumer", "You read too slowly. Connect again and catch up.", true);

    /// <summary>The server is about to stop; another one, or the same, takes over.</summary>
    public static readonly ErrorCode ServerClosing = new("server-closing", "The server is about to stop. Connect again in a moment.", true);

    /// <summary>Whole seconds, rounded up: who waits that long has waited long enough.</summary>
    internal static long SecondsOf(TimeSpan wait) => Math.Max(1, (long)Math.Ceiling(wait.TotalSeconds));
}
