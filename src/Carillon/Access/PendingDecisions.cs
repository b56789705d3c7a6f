using System.Collections.Concurrent;
using Carillon.Access.Tokens;
using Carillon.Storage;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Carillon.Access;

/// <summary>
/// A decision after which something may not go on: a token or all tokens of a user are revoked, a user is disabled or deleted, or an API
/// key is deleted. Exactly one of the ids is set.
/// </summary>
sealed class AccessDecision
{
    // The object itself, its closure and its entries in the tables.
    const int BaseBytes = 2048;

    /// <summary>Its user.</summary>
    public string? UserId { get; init; }

    /// <summary>Its token (<c>jti</c>).</summary>
    public string? TokenId { get; init; }

    /// <summary>Its API key.</summary>
    public string? KeyId { get; init; }

    /// <summary>The moment up to which tokens of the user are revoked; null where the user is disabled or deleted.</summary>
    public DateTimeOffset? RevokedBefore { get; init; }

    /// <summary>How many characters it holds until it is stored.</summary>
    public int Characters { get; init; }

    /// <summary>Stores it. False: there is nothing that it applies to.</summary>
    public required Func<DatabaseTransaction, CancellationToken, Task<bool>> StoreAsync { get; init; }

    /// <summary>The outcome of the first attempt to store it.</summary>
    public TaskCompletionSource<bool> FirstAttempt { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Whether the first attempt failed because of the disk.</summary>
    public bool WasDelayed { get; set; }

    public long Bytes => BaseBytes + (2L * Characters);

    public (DecisionSubject Kind, string Id) Subject =>
        TokenId is { } token ? (DecisionSubject.Token, token) : KeyId is { } key
            ? (DecisionSubject.Key, key) : (DecisionSubject.User, UserId!);

    /// <summary>Whether it disables or deletes its user.</summary>
    public bool BarsUser => UserId is not null && RevokedBefore is null;

    /// <summary>Why a token is refused while the decision waits to be stored; null where it is not.</summary>
    public ErrorCode? Refuses(Token token) =>
        KeyId is not null ? null :
        TokenId is not null ? (TokenId == token.Id ? ErrorCode.TokenRevoked : null) :
        UserId != token.Subject ? null :
        RevokedBefore is not { } before ? ErrorCode.UnknownUser :
        token.IssuedAt >= before ? null : ErrorCode.TokenRevoked;
}

/// <summary>The state of a decision when its caller is answered.</summary>
enum DecisionOutcome
{
    /// <summary>It is stored and in force.</summary>
    Stored,

    /// <summary>There is nothing that it applies to.</summary>
    NotFound,

    /// <summary>It is in force in this process, and not stored yet. A crash before that loses it.</summary>
    Pending,

