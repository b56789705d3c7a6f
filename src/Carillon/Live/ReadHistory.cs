using System.Text.Json;
using Carillon.Access;
using Carillon.Api;
using Carillon.Channels;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Carillon.Live;

/// <summary>
/// What was published to a channel, over HTTP: everything since a position (all of it or nothing, as for subscribers) or, without one, the latest of what is kept.
/// </summary>
static class ReadHistory
{
    const int Default = 50, Most = 500;

    public sealed record Item(string Event, JsonElement Data, long Offset, string Id, string At);

    public sealed record Result(string Channel, Position Position, bool Recovered, IReadOnlyList<Item> Items);

    public static void Map(RouteGroupBuilder api) =>
        api.MapGet("/channels/{channel}/history", HandleAsync).Needs(Need.Read)
            .WithSummary("Reads what was published to a channel since a position (epoch:offset), or the latest of what is kept.").Produces<Result>();

    static async Task<IResult> HandleAsync(string channel, string? since, string? limit, Caller caller, LiveChannels live, HttpContext http, CancellationToken ct)
    {
        var most = Default;
        Position? position = null;
        if (!ChannelName.TryParse(channel, out var name) || (since is not null && (position = PositionIn(since)) is null)
            || (limit is not null && !(int.TryParse(limit, out most) && most is > 0 and <= Most)))
            return Problem.Of(http, ErrorCode.InvalidPayload, $"since is an epoch, a colon and an offset; limit is a number from 1 to {Most}.");
        if (live.AreaOf(name) is not { } area) return Problem.Of(http, ErrorCode.UnknownChannel, ErrorCode.UnknownChannel.Message);
        if (!caller.HasScope(Scopes.Read) && !await area.AdmitsAsync(caller, name, AreaAction.History, live.IsPresent))
            return Problem.Of(http, ErrorCode.Forbidden, ErrorCode.Forbidden.Message);

        var history = position is not null ? await live.HistoryAsync(name, area, position, most, ct) : await LatestAsync(live, name, area, most, ct);
        return TypedResults.Ok(new Result(channel, history.Position, history.Recovered, [.. history.Messages.Select(ItemOf)]));
    }

    /// <summary>The longest end of the history that is still whole: a layer answers all since a position or nothing, so the place is searched for by halves.</summary>
    static async ValueTask<History> LatestAsync(LiveChannels live, ChannelName name, Area area, int most, CancellationToken ct)
    {
        var found = await live.HistoryAsync(name, area, null, most, ct);
        var (whole, broken) = (0L, Math.Min(most, found.Position.Offset) + 1);
        var epoch = found.Position.Epoch;
        found = found with { Recovered = true };
        for (var count = broken - 1; whole < count; count = (whole + broken) / 2)
        {
            var read = await live.HistoryAsync(name, area, new Position(epoch, found.Position.Offset - count), most, ct);
            if (read.Recovered) (whole, found) = (count, read);
            else broken = count;
        }
        return found;
    }

    static Position? PositionIn(string text) =>
        text.LastIndexOf(':') is > 0 and <= 100 and var colon && long.TryParse(text.AsSpan(colon + 1), System.Globalization.NumberStyles.None, null, out var offset)
            ? new Position(text[..colon], offset)
            : null;

    static Item ItemOf(ChannelMessage message) =>
        new(message.Event, JsonSerializer.Deserialize<JsonElement>(message.Body.Span), message.Position.Offset, message.Id, Iso.Of(message.At));
}
