using System.Text.Json;
using Carillon.Channels;
using Carillon.SocketIO;

namespace Carillon.Live;

/// <summary>The events <c>subscribe</c> and <c>unsubscribe</c>: their arguments, the questions asked in order, and the answers.</summary>
static class Subscribe
{
    const int MaxEpochLength = 100;

    // Waiting alone does not help who has joined too many: they have to leave some first.
    static readonly TimeSpan WhenFull = TimeSpan.FromSeconds(10);

    /// <summary>What a client asks for.</summary>
    internal readonly record struct Request(ChannelName Channel, Position? Since);

    public static void On(SocketNamespace root, LiveChannels live, CarillonOptions options)
    {
        root.On("subscribe", e => HandleAsync(e, live, options));
        root.On("unsubscribe", e => LeaveAsync(e, live));
        root.OnUnknown(e => Answer.Refuse(e, ErrorCode.UnknownEvent, channel: null));
    }

    static async Task HandleAsync(SocketEvent e, LiveChannels live, CarillonOptions options)
    {
        if (live.Find(e.Socket) is not { } subscriber) return;
        if (!TryRead(e.Arguments[0], out var request))
        {
            RefuseMalformed(e);
            return;
        }
        var channel = request.Channel.Value;
        if (!e.Socket.TrySpend(1, out var retryAfter))
        {
            Answer.Refuse(e, ErrorCode.RateLimited, channel, retryAfter);
            return;
        }
        using var turn = await subscriber.TakeTurnAsync();
        if (subscriber.HasEnded) return;
        if (live.AreaOf(request.Channel) is not { } area)
            Answer.Refuse(e, ErrorCode.UnknownChannel, channel);
        else if (!area.Admits(subscriber.Caller, request.Channel))
            Answer.Refuse(e, ErrorCode.Forbidden, channel);
        else if (subscriber.Count >= options.MaxSubscriptions && !subscriber.Has(channel))
            Answer.Refuse(e, ErrorCode.RateLimited, channel, WhenFull);
        else
            await JoinAsync(e, live, subscriber, request, area);
    }

    static async Task JoinAsync(SocketEvent e, LiveChannels live, Subscriber subscriber, Request request, Area area)
    {
        try
        {
            await live.JoinAsync(subscriber, request.Channel, area, request.Since,
                (position, recovered) => Answer.Subscribed(e, request.Channel.Value, position, recovered), CancellationToken.None);
        }
        catch (Exception)
        {
            Answer.Refuse(e, ErrorCode.Unavailable, request.Channel.Value);
            throw;   // logged by the server
        }
    }

    static void RefuseMalformed(SocketEvent e)
    {
        e.Socket.ReportMalformed();
        Answer.Refuse(e, ErrorCode.InvalidPayload, NameIn(e.Arguments[0]));
    }

    static async Task LeaveAsync(SocketEvent e, LiveChannels live)
    {
        if (live.Find(e.Socket) is not { } subscriber) return;
        if (!TryRead(e.Arguments[0], out var request))
        {
            RefuseMalformed(e);
            return;
        }
        using var turn = await subscriber.TakeTurnAsync();
        await live.LeaveAsync(subscriber, request.Channel);
        Answer.Unsubscribed(e, request.Channel.Value);
    }

    /// <summary>Reads <c>"name"</c> or <c>{ channel, since?: { epoch, offset } }</c>. One channel a call.</summary>
    internal static bool TryRead(SocketValue argument, out Request request)
    {
        request = default;
        var isObject = argument.Json.ValueKind == JsonValueKind.Object;
        var text = isObject ? argument["channel"].AsString() : argument.AsString();
        if (!ChannelName.TryParse(text, out var channel)) return false;
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
