namespace Carillon.Features;

/// <summary>
/// The tasks of a server that stops. They run after new connections are refused and every client has been told, and before anybody is
/// disconnected: all at the same time, until the token is cancelled.
/// </summary>
internal sealed class ShutdownTasks
{
    readonly List<Func<CancellationToken, Task>> _all = [];

    public void Add(Func<CancellationToken, Task> task)
    {
        lock (_all) _all.Add(task);
    }

    public IReadOnlyList<Func<CancellationToken, Task>> All
    {
        get
        {
            lock (_all) return [.. _all];
        }
    }
}
