using System.Text;
using Carillon.SocketIO.Diagnostics;
using Carillon.SocketIO.WebSockets;
using Microsoft.AspNetCore.Http;

namespace Carillon.SocketIO.Engine;

/// <summary>
/// One client's connection, whatever transport carries it. Everything that leaves goes through one ordered queue, so that nothing is lost,
/// doubled
/// or reordered when polling becomes a WebSocket. Sending never waits for the client.
/// </summary>
public sealed partial class EngineSocket
{
    enum State { Open, Closing, Closed }

    static readonly TimeSpan LastPollWithin = TimeSpan.FromSeconds(30);

    readonly EngineServer _server;
    readonly Lock _gate = new();         // guards all below; never held across an await, nor while a callback runs
    readonly Lock _receiving = new();    // messages are handed on one at a time
    readonly bool _base64;
    SendQueue? _queue;                   // what waits; made when something must
    bool _held;                          // by a batch, which will send
    bool _isJoining;                     // what is sent waits until the client is in its rooms
    bool _isTooSlow;
    State _state;
    string _closeReason = DisconnectReason.ForcedClose;

    internal EngineSocket(EngineServer server, Handshake handshake, bool webSocket, bool base64)
    {
        _server = server;
        _heartbeat = new Heartbeat(this);
        _base64 = base64;
        Id = SessionId.Create();
        Handshake = handshake;
        TransportName = webSocket ? "websocket" : "polling";
        _lastPong = _confirmedAt = server.Clock.GetTimestamp();
    }

    /// <summary>The id of the connection: 20 characters, and a secret between the client and the server.</summary>
    public string Id { get; }

    /// <summary>The data of the request that opened the connection.</summary>
    public Handshake Handshake { get; }

    /// <summary>The transport that carries the connection now: <c>polling</c> or <c>websocket</c>.</summary>
    public string TransportName { get; private set; }

    /// <summary>Whether the connection can still carry messages.</summary>
    public bool IsOpen => _state == State.Open;

    /// <summary>Called for each message, in order, one at a time. It must not block.</summary>
    public EngineMessageHandler? MessageReceived { get; set; }

    /// <summary>Called once when the connection has ended, with one of the texts of <see cref="DisconnectReason"/>.</summary>
    public Action<string>? Closed { get; set; }

    /// <summary>The owner of the connection in the layer above.</summary>
    internal object? Owner { get; set; }

    /// <summary>Sends a text message.</summary>
    public void Send(string text)
    {
        var packet = new byte[1 + Encoding.UTF8.GetByteCount(text)];
        packet[0] = EnginePacket.Message;
        Encoding.UTF8.GetBytes(text, packet.AsSpan(1));
        Enqueue(SharedFrame.OfText(packet));
    }

    /// <summary>Sends a binary message. The bytes are copied before the call returns.</summary>
    public void Send(ReadOnlyMemory<byte> binary) => Enqueue(SharedFrame.OfMessage([], [binary]));

    /// <summary>
    /// Closes the connection after what is already queued: the client sees <c>transport close</c>. Where that must wait (a polling client
    /// that is not polling, a WebSocket still
    /// writing), <see cref="Closed"/> is called when it is done.
    /// </summary>
    /// <param name="reason">The reason that <see cref="Closed"/> receives.</param>
    public void Close(string reason = DisconnectReason.ForcedClose)
    {
        bool done;
        lock (_gate)
        {
            if (_state != State.Open) return;
            _state = State.Closing;
            _closeReason = reason;
            done = _probe is null && BeginClose();   // an upgrade under way completes first
        }
        if (done) End(_closeReason);
    }

    /// <summary>
    /// Ends the transport as a failure of the network would: what is queued is lost, the client sees <c>transport close</c>.
    /// </summary>
    public void Abort()
    {
        lock (_gate)
        {
            // A client between two polls would find nobody: the next poll is answered with the end.
            if (_state == State.Open && _webSocket is null && _poll is not { Task.IsCompleted: false })
            {
                _state = State.Closing;
                _closeReason = DisconnectReason.TransportClose;
                _queue?.Clear();
                SetTimer(TimerPhase.LastPoll, LastPollWithin);
                return;
            }
        }
        Drop(DisconnectReason.TransportClose);
    }

