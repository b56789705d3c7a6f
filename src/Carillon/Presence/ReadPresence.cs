using System.Text.Json;
using System.Text.Json.Serialization;
using Carillon.Access;
using Carillon.Api;
using Carillon.ClientEvents;
using Carillon.Features;
using Carillon.Hub;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;

namespace Carillon.Presence;

/// <summary>Lists the users in a channel: <c>GET /api/channels/{channel}/presence</c> and the event <c>presence</c>.</summary>
sealed class ReadPresence(PresenceTracker tracker, ChannelHub hub)
{
    public sealed record Request(string Channel, string? Limit, string? Cursor);

    public sealed record Result(
        string Channel, int Count, IReadOnlyList<PresentUser> Items,
        [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Next);

    // Clients without a token may ask too, by event: the area of the channel decides.
    static readonly EndpointPolicy Policy = EndpointPolicy.Read with { Anonymous = true };

    public void Map(FeatureMap map) =>
        map.Both<Request, Result>("presence", HttpMethods.Get, "/channels/{channel}/presence", Policy, Read, HandleAsync)
            .WithSummary("Lists the users in a channel in the order of their ids, and how many there are.");

    static Request? Read(ClientRequest request)
    {
        var argument = request.Argument;
        var limit = argument["limit"].Json is { ValueKind: JsonValueKind.Number } number ? number.GetRawText() : null;
        var (channel, cursor) = (argument.AsString() ?? argument["channel"].AsString(), argument["cursor"].AsString());
        if (!ChannelName.TryParse(channel, out var name) || !PageRequest.TryRead(limit, cursor, out _)) return null;
        request.Channel = request.Subject = name.Value;
        return new Request(name.Value, limit, cursor);
    }

    async ValueTask<Outcome<Result>> HandleAsync(Request request, Caller caller, CancellationToken ct)
    {
        if (!PageRequest.TryRead(request.Limit, request.Cursor, out var page))
            return new Refusal(ErrorCode.InvalidPayload, PageRequest.Rule);
        if (!ChannelName.TryParse(request.Channel, out var name)) return ErrorCode.InvalidPayload;
        if (hub.AreaOf(name) is not { EmitsPresence: true } area) return ErrorCode.UnknownChannel;
        if (!await hub.AdmitsAsync(caller, name, area, ChannelPermission.Presence)) return ErrorCode.Forbidden;
        var (users, count) = tracker.Read(name, page.After, page.Limit + 1);
        var part = page.Cut(users, user => user.Id);
        return new Result(name.Value, count, part.Items, part.Next);
    }
}
