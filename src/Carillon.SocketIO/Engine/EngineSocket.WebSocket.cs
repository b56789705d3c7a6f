using System.Buffers;
using Carillon.SocketIO.Diagnostics;
using Carillon.SocketIO.Limits;
using Carillon.SocketIO.WebSockets;

namespace Carillon.SocketIO.Engine;

public sealed partial class EngineSocket : IFrameReceiver
{
    const int LongestTogether = 64 * 1024;

    WebSocketConnection? _webSocket;     // carries the connection
    bool _writing;
    int _inFlight;                       // bytes of a write that the network has not taken at once
    SharedFrame? _pendingFrame;          // the frame that they belong to
    int _pendingBuffer;                  // or the size of the buffer in which they are
    // what answers the latest ping, while it cannot leave (RFC 6455, section 5.5.3: the others need no answer)
    byte[]? _pong;
    int _beforePong;                     // how many frames of the queue leave before it
    bool _closeSent;
    TaskCompletionSource? _written;      // set when somebody waits for the writer to end

    /// <summary>
    /// Counts received pieces: messages with the same number arrived together, in the same POST or the same piece of a WebSocket.
    /// </summary>
    internal int Batch => _posts + (_webSocket?.Pieces ?? 0);

    /// <summary>Serves a connection that began as a WebSocket, until it ends.</summary>
    internal async Task ServeWebSocketAsync(WebSocketConnection connection, SharedFrame open, Action<EngineSocket> connected)
    {
        lock (_gate)
        {
            connection.MaxPayload = MaxPayload;
            _webSocket = connection;
            WriteNow(open);
        }
        var code = CloseCode.None;
        try
        {
            connected(this);
            StartHeartbeat();
            code = await connection.ReadAsync(this);
        }
        finally
        {
            await EndWebSocketAsync(connection, code);   // whatever happened: without its WebSocket the session is nothing
        }
    }

    BufferBudget IFrameReceiver.Buffers => _server.Buffers;

    Task? IFrameReceiver.WhenReadable() => WhenReadable();

    void IFrameReceiver.BeginPiece() => SendBatch.Begin();

    void IFrameReceiver.EndPiece() => SendBatch.End();

    bool IFrameReceiver.OnFrame(Opcode opcode, ReadOnlySpan<byte> payload) => OnFrame(opcode, payload);

    bool OnFrame(Opcode opcode, ReadOnlySpan<byte> payload)
    {
        // Frames after our own close frame are read and dropped, until the client answers it.
        if (_state != State.Open && opcode != Opcode.Close) return TryPayAfterEnd(payload.Length);
        switch (opcode)
        {
            case Opcode.Text:
                OnPacket(payload, headers: null);
                break;
            case Opcode.Binary:
                Deliver(new EngineMessage(payload, isBinary: true, requestHeaders: null));
                break;
            case Opcode.Ping:
                if (TryPay(payload.Length)) AnswerPing(payload);
                break;
            case Opcode.Pong or Opcode.Continuation:
                TryPay(payload.Length);
                break;
            case Opcode.Close:
                AnswerClose(payload);
                return false;
        }
        return !_isFlooding;      // a flood is not read any further: reading it would cost the others
    }

    // One answer waits at most: a client that pings and does not read costs no more than one that does not ping.
    void AnswerPing(ReadOnlySpan<byte> payload)
    {
        lock (_gate)
        {
            if (_state != State.Open || _closeSent || _isTooSlow) return;
            if (_pong is null) _beforePong = _queue?.Count ?? 0;
            _pong = FrameHeader.Control(Opcode.Pong, payload);
            if (_writing) return;
            if (!_held && IsQueueEmpty) _held = SendBatch.TryHold(this);
            if (!_held) SendQueued();
        }
    }

    void AnswerClose(ReadOnlySpan<byte> payload)
    {
        lock (_gate)
        {
            if (!_closeSent)
            {
                _queue?.Clear();       // the client reads no message any more
                QueueClose(FrameHeader.Control(Opcode.Close, payload.Length >= 2 ? payload[..2] : []));
            }
        }
        Drop(DisconnectReason.TransportClose);
    }

    async Task EndWebSocketAsync(WebSocketConnection connection, CloseCode code)
    {
        if (code != CloseCode.None) CountMalformed();
        Drop(code switch
        {
            CloseCode.None => DisconnectReason.TransportClose,
            _ => DisconnectReason.TransportError,
        }, code);

        // After a broken frame the client may still be sending. Closing now would reset the connection and our close frame would never be
        // read.
        if (code != CloseCode.None) await connection.DiscardAsync();
        Task written;
        lock (_gate) written = _writing ? (_written = new(TaskCreationOptions.RunContinuationsAsynchronously)).Task : Task.CompletedTask;
        await written;   // our close frame, too, must have left; the timer cuts a client that does not read
        lock (_gate)
        {
            StopTimer();
            _queue?.Clear();
        }
        ForgetWhenEmpty();
    }

    // Under the gate. The last frame that leaves; it waits for no batch.
    void QueueClose(byte[] frame)
    {
        _closeSent = true;
        _held = _isJoining = false;
        _pong = null;
        Queue(SharedFrame.OfBytes(frame));
    }

