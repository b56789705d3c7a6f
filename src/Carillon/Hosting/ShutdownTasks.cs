namespace Carillon.Hosting;

/// <summary>
/// What others do when the server stops: newcomers are refused already, every client knows, and nobody is disconnected yet. They run at the same time, and not for longer than the token
/// says.
/// </summary>
internal sealed class ShutdownTasks
{
    readonly List<Func<CancellationToken, Task>> _all = [];

    public void Add(Func<CancellationToken, Task> goodbye)
    {
        lock (_all) _all.Add(goodbye);
    }

    public IReadOnlyList<Func<CancellationToken, Task>> All
    {
        get
        {
            lock (_all) return [.. _all];
        }
    }
}
