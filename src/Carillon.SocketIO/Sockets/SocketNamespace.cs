using System.Text.RegularExpressions;
using Carillon.SocketIO.Diagnostics;
using Carillon.SocketIO.Engine;
using Carillon.SocketIO.Limits;
using Carillon.SocketIO.Packets;
using Microsoft.Extensions.Logging;

namespace Carillon.SocketIO.Sockets;

/// <summary>
/// The reason for which a client may not join a namespace: it receives <c>connect_error</c>, stays connected, and may try again.
/// </summary>
/// <param name="Message">The message of the client's error.</param>
/// <param name="Details">The <c>data</c> of the client's error; left out where null.</param>
public sealed record ConnectRefusal(string Message, object? Details = null)
{
    /// <summary>Whether the connection is closed after <c>connect_error</c>. Off, as in the protocol.</summary>
    public bool ClosesConnection { get; init; }

    /// <summary>
    /// Whether the refusal counts against the client's address, as a wrong token does: too many ban it. On. Off for what is no fault of the
    /// client, such as a database that is out of reach: otherwise a failure of the server bans its users.
    /// </summary>
    public bool CountsAgainstAddress { get; init; } = true;
}

/// <summary>The handlers of a namespace, or of all namespaces of a pattern. Register them before clients connect.</summary>
public abstract class SocketHandlers
{
    readonly Dictionary<string, Func<SocketEvent, Task>> _events = [];
    readonly List<Func<Socket, ValueTask<ConnectRefusal?>>> _middlewares = [];
    readonly List<Func<Socket, Task>> _connections = [];
    readonly List<Func<Socket, string, Task>> _disconnections = [];
    readonly List<Func<Socket, Task>> _measurements = [];
    Action<SocketEvent, TimeSpan> _tooMuch = TellTooMuch;

    private protected SocketHandlers()
    {
    }

    /// <summary>
    /// Adds a gate before the namespace: null lets a client in, a refusal keeps it out. Gates are asked in the order they were added.
    /// </summary>
    public void Use(Func<Socket, ValueTask<ConnectRefusal?>> middleware) => _middlewares.Add(middleware);

    /// <summary>Calls a handler for each socket that has connected, after the client has received the confirmation.</summary>
    public void OnConnection(Action<Socket> handler) => _connections.Add(socket =>
    {
        handler(socket);
        return Task.CompletedTask;
    });

    /// <summary>Calls a handler for each socket that has connected, after the client has received the confirmation.</summary>
    public void OnConnection(Func<Socket, Task> handler) => _connections.Add(handler);

    /// <summary>Calls something for each socket that has left, with one of the texts of <see cref="DisconnectReason"/>.</summary>
    public void OnDisconnect(Action<Socket, string> handler) => _disconnections.Add((socket, reason) =>
    {
        handler(socket, reason);
        return Task.CompletedTask;
    });

    /// <summary>Calls something for each socket that has left, with one of the texts of <see cref="DisconnectReason"/>.</summary>
    public void OnDisconnect(Func<Socket, string, Task> handler) => _disconnections.Add(handler);

    /// <summary>
    /// Calls something for each socket that has joined, each time that the round trip of its connection was measured
    /// (<see cref="EngineSocket.RoundTrip"/>). Who joins after a
    /// measurement hears of the next.
    /// </summary>
    public void OnLatency(Action<Socket> handler) => _measurements.Add(socket =>
    {
        handler(socket);
        return Task.CompletedTask;
    });

    /// <summary>
    /// Handles an event. Handlers of one socket start in the order of its events, and run on the thread that reads from the client: what
    /// takes long belongs into an asynchronous handler, which others do not wait for.
    /// </summary>
    public void On(string name, Action<SocketEvent> handler) => _events[name] = received =>
    {
        handler(received);
        return Task.CompletedTask;
    };

    /// <summary>Handles an event asynchronously.</summary>
    public void On(string name, Func<SocketEvent, Task> handler) => _events[name] = handler;

    /// <summary>Handles each event that has no handler of its own.</summary>
    public void OnUnknown(Action<SocketEvent> handler) => Unknown = received =>
    {
        handler(received);
        return Task.CompletedTask;
    };

    /// <summary>
    /// Decides how a client is informed that it is over its rate limit (<see cref="LimitOptions"/>): the event that is refused, without its
    /// arguments, and the time after which
    /// there is room again. Unless it is set, the client gets the event <c>error</c> and, where it asked for one, an acknowledgement <c>{
    /// ok: false, error }</c>, both with
    /// the code <c>rate-limited</c> and <c>retryAfter</c> in seconds.
    /// </summary>
    public void OnRateLimited(Action<SocketEvent, TimeSpan> handler) => _tooMuch = handler;

