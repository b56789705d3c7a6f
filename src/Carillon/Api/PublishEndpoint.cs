using System.Text.Json;
using Carillon.Access;
using Carillon.Audit;
using Carillon.Channels;
using Carillon.Hub;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Carillon.Api;

/// <summary>Publishes over HTTP: a back end to any channel, a user to channels whose area lets users publish.</summary>
static class PublishEndpoint
{
    const int MostChannels = 100, LongestEvent = 100, LongestKey = 100;
    const string DefaultEvent = "message";

    // Events of the server itself, and names that Socket.IO reserves.
    static readonly HashSet<string> Reserved =
    [
        "connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener",
        "session", "error", "subscribed", "unsubscribed", "connection:quality", "server:closing",
    ];

    public sealed record Request(
        string? Channel, IReadOnlyList<string>? Channels, string? Event, JsonElement Data, string? Importance, string? Key);

    public sealed record Published(string Channel, Position Position);

    public sealed record Result(IReadOnlyList<Published> Items);

    public static void Map(RouteGroupBuilder api) =>
        api.MapPost("/publish", HandleAsync).RequirePolicy(EndpointPolicy.Publish)
            .WithSummary("Publishes data to one channel or to several, under the event of their area or one of its own. Answers the "
                + "position that each publication got.").Produces<Result>();

    static async Task<IResult> HandleAsync(
        Request request, Caller caller, ChannelHub hub, AuditLog audit, HttpContext http, CancellationToken ct)
    {
        if (!TryRead(request, out var names, out var importance, out var wrong)) return Problem.Of(http, ErrorCode.InvalidPayload, wrong);
        // All or none: every right is checked before anything is published.
        foreach (var name in names)
        {
            if (await MayAsync(hub, caller, name, request)) continue;
            http.Features.Set(new Guard.Refused("publish", name.Value));
            return Problem.Of(http, ErrorCode.Forbidden, $"You may not publish this to {name}.");
        }
        if (hub.IsShortOfMemory) return Problem.Of(
            http, ErrorCode.Unavailable, "Memory is short; nothing was published.", TimeSpan.FromSeconds(1));
        var body = JsonSerializer.SerializeToUtf8Bytes(request.Data);
        List<Published> published = [];
        foreach (var name in names)
        {
            var area = hub.AreaOf(name);
            published.Add(new Published(name.Value, await hub.PublishAsync(name, area, request.Event ?? area?.Event
                ?? DefaultEvent, body, importance, request.Key, ct)));
            audit.NoteAct(caller.Actor, "publish", name.Value, caller.Address);
        }
        return TypedResults.Ok(new Result(published));
    }

    static Importance? ImportanceOf(string word) => word switch
    {
        "marketing" => Importance.Marketing,
        "informative" => Importance.Informative,
        "important" => Importance.Important,
        "critical" => Importance.Critical,
        _ => null,
    };

    // Nobody publishes to the channels of the server itself. Users publish what the area is for, and their publications do not overtake
    // others.
    static ValueTask<bool> MayAsync(ChannelHub hub, Caller caller, ChannelName name, Request request)
    {
        var area = hub.AreaOf(name);
        var isPlain = (request.Event is null || request.Event == area?.Event) && request is { Importance: null, Key: null };
        return area?.IsOfTheServer == true || (caller.IsKnown && !isPlain)
            ? new(false) : hub.AdmitsAsync(caller, name, ChannelPermission.Publish);
    }

    static bool TryRead(Request request, out List<ChannelName> names, out Importance? importance, out string wrong)
    {
        (names, importance, wrong) = ([], null, "");
        if ((request.Channel is null) == (request.Channels is null) || request.Channels is { Count: 0 or > MostChannels })
            wrong = $"Either channel is to be given, or channels with 1 to {MostChannels} names.";
        else if (request.Data.ValueKind == JsonValueKind.Undefined)
            wrong = "data is missing.";
        else if (request.Event is { } name && (name.Length is 0 or > LongestEvent || Reserved.Contains(name) || name.Any(char.IsControl)))
            wrong = $"event is a name of at most {LongestEvent} characters that neither the server nor the protocol uses.";
        else if (request.Importance is { } word && (importance = ImportanceOf(word)) is null)
            wrong = "importance is one of marketing, informative, important and critical.";
        else if (request.Key?.Length > LongestKey)
            wrong = $"key has at most {LongestKey} characters.";
        foreach (var text in wrong.Length > 0 ? [] : request.Channels ?? [request.Channel!])
            if (!ChannelName.TryParse(text, out var channel)) wrong =
                "A channel's name is parts joined by colons, at most 200 characters, without control characters.";
            else if (!names.Contains(channel)) names.Add(channel);
        return wrong.Length == 0;
    }
}
