using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using System.Text;
using System.Text.Unicode;
using Carillon.SocketIO.Diagnostics;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Carillon.SocketIO.Engine;

public sealed partial class EngineSocket
{
    // Some clients (python-engineio) refuse a payload of more than 16 packets; the rest leaves with the next poll.
    const int PacketsPerPayload = 16;

    static readonly byte[] ClosePayload = [EnginePacket.Close];
    static readonly byte[] NoopPayload = [EnginePacket.Noop];
    static readonly byte[] LastPayload = [EnginePacket.Noop, SharedFrame.Separator, EnginePacket.Close];
    static readonly byte[] RefusedPayload = [0];      // these three are never sent: the answer is a refusal
    static readonly byte[] StoppedPayload = [1];
    static readonly byte[] GonePayload = [2];
    static readonly byte[] Ok = "ok"u8.ToArray();
    static readonly TimeSpan PollOnItsWay = TimeSpan.FromMilliseconds(50);

    // The poll that waits. Its result: what to answer, or null for "take the queue".
    TaskCompletionSource<byte[]?>? _poll;
    bool _pollCameWhileUpgrading;
    TaskCompletionSource? _lastPoll;     // after the client's goodbye: a poll that the goodbye has overtaken
    HttpContext? _post;                  // the one that is under way
    PollAnswer[] _answers = [];          // those that are being written; replaced as a whole
    int _posts;

    /// <summary>Whether a poll waits for something to send.</summary>
    internal bool IsPolling
    {
        get
        {
            lock (_gate) return _poll is { Task.IsCompleted: false };
        }
    }

    internal async Task ServePollAsync(HttpContext context)
    {
        EngineRefusal? refusal = null;
        string? end = null;
        var isLast = false;
        PollAnswer? answer = null;
        TaskCompletionSource<byte[]?>? waiting = null;
        lock (_gate)
        {
            if (_state == State.Closed && _lastPoll?.TrySetResult() == true)
                answer = new(context, NoopPayload);
            else if (_state == State.Closed)
                refusal = EngineRefusal.UnknownSession;
            else if (IsExpired)
                (refusal, end) = (EngineRefusal.UnknownSession, DisconnectReason.PingTimeout);
            else if (_webSocket is not null)
                refusal = EngineRefusal.BadRequest;
            else if (_poll is not null)
                (refusal, end) = (EngineRefusal.BadRequest, DisconnectReason.TransportError);
            else if (!IsQueueEmpty && !_isJoining)
                answer = TakeAnswer(context);
            else if (_state == State.Closing)
                (answer, refusal, isLast) = (new(context, LastPayload), RefusalOf(FarewellFor(_closeReason)), true);
            else
                (waiting, _pollCameWhileUpgrading) = (_poll = new(TaskCreationOptions.RunContinuationsAsynchronously), _upgrades > 0);
        }
        if (isLast) End(_closeReason);
        else if (end is not null) Drop(end);
        if (refusal is not null)
        {
            await refusal.WriteAsync(context, upgrade: false);
            return;
        }

        try
        {
            if (waiting is not null)
            {
                var given = await AwaitPayloadAsync(waiting, context.RequestAborted);
                if (RefusalOf(given) is { } instead)
                {
                    await instead.WriteAsync(context, upgrade: false);
                    return;
                }
                answer = given is null ? TakeAnswerOrNoop(context, out refusal) : new(context, given);
                if (answer is null)
                {
                    await refusal!.WriteAsync(context, upgrade: false);
                    return;
                }
            }
            await WriteAsync(answer!);
        }
        catch (OperationCanceledException)
        {
            // the client cut its poll, and no WebSocket has taken over
            if (TransportName == "polling") Drop(DisconnectReason.TransportError);
        }
    }

    // How a poll ends with its session. A close packet means that the server does not want the client any more, and clients in some
    // languages (python-socketio) do not come back after it.
    // Where they are to come back, the poll fails: that every client takes for a lost connection.
    static byte[] FarewellFor(string reason) => reason switch
    {
        DisconnectReason.ServerShuttingDown => StoppedPayload,
        DisconnectReason.SlowConsumer => GonePayload,
        _ => ClosePayload,
    };

    static EngineRefusal? RefusalOf(byte[]? payload) =>
        payload == RefusedPayload ? EngineRefusal.BadRequest
        : payload == StoppedPayload ? EngineRefusal.ServerClosing
        : payload == GonePayload ? EngineRefusal.UnknownSession
        : null;

