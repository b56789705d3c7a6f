using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using Carillon.Access;
using Carillon.Storage;
using Dapper;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Logging;

namespace Carillon.Api;

/// <summary>
/// Writes with an <c>Idempotency-Key</c> happen once: the same request again, within a day, gets the first one's answer; another request
/// with the same key, or the same while the
/// first is under way, is a conflict. Refused requests are not remembered: they did nothing.
/// </summary>
sealed partial class Idempotency(Database db, FreeSpace space, DailyQuotas quotas, TimeProvider clock, ILogger<Idempotency> logger)
{
    // What a write answers is an id and a few members. A longer answer is not stored: the request that comes again gets its status and its
    // Location.
    const int LongestAnswer = 8 * 1024;

    // Requests that happened while their outcome could not be stored. Each is stored when it comes again; beyond this number the oldest
    // rule holds: the data tells.
    internal int MaxUnstored { get; set; } = 10_000;

    // What is stored of a request that happened and whose answer is not known.
    const int HappenedStatus = StatusCodes.Status409Conflict;

    readonly ConcurrentDictionary<(string Caller, string Key), Taken> _unstored = [];

    static readonly TimeSpan KeyLifetime = TimeSpan.FromDays(1);

    // A decision that ends access does not wait for its key for longer: repeating it does no harm.
    static readonly TimeSpan UrgentWithin = TimeSpan.FromSeconds(1);

    // A server that died while it worked does not keep the key for ever.
    static readonly TimeSpan UnderWayFor = TimeSpan.FromMinutes(1);

    const int MaxLength = 200;

    [method: ExplicitConstructor]
    sealed record Row(string Request, long? Status, string? Type, string? Location, byte[]? Body);

    /// <summary>A key that was taken, and when: after a request that took too long another one has taken it anew.</summary>
    readonly record struct Taken(string Caller, string Key, long AtMs, bool IsUrgent);

    /// <summary>How many requests happened while their outcome could not be stored.</summary>
    internal int Unstored => _unstored.Count;

    public async Task ServeAsync(HttpContext http, Caller by, RequestDelegate next)
    {
        var caller = by.Actor!;
        var given = http.Request.Headers["Idempotency-Key"];
        if (given.Count == 0 || HttpMethods.IsGet(http.Request.Method) || HttpMethods.IsHead(http.Request.Method))
        {
            await next(http);
            return;
        }
        if (given is not [{ Length: > 0 and <= MaxLength } key])
        {
            await Problem.Of(http, ErrorCode.InvalidPayload, $"An Idempotency-Key has 1 to {MaxLength} characters.").ExecuteAsync(http);
            return;
        }
        if (!quotas.IdempotencyKeys.TryTake(by, out var wait))
        {
            await Problem.Of(http, ErrorCode.RateLimited, "You have used all the idempotency keys of a day.", wait).ExecuteAsync(http);
            return;
        }
        var request = await HashOfAsync(http);
        var taken = new Taken(caller, key, clock.GetUtcNow()
            .ToUnixTimeMilliseconds(), http.GetEndpoint()?.Metadata.GetMetadata<ActsWithoutStorage>() is not null);
        Row? earlier;
        try
        {
            if (_unstored.TryGetValue((caller, key), out var happened))
            {
                await EndAsync(happened with { IsUrgent = taken.IsUrgent }, Outcome.Happened, http.Response, Stream.Null,
                    http.RequestAborted);
                _unstored.TryRemove((caller, key), out _);
            }
            earlier = await TakeAsync(taken, request, http.RequestAborted);
        }
        catch (Exception ex) when (DatabaseUnavailableException.Is(ex))
        {
            quotas.IdempotencyKeys.GiveBack(by);
            if (!taken.IsUrgent) throw;
            await next(http);
            return;
        }
        if (earlier is not null) await AnswerAgainAsync(http, earlier, request);
        else await ServeFirstAsync(http, taken, next);
    }

    async Task ServeFirstAsync(HttpContext http, Taken taken, RequestDelegate next)
    {
        var stream = http.Response.Body;
        using var copy = new MemoryStream();
        http.Response.Body = copy;
        using var commits = new CommitWatch();
        var answered = false;
        try
        {
            await next(http);
            answered = http.Response.StatusCode is >= 200 and < 300;
        }
        finally
        {
            http.Response.Body = stream;
            // Not given up when the client goes away: what was done stays done, and it will ask again.
            await TryEndAsync(taken, answered ? Outcome.Answered : commits.HasCommitted ? Outcome.Happened
                : Outcome.Nothing, http.Response, copy);
        }
        copy.Position = 0;
        await copy.CopyToAsync(stream, http.RequestAborted);
    }

    enum Outcome
    {
        /// <summary>It was refused, and the key is free again.</summary>
        Nothing,

        /// <summary>Something was committed, and then the answer failed: it must not happen a second time.</summary>
        Happened,

        Answered,
    }

    // What was done is answered, whether that can be stored or not.
    async Task TryEndAsync(Taken taken, Outcome outcome, HttpResponse response, MemoryStream body)
    {
        try
        {
            await EndAsync(taken, outcome, response, body, CancellationToken.None);
        }
        catch (Exception ex) when (DatabaseUnavailableException.Is(ex))
        {
            if (outcome != Outcome.Nothing) Remember(taken);
            LogNotStored(ex);
        }
    }

