using System.Net;
using System.Text.Json.Serialization;
using System.Threading.Channels;
using Carillon.Storage;
using Dapper;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Carillon.Audit;

/// <summary>One line of the audit log: who did what, from where, and how it ended. It never holds a token, a key or a payload.</summary>
sealed record AuditEntry(
    DateTimeOffset At, string? Actor, string Action, string? Subject, IPAddress? From, string Outcome, string? Code = null)
{
    public const string Allowed = "allowed", Refused = "refused";

    /// <summary>Shortens a text of a client for the log.</summary>
    public static string? Short(string? text) => text is { Length: > 200 } ? text[..200] : text;
}

/// <summary>An entry as it is read, by API and on the channel <c>audit</c>.</summary>
[method: ExplicitConstructor]
sealed record AuditItem(
    [property: JsonIgnore] long Id, string At, string? Actor, string Action, string? Subject, string? From, string Outcome,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Code)
{
    public const string Select =
        "SELECT id AS Id, at AS At, actor AS Actor, action AS Action, subject AS Subject, source AS \"From\", outcome AS Outcome, code AS "
        + "Code FROM carillon_audit";
}

/// <summary>How long entries are kept, and how many.</summary>
sealed record AuditRetention(TimeSpan MaxAge, long MaxEntries);

/// <summary>
/// The audit log. What many clients do is noted without waiting and written in batches; what administrators do is written in the
/// transaction of the act itself. Whatever was
/// written is published, in its order, by reading the log.
/// </summary>
sealed partial class AuditLog(
    Database db, AuditRetention retention, FreeSpace space, TimeProvider clock, ILogger<AuditLog> logger) : BackgroundService
{
    const int Most = 20_000;              // entries that wait: some megabytes, a second or two of the worst storm
    const int Batch = 500;

    static readonly TimeSpan PruneEvery = TimeSpan.FromHours(1);
    static readonly TimeSpan AgainAfter = TimeSpan.FromSeconds(1);
    const int WrittenBetweenPrunes = 10_000;

    // A screen subscribes to its channels at once; a person who is refused reads the first answers at most.
    const int ActsAtOnce = 300, RefusalsAtOnce = 60;

    readonly Channel<AuditEntry> _waiting = Channel.CreateBounded<AuditEntry>(new BoundedChannelOptions(Most) { SingleReader = true });
    readonly SemaphoreSlim _look = new(0, 1);
    readonly SemaphoreSlim _writing = new(1, 1);
    readonly SemaphoreSlim _pruning = new(1, 1);
    readonly List<AuditEntry> _batch = [];
    readonly RefusalThrottle _acts = new(clock, ActsAtOnce);
    readonly RefusalThrottle _refusals = new(clock, RefusalsAtOnce);
    long _lost;
    long? _told;
    int _writtenSincePruned;
    bool _isFailing;
    bool _isUnpublished;

    /// <summary>Raised for each entry after it was written, in the order of the log.</summary>
    public Func<AuditItem, CancellationToken, ValueTask>? Written { get; set; }

    /// <summary>
    /// Notes an entry. It never waits; what there is no room for is counted, and the log says how many entries it misses.
    /// </summary>
    public void Note(string? actor, string action, string? subject, IPAddress? from, string outcome, string? code = null)
    {
        if (!_waiting.Writer.TryWrite(
            new AuditEntry(clock.GetUtcNow(), AuditEntry.Short(actor), action, AuditEntry.Short(subject), from, outcome, code)))
            Interlocked.Increment(ref _lost);
        Look();
    }

    /// <summary>
    /// Notes an allowed act that a caller can repeat at will. Of one caller the first are written one by one, those beyond are counted in
    /// one entry; while the disk is short of space none is
    /// written, and the log says how many it misses.
    /// </summary>
    public void NoteAct(string? actor, string action, string? subject, IPAddress? from, string? code = null)
    {
        if (space.IsShort) Interlocked.Increment(ref _lost);
        else if (_acts.Count(actor, from, out var isFirst)) Note(actor, action, subject, from, AuditEntry.Allowed, code);
        else if (isFirst) Look();
    }

    /// <summary>
    /// Notes that somebody was refused. Of one person, and of one address where nobody knows the person, so many are written one by one;
    /// what is beyond is counted, and written as one entry,
    /// so that a client that is not let in can neither drown the log nor fill the disk.
    /// </summary>
    public void NoteRefusal(string? actor, string action, string? subject, IPAddress? from, string code)
    {
        if (_refusals.Count(actor, from, out var isFirst)) Note(actor, action, subject, from, AuditEntry.Refused, code);
        else if (isFirst) Look();        // there is something to be written in a while
    }

    /// <summary>Writes an entry in the transaction of its act; it is published after the commit.</summary>
    public Task WriteAsync(DatabaseTransaction tx, AuditEntry entry, CancellationToken ct)
    {
        tx.WhenCommitted(Look);
        return WriteAsync(tx, [entry], ct);
    }

    static async Task WriteAsync(DatabaseTransaction tx, IReadOnlyList<AuditEntry> entries, CancellationToken ct) =>
        await tx.ExecuteAsync("""
            INSERT INTO carillon_audit (at, actor, action, subject, source, outcome, code)
            VALUES (@At, @Actor, @Action, @Subject, @Source, @Outcome, @Code)
            """,
            entries.Select(e =>
                new { At = Iso.Of(e.At), e.Actor, e.Action, e.Subject, Source = e.From?.ToString(), e.Outcome, e.Code }).ToArray(), ct);

    void Look()
    {
        if (_look.CurrentCount > 0) return;
        try
        {
            _look.Release();
        }
        catch (SemaphoreFullException)
        {
            // Somebody else was quicker to say it.
        }
    }

    /// <summary>Writes all queued entries, and publishes them.</summary>
    public async Task FlushAsync(CancellationToken ct)
    {
        await _writing.WaitAsync(ct);
        try
        {
            // Entries from before this process were published already.
            var told = _told ??= await FirstToTellAsync(ct);
            await WriteWaitingAsync(ct);
            await TellAsync(told, ct);
        }
        finally
        {
            _writing.Release();
        }
    }

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stopping)
    {
        long? pruned = null;
        while (!stopping.IsCancellationRequested)
        {
            try
            {
                await FlushAsync(stopping);
                if (_isFailing) LogWritten();
                _isFailing = false;
                if (pruned is not { } last || clock.GetElapsedTime(last) >= PruneEvery || _writtenSincePruned >= WrittenBetweenPrunes)
                {
                    await PruneAsync(stopping);
                    (pruned, _writtenSincePruned) = (clock.GetTimestamp(), 0);
                }
                await _look.WaitAsync(_isUnpublished ? AgainAfter : _refusals.HasFolded
                    || _acts.HasFolded ? RefusalThrottle.For : PruneEvery, stopping);
            }
            catch (OperationCanceledException) when (stopping.IsCancellationRequested)
            {
                break;
            }
            catch (Exception ex)
            {
                // Queued entries stay, up to the limit; the file may be busy, or back in a moment. Logged once, not every second.
                if (!_isFailing) LogFailed(ex);
                _isFailing = true;
                await Task.Delay(AgainAfter, clock, stopping).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
        // Published as well: clients that recover after the restart must not miss them.
        _refusals.EndAll();
        _acts.EndAll();
        try
        {
            await FlushAsync(CancellationToken.None);
        }
        catch (Exception ex)
        {
            LogFailed(ex);
        }
    }

    // Under the lock, as what follows.
    async Task WriteWaitingAsync(CancellationToken ct)
    {
        while (true)
        {
            // Entries that could not be written stay, and are retried before later ones.
            while (_batch.Count < Batch && _waiting.Reader.TryRead(out var entry)) _batch.Add(entry);
            AddFolded(_refusals, "refusals:more", AuditEntry.Refused);
            AddFolded(_acts, "acts:more", AuditEntry.Allowed);
            if (!space.IsShort && _batch.Count < Batch && Interlocked.Exchange(ref _lost, 0) is > 0 and var lost)
                _batch.Add(new AuditEntry(clock.GetUtcNow(), null, "audit:lost", $"{lost} entries", null, AuditEntry.Refused));
            if (_batch.Count == 0) return;
            await using var tx = await db.BeginAsync(null, ct);
            await WriteAsync(tx, _batch, ct);
            await tx.CommitAsync(ct);
            _writtenSincePruned += _batch.Count;
            _batch.Clear();
        }

        void AddFolded(RefusalThrottle throttle, string action, string outcome)
        {
            foreach (var (actor, from, count) in throttle.TakeFolded(Batch - _batch.Count))
                _batch.Add(new AuditEntry(clock.GetUtcNow(), actor, action, $"{count} more", from, outcome));
        }
    }

    async Task TellAsync(long told, CancellationToken ct)
    {
        while (true)
        {
            var items = await db.QueryAsync<AuditItem>(AuditItem.Select + " WHERE id > @told ORDER BY id LIMIT 500", new { told }, ct);
            foreach (var item in items)
            {
                if (!await TryPublishAsync(item, ct)) return;
                _told = told = item.Id;
            }
            if (items.Count < 500) return;
        }
    }

    // An entry that cannot be published is written all the same: it is published later, and the log is pruned meanwhile.
    async Task<bool> TryPublishAsync(AuditItem item, CancellationToken ct)
    {
        try
        {
            if (Written is { } publish) await publish(item, ct);
            _isUnpublished = false;
        }
        catch (Exception ex) when (!ct.IsCancellationRequested)
        {
            if (!_isUnpublished) LogNotPublished(ex);
            _isUnpublished = true;
        }
        return !_isUnpublished;
    }

    Task<long> FirstToTellAsync(CancellationToken ct) =>
        db.QuerySingleOrDefaultAsync<long>("SELECT COALESCE(MAX(id), 0) FROM carillon_audit", ct: ct);

    // Deletes a few at a time, by an index: the writers' queue is not ours alone.
    const int PrunedAtOnce = 2000;
    internal const string DeleteOld =
        "DELETE FROM carillon_audit WHERE id IN (SELECT id FROM carillon_audit WHERE at < @before LIMIT @most)";

    // The condition of the index carillon_audit_repeatable, word for word: what clients can repeat at will. The decisions of administrators
    // outlive it, so that a flood cannot push them out.
    internal const string DeleteRepeatable = """
        DELETE FROM carillon_audit WHERE id IN (SELECT id FROM carillon_audit
            WHERE (outcome = 'refused'
                OR action IN ('connect', 'disconnect', 'connection:ended', 'subscribe', 'unsubscribed', 'token:refresh', 'ticket:given', 'publish', 'acts:more'))
            ORDER BY id LIMIT @most)
        """;

    internal const string DeleteFirst = "DELETE FROM carillon_audit WHERE id IN (SELECT id FROM carillon_audit ORDER BY id LIMIT @most)";

    internal async Task PruneAsync(CancellationToken ct)
    {
        await _pruning.WaitAsync(ct);
        try
        {
            await PruneInTurnAsync(ct);
        }
        finally
        {
            _pruning.Release();
        }
    }

    async Task PruneInTurnAsync(CancellationToken ct)
    {
        var before = clock.GetUtcNow() - DateTimeOffset.UnixEpoch > retention.MaxAge
            ? Iso.Of(clock.GetUtcNow() - retention.MaxAge) : Iso.Of(DateTimeOffset.UnixEpoch);
        while (await DeleteAsync(DeleteOld, before, PrunedAtOnce, ct) == PrunedAtOnce)
        {
        }
        // Counted without the write lock.
        var excess = await db.QuerySingleOrDefaultAsync<long>("SELECT count(*) FROM carillon_audit", ct: ct) - retention.MaxEntries;
        var statement = DeleteRepeatable;
        while (excess > 0)
        {
            var most = (int)Math.Min(excess, PrunedAtOnce);
            var deleted = await DeleteAsync(statement, before, most, ct);
            if (deleted < most && statement == DeleteFirst) return;
            if (deleted < most) statement = DeleteFirst;
            excess -= deleted;
        }
    }

    async Task<int> DeleteAsync(string statement, string before, int most, CancellationToken ct)
    {
        await using var tx = await db.BeginAsync(null, ct);
        var deleted = await tx.ExecuteAsync(statement, new { before, most }, ct);
        await tx.CommitAsync(ct);
        return deleted;
    }

    [LoggerMessage(EventId = 1, Level = LogLevel.Error, Message = "The audit log cannot be written; entries wait or are counted as lost")]
    partial void LogFailed(Exception error);

    [LoggerMessage(EventId = 2, Level = LogLevel.Information, Message = "The audit log is written again")]
    partial void LogWritten();

    [LoggerMessage(EventId = 3, Level = LogLevel.Warning,
        Message = "Entries of the audit log cannot be published to its channel; they are written, and are published later")]
    partial void LogNotPublished(Exception error);
}
