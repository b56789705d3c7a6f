using System.Text.Json.Serialization;
using Carillon.Access;
using Carillon.Api;
using Carillon.Features;
using Carillon.Hub;
using Carillon.Storage;
using Dapper;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Carillon.Votes;

/// <summary>The routes of suggestions: users make them, and list them with the tallies and their own votes.</summary>
static class SuggestionsEndpoints
{
    const int LongestTitle = 200, LongestBody = 10_000;

    public sealed record Request(string? Title, string? Body);

    [method: ExplicitConstructor]
    public sealed record Item(
        string Id, string Title, [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Body, string Author,
        long Up, long Down, long Score, long Version, long MyVote, string CreatedAt);

    const string Select = """
        SELECT s.id AS Id, s.title AS Title, s.body AS Body, s.author AS Author, s.up AS Up, s.down AS Down, s.up - s.down AS Score, s.version AS Version,
               COALESCE(v.value, 0) AS MyVote, s.created_at AS CreatedAt
        FROM carillon_suggestions s LEFT JOIN carillon_votes v ON v.suggestion_id = s.id AND v.user_id = @UserId
        """;

    public static void Map(FeatureMap map)
    {
        var api = map.Http;
        api.MapPost("/suggestions", CreateAsync).RequirePolicy(EndpointPolicy.Person).WithSummary("Makes a suggestion.")
            .Produces<Item>(StatusCodes.Status201Created);
        api.MapGet("/suggestions", ListAsync).RequirePolicy(EndpointPolicy.Read)
            .WithSummary("Lists suggestions, the latest first, with their tallies and the reader's own vote.").Produces<Page<Item>>();
        api.MapGet("/suggestions/{id}", GetAsync).RequirePolicy(EndpointPolicy.Read).WithSummary("Reads one suggestion.").Produces<Item>();
        api.MapDeletion("/suggestions/{id}", "suggestion", DeleteAsync).WithSummary("Deletes a suggestion with its votes.");
    }

    static async Task<IResult> CreateAsync(
        Request request, Caller caller, Database db, ChannelHub hub, VoteQuotas quotas, VoteOptions options, TimeProvider clock,
            HttpContext http, CancellationToken ct)
    {
        if (request.Title?.Trim() is not { Length: > 0 and <= LongestTitle } title || request.Body?.Length > LongestBody)
            return Problem.Of(http, ErrorCode.InvalidPayload,
                $"A suggestion has a title of at most {LongestTitle} characters and may have a body of at most {LongestBody}.");
        if (!await hub.AdmitsAsync(caller, VotesFeature.Channel, options.MaySuggest, ChannelPermission.Publish)) return Problem.Of(
            http, ErrorCode.Forbidden, "You may not make suggestions.");
        if (!quotas.Suggestions.TryTake(caller, out var wait)) return Problem.Of(
            http, ErrorCode.RateLimited, "You have made all the suggestions of a day.", wait);
        var item = new Item(Guid.CreateVersion7(clock.GetUtcNow())
            .ToString(), title, request.Body, caller.UserId!, 0, 0, 0, 0, 0, Iso.Of(clock.GetUtcNow()));
        await quotas.Suggestions.SpendAsync(caller, async () =>
        {
            await using var tx = await db.BeginAsync(caller.Actor, ct);
            await tx.ExecuteAsync(
                "INSERT INTO carillon_suggestions (id, title, body, author, created_at) VALUES (@Id, @Title, @Body, @Author, @CreatedAt)",
                item, ct);
            await tx.CommitAsync(ct);
            return true;
        });
        return TypedResults.Created($"/api/suggestions/{item.Id}", item);
    }

    static async Task<bool> DeleteAsync(DatabaseTransaction tx, string id, CancellationToken ct)
    {
        await tx.ExecuteAsync("DELETE FROM carillon_votes WHERE suggestion_id = @id", new { id }, ct);
        return await tx.ExecuteAsync("DELETE FROM carillon_suggestions WHERE id = @id", new { id }, ct) > 0;
    }

    static async Task<IResult> ListAsync(
        string? limit, string? cursor, Caller caller, Database db, ChannelHub hub, HttpContext http, CancellationToken ct)
    {
        if (!PageRequest.TryRead(limit, cursor, out var page)) return PageRequest.Refuse(http);
        if (!await MayReadAsync(caller, hub)) return Problem.Of(http, ErrorCode.Forbidden, ErrorCode.Forbidden.Message);
        var items = await db.QueryAsync<Item>(Select + " WHERE @After IS NULL OR s.id < @After ORDER BY s.id DESC LIMIT @most",
            new { caller.UserId, page.After, most = page.Limit + 1 }, ct);
        return TypedResults.Ok(page.Cut(items, item => item.Id));
    }

    static async Task<IResult> GetAsync(string id, Caller caller, Database db, ChannelHub hub, HttpContext http, CancellationToken ct)
    {
        if (!await MayReadAsync(caller, hub)) return Problem.Of(http, ErrorCode.Forbidden, ErrorCode.Forbidden.Message);
        return await db.QuerySingleOrDefaultAsync<Item>(Select + " WHERE s.id = @id", new { caller.UserId, id }, ct) is { } item
            ? TypedResults.Ok(item)
            : Problem.Of(http, ErrorCode.NotFound, "There is no such suggestion.");
    }

    // Reading the tallies needs the same grant as reading their history; capabilities do not count for votes.
    static ValueTask<bool> MayReadAsync(Caller caller, ChannelHub hub) =>
        hub.AreaOf(VotesFeature.Channel) is { } area
            ? hub.AdmitsAsync(caller, VotesFeature.Channel, area.History, ChannelPermission.History) : new(false);
}
