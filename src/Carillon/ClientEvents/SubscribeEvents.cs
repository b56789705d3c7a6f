using System.Text.Json;
using Carillon.Audit;
using Carillon.Channels;
using Carillon.Hub;
using Carillon.SocketIO.Packets;
using Carillon.SocketIO.Sockets;
using Carillon.Storage;

namespace Carillon.ClientEvents;

/// <summary>
/// The events <c>subscribe</c> and <c>unsubscribe</c>, and those of their kind that name a resource or the suggestions: their arguments, the questions asked in order, and the answers.
/// </summary>
sealed class SubscribeEvents(ChannelHub hub, PermissionRefresher rights, AuditLog audit, SubscriptionLimits limits)
{
    const int MaxEpochLength = 100;

    // Waiting alone does not help who has joined too many: they have to leave some first.
    static readonly TimeSpan WhenFull = TimeSpan.FromSeconds(10);

    /// <summary>What a client asks for.</summary>
    internal readonly record struct Request(ChannelName Channel, Position? Since);

    public void On(SocketNamespace root)
    {
        On(root, "", TryRead);
        On(root, ":resource", (SocketValue argument, out Request request) => TryReadPart(argument, "resourceId", "resource:updates:", out request));
        On(root, ":suggestions", TryReadSuggestions);
    }

    delegate bool Reading(SocketValue argument, out Request request);

    void On(SocketNamespace root, string what, Reading read)
    {
        root.On("subscribe" + what, e => HandleAsync(e, read));
        root.On("unsubscribe" + what, e => LeaveAsync(e, read));
    }

    async Task HandleAsync(SocketEvent e, Reading read)
    {
        if (hub.Find(e.Socket) is not { } subscriber) return;
        if (!read(e.Arguments[0], out var request))
        {
            RefuseMalformed(e);
            return;
        }
        var channel = request.Channel.Value;
        if (!e.Socket.TryAcquire(1, out var retryAfter))
        {
            Answer.Refuse(e, ErrorCode.RateLimited, channel, retryAfter);
            return;
        }
        using var turn = await subscriber.TakeTurnAsync();
        if (subscriber.HasEnded) return;
        try
        {
            if (hub.AreaOf(request.Channel) is not { } area)
                Refuse(e, subscriber, ErrorCode.UnknownChannel, channel);
            else if (!await MayAsync(subscriber, area, request.Channel))
                Refuse(e, subscriber, ErrorCode.Forbidden, channel);
            else if (subscriber.Count >= limits.MaxSubscriptions && !subscriber.Has(channel))
                Answer.Refuse(e, ErrorCode.RateLimited, channel, WhenFull);
            else
                await JoinAsync(e, subscriber, request, area);
        }
        catch (Exception ex)
        {
            Answer.Refuse(e, ErrorCode.Unavailable, channel);
            if (!DatabaseUnavailableException.Is(ex) && ex is not ChannelsFullException) throw;   // logged by the server; the health check names what the database lacks
        }
    }

    async ValueTask<bool> MayAsync(Subscriber subscriber, Area area, ChannelName channel)
    {
        var asOf = subscriber.Generation;
        return await hub.AdmitsAsync(subscriber.Caller, channel, area, ChannelPermission.Subscribe)
            || (await rights.HasNewsAsync(subscriber, asOf) && await hub.AdmitsAsync(subscriber.Caller, channel, area, ChannelPermission.Subscribe));
    }

    async Task JoinAsync(SocketEvent e, Subscriber subscriber, Request request, Area area)
    {
        await hub.JoinAsync(subscriber, request.Channel, area, request.Since,
            (position, recovered) => Answer.Subscribed(e, request.Channel.Value, position, recovered), CancellationToken.None);
        audit.NoteAct(subscriber.Caller.Actor, "subscribe", request.Channel.Value, subscriber.Caller.Address);
    }

    void Refuse(SocketEvent e, Subscriber subscriber, ErrorCode error, string channel)
    {
        audit.NoteRefusal(subscriber.Caller.Actor, e.Name, channel, subscriber.Caller.Address, error.Code);
        Answer.Refuse(e, error, channel);
    }

    static void RefuseMalformed(SocketEvent e)
    {
        e.Socket.ReportMalformed();
        Answer.Refuse(e, ErrorCode.InvalidPayload, NameIn(e.Arguments[0]));
    }

    async Task LeaveAsync(SocketEvent e, Reading read)
    {
        if (hub.Find(e.Socket) is not { } subscriber) return;
        if (!read(e.Arguments[0], out var request))
        {
            RefuseMalformed(e);
            return;
        }
        using var turn = await subscriber.TakeTurnAsync();
        if (!subscriber.Has(request.Channel.Value) && hub.AreaOf(request.Channel) is null)
        {
            Refuse(e, subscriber, ErrorCode.UnknownChannel, request.Channel.Value);
            return;
        }
        await hub.LeaveAsync(subscriber, request.Channel);
        Answer.Unsubscribed(e, request.Channel.Value);
    }

    /// <summary>Reads <c>"name"</c> or <c>{ channel, since?: { epoch, offset } }</c>. One channel a call.</summary>
    internal static bool TryRead(SocketValue argument, out Request request)
    {
        request = default;
        var text = argument.Json.ValueKind == JsonValueKind.Object ? argument["channel"].AsString() : argument.AsString();
        return ChannelName.TryParse(text, out var channel) && TryReadSince(argument, channel, out request);
    }

    /// <summary>Reads <c>"7"</c> or <c>{ resourceId: "7", since? }</c>: the last part of a name, without colons.</summary>
    static bool TryReadPart(SocketValue argument, string member, string prefix, out Request request)
    {
        request = default;
        var part = argument.Json.ValueKind == JsonValueKind.Object ? argument[member].AsString() : argument.AsString();
        return part?.Contains(':') == false && ChannelName.TryParse(prefix + part, out var channel) && TryReadSince(argument, channel, out request);
    }

    /// <summary>Reads nothing, or <c>{ since? }</c>.</summary>
    static bool TryReadSuggestions(SocketValue argument, out Request request)
    {
        request = default;
        return argument.Json.ValueKind is JsonValueKind.Undefined or JsonValueKind.Null or JsonValueKind.Object
            && ChannelName.TryParse("suggestions:votes", out var channel) && TryReadSince(argument, channel, out request);
    }

    static bool TryReadSince(SocketValue argument, ChannelName channel, out Request request)
    {
        request = default;
        var isObject = argument.Json.ValueKind == JsonValueKind.Object;
        var since = isObject ? argument["since"].Json : default;
        if (since.ValueKind is JsonValueKind.Undefined or JsonValueKind.Null)
        {
            request = new Request(channel, null);
            return true;
        }
        if (argument["since"]["epoch"].AsString() is not { Length: > 0 and <= MaxEpochLength } epoch
            || argument["since"]["offset"].Json is not { ValueKind: JsonValueKind.Number } offset
            || !offset.TryGetInt64(out var number) || number < 0) return false;
        request = new Request(channel, new Position(epoch, number));
        return true;
    }

    static string? NameIn(SocketValue argument) =>
        ChannelName.TryParse(argument.AsString() ?? argument["channel"].AsString(), out var name) ? name.Value : null;
}