    /// <summary>Too many decisions wait to be stored. It is not in force.</summary>
    Rejected,
}

enum DecisionSubject
{
    User,
    Token,
    Key,
}

/// <summary>
/// Decisions that end access apply at once, from memory, whatever the state of the disk. One loop stores them in their order; what cannot
/// be stored stays in force in this process, and
/// is stored as soon as the database can be written.
/// </summary>
sealed partial class PendingDecisions(
    Database db, AccessChanges accessChanges, TimeProvider clock, ILogger<PendingDecisions> logger) : BackgroundService
{
    // Some thousand decisions. Beyond it a decision is refused, and the answer says that it is not in force.
    internal const long MostBytes = 16 << 20;

    public static readonly TimeSpan RetryEvery = TimeSpan.FromSeconds(1);

    // A caller is answered within this time, even where another program holds the lock for longer.
    static readonly TimeSpan AnswerWithin = TimeSpan.FromSeconds(1);

    readonly ConcurrentQueue<AccessDecision> _unstored = new();
    readonly SemaphoreSlim _wake = new(0);
    readonly Lock _gate = new();
    readonly Dictionary<(DecisionSubject Kind, string Id), List<AccessDecision>> _inForce = [];
    long _bytes;
    volatile int _count;

    /// <summary>How many decisions are in force and not stored.</summary>
    public int Count => _count;

    /// <summary>Why a token is refused by a decision that is not stored yet; null where none concerns it.</summary>
    public ErrorCode? Refuses(Token token)
    {
        if (_count == 0) return null;
        lock (_gate)
            return (token.Id is { } id ? In((DecisionSubject.Token, id)) : []).Concat(In((DecisionSubject.User, token.Subject)))
                .Select(decision => decision.Refuses(token)).FirstOrDefault(error => error is not null);
    }

    /// <summary>Whether a user is disabled or deleted by a decision that is not stored yet.</summary>
    public bool Bars(string userId)
    {
        if (_count == 0) return false;
        lock (_gate) return In((DecisionSubject.User, userId)).Any(decision => decision.BarsUser);
    }

    /// <summary>Whether an API key is deleted by a decision that is not stored yet.</summary>
    public bool DeletesKey(string keyId)
    {
        if (_count == 0) return false;
        lock (_gate) return _inForce.ContainsKey((DecisionSubject.Key, keyId));
    }

    /// <summary>Puts a decision into force. Returns once it is stored, or when it is clear that this has to wait.</summary>
    public async Task<DecisionOutcome> ApplyAsync(AccessDecision decision, CancellationToken ct)
    {
        if (!TryAdd(decision)) return DecisionOutcome.Rejected;
        _unstored.Enqueue(decision);
        _wake.Release();
        if (decision.KeyId is null) accessChanges.Raise(new AccessChange(decision.UserId, decision.TokenId));
        try
        {
            return await decision.FirstAttempt.Task.WaitAsync(AnswerWithin, clock, ct) ? DecisionOutcome.Stored : DecisionOutcome.NotFound;
        }
        catch (Exception) when (!ct.IsCancellationRequested)
        {
            return DecisionOutcome.Pending;
        }
    }

    /// <summary>A user is let in again: what waits to be stored against the user is void.</summary>
    public void Withdraw(string userId)
    {
        lock (_gate)
            foreach (var decision in In((DecisionSubject.User, userId)).Where(decision => decision.BarsUser).ToArray()) Remove(decision);
    }

    bool TryAdd(AccessDecision decision)
    {
        lock (_gate)
        {
            if (_bytes + decision.Bytes > MostBytes) return false;
            _bytes += decision.Bytes;
            _count++;
            if (_inForce.TryGetValue(decision.Subject, out var others)) others.Add(decision);
            else _inForce[decision.Subject] = [decision];
            return true;
        }
    }

    void Remove(AccessDecision decision)
    {
        lock (_gate)
        {
            if (!_inForce.TryGetValue(decision.Subject, out var those) || !those.Remove(decision)) return;
            if (those.Count == 0) _inForce.Remove(decision.Subject);
            _bytes -= decision.Bytes;
            _count--;
        }
    }

    bool IsInForce(AccessDecision decision)
    {
        lock (_gate) return In(decision.Subject).Contains(decision);
    }

    // The gate is held.
    List<AccessDecision> In((DecisionSubject Kind, string Id) subject) => _inForce.TryGetValue(subject, out var decisions) ? decisions : [];

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stopping)
    {
        var isWaiting = false;
        while (!stopping.IsCancellationRequested)
        {
            try
            {
                if (_unstored.IsEmpty
                    || isWaiting) await _wake.WaitAsync(_unstored.IsEmpty ? Timeout.InfiniteTimeSpan : RetryEvery, stopping);
                isWaiting = !await StoreAllAsync(stopping);
            }
            catch (Exception) when (stopping.IsCancellationRequested)
            {
                break;
            }
        }
        await StoreAllAsync(CancellationToken.None);
        if (_count > 0) LogLost(_count);
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        // The loop first, which still runs where the host could not start and stops nothing.
        base.Dispose();
        _wake.Dispose();
    }

    // False: the database cannot be written now.
    async Task<bool> StoreAllAsync(CancellationToken ct)
    {
        var waited = false;
        while (_unstored.TryPeek(out var decision))
        {
            try
            {
                var applied = await StoreAsync(decision, ct);
                decision.FirstAttempt.TrySetResult(applied);
                waited |= applied && decision.WasDelayed;
                Remove(decision);
            }
            catch (Exception ex) when (DatabaseUnavailableException.Is(ex))
            {
                if (decision.FirstAttempt.TrySetException(ex)) LogDelayed(ex.Message);
                decision.WasDelayed = true;
                AnswerThoseBehind(ex);
                return false;
            }
            catch (Exception ex) when (!ct.IsCancellationRequested)
            {
                // Trying again would not help, and those behind it must not wait for it. Its call is answered, perhaps with "in force": it
                // stays so until the process ends.
                LogCannotBeStored(ex, decision.Subject.Kind, decision.Subject.Id);
                decision.FirstAttempt.TrySetException(ex);
            }
            _unstored.TryDequeue(out _);
        }
        if (waited && _count == 0) LogStored();
        return true;
    }

    void AnswerThoseBehind(Exception ex)
    {
        foreach (var decision in _unstored)
        {
            decision.FirstAttempt.TrySetException(ex);
            decision.WasDelayed = true;
        }
    }

    async Task<bool> StoreAsync(AccessDecision decision, CancellationToken ct)
    {
        await using var tx = await db.BeginAsync(null, WriterLane.Administrative, ct);
        if (!IsInForce(decision)) return true;      // withdrawn, under the same lock
        if (!await decision.StoreAsync(tx, ct)) return false;
        await tx.CommitAsync(ct);
        return true;
    }

    [LoggerMessage(EventId = 1, Level = LogLevel.Error,
        Message = "A decision that ends access could not be stored. It is in force on this server, and is stored as soon as the database "
        + "can be written: {Reason}")]
    partial void LogDelayed(string reason);

    [LoggerMessage(EventId = 2, Level = LogLevel.Information, Message = "All decisions that end access are stored")]
    partial void LogStored();

    [LoggerMessage(EventId = 3, Level = LogLevel.Critical,
        Message = "{Count} decisions that end access could not be stored before the server stopped, and are lost. Repeat them")]
    partial void LogLost(int count);

    [LoggerMessage(EventId = 4, Level = LogLevel.Critical,
        Message = "A decision that ends access cannot be stored ({Kind} {Subject}). It is in force on this server until the process ends: "
        + "repeat it once the fault is mended")]
    partial void LogCannotBeStored(Exception error, DecisionSubject kind, string subject);
}
