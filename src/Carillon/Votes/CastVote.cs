using System.Text.Json;
using Carillon.Access;
using Carillon.Api;
using Carillon.ClientEvents;
using Carillon.Features;
using Carillon.Hub;
using Carillon.Storage;
using Dapper;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;

namespace Carillon.Votes;

/// <summary>
/// Votes for a suggestion or against it, changes the vote, or withdraws it. Each person has one vote. The tally is stored in the same
/// transaction, and its version grows with each change, so that no screen that follows it ever goes backwards.
/// </summary>
sealed class CastVote(
    Database db, ChannelHub hub, AfterCommitPublisher afterCommit, VoteQuotas quotas, VoteOptions options, TimeProvider clock)
{
    public sealed record Request(string Id, Vote Vote);

    public sealed record Vote(JsonElement Value)
    {
        internal int? Number =>
            Value.ValueKind == JsonValueKind.Number && Value.TryGetInt32(out var value) && value is 1 or -1 or 0 ? value : null;
    }

    /// <summary>The tally after a vote, as it is published.</summary>
    public sealed record Tally(string SuggestionId, long Up, long Down, long Score, long Version);

    [method: ExplicitConstructor]
    sealed record Row(long Up, long Down, long Version, long Mine);

    /// <summary>How a tally changes with one person's vote.</summary>
    internal static (int Up, int Down) Change(int from, int to) =>
        ((to == 1 ? 1 : 0) - (from == 1 ? 1 : 0), (to == -1 ? 1 : 0) - (from == -1 ? 1 : 0));

    public void Map(FeatureMap map) =>
        map.Both<Request, Tally>("suggestion:vote", HttpMethods.Post, "/suggestions/{id}/vote", EndpointPolicy.Person, Read, HandleAsync)
            .WithSummary("Votes: 1 for, -1 against, 0 withdraws. Answers the tally.");

    // The event takes { suggestionId, value }.
    static Request? Read(ClientRequest request)
    {
        var vote = new Vote(request.Argument["value"].Json);
        if (request.Argument["suggestionId"].AsString() is not { Length: > 0 and <= 100 } id || vote.Number is null) return null;
        request.Subject = id;
        return new Request(id, vote);
    }

    async ValueTask<Outcome<Tally>> HandleAsync(Request request, Caller caller, CancellationToken ct)
    {
        if (request.Vote.Number is not { } value) return new Refusal(ErrorCode.InvalidPayload, "value is 1, -1 or 0.");
        if (caller.UserId is not { } userId
            || !await hub.AdmitsAsync(caller, VotesFeature.Channel, options.MayVote, ChannelPermission.Publish))
            return new Refusal(ErrorCode.Forbidden, "You may not vote.");
        if (afterCommit.IsRefusing)
            return new Refusal(ErrorCode.Unavailable, AfterCommitPublisher.NoMemory, AfterCommitPublisher.RetryEvery);
        if (!quotas.Votes.TryTake(caller, out var wait))
            return new Refusal(ErrorCode.RateLimited, "You have cast all the votes of a day.", wait);
        Outcome<Tally> outcome = default;
        await quotas.Votes.SpendAsync(caller, async () =>
        {
            (outcome, var hasChanged) = await StoreAsync(userId, request.Id, value, ct);
            return hasChanged;
        });
        return outcome;
    }

    async Task<(Outcome<Tally> Outcome, bool HasChanged)> StoreAsync(string userId, string id, int value, CancellationToken ct)
    {
        await using var tx = await db.BeginAsync(userId, ct);
        var row = await tx.QuerySingleOrDefaultAsync<Row>("""
            SELECT s.up AS Up, s.down AS Down, s.version AS Version,
                   COALESCE((SELECT value FROM carillon_votes WHERE suggestion_id = s.id AND user_id = @userId), 0) AS Mine
            FROM carillon_suggestions s WHERE s.id = @id
            """, new { id, userId }, ct);
        if (row is null) return (new Refusal(ErrorCode.NotFound, "There is no such suggestion."), false);
        if (row.Mine == value) return (new Tally(id, row.Up, row.Down, row.Up - row.Down, row.Version), false);

        var (up, down) = Change((int)row.Mine, value);
        var tally = new Tally(id, row.Up + up, row.Down + down, row.Up + up - row.Down - down, row.Version + 1);
        if (value == 0)
            await tx.ExecuteAsync("DELETE FROM carillon_votes WHERE suggestion_id = @id AND user_id = @userId", new { id, userId }, ct);
        else
            await tx.ExecuteAsync("""
                INSERT INTO carillon_votes (suggestion_id, user_id, value, at) VALUES (@id, @userId, @value, @at)
                ON CONFLICT (suggestion_id, user_id) DO UPDATE SET value = @value, at = @at
                """, new { id, userId, value, at = Iso.Of(clock.GetUtcNow()) }, ct);
        await tx.ExecuteAsync(
            "UPDATE carillon_suggestions SET up = @Up, down = @Down, version = @Version WHERE id = @SuggestionId", tally, ct);
        afterCommit.Add(tx, VotesFeature.Channel.Value, tally, key: id);
        await tx.CommitAsync(ct);
        return (tally, true);
    }
}
