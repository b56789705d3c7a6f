using System.Collections.Concurrent;
using Carillon.Api;
using Carillon.Storage;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Carillon.Access;

/// <summary>A decision after which some connections may not go on: a token or all tokens of a user are revoked, or a user is disabled or deleted.</summary>
sealed class AccessDecision
{
    /// <summary>Its user; null for a single token.</summary>
    public string? UserId { get; init; }

    /// <summary>Its token; null where it concerns the user.</summary>
    public string? TokenId { get; init; }

    /// <summary>The moment up to which tokens of the user are revoked; null where the user is disabled or deleted.</summary>
    public DateTimeOffset? RevokedBefore { get; init; }

    /// <summary>Stores it. False: there is nothing that it applies to.</summary>
    public required Func<DatabaseTransaction, CancellationToken, Task<bool>> StoreAsync { get; init; }

    /// <summary>The outcome of the first attempt to store it.</summary>
    public TaskCompletionSource<bool> FirstAttempt { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Whether the first attempt failed because of the disk.</summary>
    public bool WasDelayed { get; set; }

    /// <summary>Why a token is refused while the decision waits to be stored; null where it is not.</summary>
    public ErrorCode? Refuses(Token token) =>
        TokenId is not null ? (TokenId == token.Id ? ErrorCode.TokenRevoked : null) :
        UserId != token.Subject ? null :
        RevokedBefore is not { } before ? ErrorCode.UnknownUser :
        token.IssuedAt >= before ? null : ErrorCode.TokenRevoked;
}

/// <summary>
/// Decisions that end connections apply at once, from memory, whatever the state of the disk. One loop stores them in their order; what cannot be stored stays in force in this process, and
/// is stored as soon as the database can be written.
/// </summary>
sealed partial class PendingDecisions(Database db, AccessNews news, TimeProvider clock, ILogger<PendingDecisions> logger) : BackgroundService
{
    const int Most = 10_000;
    static readonly TimeSpan RetryEvery = TimeSpan.FromSeconds(1);

    // A caller is answered within this time, even where another program holds the lock for longer.
    static readonly TimeSpan AnswerWithin = TimeSpan.FromSeconds(1);

    readonly ConcurrentQueue<AccessDecision> _unstored = new();
    readonly ConcurrentDictionary<AccessDecision, bool> _inForce = [];
    readonly SemaphoreSlim _look = new(0);

    /// <summary>How many decisions wait to be stored.</summary>
    public int Count => _inForce.Count;

    /// <summary>Why a token is refused by a decision that is not stored yet; null where none concerns it.</summary>
    public ErrorCode? Refuses(Token token)
    {
        if (_inForce.IsEmpty) return null;
        foreach (var (decision, _) in _inForce)
            if (decision.Refuses(token) is { } error) return error;
        return null;
    }

    /// <summary>Whether a user is disabled or deleted by a decision that is not stored yet.</summary>
    public bool Bars(string userId)
    {
        if (_inForce.IsEmpty) return false;
        foreach (var (decision, _) in _inForce)
            if (decision.UserId == userId && decision.RevokedBefore is null) return true;
        return false;
    }

    /// <summary>Puts a decision into force, and answers the call that made it once it is stored, or when it is clear that this has to wait.</summary>
    /// <returns>Null where the decision is stored; else the answer.</returns>
    public async Task<IResult?> ApplyAsync(AccessDecision decision, HttpContext http, CancellationToken ct)
    {
        if (_inForce.Count >= Most) return Problem.Of(http, ErrorCode.Unavailable, "Too many decisions wait to be stored. This one is not in force.", RetryEvery);
        _inForce[decision] = true;
        _unstored.Enqueue(decision);
        _look.Release();
        news.Tell(new AccessChange(decision.UserId, decision.TokenId));
        try
        {
            return await decision.FirstAttempt.Task.WaitAsync(AnswerWithin, clock, ct) ? null : Problem.Of(http, ErrorCode.NotFound, "There is no such user.");
        }
        catch (Exception ex) when (ex is TimeoutException || DatabaseUnavailableException.Is(ex))
        {
            return Problem.Of(http, ErrorCode.Unavailable,
                "This is in force on this server now, and is stored as soon as the database can be written. A crash before then loses it.", RetryEvery);
        }
    }

    /// <summary>A user is let in again: what waits to be stored against the user is void.</summary>
    public void Withdraw(string userId)
    {
        foreach (var (decision, _) in _inForce)
            if (decision.UserId == userId && decision.RevokedBefore is null) _inForce.TryRemove(decision, out _);
    }

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stopping)
    {
        var isWaiting = false;
        while (!stopping.IsCancellationRequested)
        {
            try
            {
                if (_unstored.IsEmpty || isWaiting) await _look.WaitAsync(_unstored.IsEmpty ? Timeout.InfiniteTimeSpan : RetryEvery, stopping);
                isWaiting = !await StoreAllAsync(stopping);
            }
            catch (Exception) when (stopping.IsCancellationRequested)
            {
                break;
            }
        }
        if (!await StoreAllAsync(CancellationToken.None)) LogLost(_inForce.Count);
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        // The loop first, which still runs where the host could not start and stops nothing.
        base.Dispose();
        _look.Dispose();
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
                // It is not the disk: trying again would not help, and those behind it must not wait for it.
                decision.FirstAttempt.TrySetException(ex);
            }
            _unstored.TryDequeue(out _);
            _inForce.TryRemove(decision, out _);
        }
        if (waited) LogStored();
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
        if (!_inForce.ContainsKey(decision)) return true;      // withdrawn, under the same lock
        if (!await decision.StoreAsync(tx, ct)) return false;
        await tx.CommitAsync(ct);
        return true;
    }

    [LoggerMessage(EventId = 1, Level = LogLevel.Error, Message = "A revocation or a disabled user could not be stored. It is in force on this server, and is stored as soon as the database can be written: {Reason}")]
    partial void LogDelayed(string reason);

    [LoggerMessage(EventId = 2, Level = LogLevel.Information, Message = "All revocations and disabled users are stored")]
    partial void LogStored();

    [LoggerMessage(EventId = 3, Level = LogLevel.Critical, Message = "{Count} revocations or disabled users could not be stored before the server stopped, and are lost. Repeat them")]
    partial void LogLost(int count);
}