    /// <summary>Sends a frame, or queues it. A volatile one is dropped unless it can leave at once.</summary>
    internal void Enqueue(SharedFrame frame, bool isVolatile = false)
    {
        int waiting;
        lock (_gate)
        {
            if (_state != State.Open || _closeSent || _isTooSlow || (isVolatile && !CanSendNow)) return;
            if (!_writing && IsQueueEmpty && !_isJoining)
            {
                _held = SendBatch.TryHold(this);
                if (!_held && _webSocket is not null)
                {
                    WriteNow(frame);          // the usual case: nothing waits, and the network takes it at once
                    return;
                }
            }
            waiting = Waiting;
            if (TryQueue(frame)) return;
            // Nothing leaves behind the gap: the client must not take what it missed for received.
            _isTooSlow = true;
            _queue?.Clear();
        }
        _server.LogOverflow(Id, waiting);
        DropLater(DisconnectReason.SlowConsumer, CloseCode.TryAgainLater);
    }

    bool CanSendNow => (IsQueueEmpty || _held) && (_webSocket is null ? _poll is { Task.IsCompleted: false } : !_writing);

    bool IsQueueEmpty => _queue is not { Count: > 0 };

    /// <summary>How many bytes wait for the client. Who does not hold the gate sees it as of a moment ago.</summary>
    internal int Waiting => (_queue?.Bytes ?? 0) + _inFlight;

    // Under the gate. False: the client is too slow, and its time is over.
    bool TryQueue(SharedFrame frame)
    {
        var limit = MaxQueuedBytes;
        var isShed = frame.Policy.Priority == SendPriority.Low && _server.IsShortOfMemory;
        switch (OverflowRule.Decide(frame.Policy, fits: Waiting == 0 || Waiting + SendQueue.CostOf(frame) <= limit, isShed))
        {
            case OverflowAction.Drop:
                Meters.Overflow("drop");
                return true;
            case OverflowAction.Disconnect:
                Meters.Overflow("disconnect");
                return false;
            case OverflowAction.MakeRoom:
                _queue?.MakeRoomFor(frame);
                // A pass over the queue must be worth it: whoever has next to no room after it reads nothing at all.
                var helped = Waiting + SendQueue.CostOf(frame) <= limit - limit / 8;
                Meters.Overflow(helped ? "make-room" : "disconnect");
                if (!helped) return false;
                break;
        }
        Queue(frame);
        return true;
    }

    void Queue(SharedFrame frame)
    {
        (_queue ??= new SendQueue(_server.Buffers)).Add(frame);
        if (!_held) SendQueued();
    }

    void SendQueued()
    {
        if (_isJoining) return;
        if (_webSocket is not null) Write();
        else if (!IsQueueEmpty) _poll?.TrySetResult(null);
        _queue?.CountAll();      // what is left waits for the client
    }

    /// <summary>
    /// Keeps back what is sent until <see cref="EndJoin"/>, so that all of it leaves together, and nothing before the client is in its
    /// rooms.
    /// </summary>
    internal void BeginJoin()
    {
        lock (_gate) _isJoining = true;
    }

    internal void EndJoin()
    {
        lock (_gate)
        {
            _isJoining = false;
            if (!_held) _held = SendBatch.TryHold(this);
            if (!_held) SendQueued();
        }
    }

    /// <summary>At the end of a batch: sends what it has held back.</summary>
    internal void SendHeld()
    {
        lock (_gate)
        {
            _held = false;
            try
            {
                SendQueued();
            }
            catch (Exception ex)
            {
                // The batch has others to send to.
                _server.LogWriteFailed(ex, Id);
                DropLater(DisconnectReason.TransportError);
            }
        }
    }

    /// <summary>Lets go of the queue that a burst has left. While bursts go on it stays, so that they allocate nothing.</summary>
    internal void Trim()
    {
        lock (_gate)
            if (IsQueueEmpty) _queue = null;
    }

