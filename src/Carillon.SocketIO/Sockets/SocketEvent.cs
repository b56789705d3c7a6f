using Carillon.SocketIO.Engine;
using Carillon.SocketIO.Packets;

namespace Carillon.SocketIO.Sockets;

/// <summary>An event that a client sent.</summary>
public sealed class SocketEvent
{
    readonly long? _ackId;
    int _acknowledged;

    internal SocketEvent(Socket socket, string name, SocketArguments arguments, long? ackId)
    {
        (Socket, Name, Arguments, _ackId) = (socket, name, arguments, ackId);
    }

    /// <summary>The sender.</summary>
    public Socket Socket { get; }

    /// <summary>The event's name. A number is its digits.</summary>
    public string Name { get; }

    /// <summary>The arguments, the acknowledgement callback not among them.</summary>
    public SocketArguments Arguments { get; }

    /// <summary>Whether the client waits for an acknowledgement.</summary>
    public bool WantsAck => _ackId is not null;

    /// <summary>Answers the client without arguments. Only the first answer counts, and only if the client waits for one.</summary>
    public void Ack() => AckAll([]);

    /// <summary>
    /// Answers the client, once; where it does not wait for an answer, and for every later call, nothing happens.
    /// </summary>
    /// <param name="argument">The value that is written as JSON; <see cref="SocketValue"/>s go out as they came. A list is one
    /// argument.</param>
    /// <param name="more">Further arguments.</param>
    public void Ack(object? argument, params ReadOnlySpan<object?> more) => AckAll([argument, .. more]);

    /// <summary>
    /// Answers the client, once, with its own policy: an answer that contains the position of a stream must not be overtaken by it.
    /// </summary>
    /// <param name="policy">How the answer is treated where it cannot leave at once.</param>
    /// <param name="argument">The value that is written as JSON.</param>
    public void AckWith(SendPolicy policy, object? argument) => AckAll([argument], policy);

    /// <summary>Answers with arguments that a client sent.</summary>
    public void Ack(SocketArguments arguments) => AckAll([.. arguments]);

    void AckAll(ReadOnlySpan<object?> arguments, SendPolicy? policy = null)
    {
        if (_ackId is not { } id || Interlocked.Exchange(ref _acknowledged, 1) != 0) return;
        Socket.Send(PacketFrame.Of(PacketWriter.Ack(Socket.Namespace.Name, id, arguments), policy: policy));
    }
}
