using System.Runtime.InteropServices;
using System.Text.Json;
using Carillon.SocketIO.Diagnostics;
using Carillon.SocketIO.Engine;
using Carillon.SocketIO.Limits;
using Carillon.SocketIO.Packets;

namespace Carillon.SocketIO.Sockets;

/// <summary>
/// One connection as Socket.IO sees it: it takes packets apart, puts binary ones together, and holds the sockets of the namespaces that the
/// client joined.
/// A protocol error closes this connection, and no other.
/// </summary>
sealed class SocketClient
{
    static readonly Func<SocketEvent, Task> RefuseUnfinished = static refused =>
        refused.Socket.Namespace.Handlers.RefuseAsync(refused, TimeSpan.FromSeconds(1));

    readonly SocketServer _server;
    readonly Lock _gate = new();
    // one of a namespace, also those that are still on their way in; most clients have one
    Socket[] _sockets = [];
    readonly ConnectTimeout _connectTimeout;
    HashSet<string>? _left;                                 // namespaces that were left during one batch of messages
    int _leftIn;                                            // that batch
    Packet _incomplete;
    List<ReadOnlyMemory<byte>>? _attachments;               // of the incomplete packet
    int _unfinished;                                        // asynchronous handlers that have begun and not ended
    int _refusedAttachments;                                // still to come, and to be dropped
    int _incompleteBytes;                                   // what the incomplete packet holds
    int _undecidedBytes;                                    // what requests to join hold that are not decided
    bool _joined;
    bool _closed;

    public SocketClient(SocketServer server, EngineSocket engine)
    {
        _server = server;
        Engine = engine;
        engine.MessageReceived = OnMessage;
        engine.Closed = OnClosed;
        engine.Owner = this;
        _connectTimeout = new ConnectTimeout(this);
        server.Engine.Wheel.Set(_connectTimeout, server.Options.ConnectTimeout);
    }

    public EngineSocket Engine { get; }

    /// <summary>The round trip of the connection was measured.</summary>
    public void OnLatency()
    {
        foreach (var socket in Sockets())
            if (socket.IsConnected) socket.Namespace.OnLatency(socket);
    }

    void OnMessage(EngineMessage message)
    {
        try
        {
            // A packet that cannot be read ends the transport, and the sockets with it; one that is not allowed at this point ends the
            // sockets at once.
            if (message.IsBinary ? !OnBinary(message.Data) : !OnText(message.Data)) OnMalformed();
        }
        catch (InvalidOperationException)
        {
            OnMalformed();   // a text in the packet is half of a surrogate pair, where we had to read it
        }
    }

    void OnMalformed()
    {
        Engine.CountMalformed();
        Engine.Close();
    }

    bool OnText(ReadOnlySpan<byte> text)
    {
        if (_attachments is not null || _refusedAttachments > 0) return false;
        var now = _server.Clock.GetTimestamp();
        if (!Engine.TryAcquire(text.Length, now, out var retryAfter)) return OnRateLimited(text, now, retryAfter);
        if (!PacketReader.TryRead(text, _server.Options.PacketLimits, out var packet)) return false;
        if (packet.Type == PacketType.Connect && text.Length > _server.Options.MaxBytesBeforeJoin) return false;
        if (packet.Attachments > 0)
        {
            if (Engine.IsHalfOpen) return false;     // nobody is there whom it could be for
            (_incomplete, _attachments) = (packet, new(packet.Attachments));
            HoldIncomplete(PacketReader.MemoryOf(packet.Data));
        }
        else if (!OnPacket(packet, [])) Close();
        return true;
    }

    // More than the client's share: the packet is refused before its JSON is read.
    bool OnRateLimited(ReadOnlySpan<byte> text, long now, TimeSpan retryAfter)
    {
        if (!PacketReader.TryReadHead(text, _server.Options.PacketLimits, out var head, out var json)) return false;
        _refusedAttachments = head.Attachments;
        var stays = Engine.Overspent(now) == RateLimitAction.Refuse;
        Socket? socket;
        lock (_gate) socket = Find(head.Namespace);
        if (head.Type is PacketType.Event or PacketType.BinaryEvent && socket is { IsConnected: true })
        {
            var refused = new SocketEvent(socket, PacketReader.NameIn(json), SocketArguments.None, head.Id);
            socket.Namespace.Run(late => late.Socket.Namespace.Handlers.RefuseAsync(late, retryAfter), refused);
        }
        if (!stays) Close();
        return true;
    }

