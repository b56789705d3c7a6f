using Carillon.SocketIO.Diagnostics;
using Carillon.SocketIO.Limits;
using Carillon.SocketIO.WebSockets;
using Microsoft.AspNetCore.Http;

namespace Carillon.SocketIO.Engine;

/// <summary>The connection's part of the memory that all connections share (<see cref="BufferBudget"/>).</summary>
public sealed partial class EngineSocket
{
    // An ordinary handshake is part of the cost of every connection and is not counted.
    const int OrdinaryHandshake = 4 * 1024;

    // Bytes besides the queue and the WebSocket: bodies and copied answers of polling, incomplete packets, the arguments of unfinished
    // handlers.
    long _kept;
    long _incoming;      // those of them that are half received

    /// <summary>
    /// How many bytes the connection holds of what all of them may hold together. A frame that others hold as well counts in full.
    /// </summary>
    internal long Held => Waiting + Volatile.Read(ref _kept) + (_webSocket?.Held ?? 0) + (_probe?.Held ?? 0) + SharedBytesOfAnswers;

    /// <summary>
    /// Whether the connection is being closed because it is too slow: what it still holds is given back in a moment, or when its handlers
    /// end.
    /// </summary>
    internal bool IsShed => _isTooSlow;

    long HandshakeCost => Math.Max(0, Handshake.Bytes - OrdinaryHandshake);

    /// <summary>Counts the handshake, where it is large, until the connection ends.</summary>
    internal void HoldHandshake() => Hold(HandshakeCost);

    /// <summary>Counts bytes that the connection holds from now on.</summary>
    internal void Hold(long bytes)
    {
        Interlocked.Add(ref _kept, bytes);
        _server.Buffers.Add(bytes);
    }

    /// <summary>Bytes are held no longer.</summary>
    internal void Release(long bytes)
    {
        Interlocked.Add(ref _kept, -bytes);
        _server.Buffers.Add(-bytes);
        ForgetWhenEmpty();
    }

    /// <summary>Counts bytes of a message that has not come as a whole.</summary>
    internal void HoldIncoming(long bytes)
    {
        Interlocked.Add(ref _kept, bytes);
        Interlocked.Add(ref _incoming, bytes);
        _server.Buffers.AddIncoming(bytes);
    }

    /// <summary>It has come as a whole, or was given up.</summary>
    internal void ReleaseIncoming(long bytes)
    {
        Interlocked.Add(ref _kept, -bytes);
        Interlocked.Add(ref _incoming, -bytes);
        _server.Buffers.AddIncoming(-bytes);
        ForgetWhenEmpty();
    }

    /// <summary>How many bytes of messages that have not come as a whole the connection holds.</summary>
    internal long HalfReceived => Volatile.Read(ref _incoming) + (_webSocket?.Held ?? 0);

    /// <summary>
    /// Completes when the client may be read; null: at once. After the end it always may, because reading then brings about the end.
    /// </summary>
    Task? WhenReadable() => _state == State.Open && _server.Buffers.MustWait(HalfReceived) ? _server.Buffers.WhenRoom() : null;

    /// <summary>
    /// Ends the connection because all of them together hold too much, and this one holds more than others. What waits for it is given up
    /// at once; where a write or a message is
    /// half done, or an answer to a poll is not read, the network connection is cut.
    /// </summary>
    internal void Shed()
    {
        var held = Held;
        bool isOpen, isHalfDone;
        HttpContext? post;
        PollAnswer[] answers;
        lock (_gate)
        {
            if (_isTooSlow) return;
            isOpen = _state != State.Closed;
            if (_state == State.Open) (_state, _closeReason) = (State.Closing, DisconnectReason.SlowConsumer);
            _isTooSlow = true;
            _queue?.Clear();
            _pong = null;
            (post, answers) = (_post, _answers);
            isHalfDone = _writing || _webSocket is { Held: > 0 } || _probe is { Held: > 0 };
        }
        if (isOpen)
        {
            Meters.Shed.Add(1);
            DropLater(DisconnectReason.SlowConsumer, CloseCode.TryAgainLater);
        }
        if (isHalfDone)
        {
            _webSocket?.Abort();
            _probe?.Abort();
        }
        post?.Abort();
        foreach (var answer in answers) answer.Context.Abort();
        if (isOpen) _server.LogShed(Id, held);
    }

    // A connection that has ended may hold something still: the arguments of a handler, a write that hangs, an answer that is not read. The
    // server must see it to know what comes back.
    void WatchWhatIsHeld()
    {
        if (Held == 0) return;
        _server.Ending(this);
        ForgetWhenEmpty();      // it may have been given back meanwhile
    }

    void ForgetWhenEmpty()
    {
        if (_state == State.Closed && Held == 0) _server.Forget(this);
    }
}
