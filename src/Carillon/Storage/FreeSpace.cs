using System.Diagnostics.Metrics;
using System.Runtime.CompilerServices;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Carillon.Storage;

/// <summary>
/// Watches the free space on the disk of the database. While it is short, optional writes stop, so that the others go on for longer.
/// </summary>
internal sealed partial class FreeSpace : BackgroundService
{
    static readonly TimeSpan CheckEvery = TimeSpan.FromSeconds(1);

    // One meter for all disks of the process: with one for each, two servers would export the same series twice.
    static readonly Meter Meter = new("Carillon");
    static readonly ConditionalWeakTable<FreeSpace, object?> Watched = [];

    readonly Database _db;
    readonly TimeProvider _clock;
    readonly ILogger _logger;
    readonly long _least;
    long _bytes = long.MaxValue;
    volatile bool _isShort;

    static FreeSpace()
    {
        Meter.CreateObservableGauge("carillon.storage.free", static () => Fullest(static disk => Interlocked.Read(ref disk._bytes)),
            "By", "Free bytes on the disk of the database");
        Meter.CreateObservableGauge("carillon.storage.short", static () => Fullest(static disk => disk._isShort ? 1 : 0),
            "{disk}", "Whether optional writes stop because the disk is short of space");
    }

    /// <param name="db">The database.</param>
    /// <param name="least">The free bytes below which space is short; zero: it never is.</param>
    /// <param name="clock">The clock.</param>
    /// <param name="logger">Where a change is logged.</param>
    public FreeSpace(Database db, long least, TimeProvider clock, ILogger<FreeSpace> logger)
    {
        (_db, _least, _clock, _logger) = (db, least, clock, logger);
        Watched.Add(this, null);
    }

    /// <summary>Whether optional writes stop.</summary>
    public bool IsShort => _isShort;

    /// <summary>The state in words; null while there is enough.</summary>
    public string? Warning => _isShort
        ? $"The disk has {Interlocked.Read(ref _bytes) >> 20} MiB left, less than the {_least >> 20} MiB of MinFreeSpace. Audit entries of "
            + "allowed acts and answers to idempotent writes are not stored."
        : null;

    /// <summary>Short below the threshold, and until there is a quarter more than it: not on and off at the line.</summary>
    internal static bool Decide(long free, long least, bool wasShort) => least > 0 && free < (wasShort ? least + (least / 4) : least);

    /// <summary>Reads how much is free.</summary>
    internal void Check()
    {
        try
        {
            Interlocked.Exchange(ref _bytes, new DriveInfo(_db.Path).AvailableFreeSpace);
        }
        catch (Exception ex) when (ex is IOException or UnauthorizedAccessException or ArgumentException)
        {
            return;     // the file or its folder is not there just now; what was known stands
        }
        var isShort = Decide(_bytes, _least, _isShort);
        if (isShort == _isShort) return;
        _isShort = isShort;
        if (isShort) LogShort(_bytes >> 20, _least >> 20);
        else LogEnough(_bytes >> 20);
    }

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stopping)
    {
        using var timer = new PeriodicTimer(CheckEvery, _clock);
        try
        {
            do Check();
            while (await timer.WaitForNextTickAsync(stopping));
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            // The server stops.
        }
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        Watched.Remove(this);
        base.Dispose();
    }

    static IEnumerable<Measurement<long>> Fullest(Func<FreeSpace, long> read) =>
        Watched.Select(disk => disk.Key).MinBy(disk => Interlocked.Read(ref disk._bytes)) is { } fullest ? [new(read(fullest))] : [];

    [LoggerMessage(EventId = 1, Level = LogLevel.Warning,
        Message = "The disk of the database has {Free} MiB left, less than {Least} MiB: audit entries of allowed acts and answers to "
        + "idempotent writes are not stored until there is room")]
    partial void LogShort(long free, long least);

    [LoggerMessage(EventId = 2, Level = LogLevel.Information,
        Message = "The disk of the database has {Free} MiB left: optional writes go on")]
    partial void LogEnough(long free);
}
