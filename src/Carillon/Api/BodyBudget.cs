namespace Carillon.Api;

/// <summary>
/// How many bytes the bodies of all requests may hold at once, counted before they are read. One caller gets a part of it: slow bodies of
/// one user do not close the API to the others.
/// </summary>
/// <param name="most">How many in all.</param>
/// <param name="mostOfOne">How many of one caller.</param>
sealed class BodyBudget(long most, long mostOfOne)
{
    readonly Lock _gate = new();
    readonly Dictionary<string, long> _byCaller = new(StringComparer.Ordinal);
    long _inHand;

    /// <summary>How many bytes are held.</summary>
    public long InHand => Volatile.Read(ref _inHand);

    /// <summary>Takes bytes for a caller; false: there are not as many.</summary>
    /// <param name="caller">Who it is.</param>
    /// <param name="bytes">How many.</param>
    /// <param name="isShared">Whether many people are behind the caller, as behind a back end: then it may have all that there is.</param>
    public bool TryTake(string caller, long bytes, bool isShared = false)
    {
        if (bytes == 0) return true;
        lock (_gate)
        {
            var ofCaller = _byCaller.GetValueOrDefault(caller) + bytes;
            if (_inHand + bytes > most || (ofCaller > mostOfOne && !isShared)) return false;
            _inHand += bytes;
            _byCaller[caller] = ofCaller;
            return true;
        }
    }

    public void GiveBack(string caller, long bytes)
    {
        if (bytes == 0) return;
        lock (_gate)
        {
            _inHand -= bytes;
            if ((_byCaller[caller] -= bytes) == 0) _byCaller.Remove(caller);
        }
    }
}
