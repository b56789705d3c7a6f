using System.Runtime.InteropServices;
using Carillon.Storage;
using Dapper;

namespace Carillon.Tests.Storage;

/// <summary>A disk that is full for one connection: what it writes to the write-ahead log fails with ENOSPC, at the COMMIT and not before.</summary>
static class FullDisk
{
    /// <summary>Lets the next transaction of a database fail, and only that one: its connection does not come back.</summary>
    public static async Task ForNextTransactionAsync(Database db)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "/dev/full and /proc are of Linux.");
        // Nothing is in the log that the connection would have to read.
        await using (var own = await db.OpenOwnAsync(default)) await own.ExecuteAsync("PRAGMA wal_checkpoint(TRUNCATE)");
        db.ClearPools();
        var others = LogsOf(db);
        await using var tx = await db.BeginAsync(null, default);
        var full = Open("/dev/full", 2 /* O_RDWR */);
        Assert.True(full >= 0);
        foreach (var file in LogsOf(db).Except(others).ToArray()) Assert.Equal(file, Dup2(full, file));
        Assert.Equal(0, Close(full));
    }

    static HashSet<int> LogsOf(Database db) =>
        [.. Directory.EnumerateFileSystemEntries("/proc/self/fd").Where(link => new FileInfo(link).LinkTarget == db.Path + "-wal").Select(link => int.Parse(Path.GetFileName(link)))];

    [DllImport("libc", EntryPoint = "open", CharSet = CharSet.Ansi)]
    static extern int Open([MarshalAs(UnmanagedType.LPUTF8Str)] string path, int flags);

    [DllImport("libc", EntryPoint = "dup2")]
    static extern int Dup2(int from, int to);

    [DllImport("libc", EntryPoint = "close")]
    static extern int Close(int file);
}