    internal Task RefuseAsync(SocketEvent refused, TimeSpan retryAfter)
    {
        _tooMuch(refused, retryAfter);
        return Task.CompletedTask;
    }

    // It is not the client's doing: all connections together hold too much.
    internal static Task RefuseForMemoryAsync(SocketEvent refused)
    {
        Tell(refused, Refusal.Unavailable, "The server is short of memory. Try again later.", TimeSpan.FromSeconds(1));
        return Task.CompletedTask;
    }

    static void TellTooMuch(SocketEvent refused, TimeSpan retryAfter) =>
        Tell(refused, Refusal.RateLimited, "This is more than your share. Try again later.", retryAfter);

    static void Tell(SocketEvent refused, string code, string message, TimeSpan retryAfter)
    {
        var (retryable, seconds) = (true, Refusal.SecondsOf(retryAfter));
        refused.Socket.Emit("error", new { code, message, retryable, retryAfter = seconds, @event = refused.Name });
        refused.Ack(new { ok = false, error = new { code, message, retryable, retryAfter = seconds } });
    }

    internal Func<SocketEvent, Task>? Unknown { get; private set; }

    internal IReadOnlyList<Func<Socket, ValueTask<ConnectRefusal?>>> Middlewares => _middlewares;

    internal IReadOnlyList<Func<Socket, Task>> Connections => _connections;

    internal IReadOnlyList<Func<Socket, string, Task>> Disconnections => _disconnections;

    internal IReadOnlyList<Func<Socket, Task>> Measurements => _measurements;

    internal Func<SocketEvent, Task>? Find(string name) => _events.GetValueOrDefault(name);
}

/// <summary>Namespaces that come into being when a client asks for one whose whole name matches.</summary>
public sealed class NamespacePattern : SocketHandlers
{
    internal NamespacePattern(Regex pattern) => Pattern = pattern;

    internal Regex Pattern { get; }
}

/// <summary>A namespace: the sockets that joined it, its rooms, and its handlers.</summary>
public sealed partial class SocketNamespace : SocketHandlers
{
    long _lastAckId;

    internal SocketNamespace(SocketServer server, string name, NamespacePattern? pattern = null)
    {
        Server = server;
        Name = name;
        Handlers = pattern ?? (SocketHandlers)this;
        if (server.Options.RecoveryWindow is not null) Recovery = new Recovery(server.Options, server.Clock, server.Engine.Buffers);
    }

    /// <summary>The name, with its slash.</summary>
    public string Name { get; }

    /// <summary>The server it belongs to.</summary>
    public SocketServer Server { get; }

    /// <summary>How many sockets are in it.</summary>
    public int Count => Rooms.Count;

    /// <summary>Everyone in the namespace.</summary>
    public Broadcast Everyone => new(this, [], []);

    /// <summary>The members of a room.</summary>
    public Broadcast To(string room) => new(this, [room], []);

    /// <summary>The members of some rooms.</summary>
    public Broadcast To(params IEnumerable<string> rooms) => Everyone.To(rooms);

    /// <summary>Everyone but the members of some rooms.</summary>
    public Broadcast Except(params IEnumerable<string> rooms) => Everyone.Except(rooms);

    /// <summary>Sends an event without arguments to everyone.</summary>
    public int Emit(string name) => Everyone.Emit(name);

    /// <summary>Sends an event to everyone. It is encoded once for all receivers and waits for none of them.</summary>
    /// <param name="name">The event's name.</param>
    /// <param name="argument">The value that is written as JSON. A list is one argument.</param>
    /// <param name="more">Further arguments.</param>
    /// <returns>How many sockets it was sent to.</returns>
    public int Emit(string name, object? argument, params ReadOnlySpan<object?> more) => Everyone.Emit(name, argument, more);

    internal SocketHandlers Handlers { get; }

    internal bool IsMadeFromPattern => Handlers != this;

    /// <summary>Where it was made from a pattern: the account or the address for which it was.</summary>
    internal string? Maker { get; init; }

    /// <summary>Clients on their way in; guarded by the server.</summary>
    internal int Holders { get; set; }

    internal Rooms Rooms { get; } = new();

    internal Recovery? Recovery { get; }

    internal long NextAckId() => Interlocked.Increment(ref _lastAckId) - 1;

