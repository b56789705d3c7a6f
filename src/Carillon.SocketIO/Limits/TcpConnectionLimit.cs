using System.Globalization;

namespace Carillon.SocketIO.Limits;

/// <summary>
/// How many TCP connections the process holds at once, over all its addresses and whatever they carry. Each takes a file, and a process
/// without files cannot open its database, write its log or load its own code: newcomers are refused before that.
/// </summary>
sealed class TcpConnectionLimit(int? configured)
{
    // Files that a server opens after it has begun to listen: the readers of a database, log files, connections to key sets, libraries that
    // are loaded late. Measured: about 40.
    const int Room = 128;

    int _open;

    /// <summary>How many connections may be open; zero is no limit.</summary>
    public int Limit { get; } = configured ?? Derive(FileLimit(), OpenFiles());

    /// <summary>Takes a place for a connection.</summary>
    public bool TryTake()
    {
        if (Interlocked.Increment(ref _open) <= Limit || Limit == 0) return true;
        Interlocked.Decrement(ref _open);
        return false;
    }

    /// <summary>Gives it back.</summary>
    public void Release() => Interlocked.Decrement(ref _open);

    /// <summary>
    /// How many connections fit a limit of files: all that are not open yet, less what the process itself needs; half of it where that is
    /// more.
    /// </summary>
    /// <param name="files">How many files the process may have open; null where it is not known or there is no limit.</param>
    /// <param name="open">How many it has open already.</param>
    internal static int Derive(int? files, int open)
    {
        if (files is not { } most) return 0;
        var free = Math.Max(most - open, 2);
        return Math.Max(1, Math.Max(free - Room, free / 2));
    }

    /// <summary>
    /// How many connections one address may have: half of all, so that one address leaves room for others, and twice what it may have of
    /// clients.
    /// </summary>
    internal static int DerivePerAddress(int limit, LimitOptions options)
    {
        if (options.TcpConnectionsPerAddress is { } configured) return configured;
        var ofClients = 2 * options.ConnectionsPerAddress;       // a client of long-polling has two
        return limit == 0 ? ofClients : ofClients == 0 ? Math.Max(1, limit / 2) : Math.Min(ofClients, Math.Max(1, limit / 2));
    }

    // Linux says so in /proc. The runtime has raised the soft limit to the hard one by then.
    static int? FileLimit()
    {
        const string line = "Max open files", path = "/proc/self/limits";
        try
        {
            if (!File.Exists(path) || File.ReadLines(path).FirstOrDefault(text =>
                text.StartsWith(line, StringComparison.Ordinal)) is not { } limits) return null;
            var soft = limits[line.Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries)[0];
            return int.TryParse(soft, CultureInfo.InvariantCulture, out var files) ? files : null;      // or "unlimited"
        }
        catch (Exception ex) when (ex is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    static int OpenFiles()
    {
        try
        {
            return Directory.Exists("/proc/self/fd") ? Directory.GetFileSystemEntries("/proc/self/fd").Length : 0;
        }
        catch (Exception ex) when (ex is IOException or UnauthorizedAccessException)
        {
            return 0;
        }
    }
}
