using System.Text.Json;
using System.Text.Json.Serialization;
using Carillon.Access;
using Carillon.Api;
using Carillon.Features;
using Carillon.Hub;
using Carillon.Storage;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;

namespace Carillon.Resources;

/// <summary>A back end publishes an update of a resource to its subscribers. Resources need not be created first.</summary>
static class PostUpdate
{
    const int LongestWord = 100;

    public sealed record Request(string? Operation, JsonElement Data, JsonElement Patch, string? Actor);

    /// <summary>An update as subscribers receive it.</summary>
    public sealed record Update(
        string ResourceId, long Version, string Operation,
        [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)] JsonElement Patch,
        [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)] JsonElement Data,
        string? Actor, string At);

    public static void Map(FeatureMap map) =>
        map.Http.MapPost("/resources/{id}/updates", HandleAsync).RequirePolicy(EndpointPolicy.BackEndPublish)
            .WithSummary("Announces an update of a resource (an operation, with the new data or a patch) to its subscribers.")
                .Produces<Update>(StatusCodes.Status201Created);

    static async Task<IResult> HandleAsync(
        string id, Request request, Caller caller, Database db, AfterCommitPublisher afterCommit, TimeProvider clock, HttpContext http,
            CancellationToken ct)
    {
        if (!ResourcesFeature.TryChannelOf(id, out var channel))
            return Problem.Of(http, ErrorCode.InvalidPayload,
                "A resource's id has no colon and no control characters, and at most 183 characters.");
        if (request.Operation is not { Length: > 0 and <= LongestWord } operation || request.Actor?.Length > LongestWord
            || (request.Data.ValueKind != JsonValueKind.Undefined && request.Patch.ValueKind != JsonValueKind.Undefined))
            return Problem.Of(http, ErrorCode.InvalidPayload,
                $"operation is a word of at most {LongestWord} characters, with data or patch, not both.");
        if (afterCommit.IsRefusing) return Problem.Of(
            http, ErrorCode.Unavailable, AfterCommitPublisher.NoMemory, AfterCommitPublisher.RetryEvery);
        await using var tx = await db.BeginAsync(caller.Actor, ct);
        await tx.ExecuteAsync("""
            INSERT INTO carillon_resources (id, version) VALUES (@id, (SELECT version + 1 FROM carillon_resource_floor))
            ON CONFLICT (id) DO UPDATE SET version = carillon_resources.version + 1
            """, new { id }, ct);
        var version = await tx.ExecuteScalarAsync<long>("SELECT version FROM carillon_resources WHERE id = @id", new { id }, ct);
        var update = new Update(id, version, operation, request.Patch, request.Data, request.Actor, Iso.Of(clock.GetUtcNow()));
        afterCommit.Add(tx, channel.Value, update, key: null);
        await tx.CommitAsync(ct);
        return TypedResults.Json(update, statusCode: StatusCodes.Status201Created);
    }
}
