using System.Text.Json;
using Carillon.Access;
using Carillon.Hub;
using Carillon.SocketIO.Packets;
using Carillon.SocketIO.Sockets;

namespace Carillon.ClientEvents;

/// <summary>An event of a client, on its way to its handler and back.</summary>
sealed class ClientRequest(SocketEvent e, Subscriber subscriber)
{
    public SocketEvent Event => e;

    public Subscriber Subscriber => subscriber;

    public Caller Caller => subscriber.Caller;

    public SocketValue Argument => e.Arguments[0];

    /// <summary>The channel that the argument names, if any. The event <c>error</c> repeats it.</summary>
    public string? Channel { get; set; }

    /// <summary>What the audit log names when the request is refused. Unless the reader sets it, the connection.</summary>
    public string Subject { get; set; } = e.Socket.Id;

    public bool IsAcknowledged { get; private set; }

    /// <summary>Acknowledges the event with <c>ok</c> and the members of the result.</summary>
    public void Acknowledge(object result)
    {
        if (e.WantsAck)
        {
            Dictionary<string, object> answer = new() { ["ok"] = true };
            var members = JsonSerializer.SerializeToElement(result, JsonSerializerOptions.Web);
            foreach (var member in members.EnumerateObject()) answer[member.Name] = member.Value;
            e.Ack(answer);
        }
        IsAcknowledged = true;
    }
}
