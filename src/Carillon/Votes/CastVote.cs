using System.Text.Json;
using Carillon.Access;
using Carillon.Api;
using Carillon.Audit;
using Carillon.Hub;
using Carillon.SocketIO.Sockets;
using Carillon.Storage;
using Dapper;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Carillon.Votes;

/// <summary>
/// Votes for a suggestion or against it, changes the vote, or withdraws it. One vote a person; the tally is kept in the same transaction, and its version grows with each change, so that
/// no screen that follows it ever goes backwards.
/// </summary>
sealed class CastVote(Database db, ChannelHub hub, AfterCommitPublisher afterCommit, VoteQuotas quotas, AuditLog audit, VoteOptions options, AreaList areas, TimeProvider clock)
{
    public sealed record Request(JsonElement Value);

    /// <summary>The tally after a vote, as everybody hears it.</summary>
    public sealed record Tally(string SuggestionId, long Up, long Down, long Score, long Version);

    [method: ExplicitConstructor]
    sealed record Row(long Up, long Down, long Version, long Mine);

    /// <summary>How a tally changes when one person's vote does.</summary>
    internal static (int Up, int Down) Change(int from, int to) => ((to == 1 ? 1 : 0) - (from == 1 ? 1 : 0), (to == -1 ? 1 : 0) - (from == -1 ? 1 : 0));

    public void Map(RouteGroupBuilder api, SocketNamespace root)
    {
        api.MapPost("/suggestions/{id}/vote", HandleAsync).RequirePolicy(EndpointPolicy.Person).WithSummary("Votes: 1 for, -1 against, 0 withdraws. Answers the tally.").Produces<Tally>();
        root.On("suggestion:vote", HandleEventAsync);
    }

    async Task<IResult> HandleAsync(string id, Request request, Caller caller, HttpContext http, CancellationToken ct)
    {
        if (ValueIn(request.Value) is not { } value) return Problem.Of(http, ErrorCode.InvalidPayload, "value is 1, -1 or 0.");
        var (tally, error, wait) = await VoteAsync(caller, id, value, ct);
        return tally is not null ? TypedResults.Ok(tally) : Problem.Of(http, error!, DetailOf(error!), wait);
    }

    static string DetailOf(ErrorCode error) =>
        error == ErrorCode.NotFound ? "There is no such suggestion." :
        error == ErrorCode.RateLimited ? "You have cast all the votes of a day." :
        error == ErrorCode.Unavailable ? AfterCommitPublisher.NoMemory :
        "You may not vote.";

    async Task HandleEventAsync(SocketEvent e)
    {
        if (hub.Find(e.Socket) is not { } subscriber) return;
        if (e.Arguments[0]["suggestionId"].AsString() is not { Length: > 0 and <= 100 } id || ValueIn(e.Arguments[0]["value"].Json) is not { } value)
        {
            e.Socket.ReportMalformed();
            Answer.Refuse(e, ErrorCode.InvalidPayload, channel: null);
            return;
        }
        if (!e.Socket.TryAcquire(1, out var retryAfter))
        {
            Answer.Refuse(e, ErrorCode.RateLimited, channel: null, retryAfter);
            return;
        }
        try
        {
            var (tally, error, wait) = await VoteAsync(subscriber.Caller, id, value, CancellationToken.None);
            if (tally is null)
            {
                audit.NoteRefusal(subscriber.Caller.Actor, e.Name, id, subscriber.Caller.Address, error!.Code);
                Answer.Refuse(e, error, channel: null, wait);
            }
            else e.Ack(new { ok = true, tally.SuggestionId, tally.Up, tally.Down, tally.Score, tally.Version });
        }
        catch (Exception ex)
        {
            Answer.Refuse(e, ErrorCode.Unavailable, channel: null);
            if (!DatabaseUnavailableException.Is(ex)) throw;   // logged by the server; the health check names what the database lacks
        }
    }

    static int? ValueIn(JsonElement json) => json.ValueKind == JsonValueKind.Number && json.TryGetInt32(out var value) && value is 1 or -1 or 0 ? value : null;

    async Task<(Tally? Tally, ErrorCode? Error, TimeSpan? Wait)> VoteAsync(Caller caller, string id, int value, CancellationToken ct)
    {
        if (caller.UserId is not { } userId || !await hub.AdmitsAsync(caller, areas.Suggestions, options.MayVote)) return (null, ErrorCode.Forbidden, null);
        if (afterCommit.IsRefusing) return (null, ErrorCode.Unavailable, AfterCommitPublisher.RetryEvery);
        if (!quotas.Votes.TryTake(caller, out var wait)) return (null, ErrorCode.RateLimited, wait);
        var (tally, error) = (default(Tally), default(ErrorCode));
        await quotas.Votes.SpendAsync(caller, async () =>
        {
            ((tally, error), var hasChanged) = await StoreAsync(userId, id, value, ct);
            return hasChanged;
        });
        return (tally, error, null);
    }

    async Task<((Tally? Tally, ErrorCode? Error) Answer, bool HasChanged)> StoreAsync(string userId, string id, int value, CancellationToken ct)
    {
        await using var tx = await db.BeginAsync(userId, ct);
        var row = await tx.QuerySingleOrDefaultAsync<Row>("""
            SELECT s.up AS Up, s.down AS Down, s.version AS Version, COALESCE((SELECT value FROM carillon_votes WHERE suggestion_id = s.id AND user_id = @userId), 0) AS Mine
            FROM carillon_suggestions s WHERE s.id = @id
            """, new { id, userId }, ct);
        if (row is null) return ((null, ErrorCode.NotFound), false);
        if (row.Mine == value) return ((new Tally(id, row.Up, row.Down, row.Up - row.Down, row.Version), null), false);

        var (up, down) = Change((int)row.Mine, value);
        var tally = new Tally(id, row.Up + up, row.Down + down, row.Up + up - row.Down - down, row.Version + 1);
        if (value == 0)
            await tx.ExecuteAsync("DELETE FROM carillon_votes WHERE suggestion_id = @id AND user_id = @userId", new { id, userId }, ct);
        else
            await tx.ExecuteAsync("""
                INSERT INTO carillon_votes (suggestion_id, user_id, value, at) VALUES (@id, @userId, @value, @at)
                ON CONFLICT (suggestion_id, user_id) DO UPDATE SET value = @value, at = @at
                """, new { id, userId, value, at = Iso.Of(clock.GetUtcNow()) }, ct);
        await tx.ExecuteAsync("UPDATE carillon_suggestions SET up = @Up, down = @Down, version = @Version WHERE id = @SuggestionId", tally, ct);
        afterCommit.Add(tx, areas.Suggestions.Pattern, tally, key: id);
        await tx.CommitAsync(ct);
        return ((tally, null), true);
    }
}
