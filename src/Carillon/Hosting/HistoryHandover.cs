using System.Data.Common;
using System.Text.Json;
using Carillon.Channels;
using Carillon.Channels.InProcess;
using Carillon.Hub;
using Carillon.Storage;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Carillon.Hosting;

/// <summary>
/// Keeps the windowed history over a restart that was planned: saved when all services have stopped, so after the last publication, and
/// taken back before the first starts. It is taken and
/// deleted in one transaction: after a crash there is none, and nobody is told "recovered" from a history that went on without being saved.
/// </summary>
internal sealed partial class HistoryHandover(
    Database db, StorageGate gate, IChannelLayer layer, AfterCommitPublisher afterCommit, Readiness readiness,
        IOptions<CarillonOptions> options, TimeProvider clock,
    IHostApplicationLifetime host, ILogger<HistoryHandover> logger) : IHostedLifecycleService, IDisposable
{
    // No restart takes longer. What is older comes with a backup that was restored, and the history has gone on since then.
    static readonly TimeSpan NotOlderThan = TimeSpan.FromMinutes(10);
    static readonly TimeSpan RetryEvery = TimeSpan.FromSeconds(1);

    // The process listens after this time, whatever the database does: who restarts processes that do not answer must not restart one that
    // waits for a lock.
    static readonly TimeSpan StartWithin = TimeSpan.FromSeconds(1);

    readonly ShutdownOptions _options = options.Value.Shutdown;
    readonly TimeSpan _saveWithin = ShutdownPhases.Of(options.Value.Shutdown).Saving;
    readonly CancellationTokenSource _stopping = new();
    Task _opening = Task.CompletedTask;
    IReadOnlyList<Row>? _taken;
    bool _isSaved;

    // No channel is called like this: the row of what channels without publications have.
    const string OfTheLayer = "";

    // How a message is written; its position follows from its place.
    sealed record Entry(string Event, string Id, DateTimeOffset At, Importance? Importance, string? Key, DateTimeOffset Until, byte[] Body);

    sealed record Row(string Channel, string Epoch, long LastOffset, byte[] Messages, long SavedAt);

    public async Task StartingAsync(CancellationToken cancellationToken)
    {
        _opening = OpenAsync(_stopping.Token);
        await Task.WhenAny(_opening, Task.Delay(StartWithin, clock, cancellationToken));
        if (_opening.IsCompleted)
        {
            await _opening;
            return;
        }
        LogWaiting(gate.WaitsFor);
        _opening = StopOnFaultAsync(_opening);
    }

    // What would have stopped the start stops the process when it shows later: a server that never opens helps nobody.
    async Task StopOnFaultAsync(Task opening)
    {
        try
        {
            await opening;
        }
        catch (Exception ex)
        {
            LogCannotOpen(ex);
            host.StopApplication();
        }
    }

    public async Task StoppingAsync(CancellationToken cancellationToken)
    {
        await _stopping.CancelAsync();
        await _opening.WaitAsync(_saveWithin, clock, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    async Task OpenAsync(CancellationToken ct)
    {
        var waited = false;
        while (!await TryTakeBackAsync(ct))
        {
            if (ct.IsCancellationRequested) return;
            if (!waited) LogWaiting(gate.WaitsFor);
            waited = true;
            await Task.Delay(RetryEvery, clock, ct).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
        _taken = null;
        gate.Open();
        if (waited) LogOpened();
    }

    // False: the database is not available, and what it holds must not be passed over.
    async Task<bool> TryTakeBackAsync(CancellationToken ct)
    {
        try
        {
            var kept = await TakeAsync(ct);
            if (kept is null || layer is not InProcessChannelLayer inProcess) return true;      // other layers keep it themselves
            inProcess.Import(kept);
            LogTaken(kept.Channels.Count);
        }
        catch (JsonException ex)
        {
            LogUnreadable(ex);       // it is deleted already
        }
        catch (Exception ex) when (ex is DbException or IOException)
        {
            gate.WaitFor(ex.Message);
            return false;
        }
        catch (OperationCanceledException)
        {
            return false;
        }
        return true;
    }

    public async Task StoppedAsync(CancellationToken cancellationToken)
    {
        if (!gate.IsOpen || layer is not InProcessChannelLayer inProcess || Interlocked.Exchange(ref _isSaved, true)) return;
        // What the last request committed is published before: whoever recovers must not miss it.
        await afterCommit.FlushAsync(CancellationToken.None);
        var kept = inProcess.Export();
        // A stop is usually done much sooner than it may be: a large history takes what the other steps have left.
        var left = _options.Timeout - readiness.StoppingFor;
        using var time = new CancellationTokenSource(left > _saveWithin ? left : _saveWithin, clock);
        try
        {
            // SQLite waits on the thread that asks it. The host's token may have ended already, and this is short.
            await Task.Run(() => SaveAsync(kept, time.Token), CancellationToken.None).WaitAsync(time.Token);
            LogSaved(kept.Channels.Count);
        }
        catch (Exception ex) when (ex is DbException or IOException or OperationCanceledException)
        {
            LogNotSaved(ex);
        }
    }

    public void Dispose() => _stopping.Dispose();

    async Task SaveAsync(LayerSnapshot kept, CancellationToken ct)
    {
        var now = clock.GetUtcNow().ToUnixTimeMilliseconds();
        await using var tx = await db.BeginAsync(null, ct);
        await tx.ExecuteAsync("DELETE FROM carillon_kept_history", ct: ct);
        await tx.ExecuteAsync("""
            INSERT INTO carillon_kept_history (channel, epoch, last_offset, messages, saved_at)
            VALUES (@Channel, @Epoch, @LastOffset, @Messages, @SavedAt)
            """, kept.Channels.Select(channel => new Row(channel.Channel, channel.Epoch, channel.Offset, Write(channel.Publications), now))
            .Append(new Row(OfTheLayer, kept.Origin.Start, 0, JsonSerializer.SerializeToUtf8Bytes(kept.Origin.Generations), now)), ct);
        await tx.CommitAsync(ct);
    }

    async Task<LayerSnapshot?> TakeAsync(CancellationToken ct)
    {
        // Where the step after it fails, the rows are gone from the database, and are still here when it is tried again.
        var rows = _taken ??= await TakeRowsAsync(ct);
        if (rows.Count == 0) return null;
        await MakeDurableAsync(ct);
        var oldest = (clock.GetUtcNow() - NotOlderThan).ToUnixTimeMilliseconds();
        if (rows.FirstOrDefault(row => row.Channel == OfTheLayer) is not { } layer || layer.SavedAt < oldest) return null;
        var generations = JsonSerializer.Deserialize<int[]>(layer.Messages) ?? [];
        return new LayerSnapshot(new SnapshotOrigin(layer.Epoch, generations), [.. rows.Where(row => row != layer).Select(Read)]);
    }

    async Task<IReadOnlyList<Row>> TakeRowsAsync(CancellationToken ct)
    {
        await using var tx = await db.BeginAsync(null, ct);
        var rows = await tx.QueryAsync<Row>(
            "SELECT channel, epoch, last_offset AS LastOffset, messages, saved_at AS SavedAt FROM carillon_kept_history", ct: ct);
        if (rows.Count == 0) return rows;
        await tx.ExecuteAsync("DELETE FROM carillon_kept_history", ct: ct);
        await tx.CommitAsync(ct);
        return rows;
    }

    // A commit outlives the process; only with this it outlives the machine too, and what was taken must not come back.
    async Task MakeDurableAsync(CancellationToken ct)
    {
        await using var connection = await db.OpenOwnAsync(ct);
        await using var command = connection.CreateCommand();
        command.CommandText = "PRAGMA wal_checkpoint(PASSIVE)";
        await command.ExecuteNonQueryAsync(ct);
    }

    static byte[] Write(IEnumerable<PublicationSnapshot> messages) => JsonSerializer.SerializeToUtf8Bytes(messages.Select(kept => new Entry(
        kept.Publication.Event, kept.Publication.Id, kept.Publication.At, kept.Publication.Importance, kept.Publication.Key, kept.Until,
            kept.Publication.Body.ToArray())));

    static ChannelSnapshot Read(Row row)
    {
        var entries = JsonSerializer.Deserialize<Entry[]>(row.Messages) ?? [];
        var offset = row.LastOffset - entries.Length;
        return new(row.Channel, row.Epoch, row.LastOffset, [.. entries.Select(entry => new PublicationSnapshot(
            new Publication(row.Channel, entry.Event, new Position(row.Epoch, ++offset), entry.Id, entry.At,
                entry.Body) { Importance = entry.Importance, Key = entry.Key },
            entry.Until))]);
    }

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
