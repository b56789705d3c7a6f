using Dapper;

namespace Carillon.Storage;

/// <summary>Tries whether the database can be written. However often it is asked, it writes once a second at most.</summary>
internal sealed class WriteProbe(Database db, TimeProvider clock)
{
    static readonly TimeSpan AtMostEvery = TimeSpan.FromSeconds(1);
    static readonly TimeSpan Timeout = TimeSpan.FromSeconds(1);

    // Some pages: a single one often still fits into what the write-ahead log has on a full disk, and the next real write does not.
    const int Bytes = 16 * 1024;

    readonly Lock _gate = new();
    Task<string?>? _latest;
    long _beganAt;

    /// <summary>Why the database cannot be written; null where it can.</summary>
    public Task<string?> FindFaultAsync()
    {
        lock (_gate)
        {
            if (_latest is not null && (!_latest.IsCompleted || clock.GetElapsedTime(_beganAt) < AtMostEvery)) return _latest;
            _beganAt = clock.GetTimestamp();
            return _latest = TryAsync();
        }
    }

    async Task<string?> TryAsync()
    {
        try
        {
            await using var tx = await db.BeginUnmigratedAsync(null, WriterLane.Administrative, Timeout, CancellationToken.None);
            await tx.ExecuteAsync(
                "INSERT INTO carillon_write_probe (id, at, filler) VALUES (1, @at, randomblob(@Bytes)) ON CONFLICT (id) DO UPDATE SET at = "
                + "@at, filler = randomblob(@Bytes)",
                new { at = Iso.Of(clock.GetUtcNow()), Bytes });
            await tx.CommitAsync();
            return null;
        }
        catch (Exception ex)
        {
            return ex.Message;
        }
    }
}
