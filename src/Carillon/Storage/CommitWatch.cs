namespace Carillon.Storage;

/// <summary>Notes whether something was committed in the course of an asynchronous call, however that call ended.</summary>
internal sealed class CommitWatch : IDisposable
{
    static readonly AsyncLocal<CommitWatch?> Current = new();

    volatile bool _hasCommitted;

    /// <summary>Watches what the caller calls from now on, until it is disposed.</summary>
    public CommitWatch() => Current.Value = this;

    /// <summary>Whether something was committed.</summary>
    public bool HasCommitted => _hasCommitted;

    internal static void Note()
    {
        if (Current.Value is { } watch) watch._hasCommitted = true;
    }

    public void Dispose() => Current.Value = null;
}