    async Task<byte[]?> AwaitPayloadAsync(TaskCompletionSource<byte[]?> waiting, CancellationToken aborted)
    {
        await using var cut = aborted.UnsafeRegister(static s => ((TaskCompletionSource<byte[]?>)s!).TrySetCanceled(), waiting);
        try
        {
            return await waiting.Task;
        }
        finally
        {
            lock (_gate)
                if (_poll == waiting) _poll = null;
        }
    }

    PollAnswer? TakeAnswerOrNoop(HttpContext context, out EngineRefusal? refusal)
    {
        lock (_gate)
        {
            refusal = _state == State.Closed && _lastPoll is null ? RefusalOf(FarewellFor(_closeReason)) : null;
            if (refusal is not null) return null;
            // The queue may have gone to the WebSocket meanwhile, or the session may be over.
            return _webSocket is null && !IsQueueEmpty
                ? TakeAnswer(context) : new(context, _state == State.Closed ? ClosePayload : NoopPayload);
        }
    }

    // Under the gate: answers a poll with the queue, or as much of it as one answer may have. The answer holds its frame from now on.
    PollAnswer TakeAnswer(HttpContext context)
    {
        var queue = _queue!;
        var first = queue.Peek();
        var packets = first.Packets;
        if (queue.Count == 1 || packets + queue.Peek(1).Packets > PacketsPerPayload)
        {
            first.Hold(_server.Buffers);     // before the queue gives it up: it counts all the while
            queue.Take();
            return new(context, first.Polling, first.MayCompress, first);
        }

        var mayCompress = false;
        var payload = new ArrayBufferWriter<byte>(first.Polling.Length * 2);
        for (packets = 0; queue.Count > 0 && packets + queue.Peek().Packets <= PacketsPerPayload;)
        {
            var next = queue.Take();
            if (packets > 0) payload.Write([SharedFrame.Separator]);
            packets += next.Packets;
            mayCompress |= next.MayCompress;
            payload.Write(next.Polling);
        }
        return new(context, payload.WrittenMemory, mayCompress);
    }

    // An answer that many pollers share is in memory once, and counts once; a copy counts separately.
    async Task WriteAsync(PollAnswer answer)
    {
        var copied = 0;
        try
        {
            lock (_gate) _answers = [.. _answers, answer];
            var payload = _server.Encode(answer.Context, answer.Payload, answer.MayCompress);
            if (answer.Frame is null || !payload.Equals(answer.Payload)) copied = payload.Length;
            Hold(copied);
            if (_isTooSlow) answer.Context.Abort();     // decided meanwhile: nobody else will
            await EngineServer.WriteAnswerAsync(answer.Context, payload);
        }
        finally
        {
            lock (_gate) _answers = [.. _answers.Where(other => other != answer)];
            answer.Frame?.Release();
            Release(copied);
        }
    }

    long SharedBytesOfAnswers
    {
        get
        {
            var bytes = 0L;
            foreach (var answer in Volatile.Read(ref _answers))
                if (answer.Frame is not null) bytes += answer.Payload.Length;
            return bytes;
        }
    }

    /// <summary>The answer to a poll.</summary>
    /// <param name="Context">The poll.</param>
    /// <param name="Payload">The packets.</param>
    /// <param name="MayCompress">Whether they may be compressed.</param>
    /// <param name="Frame">The frame whose bytes they are, where it is a single one; the answer holds it.</param>
    sealed record PollAnswer(HttpContext Context, ReadOnlyMemory<byte> Payload, bool MayCompress = false, SharedFrame? Frame = null);

    internal async Task ServePostAsync(HttpContext context)
    {
        var response = context.Response;
        if (!TryBeginPost(context, out var refusal))
        {
            Drop(DisconnectReason.TransportError);
            await refusal.WriteAsync(context, upgrade: false);
            return;
        }

        byte[]? buffer = null;
        try
        {
            (buffer, var length) = await ReadBodyAsync(context);
            if (length < 0)
            {
                EndPost(context);
                response.StatusCode = StatusCodes.Status413PayloadTooLarge;
                response.ContentLength = 0;
                return;
            }
            var farewell = SaysGoodbye(buffer.AsSpan(0, length)) ? BeginFarewell() : null;
            var understood = ReceiveTogether(buffer.AsSpan(0, length), context.Request.Headers);
            if (farewell is not null) await EndFarewellAsync(farewell);
            EndPost(context);   // before the answer: the client's next POST may be quicker than what follows here
            if (!understood)
            {
                await EngineRefusal.BadRequest.WriteAsync(context, upgrade: false);
                return;
            }
            response.ContentType = "text/html";
            response.Headers.CacheControl = "no-store";
            response.ContentLength = Ok.Length;
            await response.Body.WriteAsync(Ok, context.RequestAborted);
        }
        catch (Exception ex) when (ex is OperationCanceledException or IOException)
        {
            Drop(DisconnectReason.TransportError);   // the client cut its POST, or broke HTTP
            if (!response.HasStarted) response.StatusCode = StatusCodes.Status400BadRequest;
        }
        finally
        {
            if (buffer is not null) GiveBack(buffer);
            EndPost(context);
        }
    }

