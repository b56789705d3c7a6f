using System.Text.Json;
using System.Text.Json.Serialization;
using Carillon.Access;
using Carillon.Channels;
using Carillon.Hub;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Carillon.Api;

/// <summary>
/// The publications of a channel over HTTP: all since a position (all or none, as for subscribers) or, without a position, the latest
/// that are stored.
/// </summary>
static class HistoryEndpoint
{
    // Per answer: many readers at once must fit into memory.
    const int MostBytes = 1 << 20;

    public sealed record Item(string Event, JsonElement Data, long Offset, string Id, string At);

    public sealed record Result(
        string Channel, Position Position, bool Recovered, IReadOnlyList<Item> Items,
            [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Next);

    public static void Map(RouteGroupBuilder api) =>
        api.MapGet("/channels/{channel}/history", HandleAsync).RequirePolicy(EndpointPolicy.Read)
            .WithSummary("Reads what was published to a channel since a position (epoch:offset), or the latest of what is kept.")
                .Produces<Result>();

    static async Task<IResult> HandleAsync(
        string channel, string? since, string? limit, string? cursor, Caller caller, ChannelHub hub, SubscriptionLimits limits,
            HttpContext http, CancellationToken ct)
    {
        Position? position = null;
        if (!ChannelName.TryParse(channel, out var name) || !PageRequest.TryRead(limit, cursor, out var page)
            || ((page.After ?? since) is { } text && (position = PositionIn(text)) is null))
            return Problem.Of(http, ErrorCode.InvalidPayload,
                "since is an epoch, a colon and an offset; limit is a number from 1 to 500, cursor what an earlier answer gave as next.");
        if (hub.AreaOf(name) is not { } area) return Problem.Of(http, ErrorCode.UnknownChannel, ErrorCode.UnknownChannel.Message);
        if (!await hub.AdmitsAsync(caller, name, area, ChannelPermission.History))
            return Problem.Of(http, ErrorCode.Forbidden, ErrorCode.Forbidden.Message);

        if (position is null)
        {
            var latest = await LatestAsync(hub, name, area, page.Limit, ct);
            var fitting = CountFitting(latest.Publications.Reverse());
            return TypedResults.Ok(
                new Result(channel, latest.Position, true, [.. latest.Publications.TakeLast(fitting).Select(ItemOf)], null));
        }
        var history = await hub.HistoryAsync(name, area, position, limits.MaxRecovered, ct);
        var most = Math.Min(page.Limit, CountFitting(history.Publications));
        var part = (page with { Limit = most }).Cut(history.Publications, message => $"{message.Position.Epoch}:{message.Position.Offset}");
        return TypedResults.Ok(new Result(channel, history.Position, history.Recovered, [.. part.Items.Select(ItemOf)], part.Next));
    }

    /// <summary>How many publications fit into one answer, from the first on; at least one.</summary>
    internal static int CountFitting(IEnumerable<Publication> messages)
    {
        var (count, bytes) = (0, 0L);
        foreach (var message in messages)
        {
            bytes += message.Body.Length;
            if (count > 0 && bytes > MostBytes) break;
            count++;
        }
        return Math.Max(1, count);
    }

    /// <summary>
    /// The longest complete end of the history. A layer answers all since a position or nothing, so the start is found by binary search.
    /// </summary>
    static async ValueTask<History> LatestAsync(ChannelHub hub, ChannelName name, Area area, int most, CancellationToken ct)
    {
        var found = await hub.HistoryAsync(name, area, null, most, ct);
        var (whole, broken) = (0L, Math.Min(most, found.Position.Offset) + 1);
        var epoch = found.Position.Epoch;
        found = found with { Recovered = true };
        for (var count = broken - 1; whole < count; count = (whole + broken) / 2)
        {
            var read = await hub.HistoryAsync(name, area, new Position(epoch, found.Position.Offset - count), most, ct);
            if (read.Recovered) (whole, found) = (count, read);
            else broken = count;
        }
        return found;
    }

    static Position? PositionIn(string text) =>
        text.LastIndexOf(':') is > 0 and <= 100 and var colon
            && long.TryParse(text.AsSpan(colon + 1), System.Globalization.NumberStyles.None, null, out var offset)
            ? new Position(text[..colon], offset)
            : null;

    static Item ItemOf(Publication message) =>
        new(message.Event, JsonSerializer.Deserialize<JsonElement>(message.Body.Span), message.Position.Offset, message.Id,
        Iso.Of(message.At));
}
