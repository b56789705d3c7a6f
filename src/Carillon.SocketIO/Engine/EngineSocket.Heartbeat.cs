namespace Carillon.SocketIO;

public sealed partial class EngineSocket
{
    enum TimerPhase { None, NextPing, Pong, LastPoll, Abort }

    ITimer? _timer;
    TimerPhase _phase;
    long _lastPong;

    internal void StartHeartbeat()
    {
        lock (_gate)
            if (_state == State.Open) SetTimer(TimerPhase.NextPing, _server.Options.PingInterval);
        // A handshake that was let in just before the server stopped may have been added just after all were closed.
        if (_server.IsStopping) Drop(DisconnectReason.ServerShuttingDown);
    }

    // Comparing clocks besides the timer: a client that comes back exactly when its time is over must not find the timer late.
    bool IsExpired =>
        _server.Clock.GetElapsedTime(_lastPong) >= _server.Options.PingInterval + _server.Options.PingTimeout;

    void OnPong()
    {
        lock (_gate)
        {
            if (_state != State.Open) return;
            _lastPong = _server.Clock.GetTimestamp();
            SetTimer(TimerPhase.NextPing, _server.Options.PingInterval);
        }
    }

    void OnTimer()
    {
        TimerPhase due;
        lock (_gate)
        {
            due = _phase;
            if (due == TimerPhase.NextPing && _state == State.Open) SetTimer(TimerPhase.Pong, _server.Options.PingTimeout);
        }
        switch (due)
        {
            case TimerPhase.NextPing:
                Enqueue(EnginePacket.PingFrame);
                break;
            case TimerPhase.Pong:
                Drop(DisconnectReason.PingTimeout);
                break;
            case TimerPhase.LastPoll:
                Drop(_closeReason);
                break;
            case TimerPhase.Abort:
                _webSocket?.Abort();
                StopTimer();
                break;
        }
    }

    void SetTimer(TimerPhase phase, TimeSpan due)
    {
        _phase = phase;
        if (_timer is null) _timer = _server.Clock.CreateTimer(static s => ((EngineSocket)s!).OnTimer(), this, due, Timeout.InfiniteTimeSpan);
        else _timer.Change(due, Timeout.InfiniteTimeSpan);
    }

    void StopTimer()
    {
        _phase = TimerPhase.None;
        _timer?.Dispose();
    }
}
