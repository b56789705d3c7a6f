namespace Carillon.Hub;

/// <summary>A lock that is held across an <c>await</c>. Those that wait get it in the order in which they asked.</summary>
#pragma warning disable CA1001 // The semaphore holds nothing to dispose of: nobody asks for its wait handle.
sealed class AsyncLock
#pragma warning restore CA1001
{
    readonly SemaphoreSlim _free = new(1, 1);

    /// <summary>Waits for the lock; disposing the result releases it.</summary>
    public async ValueTask<Holder> TakeAsync(CancellationToken ct = default)
    {
        await _free.WaitAsync(ct);
        return new Holder(_free);
    }

    internal readonly struct Holder(SemaphoreSlim free) : IDisposable
    {
        public void Dispose() => free.Release();
    }
}