    // Under the gate. True: the transport is closed; false: something has to leave first.
    bool BeginClose()
    {
        if (_webSocket is not null)
        {
            QueueClose(WebSocketConnection.CloseFrame(CloseCode.None));
            if (_writing) SetTimer(TimerPhase.LastPoll, LastPollWithin);   // a client that does not read does not keep us from the end
            return !_writing;
        }
        if (IsQueueEmpty && _poll?.TrySetResult(FarewellFor(_closeReason)) == true) return true;
        SetTimer(TimerPhase.LastPoll, LastPollWithin);
        return false;
    }

    /// <summary>
    /// Ends the connection at once. A waiting poll is answered, a WebSocket gets its close frame after the write under way.
    /// </summary>
    internal void Drop(string reason, CloseCode code = CloseCode.None, byte[]? toPoll = null)
    {
        lock (_gate)
        {
            if (_state == State.Closed) return;
            _poll?.TrySetResult(toPoll ?? FarewellFor(_state == State.Closing ? _closeReason : reason));
            if (!_closeSent)
            {
                _queue?.Clear();
                _pong = null;
                if (_webSocket is not null) QueueClose(WebSocketConnection.CloseFrame(code, code == CloseCode.TryAgainLater ? reason : ""));
            }
        }
        End(reason);
    }

    // The one place where a connection ends; later calls change nothing.
    void End(string reason)
    {
        lock (_gate)
        {
            if (_state == State.Closed) return;
            // Where the end was decided before, it keeps its reason, whoever is the first to see it: the client's answer to our close frame
            // may be.
            if (_state == State.Closing) reason = _closeReason;
            (_state, _closeReason) = (State.Closed, reason);
            // one that came since the end began: nothing else would wake it
            _poll?.TrySetResult(_lastPoll is null ? FarewellFor(reason) : NoopPayload);
            if (_webSocket is null) StopTimer();
            else SetTimer(TimerPhase.Abort, _server.Options.CloseTimeout);   // the client may answer our close frame
            _probe?.Dismiss();
        }
        Release(HandshakeCost);
        WatchWhatIsHeld();
        if (_lastPoll is null) _server.Remove(this);
        Meters.Disconnects.Add(1, Meters.Reason(reason));
        _server.LogClosed(Id, reason);
        try
        {
            Closed?.Invoke(reason);
        }
        catch (Exception ex)
        {
            _server.LogHandlerFailed(ex, Id);   // often on a thread where nobody else would catch it
        }
    }

    // False: this was no packet that a client may send, and the connection is over.
    bool OnPacket(ReadOnlySpan<byte> packet, IHeaderDictionary? headers)
    {
        switch (packet.IsEmpty ? (byte)0 : packet[0])
        {
            case EnginePacket.Message:
                Deliver(new EngineMessage(packet[1..], isBinary: false, headers));
                return true;
            case EnginePacket.Base64Message when EnginePacket.TryDecodeBase64(packet[1..], out var data):
                Deliver(new EngineMessage(data, isBinary: true, headers));
                return true;
            case EnginePacket.Pong:
                // Only the answer to our ping is free.
                if (!OnPong()) TryPay(packet.Length);
                return true;
            case EnginePacket.Close:
                Drop(DisconnectReason.TransportClose, toPoll: NoopPayload);
                return true;
            case EnginePacket.Ping:
                Drop(DisconnectReason.TransportError);   // in protocol 4 it is the server that pings
                return false;
            case EnginePacket.Open or EnginePacket.Upgrade or EnginePacket.Noop:
                TryPay(packet.Length);
                return true;
            default:
                CountMalformed();
                Drop(DisconnectReason.ParseError);
                return false;
        }
    }

    /// <summary>Does something that no message may overtake or interrupt.</summary>
    internal void BetweenMessages(Action action)
    {
        lock (_receiving) action();
    }

    void Deliver(EngineMessage message)
    {
        lock (_receiving)
        {
            if (_state != State.Open) return;   // what comes after we have begun to close reaches nobody
            try
            {
                MessageReceived?.Invoke(message);
            }
            catch (Exception ex)
            {
                _server.LogHandlerFailed(ex, Id);
                Drop(DisconnectReason.TransportError);
            }
        }
        SendBatch.Pause();
    }
}
