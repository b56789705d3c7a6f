using System.Collections.Concurrent;
using Carillon.SocketIO.Diagnostics;
using Carillon.SocketIO.Engine;
using Carillon.SocketIO.Packets;

namespace Carillon.SocketIO.Sockets;

/// <summary>One client in one namespace. Sending never waits for the client; what is sent after it has left is dropped.</summary>
public sealed partial class Socket
{
    enum State { Joining, Connected, Disconnected }

    readonly SocketClient _client;
    readonly Lock _gate = new();
    State _state;
    long _lastEvent;
    List<string>? _early;                     // rooms that were joined before the socket was in its namespace
    ConcurrentDictionary<string, object?>? _data;

    internal Socket(SocketClient client, SocketNamespace nsp, Handshake handshake)
    {
        (_client, Connection, Namespace, Handshake) = (client, client.Engine, nsp, handshake);
        Id = SessionId.Create();
        NoteEvent();
        // before that, nothing was sent to it
        if (nsp.Recovery is { } recovery) _recoverable = new() { Pid = SessionId.Create(), ConfirmedBefore = recovery.Now };
    }

    internal Socket(SocketClient client, SocketNamespace nsp, Handshake handshake, LostSession lost)
    {
        (_client, Connection, Namespace, Handshake) = (client, client.Engine, nsp, handshake);
        (Id, Recovered) = (lost.SocketId, true);
        _recoverable = new() { Pid = lost.State.Pid, JoinedBehind = lost.State.JoinedBehind, ConfirmedBefore = lost.ConfirmedAt };
        _early = [.. lost.Rooms];
        (_data, Account) = (lost.Data, lost.Account);
        NoteEvent();
    }

    /// <summary>The socket's id: 20 characters, known to the client, unlike the id of its connection.</summary>
    public string Id { get; }

    /// <summary>The namespace.</summary>
    public SocketNamespace Namespace { get; }

    /// <summary>
    /// The data of the request that opened the connection, and the <c>auth</c> that the client passed for this namespace.
    /// </summary>
    public Handshake Handshake { get; }

    /// <summary>
    /// Whether the client came back within the time that lost connections are kept, and got its state and missed events back.
    /// </summary>
    public bool Recovered { get; }

    /// <summary>The application's own data about this socket. It survives a recovery.</summary>
    public IDictionary<string, object?> Data =>
        LazyInitializer.EnsureInitialized(ref _data, static () => new(concurrencyLevel: 1, capacity: 4));

    /// <summary>
    /// One thing that the application wants to remember of this socket, such as who it is: cheaper than <see cref="Data"/>. A recovered
    /// socket has that of its new connection.
    /// </summary>
    public object? Tag { get; set; }

    /// <summary>Whether the socket is in its namespace.</summary>
    public bool IsConnected => _state == State.Connected;

    /// <summary>The connection that carries the socket, which it may share with sockets of other namespaces.</summary>
    public EngineSocket Connection { get; }

    /// <summary>
    /// When the client last sent an event on this socket, UTC; when it came where it has sent none. Answers, pongs and transports do not
    /// count.
    /// </summary>
    public DateTimeOffset LastEventAt => Clock.GetUtcNow() - Clock.GetElapsedTime(_lastEvent);

    /// <summary>The rooms the socket is in, its own (named by its id) among them.</summary>
    public IReadOnlyCollection<string> Rooms
    {
        get
        {
            lock (_gate) return _state switch
            {
                State.Connected => Namespace.Rooms.Of(this),
                State.Joining => [Id, .. _early ?? []],
                _ => [],
            };
        }
    }

    /// <summary>Everyone in the namespace but this socket.</summary>
    public Broadcast Others => Namespace.Except(Id);

    /// <summary>The members of some rooms, but not this socket.</summary>
    public Broadcast To(params IEnumerable<string> rooms) => Others.To(rooms);

    /// <summary>This socket alone, for what may be dropped when it cannot be sent right now.</summary>
    public Broadcast Volatile => Namespace.To(Id).Volatile;

    /// <summary>Sends an event without arguments to this client.</summary>
    /// <param name="name">The event's name.</param>
    public void Emit(string name) => EmitAll(name, []);

    /// <summary>Sends an event to this client.</summary>
    /// <param name="name">The event's name.</param>
    /// <param name="argument">The value that is written as JSON, with <c>byte[]</c> and <c>ReadOnlyMemory&lt;byte&gt;</c> as binary. A list
    /// is one
    /// argument.</param>
    /// <param name="more">Further arguments; with the first they hold at most ten binary values.</param>
    public void Emit(string name, object? argument, params ReadOnlySpan<object?> more) => EmitAll(name, [argument, .. more]);

    /// <summary>Sends an event with arguments that came from a client.</summary>
    /// <param name="name">The event's name.</param>
    /// <param name="arguments">The arguments, which go out as they came.</param>
    public void Emit(string name, SocketArguments arguments) => EmitAll(name, [.. arguments]);

    void EmitAll(string name, ReadOnlySpan<object?> arguments)
    {
        if (_state != State.Connected) return;
        // With recovery on, an event for one socket is recorded like any other: it must be there when the client comes back.
        if (Namespace.Recovery is not null) Namespace.EmitTo(name, arguments, [Id], [], isVolatile: false, compress: true);
        else Send(PacketFrame.Of(PacketWriter.Event(Namespace.Name, name, arguments)));
        if (Namespace.Recovery is null && Meters.EventsSent.Enabled) Meters.EventsSent.Add(1);
    }