    bool OnBinary(ReadOnlySpan<byte> data)
    {
        if (_refusedAttachments > 0)
        {
            _refusedAttachments--;
            Engine.Spend(data.Length);
            return true;
        }
        if (_attachments is null) return false;   // nobody announced it
        Engine.Spend(data.Length);                // the event was let in; what it brings is paid for, and delays the next
        _attachments.Add(data.ToArray());
        HoldIncomplete(data.Length);
        if (_attachments.Count < _incomplete.Attachments) return true;
        ReadOnlyMemory<byte>[] attachments = [.. _attachments];
        _attachments = null;
        ReleaseIncomplete();
        if (!BinaryJson.PlaceholdersFit(_incomplete.Data, attachments.Length)) return false;
        if (!OnPacket(_incomplete, attachments)) Close();
        return true;
    }

    void HoldIncomplete(int bytes)
    {
        Interlocked.Add(ref _incompleteBytes, bytes);
        Engine.HoldIncoming(bytes);
        if (Volatile.Read(ref _closed)) ReleaseIncomplete();     // the connection ended meanwhile
    }

    void ReleaseIncomplete() => Engine.ReleaseIncoming(Interlocked.Exchange(ref _incompleteBytes, 0));

    bool OnPacket(in Packet packet, ReadOnlyMemory<byte>[] attachments)
    {
        Socket? socket;
        bool hasJustLeft;
        lock (_gate)
        {
            socket = Find(packet.Namespace);
            hasJustLeft = _left is not null && _leftIn == Engine.Batch && _left.Contains(packet.Namespace);
        }
        if (packet.Type == PacketType.Connect) return socket is null && OnConnect(packet.Namespace, packet.Data);
        // Sent in one go with what made the socket leave: the client could not know. It is dropped, and nobody else on the connection
        // suffers.
        if (socket is null && hasJustLeft) return true;
        if (socket is null || !socket.IsConnected) return false;
        switch (packet.Type)
        {
            case PacketType.Disconnect:
                Forget(socket);
                socket.Leave(DisconnectReason.ClientNamespaceDisconnect, keep: false);
                break;
            case PacketType.Event or PacketType.BinaryEvent when packet.Data.ValueKind == JsonValueKind.Undefined:
            case PacketType.Ack or PacketType.BinaryAck when packet.Id is null:
                break;   // an event without a name, an answer to nothing: other servers let them pass too
            case PacketType.Event or PacketType.BinaryEvent:
                OnEvent(socket, packet, attachments);
                break;
            case PacketType.Ack or PacketType.BinaryAck:
                socket.OnAck(packet.Id!.Value, new SocketArguments(packet.Data, skip: 0, attachments));
                break;
        }
        return true;
    }

    void OnEvent(Socket socket, in Packet packet, ReadOnlyMemory<byte>[] attachments)
    {
        var first = packet.Data[0];
        var name = first.ValueKind == JsonValueKind.String ? first.GetString()! : first.GetRawText();
        var received = new SocketEvent(socket, name, new SocketArguments(packet.Data, skip: 1, attachments), packet.Id);
        var nsp = socket.Namespace;
        Meters.EventsReceived.Add(1);
        socket.NoteEvent();
        if ((nsp.Handlers.Find(name) ?? nsp.Handlers.Unknown) is not { } handler) return;
        // Handlers that wait for something else hold memory: a client that asks faster than it is answered must stop at some point.
        if (Volatile.Read(ref _unfinished) >= _server.Options.MaxUnfinishedHandlers)
            nsp.Run(RefuseUnfinished, received);
        else if (_server.Engine.IsOverBuffered && MemoryOf(packet, attachments) > SmallEvent)
            nsp.Run(SocketHandlers.RefuseForMemoryAsync, received);
        else if (nsp.Run(handler, received) is { } rest)
            _ = CountAsync(rest, MemoryOf(packet, attachments));
    }

    // Such events are served even while all connections together hold too much: they hardly add to it.
    const int SmallEvent = 4 * 1024;

    static int MemoryOf(in Packet packet, ReadOnlyMemory<byte>[] attachments) =>
        PacketReader.MemoryOf(packet.Data) + attachments.Sum(static attachment => attachment.Length);

    async Task CountAsync(Task unfinished, int bytes)
    {
        Interlocked.Increment(ref _unfinished);
        Engine.Hold(bytes);
        await unfinished;      // never fails
        Engine.Release(bytes);
        Interlocked.Decrement(ref _unfinished);
    }

