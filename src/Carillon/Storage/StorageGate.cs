namespace Carillon.Storage;

/// <summary>
/// Closed from the start until the database was opened, and what has to be read from it before the first client was read. While it is
/// closed the process listens and answers
/// <c>/health/live</c>, and everybody else is answered with <c>unavailable</c>.
/// </summary>
internal sealed class StorageGate
{
    volatile bool _isOpen;
    volatile string _waitsFor = "The database is being opened.";

    /// <summary>Whether clients are served.</summary>
    public bool IsOpen => _isOpen;

    /// <summary>The reason for which the server waits, as a sentence.</summary>
    public string WaitsFor => _waitsFor;

    public void WaitFor(string what) => _waitsFor = what;

    public void Open() => _isOpen = true;
}
