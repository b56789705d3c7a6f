using Carillon.SocketIO.Diagnostics;
using Carillon.SocketIO.WebSockets;

namespace Carillon.SocketIO.Engine;

public sealed partial class EngineSocket
{
    enum TimerPhase { None, NextPing, Pong, LastPoll, Abort }

    readonly Heartbeat _heartbeat;
    TimerPhase _phase;
    long _lastPing;
    long _lastPong;
    long _confirmedAt;
    RoundTrip _roundTrip;

    /// <summary>How long the way to the client and back takes, from all pings so far.</summary>
    public RoundTrip RoundTrip
    {
        get
        {
            lock (_gate) return _roundTrip;
        }
    }

    internal void StartHeartbeat()
    {
        lock (_gate)
            if (_state == State.Open) SetTimer(TimerPhase.NextPing, _server.Options.FirstPingAfter ?? _server.Options.PingInterval);
        // A handshake that was let in just before the server stopped may have been added just after all were closed.
        if (_server.Ended is { } reason) Drop(reason);
    }

    // Comparing clocks besides the timer: a client that comes back exactly when its time is over must not find the timer late.
    bool IsExpired =>
        _server.Clock.GetElapsedTime(_lastPong) >= _server.Options.PingInterval + PingTimeout
        || (_phase == TimerPhase.Pong && _server.Clock.GetElapsedTime(_lastPing) >= PingTimeout);

    // The same from a ping to its end: only a pong changes what is known of the round trip.
    TimeSpan PingTimeout => _roundTrip.PingTimeout(_server.Options.MinPingTimeout, _server.Options.PingTimeout);

    // False: nobody asked for it.
    bool OnPong()
    {
        TimeSpan measured;
        lock (_gate)
        {
            if (_state != State.Open) return true;
            var answersPing = _phase == TimerPhase.Pong;
            _lastPong = _server.Clock.GetTimestamp();
            SetTimer(TimerPhase.NextPing, _server.Options.PingInterval);
            if (!answersPing) return false;
            _confirmedAt = _lastPing;
            measured = _server.Clock.GetElapsedTime(_lastPing, _lastPong);
            _roundTrip = _roundTrip.With(measured);
        }
        if (Meters.RoundTrip.Enabled) Meters.RoundTrip.Record(measured.TotalSeconds);
        _server.OnLatency(this);
        return true;
    }

    /// <summary>
    /// A moment before which all that was sent has arrived: that of the last ping that was answered, which came behind it.
    /// </summary>
    internal long ConfirmedAt => Volatile.Read(ref _confirmedAt);

    void OnTimer()
    {
        TimerPhase due;
        lock (_gate)
        {
            if (_heartbeat.IsSet) return;      // a pong, or an end, was quicker
            due = _phase;
            if (due == TimerPhase.NextPing && _state == State.Open)
            {
                _lastPing = _server.Clock.GetTimestamp();
                SetTimer(TimerPhase.Pong, PingTimeout);
            }
        }
        switch (due)
        {
            case TimerPhase.NextPing:
                Trim();
                Enqueue(EnginePacket.PingFrame);
                break;
            case TimerPhase.Pong:
                DropLater(DisconnectReason.PingTimeout);
                break;
            case TimerPhase.LastPoll:
                DropLater(_closeReason);
                break;
            case TimerPhase.Abort:
                _webSocket?.Abort();
                StopTimer();
                break;
        }
    }

    // Not on the wheel's thread, nor on one that sends: the handler of the end may take long, or wait for a lock that the sender holds.
    void DropLater(string reason, CloseCode code = CloseCode.None) =>
        ThreadPool.UnsafeQueueUserWorkItem(static drop =>
            drop.Socket.Drop(drop.Reason, drop.Code), (Socket: this, Reason: reason, Code: code), preferLocal: true);

    void SetTimer(TimerPhase phase, TimeSpan due)
    {
        _phase = phase;
        _server.Wheel.Set(_heartbeat, due);
    }

    void StopTimer()
    {
        _phase = TimerPhase.None;
        _server.Wheel.Cancel(_heartbeat);
    }

    sealed class Heartbeat(EngineSocket socket) : TimerWheel.Deadline
    {
        internal override void OnDue() => socket.OnTimer();
    }
}
