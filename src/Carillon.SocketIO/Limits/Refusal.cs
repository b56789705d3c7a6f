namespace Carillon.SocketIO.Limits;

/// <summary>Why somebody is not let in or not served right now: a code of the contract, and how long to wait before trying again.</summary>
sealed record Refusal(string Code, TimeSpan RetryAfter)
{
    public const string Banned = "banned";
    public const string RateLimited = "rate-limited";
    public const string TooManyConnections = "too-many-connections";
    public const string ServerClosing = "server-closing";
    public const string Unavailable = "unavailable";

    /// <summary>Whether trying again can help without anybody changing anything.</summary>
    public bool IsRetryable => Code != Banned;

    /// <summary>Whole seconds, rounded up: who waits that long has waited long enough.</summary>
    public long RetryAfterSeconds => SecondsOf(RetryAfter);

    public static long SecondsOf(TimeSpan wait) => Math.Max(1, (long)Math.Ceiling(wait.TotalSeconds));
}