    bool OnConnect(string name, JsonElement auth)
    {
        var nsp = _server.Hold(name, Engine, out var isFull);
        if (nsp is null)
        {
            Engine.Enqueue(isFull
                ? PacketFrame.Of(PacketWriter.Refused(name, Refusal.Unavailable,
                    new { code = Refusal.Unavailable, message = "There are too many namespaces.", retryable = true }))
                : PacketFrame.Of(PacketWriter.Refused(name, "Invalid namespace", data: null)));
            return true;
        }

        var isJoining = false;
        try
        {
            var handshake = Engine.Handshake.With(auth.ValueKind == JsonValueKind.Object ? auth : Handshake.EmptyObject);
            if (_server.Options.SkipMiddlewaresOnRecovery && TryRestore(nsp, handshake, admitted: null)) return true;
            var socket = new Socket(this, nsp, handshake);
            if (!TryAdd(name, socket)) return false;
            if (!TryReserve(auth, out var reserved))
            {
                Forget(socket);
                return false;
            }
            isJoining = true;      // the namespace is held until the client is in, or refused
            nsp.Run(() => JoinAsync(socket, reserved), "connect", socket.Id);
            return true;
        }
        finally
        {
            if (!isJoining) _server.Release(nsp);
        }
    }

    async Task JoinAsync(Socket socket, Reservation reserved)
    {
        try
        {
            await PassMiddlewaresAsync(socket);
        }
        finally
        {
            Release(reserved);
            _server.Release(socket.Namespace);
        }
    }

    // The memory that a request to join holds until it is decided: bytes on the wire, which have a limit of their own before the first
    // join, and bytes
    // of memory.
    readonly record struct Reservation(int Wire, int Memory);

    bool TryReserve(JsonElement auth, out Reservation reserved)
    {
        reserved = new(auth.ValueKind == JsonValueKind.Undefined ? 0
            : JsonMarshal.GetRawUtf8Value(auth).Length, PacketReader.MemoryOf(auth));
        var undecided = Interlocked.Add(ref _undecidedBytes, reserved.Wire);
        Engine.Hold(reserved.Memory);
        if (undecided <= _server.Options.MaxBytesBeforeJoin || !Engine.IsHalfOpen) return true;
        Release(reserved);
        return false;
    }

    void Release(Reservation reserved)
    {
        Interlocked.Add(ref _undecidedBytes, -reserved.Wire);
        Engine.Release(reserved.Memory);
    }

    async Task PassMiddlewaresAsync(Socket socket)
    {
        var nsp = socket.Namespace;
        ConnectRefusal? refusal = null;
        try
        {
            foreach (var middleware in nsp.Handlers.Middlewares)
                if ((refusal = await middleware(socket)) is not null) break;
        }
        catch (Exception)
        {
            Refuse(socket, new ConnectRefusal("Internal error") { CountsAgainstAddress = false });
            throw;
        }

        if (refusal is null && socket.Account is { } account && !Engine.TryEnterAccount(account))
            refusal = new ConnectRefusal(Refusal.TooManyConnections,
                new { code = Refusal.TooManyConnections, message = "There are too many connections of this account.", retryable = true })
            {
                ClosesConnection = true,
                CountsAgainstAddress = false,
            };
        if (refusal is not null)
        {
            Refuse(socket, refusal);
            return;
        }
        // The client may answer at once; its first event must find the connection handlers done.
        Engine.BetweenMessages(() =>
        {
            if (!_server.Options.SkipMiddlewaresOnRecovery && TryRestore(nsp, socket.Handshake, socket)) return;
            Enter(socket, []);
            OnConnected(socket);
        });
    }

    // Gives a returning client its session back, with what it missed; false where that cannot be done. Where middlewares have just let it
    // in, they have said who it is: nobody gets the
    // session of another account.
    bool TryRestore(SocketNamespace nsp, Handshake handshake, Socket? admitted)
    {
        if (nsp.Recovery is not { } recovery || !TryReadPosition(handshake.Auth, out var pid, out var offset)) return false;
        // A phone that changed its network is back before anybody has noticed that it was gone. The secret of a session proves its
        // ownership: the connection that held it ends.
        if (recovery.Find(pid) is { } before && before.Connection != Engine && (admitted is null || admitted.Account == before.Account))
        {
            before.Connection.Drop(DisconnectReason.TransportClose);
            before.Leave(DisconnectReason.TransportClose, keep: true);      // where its connection was ending already, on another thread
        }
        Socket socket;
        lock (recovery.Gate)
        {
            // Whole or not at all: what would not fit the queue cannot be given back, nor a place that the account has not.
            var recovered = recovery.TryRestore(pid, offset, out var lost, out var missed)
                && missed.Sum(frame => (long)SendQueue.CostOf(frame)) <= _server.Options.Engine.MaxQueuedBytes / 2
                && (admitted is null || admitted.Account == lost.Account)
                && (lost.Account is null || Engine.TryEnterAccount(lost.Account));
            Meters.Recovery(recovered);
            if (!recovered) return false;
            socket = new Socket(this, nsp, handshake, lost) { Tag = admitted?.Tag };
            lock (_gate)
            {
                if (_closed) return true;
                recovery.Discard(pid);
                _sockets = [.. _sockets.Where(other => other.Namespace != nsp), socket];
            }
            Enter(socket, missed);
        }
        OnConnected(socket);
        return true;
    }

