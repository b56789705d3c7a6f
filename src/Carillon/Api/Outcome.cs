namespace Carillon.Api;

/// <summary>What a handler returns, whichever door the request came through: a result, or a refusal.</summary>
readonly record struct Outcome<T>(T? Value, Refusal? Refusal)
{
    public static implicit operator Outcome<T>(T value) => new(value, null);

    public static implicit operator Outcome<T>(Refusal refusal) => new(default, refusal);

    public static implicit operator Outcome<T>(ErrorCode error) => new(default, new Refusal(error));
}

/// <summary>Why a request is not served.</summary>
/// <param name="Error">The code.</param>
/// <param name="Detail">A sentence about this case, for HTTP; the message of the code where it is left out.</param>
/// <param name="RetryAfter">When the same request may succeed.</param>
sealed record Refusal(ErrorCode Error, string? Detail = null, TimeSpan? RetryAfter = null)
{
    /// <summary>Whether the audit log notes it when it answers an event.</summary>
    public bool IsAudited { get; init; } = true;
}