    /// <summary>Joins a room. Before the socket is connected it is remembered and takes effect then.</summary>
    /// <exception cref="InvalidOperationException">The socket is in <see cref="SocketIOOptions.MaxRoomsPerSocket"/> other rooms
    /// already.</exception>
    public void Join(string room)
    {
        var most = Namespace.Server.Options.MaxRoomsPerSocket;
        var fits = true;
        lock (_gate)
        {
            if (_state == State.Connected) fits = Namespace.Rooms.Join(this, room, most + 1);     // its own is one more
            else if (_state == State.Joining && _early?.Contains(room) != true
                && (fits = _early is null || _early.Count < most)) (_early ??= []).Add(room);
        }
        if (!fits) throw new InvalidOperationException($"A socket may be in {most} rooms at most (SocketIOOptions.MaxRoomsPerSocket).");
    }

    /// <summary>Leaves a room.</summary>
    public void Leave(string room)
    {
        lock (_gate)
        {
            if (_state == State.Connected) Namespace.Rooms.Leave(this, room);
            else _early?.Remove(room);
        }
    }

    /// <summary>Makes the client leave the namespace; it sees <c>io server disconnect</c> and does not come back by itself.</summary>
    /// <param name="close">Whether its connection is closed too, with its sockets in other namespaces.</param>
    public void Disconnect(bool close = false)
    {
        if (close)
        {
            _client.DisconnectAll();
            return;
        }
        if (_state != State.Connected) return;
        Send(PacketFrame.Of(PacketWriter.Disconnected(Namespace.Name)));
        _client.Forget(this);
        Leave(DisconnectReason.ServerNamespaceDisconnect, keep: false);
    }

    readonly Recoverable? _recoverable;      // with recovery on

    internal void NoteEvent() => _lastEvent = Clock.GetTimestamp();

    TimeProvider Clock => Namespace.Server.Clock;

    internal bool HasJoined => _state != State.Joining;

    internal void Send(SharedFrame frame, bool isVolatile = false) => Connection.Enqueue(frame, isVolatile);

    /// <summary>
    /// Makes the client reachable, and confirms the connection: whatever is sent once it knows reaches it, and nothing comes before
    /// it knows but the events it missed.
    /// </summary>
    internal void Enter(IReadOnlyList<SharedFrame> missed)
    {
        Connection.BeginJoin();      // the news stays in the queue, first, until the socket is in its rooms
        try
        {
            EnterHeld(missed);
        }
        finally
        {
            Connection.EndJoin();
        }
        Connection.Trim();
    }

    void EnterHeld(IReadOnlyList<SharedFrame> missed)
    {
        lock (_gate)
        {
            if (_state != State.Joining) return;
            foreach (var frame in missed) Send(frame);
            Send(PacketFrame.Of(PacketWriter.Connected(Namespace.Name, Id, _recoverable?.Pid), policy: SendPolicy.Barrier));
            if (_recoverable is { } recoverable)
            {
                // Before it is in its rooms: an event between would be replayed, not lost.
                if (!Recovered) recoverable.JoinedBehind = Namespace.Recovery!.LastOffset;
                recoverable.JoinedAt = Clock.GetTimestamp();
                Namespace.Recovery!.Enter(this, recoverable.Pid);
            }
            _state = State.Connected;
            Namespace.Rooms.Enter(this, [Id, .. _early ?? []]);
            _early = null;
        }
    }

    /// <summary>Takes the socket out of its namespace. With recovery on, a session that may come back is kept at the same moment.</summary>
    internal void Leave(string reason, bool keep)
    {
        if (keep && Namespace.Recovery is { } recovery)
        {
            lock (recovery.Gate)
                if (Exit() is { } rooms) recovery.Keep(
                    new LostSession(Id, _recoverable!, rooms, _data, Account, recovery.Now, ConfirmedAt));
                else return;
        }
        else if (Exit() is null)
        {
            return;
        }
        CancelAcks();
        Namespace.OnDisconnected(this, reason);
    }

    // Up to where nothing is missing for sure: the last ping that was answered came behind all that was sent since the socket joined.
    long ConfirmedAt => Connection.ConfirmedAt > _recoverable!.JoinedAt ? Connection.ConfirmedAt : _recoverable.ConfirmedBefore;

    string[]? Exit()
    {
        lock (_gate)
        {
            var was = _state;
            _state = State.Disconnected;
            if (was == State.Connected && _recoverable is not null) Namespace.Recovery!.Exit(this, _recoverable.Pid);
            return was == State.Connected ? Namespace.Rooms.Exit(this) : null;
        }
    }

    // The socket's places in rooms, kept by Rooms under its own gate: here, because a socket has few and a broadcast none to look up.
    internal Rooms.Membership[] Memberships = new Rooms.Membership[2];
    internal int MembershipCount;

    internal int AddMembership(Rooms.Membership membership)
    {
        if (MembershipCount == Memberships.Length) Array.Resize(ref Memberships, MembershipCount * 2);
        Memberships[MembershipCount] = membership;
        return MembershipCount++;
    }
}
