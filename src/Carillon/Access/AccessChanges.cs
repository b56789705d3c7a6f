namespace Carillon.Access;

/// <summary>
/// A change of permissions: of one user, or of one token. If neither is named, only time has passed.
/// </summary>
readonly record struct AccessChange(string? UserId, string? TokenId);

/// <summary>Raised after a committed change of permissions. Open connections are then re-evaluated.</summary>
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
