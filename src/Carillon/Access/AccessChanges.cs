namespace Carillon.Access;

/// <summary>
/// What changed about rights: those of one user, or of one token. Where neither is named, time has passed, and nothing else.
/// </summary>
readonly record struct AccessChange(string? UserId, string? TokenId);

/// <summary>Tells that rights have changed, after it was committed. Whoever holds connections open looks at them anew.</summary>
sealed class AccessChanges
{
    long _generation;

    /// <summary>Grows with every change: what was decided before the latest one has to be decided again.</summary>
    public long Generation => Interlocked.Read(ref _generation);

    /// <summary>Raised for each change. It must return at once.</summary>
    public event Action<AccessChange>? Changed;

    public void Raise(AccessChange change)
    {
        Interlocked.Increment(ref _generation);
        Changed?.Invoke(change);
    }
}
