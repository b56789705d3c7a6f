using System.Text.Json;
using Carillon.Api;
using Carillon.Audit;
using Carillon.Channels;
using Carillon.Hub;
using Carillon.SocketIO.Packets;

namespace Carillon.ClientEvents;

/// <summary>
/// The events <c>subscribe</c> and <c>unsubscribe</c>, and those of features that name a channel in another way, such as
/// <c>subscribe:resource</c>.
/// </summary>
sealed class SubscribeEvents(ChannelHub hub, PermissionRefresher rights, AuditLog audit, SubscriptionLimits limits)
{
    const int MaxEpochLength = 100;

    // Waiting does not help a client with too many subscriptions: it must leave some channels first.
    static readonly TimeSpan WhenFull = TimeSpan.FromSeconds(10);

    sealed record Request(ChannelName Channel, Position? Since);

    /// <summary>
    /// Maps <c>subscribe</c> and <c>unsubscribe</c>: <c>"name"</c> or <c>{ channel, since?: { epoch, offset } }</c>, one channel a call.
    /// </summary>
    public void Map(EventMap events) =>
        Map(events, "", static argument => (argument.Json.ValueKind == JsonValueKind.Object ? argument["channel"] : argument).AsString());

    /// <summary>Maps a pair of events whose argument names the channel in another way.</summary>
    /// <param name="events">The events.</param>
    /// <param name="suffix">What follows <c>subscribe</c> and <c>unsubscribe</c> in their names.</param>
    /// <param name="channelIn">Returns the channel that an argument names; null where the argument is malformed.</param>
    public void Map(EventMap events, string suffix, Func<SocketValue, string?> channelIn)
    {
        events.Map("subscribe" + suffix, EndpointPolicy.Client, Read, SubscribeAsync, inTurn: true);
        events.Map("unsubscribe" + suffix, EndpointPolicy.Client, Read, UnsubscribeAsync, inTurn: true, isFree: true);

        Request? Read(ClientRequest request)
        {
            if (!ChannelName.TryParse(channelIn(request.Argument), out var channel)) return null;
            request.Channel = request.Subject = channel.Value;
            return TryReadSince(request.Argument, out var since) ? new Request(channel, since) : null;
        }
    }

    async ValueTask<Refusal?> SubscribeAsync(ClientRequest request, Request wanted)
    {
        var (subscriber, channel) = (request.Subscriber, wanted.Channel);
        if (hub.AreaOf(channel) is not { } area) return new Refusal(ErrorCode.UnknownChannel);
        if (!await MayAsync(subscriber, area, channel)) return new Refusal(ErrorCode.Forbidden);
        if (subscriber.Count >= limits.MaxSubscriptions && !subscriber.Has(channel.Value))
            return new Refusal(ErrorCode.RateLimited, RetryAfter: WhenFull) { IsAudited = false };
        // Answered by the hub in the right place of the channel's stream.
        await hub.JoinAsync(subscriber, channel, area, wanted.Since,
            (position, recovered) => Answer.Subscribed(request.Event, channel.Value, position, recovered), CancellationToken.None);
        audit.NoteAct(subscriber.Caller.Actor, "subscribe", channel.Value, subscriber.Caller.Address);
        return null;
    }

    async ValueTask<bool> MayAsync(Subscriber subscriber, Area area, ChannelName channel)
    {
        var asOf = subscriber.Generation;
        return await AdmitsAsync() || (await rights.HasNewsAsync(subscriber, asOf) && await AdmitsAsync());

        ValueTask<bool> AdmitsAsync() => hub.AdmitsAsync(subscriber.Caller, channel, area, ChannelPermission.Subscribe);
    }

    async ValueTask<Refusal?> UnsubscribeAsync(ClientRequest request, Request wanted)
    {
        var (subscriber, channel) = (request.Subscriber, wanted.Channel);
        if (!subscriber.Has(channel.Value) && hub.AreaOf(channel) is null) return new Refusal(ErrorCode.UnknownChannel);
        await hub.LeaveAsync(subscriber, channel);
        Answer.Unsubscribed(request.Event, channel.Value);
        return null;
    }

    // An argument without a position is as good as one that is no object.
    static bool TryReadSince(SocketValue argument, out Position? since)
    {
        since = null;
        var value = argument.Json.ValueKind == JsonValueKind.Object ? argument["since"] : default;
        if (value.Json.ValueKind is JsonValueKind.Undefined or JsonValueKind.Null) return true;
        if (value["epoch"].AsString() is not { Length: > 0 and <= MaxEpochLength } epoch
            || value["offset"].Json is not { ValueKind: JsonValueKind.Number } offset
            || !offset.TryGetInt64(out var number) || number < 0) return false;
        since = new Position(epoch, number);
        return true;
    }
}
