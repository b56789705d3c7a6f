using Carillon.SocketIO.Diagnostics;
using Carillon.SocketIO.Packets;

namespace Carillon.SocketIO.Sockets;

public sealed partial class Socket
{
    // Acknowledgements this client owes us, by id. Made with the first, because most sockets never owe one.
    Dictionary<long, Action<SocketArguments>>? _acks;
    List<TaskCompletionSource<SocketArguments>>? _waiting;

    /// <summary>Sends an event without arguments and waits for the client's acknowledgement.</summary>
    /// <param name="name">The event's name.</param>
    /// <param name="timeout">How long to wait.</param>
    /// <exception cref="TimeoutException">The client did not answer in time, or owes <see cref="SocketIOOptions.MaxPendingAcks"/> answers
    /// already.</exception>
    /// <exception cref="OperationCanceledException">The client left before it answered.</exception>
    public Task<SocketArguments> EmitWithAckAsync(string name, TimeSpan timeout) => AskAsync(name, timeout, []);

    /// <summary>Sends an event and waits for the client's acknowledgement.</summary>
    /// <param name="name">The event's name.</param>
    /// <param name="timeout">How long to wait.</param>
    /// <param name="argument">The value that is written as JSON. A list is one argument.</param>
    /// <param name="more">Further arguments.</param>
    /// <exception cref="TimeoutException">The client did not answer in time, or owes <see cref="SocketIOOptions.MaxPendingAcks"/> answers
    /// already.</exception>
    /// <exception cref="OperationCanceledException">The client left before it answered.</exception>
    public Task<SocketArguments> EmitWithAckAsync(string name, TimeSpan timeout, object? argument, params ReadOnlySpan<object?> more) =>
        AskAsync(name, timeout, [argument, .. more]);

    async Task<SocketArguments> AskAsync(string name, TimeSpan timeout, object?[] arguments)
    {
        var id = Namespace.NextAckId();
        var frame = PacketFrame.Of(PacketWriter.Event(Namespace.Name, name, arguments, id));
        var answer = new TaskCompletionSource<SocketArguments>(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_gate)
        {
            if (_state != State.Connected) throw new OperationCanceledException("The client has left.");
            if (_acks?.Count >= Namespace.Server.Options.MaxPendingAcks) throw new TimeoutException("The client owes too many answers.");
            (_waiting ??= []).Add(answer);
        }
        ExpectAck(id, arguments => answer.TrySetResult(arguments));
        try
        {
            Send(frame);
            Meters.EventsSent.Add(1);
            return await answer.Task.WaitAsync(timeout, Namespace.Server.Clock);
        }
        finally
        {
            ForgetAck(id);
            lock (_gate) _waiting.Remove(answer);
        }
    }

    /// <summary>How many acknowledgements are waited for.</summary>
    internal int PendingAcks
    {
        get
        {
            lock (_gate) return (_acks?.Count ?? 0) + (_waiting?.Count ?? 0);
        }
    }

    internal void ExpectAck(long id, Action<SocketArguments> answered)
    {
        lock (_gate)
            if (_state == State.Connected && !(_acks?.Count >= Namespace.Server.Options.MaxPendingAcks)) (_acks ??= [])[id] = answered;
    }

    internal void ForgetAck(long id)
    {
        lock (_gate) _acks?.Remove(id);
    }

    internal void OnAck(long id, SocketArguments arguments)
    {
        Action<SocketArguments>? answered = null;
        lock (_gate) _acks?.Remove(id, out answered);
        answered?.Invoke(arguments);   // an answer that nobody waits for is ignored
    }

    void CancelAcks()
    {
        TaskCompletionSource<SocketArguments>[] waiting;
        lock (_gate)
        {
            waiting = _waiting is null ? [] : [.. _waiting];
            _acks = null;
        }
        foreach (var answer in waiting) answer.TrySetCanceled();
    }
}
