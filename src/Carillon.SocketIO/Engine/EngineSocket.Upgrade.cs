using Carillon.SocketIO.Limits;
using Carillon.SocketIO.WebSockets;

namespace Carillon.SocketIO.Engine;

/// <summary>How a connection moves from polling to a WebSocket.</summary>
public sealed partial class EngineSocket
{
    WebSocketConnection? _probe;         // wants to carry the connection
    int _upgrades;                       // requests for a WebSocket that are under way

    /// <summary>
    /// Serves a WebSocket that wants to take over from polling: it is probed, polls are answered so that the client can stop polling, and
    /// with its
    /// upgrade packet the queue goes to it.
    /// </summary>
    internal async Task ServeUpgradeAsync(Func<Task<WebSocketConnection>> accept)
    {
        lock (_gate) _upgrades++;   // before the client knows that it may go on
        try
        {
            var connection = await accept();
            if (TryBeginProbe(connection)) await new UpgradeProbe(this, connection).ServeAsync();
            else connection.Dismiss();
        }
        finally
        {
            lock (_gate) _upgrades--;
        }
    }

    bool TryBeginProbe(WebSocketConnection connection)
    {
        lock (_gate)
        {
            connection.MaxPayload = UpgradeProbe.MaxPayload;
            if (_state == State.Closed || _webSocket is not null || _probe is not null || !_server.Options.AllowUpgrades) return false;
            _probe = connection;
            return true;
        }
    }

    // A client stops polling only when its poll has ended; without this an upgrade would hang until the next ping.
    void ReleasePoll()
    {
        lock (_gate)
            if (_webSocket is null) _poll?.TrySetResult(NoopPayload);
    }

    bool TakeOver(WebSocketConnection connection)
    {
        var done = false;
        lock (_gate)
        {
            _probe = null;
            if (_state == State.Closed || connection.IsDismissed) return false;
            connection.MaxPayload = MaxPayload;
            _webSocket = connection;
            TransportName = "websocket";
            // A client lets its last poll end before it completes the upgrade. One that came meanwhile was sent after that and has
            // overtaken it.
            _poll?.TrySetResult(_pollCameWhileUpgrading ? RefusedPayload : NoopPayload);
            Write();
            if (_state == State.Closing) done = BeginClose();
        }
        _server.LogUpgraded(Id);
        if (done) End(_closeReason);
        return true;
    }

    void AbandonProbe()
    {
        var done = false;
        lock (_gate)
        {
            _probe = null;
            if (_state == State.Closing) done = BeginClose();
        }
        if (done) End(_closeReason);
        ForgetWhenEmpty();
    }

    /// <summary>A WebSocket beside a polling session, from its first frame until it takes over or is given up.</summary>
    sealed class UpgradeProbe(EngineSocket session, WebSocketConnection connection) : IFrameReceiver
    {
        // A probe, a ping and what ends the upgrade are a few small frames.
        public const int MaxPayload = 125;
        const int MaxFrames = 16;

        static readonly TimeSpan NudgeInterval = TimeSpan.FromMilliseconds(100);

        bool _upgraded;
        int _frames;
        ITimer? _expiry;
        ITimer? _nudge;

        public BufferBudget Buffers => session._server.Buffers;

        public async Task ServeAsync()
        {
            var options = session._server.Options;
            // Twice: first the WebSocket is closed, and cut when the client does not answer that.
            _expiry = session._server.Clock.CreateTimer(_ => OnExpired(), null, options.UpgradeTimeout, options.CloseTimeout);
            var code = CloseCode.None;
            try
            {
                code = await connection.ReadAsync(this);
            }
            finally
            {
                StopTimers();
                if (_upgraded)
                {
                    await session.EndWebSocketAsync(connection, code);
                }
                else
                {
                    if (code != CloseCode.None) session.CountMalformed();
                    session.AbandonProbe();
                    connection.Dismiss(code);
                }
            }
        }

        public bool OnFrame(Opcode opcode, ReadOnlySpan<byte> payload)
        {
            if (_upgraded) return session.OnFrame(opcode, payload);
            if ((session.IsOpen && !session.TryPay(payload.Length)) || ++_frames > MaxFrames) return false;
            if (opcode == Opcode.Ping) connection.Send(FrameHeader.Control(Opcode.Pong, payload));
            if (opcode is Opcode.Ping or Opcode.Pong or Opcode.Continuation) return true;
            if (opcode != Opcode.Text) return false;
            if (payload.SequenceEqual("2probe"u8))
            {
                connection.Send(EnginePacket.ProbeAnswer.WebSocket);
                _nudge ??= session._server.Clock.CreateTimer(_ => session.ReleasePoll(), null, NudgeInterval, NudgeInterval);
                return true;
            }
            if (!payload.SequenceEqual("5"u8)) return false;
            StopTimers();
            return _upgraded = session.TakeOver(connection);
        }

        public Task? WhenReadable() => session.WhenReadable();

        public void BeginPiece() => SendBatch.Begin();

        public void EndPiece() => SendBatch.End();

        void OnExpired()
        {
            if (connection.IsDismissed) connection.Abort();
            connection.Dismiss();
        }

        void StopTimers()
        {
            _expiry?.Dispose();
            _nudge?.Dispose();
        }
    }
}
