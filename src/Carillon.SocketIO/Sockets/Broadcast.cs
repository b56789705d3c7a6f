using Carillon.SocketIO.Engine;
using Carillon.SocketIO.Packets;

namespace Carillon.SocketIO.Sockets;

/// <summary>
/// Chooses receivers of a namespace and sends to them. It is a value: each call answers a new one, so that it can be kept and reused.
/// Where no room is named, everyone in the namespace receives.
/// </summary>
public readonly struct Broadcast
{
    readonly SocketNamespace _namespace;
    readonly string[] _rooms;
    readonly string[] _except;
    readonly bool _isVolatile;
    readonly bool _uncompressed;
    readonly SendPolicy? _policy;

    internal Broadcast(SocketNamespace nsp, string[] rooms, string[] except, bool isVolatile = false, bool uncompressed = false,
        SendPolicy? policy = null)
    {
        (_namespace, _rooms, _except, _isVolatile, _uncompressed, _policy) = (nsp, rooms, except, isVolatile, uncompressed, policy);
    }

    /// <summary>Adds a room whose members receive. The id of a socket is a room with that socket alone.</summary>
    public Broadcast To(string room) =>
        new(_namespace, _rooms.Length == 0 ? [room] : [.. _rooms, room], _except, _isVolatile, _uncompressed, _policy);

    /// <summary>Adds rooms whose members receive. The id of a socket is a room with that socket alone.</summary>
    public Broadcast To(params IEnumerable<string> rooms) =>
        new(_namespace, [.. _rooms, .. rooms], _except, _isVolatile, _uncompressed, _policy);

    /// <summary>Adds rooms whose members do not receive.</summary>
    public Broadcast Except(params IEnumerable<string> rooms) =>
        new(_namespace, _rooms, [.. _except, .. rooms], _isVolatile, _uncompressed, _policy);

    /// <summary>Messages are dropped for receivers that cannot take them right now.</summary>
    public Broadcast Volatile => new(_namespace, _rooms, _except, isVolatile: true, _uncompressed, _policy);

    /// <summary>Messages are not compressed: they are compressed already, or secret.</summary>
    public Broadcast Uncompressed => new(_namespace, _rooms, _except, _isVolatile, uncompressed: true, _policy);

    /// <summary>How what is sent is treated where it cannot leave at once.</summary>
    public Broadcast With(SendPolicy policy) => new(_namespace, _rooms, _except, _isVolatile, _uncompressed, policy);

    /// <summary>How many sockets would receive.</summary>
    public int Count
    {
        get
        {
            if (_rooms.Length == 1 && _except.Length == 0) return _namespace.Rooms.CountOf(_rooms[0]);
            var receivers = _namespace.Rooms.Rent(_rooms, _except, out var count);
            Rooms.Return(receivers, count);
            return count;
        }
    }

    /// <summary>The sockets that would receive.</summary>
    public IReadOnlyList<Socket> Sockets()
    {
        var receivers = _namespace.Rooms.Rent(_rooms, _except, out var count);
        Socket[] sockets = receivers[..count];
        Rooms.Return(receivers, count);
        return sockets;
    }

    /// <summary>Sends an event without arguments.</summary>
    /// <param name="name">The event's name.</param>
    /// <returns>How many sockets it was sent to.</returns>
    public int Emit(string name) => EmitAll(name, []);

    /// <summary>Sends an event. It is encoded once for all receivers and waits for none of them.</summary>
    /// <param name="name">The event's name.</param>
    /// <param name="argument">The value that is written as JSON, with <c>byte[]</c> and <c>ReadOnlyMemory&lt;byte&gt;</c> as binary. A list
    /// is one
    /// argument.</param>
    /// <param name="more">Further arguments; with the first they hold at most ten binary values.</param>
    /// <returns>How many sockets it was sent to.</returns>
    public int Emit(string name, object? argument, params ReadOnlySpan<object?> more) => EmitAll(name, [argument, .. more]);

    /// <summary>Sends an event with arguments that came from a client.</summary>
    /// <param name="name">The event's name.</param>
    /// <param name="arguments">The arguments, which go out as they came.</param>
    /// <returns>How many sockets it was sent to.</returns>
    public int Emit(string name, SocketArguments arguments) => EmitAll(name, [.. arguments]);

    int EmitAll(string name, ReadOnlySpan<object?> arguments) =>
        _namespace.EmitTo(name, arguments, _rooms, _except, _isVolatile, compress: !_uncompressed, _policy);

    /// <summary>Sends an event and waits for the acknowledgement of each receiver.</summary>
    /// <param name="name">The event's name.</param>
    /// <param name="timeout">How long to wait for the last of them.</param>
    /// <returns>The first argument of each answer that came in time, and whether all came.</returns>
    public Task<BroadcastAnswers> EmitWithAcksAsync(string name, TimeSpan timeout) =>
        _namespace.EmitToWithAcksAsync(name, timeout, [], _rooms, _except);

    /// <summary>Sends an event and waits for the acknowledgement of each receiver.</summary>
    /// <param name="name">The event's name.</param>
    /// <param name="timeout">How long to wait for the last of them.</param>
    /// <param name="argument">The value that is written as JSON. A list is one argument.</param>
    /// <param name="more">Further arguments.</param>
    /// <returns>The first argument of each answer that came in time, and whether all came.</returns>
    public Task<BroadcastAnswers> EmitWithAcksAsync(string name, TimeSpan timeout, object? argument, params ReadOnlySpan<object?> more) =>
        _namespace.EmitToWithAcksAsync(name, timeout, [argument, .. more], _rooms, _except);

    /// <summary>Makes the chosen sockets join rooms.</summary>
    public void SocketsJoin(params IReadOnlyCollection<string> rooms)
    {
        foreach (var socket in Sockets())
            foreach (var room in rooms) socket.Join(room);
    }

    /// <summary>Makes the chosen sockets leave rooms.</summary>
    public void SocketsLeave(params IReadOnlyCollection<string> rooms)
    {
        foreach (var socket in Sockets())
            foreach (var room in rooms) socket.Leave(room);
    }

    /// <summary>Disconnects the chosen sockets.</summary>
    /// <param name="close">Whether their connections are closed too, with the sockets of other namespaces on them.</param>
    public void DisconnectSockets(bool close = false)
    {
        foreach (var socket in Sockets()) socket.Disconnect(close);
    }
}

/// <summary>The answers to a broadcast that asked for acknowledgements.</summary>
/// <param name="Answers">The first argument of each answer, in the order they came.</param>
/// <param name="Complete">Whether every receiver answered in time.</param>
public sealed record BroadcastAnswers(IReadOnlyList<SocketValue> Answers, bool Complete);
