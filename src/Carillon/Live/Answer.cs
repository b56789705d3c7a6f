using Carillon.Channels;
using Carillon.SocketIO;

namespace Carillon.Live;

/// <summary>Each request is answered by an event, and by the acknowledgement too where the client asked for one.</summary>
static class Answer
{
    public static void Subscribed(SocketEvent e, string channel, Position position, bool recovered)
    {
        e.Socket.Emit("subscribed", new { channel, position, recovered });
        e.Ack(new { ok = true, channel, position, recovered });
    }

    public static void Unsubscribed(SocketEvent e, string channel)
    {
        e.Socket.Emit("unsubscribed", new { channel });
        e.Ack(new { ok = true, channel });
    }

    public static void Refuse(SocketEvent e, ErrorCode error, string? channel)
    {
        // The name of an unknown event is the client's: it goes back only as far as a name reasonably goes.
        var name = e.Name.Length <= 100 ? e.Name : e.Name[..100];
        var (code, message, retryable) = (error.Code, error.Message, error.Retryable);
        if (channel is null) e.Socket.Emit("error", new { code, message, retryable, @event = name });
        else e.Socket.Emit("error", new { code, message, retryable, @event = name, channel });
        e.Ack(new { ok = false, error = new { code, message, retryable } });
    }
}
