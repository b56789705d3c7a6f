using System.Text.Json.Serialization;
using Carillon.Access;
using Carillon.Api;
using Carillon.Audit;
using Carillon.Hub;
using Carillon.SocketIO.Sockets;
using Carillon.Storage;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Carillon.Presence;

/// <summary>Who is in a channel: over HTTP, and by the event <c>presence</c>.</summary>
sealed class ReadPresence(PresenceTracker board, ChannelHub hub, AuditLog audit)
{
    public sealed record Result(
        string Channel, int Count, IReadOnlyList<PresentUser> Items, [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Next);

    sealed record Answered(
        bool Ok, string Channel, int Count, IReadOnlyList<PresentUser> Items, [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Next);

    public void Map(RouteGroupBuilder api, SocketNamespace root)
    {
        api.MapGet("/channels/{channel}/presence", HandleAsync).RequirePolicy(EndpointPolicy.Read).WithSummary("Reads who is in a channel, in the order of the ids, and how many there are.").Produces<Result>();
        root.On("presence", HandleEventAsync);
    }

    async Task<IResult> HandleAsync(string channel, string? limit, string? cursor, Caller caller, HttpContext http)
    {
        if (!PageRequest.TryRead(limit, cursor, out var page)) return PageRequest.Refuse(http);
        var (result, error) = await ReadAsync(caller, channel, page);
        return result is not null ? TypedResults.Ok(result) : Problem.Of(http, error!, error!.Message);
    }

    async Task HandleEventAsync(SocketEvent e)
    {
        if (hub.Find(e.Socket) is not { } subscriber) return;
        var argument = e.Arguments[0];
        var channel = argument.AsString() ?? argument["channel"].AsString();
        var limit = argument["limit"].Json is { ValueKind: System.Text.Json.JsonValueKind.Number } number ? number.GetRawText() : null;
        if (!ChannelName.TryParse(channel, out _) || !PageRequest.TryRead(limit, argument["cursor"].AsString(), out var page))
        {
            e.Socket.ReportMalformed();
            Answer.Refuse(e, ErrorCode.InvalidPayload, channel: null);
            return;
        }
        if (!e.Socket.TryAcquire(1, out var retryAfter))
        {
            Answer.Refuse(e, ErrorCode.RateLimited, channel, retryAfter);
            return;
        }
        try
        {
            var (result, error) = await ReadAsync(subscriber.Caller, channel, page);
            if (result is not null)
            {
                e.Ack(new Answered(true, result.Channel, result.Count, result.Items, result.Next));
                return;
            }
            audit.NoteRefusal(subscriber.Caller.Actor, e.Name, channel, subscriber.Caller.Address, error!.Code);
            Answer.Refuse(e, error, channel);
        }
        catch (Exception ex)
        {
            Answer.Refuse(e, ErrorCode.Unavailable, channel);
            if (!DatabaseUnavailableException.Is(ex)) throw;   // logged by the server; the health check names what the database lacks
        }
    }

    async ValueTask<(Result? Result, ErrorCode? Error)> ReadAsync(Caller caller, string? channel, PageRequest page)
    {
        if (!ChannelName.TryParse(channel, out var name)) return (null, ErrorCode.InvalidPayload);
        if (hub.AreaOf(name) is not { EmitsPresence: true } area) return (null, ErrorCode.UnknownChannel);
        if (!caller.HasScope(Scopes.Read) && !await hub.AdmitsAsync(caller, name, area, ChannelPermission.Presence)) return (null, ErrorCode.Forbidden);
        var (users, count) = board.Read(name, page.After, page.Limit + 1);
        var part = page.Cut(users, user => user.Id);
        return (new Result(name.Value, count, part.Items, part.Next), null);
    }
}