    byte[] BytesOf(SharedFrame frame) =>
        _base64 ? frame.WebSocketBase64 : _webSocket!.Deflated
            ? frame.WebSocketDeflated(_server.Options.CompressionThreshold) : frame.WebSocket;

    // Under the gate: writes a frame that nothing waits before.
    void WriteNow(SharedFrame frame)
    {
        var bytes = BytesOf(frame);
        var write = WriteSafely(bytes);
        if (!write.IsCompletedSuccessfully) CountPending(frame, buffer: 0);
        Begin(write, bytes.Length);
    }

    // Under the gate. What the network has not taken at once counts until it has.
    void CountPending(SharedFrame? frame, int buffer)
    {
        (_pendingFrame, _pendingBuffer) = (frame, buffer);
        frame?.Hold(_server.Buffers);
        if (buffer > 0) _server.Buffers.Add(buffer);
    }

    void ReleasePending()
    {
        if (_pendingFrame is null && _pendingBuffer == 0) return;
        _pendingFrame?.Release();
        if (_pendingBuffer > 0) _server.Buffers.Add(-_pendingBuffer);
        (_pendingFrame, _pendingBuffer) = (null, 0);
    }

    // Under the gate: becomes the writer unless there is one. What the network takes at once is written on this very thread.
    void Write()
    {
        if (_writing || (IsQueueEmpty && _pong is null)) return;
        Begin(WriteQueued(out var length), length);
    }

    void Begin(ValueTask write, int length)
    {
        if (write.IsCompletedSuccessfully)
        {
            ReleasePending();      // it may have become complete since it was counted
            return;
        }
        (_writing, _inFlight) = (true, length);
        _ = WriteOnAsync(write);
    }

    ValueTask WriteSafely(ReadOnlyMemory<byte> bytes)
    {
        if (Meters.BytesSent.Enabled) Meters.BytesSent.Add(bytes.Length);
        try
        {
            return _webSocket!.WriteAsync(bytes);
        }
        catch (Exception ex)
        {
            return ValueTask.FromException(ex);
        }
    }

    // Under the gate. The task is the first write that could not be done at once; the queue is empty when it is complete.
    ValueTask WriteQueued(out int length)
    {
        length = 0;
        while (!IsQueueEmpty || _pong is not null)
        {
            var write = IsPongNext ? WritePong(out length) : _queue!.Count == 1
                ? WriteOne(Take(), out length) : WriteTogether(_queue, out length);
            if (!write.IsCompletedSuccessfully) return write;
            ReleasePending();
        }
        return ValueTask.CompletedTask;
    }

    bool IsPongNext => _pong is not null && (_beforePong <= 0 || IsQueueEmpty);

    ValueTask WritePong(out int length)
    {
        var pong = _pong!;
        (_pong, length) = (null, pong.Length);
        return WriteSafely(pong);
    }

    SharedFrame Take()
    {
        _beforePong--;
        return _queue!.Take();
    }

    ValueTask WriteOne(SharedFrame frame, out int length)
    {
        var bytes = BytesOf(frame);
        length = bytes.Length;
        var write = WriteSafely(bytes);
        if (!write.IsCompletedSuccessfully) CountPending(frame, buffer: 0);
        return write;
    }

    // All that waits, up to a size, in one write.
    ValueTask WriteTogether(SendQueue queue, out int length)
    {
        var first = BytesOf(queue.Peek());
        if (first.Length > LongestTogether / 2) return WriteOne(Take(), out length);
        var buffer = ArrayPool<byte>.Shared.Rent(LongestTogether);
        length = 0;
        while (queue.Count > 0 && !IsPongNext)
        {
            var next = BytesOf(queue.Peek());
            if (length + next.Length > buffer.Length) break;
            Take();
            next.CopyTo(buffer.AsSpan(length));
            length += next.Length;
        }
        var write = WriteSafely(buffer.AsMemory(0, length));
        if (!write.IsCompletedSuccessfully)
        {
            CountPending(frame: null, buffer.Length);
            return ReturnAfterAsync(write, buffer);
        }
        ArrayPool<byte>.Shared.Return(buffer);
        return write;
    }

    static async ValueTask ReturnAfterAsync(ValueTask write, byte[] buffer)
    {
        await write;
        ArrayPool<byte>.Shared.Return(buffer);   // after a failure it is left to the collector: the network may still be reading it
    }

    async Task WriteOnAsync(ValueTask write)
    {
        await Task.Yield();   // leaves the gate: from here callbacks may run
        try
        {
            while (true)
            {
                await write;
                lock (_gate)
                {
                    ReleasePending();
                    _inFlight = 0;
                    write = WriteQueued(out _inFlight);
                    if (!write.IsCompletedSuccessfully) continue;
                    ReleasePending();
                    (_writing, _inFlight) = (false, 0);
                    if (_state != State.Closing) return;
                }
                End(_closeReason);   // the close frame was the last of the queue
                return;
            }
        }
        catch (Exception ex)
        {
            if (!WebSocketConnection.IsCut(ex)) _server.LogWriteFailed(ex, Id);
            lock (_gate)
            {
                ReleasePending();
                (_writing, _inFlight) = (false, 0);
                _queue?.Clear();      // nobody takes it any more
            }
            Drop(DisconnectReason.TransportClose);
        }
        finally
        {
            lock (_gate)
                if (!_writing) _written?.TrySetResult();      // a further writer has begun where it is
        }
    }
}
