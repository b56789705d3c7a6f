using System.Text.Json.Serialization;
using Carillon.Channels;
using Carillon.Diagnostics;
using Carillon.SocketIO.Engine;
using Carillon.SocketIO.Sockets;

namespace Carillon.Hub;

/// <summary>Each request is answered by an event, and by the acknowledgement too where the client asked for one.</summary>
static class Answer
{
    public static void Subscribed(SocketEvent e, string channel, Position position, bool recovered)
    {
        // Of the channel's own stream: no publication that comes later may be there before.
        var policy = new SendPolicy { Stream = channel };
        e.Socket.Namespace.To(e.Socket.Id).With(policy).Emit("subscribed", new { channel, position, recovered });
        e.AckWith(policy, new { ok = true, channel, position, recovered });
    }

    public static void Unsubscribed(SocketEvent e, string channel)
    {
        e.Socket.Emit("unsubscribed", new { channel });
        e.Ack(new { ok = true, channel });
    }

    public static void Refuse(SocketEvent e, ErrorCode error, string? channel, TimeSpan? retryAfter = null)
    {
        ProductMeters.Refused(error, "event");
        // The name of an unknown event is the client's: it goes back only as far as a name reasonably goes.
        var name = e.Name.Length <= 100 ? e.Name : e.Name[..100];
        var told = new Error(error.Code, error.Message, error.Retryable, retryAfter is { } wait ? ErrorCode.SecondsOf(wait) : null);
        e.Socket.Emit("error", told with { Event = name, Channel = channel });
        e.Ack(new { ok = false, error = told });
    }

    /// <summary>An error as clients are told it, of an event of theirs or of none.</summary>
    public static object Told(ErrorCode error, string? of = null) =>
        new Error(error.Code, error.Message, error.Retryable, null) { Event = of };

    // An acknowledgement belongs to its event: it does not name it.
    sealed record Error(
        string Code, string Message, bool Retryable,
        [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] long? RetryAfter)
    {
        [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
        public string? Event { get; init; }

        [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
        public string? Channel { get; init; }
    }
}