    void Enter(Socket socket, IReadOnlyList<SharedFrame> missed)
    {
        Engine.CountAsJoined();      // before the client knows of it: what it sends next may be large
        socket.Enter(missed);
        lock (_gate)
        {
            if (!_joined) _server.Engine.Wheel.Cancel(_connectTimeout);
            _joined = true;
            if (!_closed) return;
        }
        // The connection ended while the socket was on its way in. A session that was given back is lost again; the client never knew of
        // any other.
        socket.Leave(DisconnectReason.TransportClose, keep: socket.Recovered);
    }

    static void OnConnected(Socket socket)
    {
        foreach (var handler in socket.Namespace.Handlers.Connections)
            if (socket.IsConnected) socket.Namespace.Run(() => handler(socket), "connection", socket.Id);
    }

    void Refuse(Socket socket, ConnectRefusal refusal)
    {
        Forget(socket);
        if (refusal.CountsAgainstAddress) Engine.CountRefusal();
        Engine.Enqueue(PacketFrame.Of(PacketWriter.Refused(socket.Namespace.Name, refusal.Message, refusal.Details)));
        if (refusal.ClosesConnection) Close();
    }

    bool TryAdd(string name, Socket socket)
    {
        lock (_gate)
        {
            if (_closed || _sockets.Length >= _server.Options.MaxNamespacesPerConnection || Find(name) is not null) return false;
            _sockets = [.. _sockets, socket];
            return true;
        }
    }

    Socket? Find(string name)
    {
        foreach (var socket in _sockets)
            if (socket.Namespace.Name == name) return socket;
        return null;
    }

    public void Forget(Socket socket)
    {
        lock (_gate)
        {
            // After a restoration the name may stand for another socket already.
            if (!_sockets.Contains(socket)) return;
            _sockets = [.. _sockets.Where(other => other != socket)];
            if (!socket.HasJoined) return;
            if (_leftIn != Engine.Batch) _left?.Clear();
            _leftIn = Engine.Batch;
            _left ??= [];
            if (_left.Count < _server.Options.MaxNamespacesPerConnection) _left.Add(socket.Namespace.Name);
        }
    }

    /// <summary>Leaves every namespace, then closes the connection.</summary>
    public void DisconnectAll()
    {
        foreach (var socket in Sockets()) socket.Disconnect();
        Close();
    }

    // If the transport closes at once, its own end is reported first, with its own reason.
    void Close()
    {
        Engine.Close();
        OnClosed(DisconnectReason.ForcedServerClose);
    }

    void OnConnectTimeout()
    {
        lock (_gate)
            if (_joined) return;
        ThreadPool.UnsafeQueueUserWorkItem(static client => client.Close(), this, preferLocal: true);
    }

    sealed class ConnectTimeout(SocketClient client) : TimerWheel.Deadline
    {
        internal override void OnDue() => client.OnConnectTimeout();
    }

    void OnClosed(string reason)
    {
        lock (_gate)
        {
            if (_closed) return;
            _closed = true;
            _server.Engine.Wheel.Cancel(_connectTimeout);
        }
        ReleaseIncomplete();
        // A client that sent nonsense gets no session back.
        foreach (var socket in Sockets()) socket.Leave(reason, keep: reason != DisconnectReason.ParseError);
    }

    Socket[] Sockets()
    {
        lock (_gate) return _sockets;
    }

    // A client that has received no event yet has no offset.
    static bool TryReadPosition(JsonElement auth, out string pid, out string? offset)
    {
        var position = new SocketValue(auth, []);
        (pid, offset) = (position["pid"].AsString() ?? "", position["offset"].AsString());
        return pid.Length > 0 && (offset is not null || position["offset"].Json.ValueKind is JsonValueKind.Undefined or JsonValueKind.Null);
    }
}