    void Remember(Taken taken)
    {
        // Most are never repeated: those whose rows have been deleted by their age make room.
        if (_unstored.Count >= MaxUnstored)
            foreach (var (whose, old) in _unstored)
                if (taken.AtMs - old.AtMs > (long)KeyLifetime.TotalMilliseconds) _unstored.TryRemove(whose, out _);
        if (_unstored.Count < MaxUnstored) _unstored[(taken.Caller, taken.Key)] = taken;
    }

    static async Task AnswerAgainAsync(HttpContext http, Row earlier, string request)
    {
        if (earlier.Request != request)
            await Problem.Of(http, ErrorCode.Conflict, "This Idempotency-Key was used for another request.").ExecuteAsync(http);
        else if (earlier.Status is HappenedStatus)
            await Problem.Of(http, ErrorCode.Conflict,
                "The first request with this Idempotency-Key was carried out, and its answer is not known. Read the data.")
                .ExecuteAsync(http);
        else if (earlier.Status is not { } status)
            await Problem.Of(http, ErrorCode.Conflict with { Retryable = true },
                "The first request with this Idempotency-Key is still under way.", TimeSpan.FromSeconds(1)).ExecuteAsync(http);
        else
        {
            http.Response.StatusCode = (int)status;
            http.Response.Headers["Idempotency-Replayed"] = "true";
            if (earlier.Type is not null) http.Response.ContentType = earlier.Type;
            if (earlier.Location is not null) http.Response.Headers.Location = earlier.Location;
            if (earlier.Body is { Length: > 0 } body) await http.Response.Body.WriteAsync(body, http.RequestAborted);
        }
    }

    static async Task<string> HashOfAsync(HttpContext http)
    {
        http.Request.EnableBuffering(bufferThreshold: 1_000_000);     // in memory, as large as a body may be: not in a file
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(Encoding.UTF8.GetBytes(
            $"{http.Request.Method} {http.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget}\n"));
        var buffer = new byte[16 * 1024];
        int read;
        while ((read = await http.Request.Body.ReadAsync(buffer, http.RequestAborted)) > 0) hash.AppendData(buffer.AsSpan(0, read));
        http.Request.Body.Position = 0;
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>Takes the key for a new request; or answers what is known of an earlier one.</summary>
    async Task<Row?> TakeAsync(Taken taken, string request, CancellationToken ct)
    {
        var (caller, key, now, _) = taken;
        await using var tx = await BeginAsync(taken, ct);
        await tx.ExecuteAsync(
            "DELETE FROM carillon_idempotency WHERE at_ms < @old", new { old = now - (long)KeyLifetime.TotalMilliseconds }, ct);
        await tx.ExecuteAsync(
            "DELETE FROM carillon_idempotency WHERE caller = @caller AND key = @key AND status IS NULL AND at_ms < @stuck",
            new { caller, key, stuck = now - (long)UnderWayFor.TotalMilliseconds }, ct);
        var isFirst = await tx.ExecuteAsync(
            "INSERT INTO carillon_idempotency (caller, key, request, at_ms) VALUES (@caller, @key, @request, @now) ON CONFLICT (caller, "
            + "key) DO NOTHING", new { caller, key, request, now }, ct) == 1;
        var earlier = isFirst ? null : await tx.QuerySingleOrDefaultAsync<Row>(
            "SELECT request AS Request, status AS Status, type AS Type, location AS Location, body AS Body FROM carillon_idempotency WHERE "
            + "caller = @caller AND key = @key", new { caller, key }, ct);
        await tx.CommitAsync(ct);
        return earlier;
    }

    ValueTask<DatabaseTransaction> BeginAsync(Taken taken, CancellationToken ct) =>
        taken.IsUrgent ? db.BeginAsync(null, WriterLane.Administrative, UrgentWithin, ct) : db.BeginAsync(null, ct);

    async Task EndAsync(Taken taken, Outcome outcome, HttpResponse response, Stream body, CancellationToken ct)
    {
        await using var tx = await BeginAsync(taken, ct);
        if (outcome == Outcome.Nothing)
            await tx.ExecuteAsync("DELETE FROM carillon_idempotency WHERE caller = @Caller AND key = @Key AND at_ms = @AtMs", taken, ct);
        else
            await tx.ExecuteAsync("""
                UPDATE carillon_idempotency SET status = @status, type = @type, location = @location, body = @answer WHERE caller = @Caller AND key = @Key AND at_ms = @AtMs
                """, new
            {
                status = outcome == Outcome.Answered ? response.StatusCode : HappenedStatus,
                type = outcome == Outcome.Answered ? response.ContentType : null,
                location = outcome == Outcome.Answered && response.Headers.Location.ToString() is { Length: > 0 } location
                    ? location : null,
                answer = outcome == Outcome.Answered && body is MemoryStream { Length: <= LongestAnswer } answer && !space.IsShort
                    ? answer.ToArray() : null,
                taken.Caller,
                taken.Key,
                taken.AtMs,
            }, ct);
        await tx.CommitAsync(ct);
    }

    [LoggerMessage(EventId = 1, Level = LogLevel.Warning, Message = "The outcome of a request with an Idempotency-Key could not be stored")]
    partial void LogNotStored(Exception error);
}