    void EndPost(HttpContext context)
    {
        lock (_gate)
            if (_post == context) _post = null;     // the client's next one may have begun
    }

    static bool SaysGoodbye(ReadOnlySpan<byte> payload) =>
        payload is [EnginePacket.Close] or [.., SharedFrame.Separator, EnginePacket.Close];

    // A client that leaves sends its goodbye beside its poll, on another connection. Where the poll is overtaken it is still to be told
    // that the
    // goodbye was heard (official suite: "forcefully closes the session"). The session ends at once, for the client may be back in a moment
    // and
    // want it restored; only its id is known a little longer, until the goodbye is answered.
    TaskCompletionSource? BeginFarewell()
    {
        lock (_gate)
            return _state != State.Open || _webSocket is not null || _poll is not null ? null
                : _lastPoll = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    async Task EndFarewellAsync(TaskCompletionSource lastPoll)
    {
        await Task.WhenAny(lastPoll.Task, Task.Delay(PollOnItsWay, _server.Clock));
        lock (_gate) _lastPoll = null;
        _server.Remove(this);
    }

    bool TryBeginPost(HttpContext context, [NotNullWhen(false)] out EngineRefusal? refusal)
    {
        lock (_gate)
        {
            refusal = _state == State.Closed ? EngineRefusal.UnknownSession
                : _post is not null
                    || context.Request.ContentType?.StartsWith("application/octet-stream", StringComparison.OrdinalIgnoreCase) == true
                    ? EngineRefusal.BadRequest
                : null;
            if (refusal is null) _post = context;
            return refusal is null;
        }
    }

    // Answers a length of -1 when the body is larger than a message may be. Bytes are counted as they come; no header is believed.
    async Task<(byte[]? Buffer, int Length)> ReadBodyAsync(HttpContext context)
    {
        var max = MaxPayload;
        if (context.Request.ContentLength > max) return (null, -1);
        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } limit) limit.MaxRequestBodySize = null;

        var body = context.Request.Body;
        var buffer = Rent((int)Math.Min(context.Request.ContentLength + 1 ?? 4096, 64 * 1024));
        var length = 0;
        try
        {
            while (true)
            {
                if (length == buffer.Length)
                {
                    var larger = ArrayPool<byte>.Shared.Rent(length * 2);
                    buffer.AsSpan(0, length).CopyTo(larger);
                    HoldIncoming(larger.Length - buffer.Length);
                    ArrayPool<byte>.Shared.Return(buffer);
                    buffer = larger;
                }
                while (WhenReadable() is { } room) await room;
                var count = await body.ReadAsync(buffer.AsMemory(length), context.RequestAborted);
                if (count == 0) return (buffer, length);
                length += count;
                if (length > max) return (buffer, -1);
            }
        }
        catch
        {
            GiveBack(buffer);
            throw;
        }
    }

    byte[] Rent(int length)
    {
        var buffer = ArrayPool<byte>.Shared.Rent(length);
        HoldIncoming(buffer.Length);
        return buffer;
    }

    void GiveBack(byte[] buffer)
    {
        ReleaseIncoming(buffer.Length);
        ArrayPool<byte>.Shared.Return(buffer);
    }

    // Messages caused by the packets of one POST leave together, like those of one read.
    bool ReceiveTogether(ReadOnlySpan<byte> payload, IHeaderDictionary headers)
    {
        SendBatch.Begin();
        try
        {
            return Receive(payload, headers);
        }
        finally
        {
            SendBatch.End();
        }
    }

    // False: something in the payload was no packet, and the session is over.
    bool Receive(ReadOnlySpan<byte> payload, IHeaderDictionary headers)
    {
        _posts++;
        Meters.BytesReceived.Add(payload.Length);
        if (_state != State.Open && !TryPayAfterEnd(payload.Length))
        {
            Drop(DisconnectReason.TransportError);
            return false;
        }
        // A body that is no UTF-8 is read as other servers read it, with replacement characters.
        if (!Utf8.IsValid(payload)) payload = Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(payload));
        foreach (var range in payload.Split(SharedFrame.Separator))
        {
            if (!OnPacket(payload[range], headers)) return false;
            if (_state == State.Closed) break;
        }
        return true;
    }
}