    internal int EmitTo(
        string name, ReadOnlySpan<object?> arguments, string[] rooms, string[] except, bool isVolatile, bool compress,
        SendPolicy? policy = null)
    {
        if (Recovery is null || isVolatile)
        {
            // An empty room costs nothing: not even the packet is made.
            var receivers = Rooms.RentConnections(rooms, except, out var count);
            if (count == 0) return 0;
            return Deliver(PacketFrame.Of(PacketWriter.Event(Name, name, arguments), compress, policy), receivers, count, isVolatile);
        }
        // A client that returns receives the events after its last offset: the order in which events arrive must be that of the offsets.
        if (policy is { Priority: SendPriority.Critical }) policy = policy with { Priority = SendPriority.High, Overflow = Overflow.Queue };
        lock (Recovery.Gate)
        {
            var offset = Recovery.NextOffset();
            var frame = PacketFrame.Of(PacketWriter.Event(Name, name, arguments, offset: Recovery.TextOf(offset)), compress, policy);
            Recovery.Record(offset, frame, rooms, except);
            return Deliver(frame, Rooms.RentConnections(rooms, except, out var count), count, isVolatile: false);
        }
    }

    internal async Task<BroadcastAnswers> EmitToWithAcksAsync(
        string name, TimeSpan timeout, object?[] arguments, string[] rooms, string[] except)
    {
        var id = NextAckId();
        var frame = PacketFrame.Of(PacketWriter.Event(Name, name, arguments, id));
        var receivers = Rooms.Rent(rooms, except, out var count);
        var answers = new BroadcastAcks(count);
        var asked = receivers[..count];
        Rooms.Return(receivers, count);
        foreach (var socket in asked)
        {
            socket.ExpectAck(id, answers.Add);
            socket.Send(frame);
            Meters.EventsSent.Add(1);
        }
        if (await answers.AllWithin(timeout, Server.Clock)) return answers.Result(complete: true);
        foreach (var socket in asked) socket.ForgetAck(id);
        return answers.Result(complete: false);
    }

    // The hot path: no allocation per receiver and no await.
    static int Deliver(SharedFrame frame, EngineSocket[] receivers, int count, bool isVolatile)
    {
        var began = Meters.BeginFanOut();
        for (var i = 0; i < count; i++) receivers[i].Enqueue(frame, isVolatile);
        Meters.EndFanOut(began, count);
        Rooms.Return(receivers, count);
        SendBatch.Pause();
        return count;
    }

    internal void OnLatency(Socket socket)
    {
        foreach (var handler in Handlers.Measurements) Run(() => handler(socket), "measured", socket.Id);
    }

    internal void OnDisconnected(Socket socket, string reason)
    {
        foreach (var handler in Handlers.Disconnections) Run(() => handler(socket, reason), "disconnect", socket.Id);
        Server.RemoveIfEmpty(this);
    }

    /// <summary>
    /// Starts a handler here and now, so that events are handled in their order; nobody waits for its end, but its failure is told. The
    /// answer is the rest of an asynchronous
    /// one: a task that never fails, or null where all is done.
    /// </summary>
    internal Task? Run(Func<SocketEvent, Task> handler, SocketEvent received)
    {
        try
        {
            var task = handler(received);
            return task.IsCompletedSuccessfully ? null : ObserveAsync(task, received.Name, received.Socket.Id);
        }
        catch (Exception ex)
        {
            LogHandlerFailed(Server.Logger, ex, received.Name, received.Socket.Id);
            return null;
        }
    }

    /// <summary>Starts what happens when sockets come and go, in the same way.</summary>
    internal void Run(Func<Task> handler, string name, string socket)
    {
        try
        {
            var task = handler();
            if (!task.IsCompletedSuccessfully) _ = ObserveAsync(task, name, socket);
        }
        catch (Exception ex)
        {
            LogHandlerFailed(Server.Logger, ex, name, socket);
        }
    }

    async Task ObserveAsync(Task task, string name, string socket)
    {
        try
        {
            await task;
        }
        catch (OperationCanceledException)
        {
            // The client or the server went away while the handler worked.
        }
        catch (Exception ex)
        {
            LogHandlerFailed(Server.Logger, ex, name, socket);
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "The handler of event {Name} failed for socket {Socket}")]
    static partial void LogHandlerFailed(ILogger logger, Exception error, string name, string socket);

    sealed class BroadcastAcks(int expected)
    {
        readonly List<SocketValue> _answers = new(expected);
        readonly TaskCompletionSource _all = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public void Add(SocketArguments answer)
        {
            lock (_answers)
            {
                _answers.Add(answer[0]);
                if (_answers.Count == expected) _all.TrySetResult();
            }
        }

        public async Task<bool> AllWithin(TimeSpan timeout, TimeProvider clock)
        {
            if (expected == 0) return true;
            try
            {
                await _all.Task.WaitAsync(timeout, clock);
                return true;
            }
            catch (TimeoutException)
            {
                return false;
            }
        }

        public BroadcastAnswers Result(bool complete)
        {
            lock (_answers) return new BroadcastAnswers([.. _answers], complete);
        }
    }
}
