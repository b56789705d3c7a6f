namespace Carillon.BenchLoad;

/// <summary>
/// What one stretch of time cost: the server, and the generator itself. A generator that was busy or late measured itself, and says so.
/// </summary>
sealed class Meter
{
    const double BusyLimit = 0.9;             // of its core
    const double TakenLimit = 0.1;            // of its time, by other programs on its core
    const double LateLimitMilliseconds = 20;  // behind its own schedule, in one case of a hundred

    readonly ServerProcess _server;
    readonly bool _spins;
    readonly int _serverCore;
    readonly Latencies _late = new();
    long _begun, _idle;
    double _serverBegun, _coreBegun, _ownBegun;

    public Meter(ServerProcess server, bool spins, int serverCore)
    {
        _server = server;
        _spins = spins;
        _serverCore = serverCore;
        Begin();
    }

    public void Begin()
    {
        _late.Clear();
        _idle = 0;
        _serverBegun = _server.CpuSeconds();
        _coreBegun = ServerProcess.BusySeconds(_serverCore);
        _ownBegun = Environment.CpuUsage.TotalTime.TotalSeconds;
        _begun = Payload.Now();
    }

    /// <summary>A look that found nothing to do.</summary>
    public void Idled(long nanoseconds) => _idle += nanoseconds;

    /// <summary>Something was done this much after it was due.</summary>
    public void WasLate(long nanoseconds) => _late.Record(nanoseconds);

    public Cost End(long messages)
    {
        var seconds = (Payload.Now() - _begun) / 1e9;
        var server = _server.CpuSeconds() - _serverBegun;
        var core = ServerProcess.BusySeconds(_serverCore) - _coreBegun;
        var own = Environment.CpuUsage.TotalTime.TotalSeconds - _ownBegun;
        // Who spins uses its core whole: what counts is the share of looks that found something, and what others took away.
        var busy = _spins ? 1 - _idle / 1e9 / seconds : own / seconds;
        var taken = _spins ? Math.Max(0, 1 - own / seconds) : 0;
        var late = _late.Milliseconds(0.99);
        return new Cost
        {
            Seconds = Math.Round(seconds, 3),
            ServerCpuSeconds = Math.Round(server, 3),
            ServerBusy = Math.Round(server / seconds, 3),
            CpuMicrosecondsPerMessage = messages > 0 ? Math.Round(server * 1e6 / messages, 3) : 0,
            OthersOnServerCore = Math.Round(Math.Max(0, core - server) / seconds, 3),
            GeneratorBusy = Math.Round(busy, 3),
            GeneratorTaken = Math.Round(taken, 3),
            GeneratorLateMilliseconds = late,
            GeneratorFellBehind = taken > TakenLimit || late > LateLimitMilliseconds,
            LimitedByGenerator = busy > BusyLimit || taken > TakenLimit || late > LateLimitMilliseconds,
        };
    }
}

sealed record Cost
{
    public double Seconds { get; init; }
    public double ServerCpuSeconds { get; init; }
    public double ServerBusy { get; init; }
    public double CpuMicrosecondsPerMessage { get; init; }
    public double OthersOnServerCore { get; init; }
    public double GeneratorBusy { get; init; }
    public double GeneratorTaken { get; init; }
    public double GeneratorLateMilliseconds { get; init; }
    public bool GeneratorFellBehind { get; init; }
    public bool LimitedByGenerator { get; init; }
}
