using System.Net;
using System.Text;

namespace Carillon.BenchLoad;

/// <summary>What one address does to a server, a bounded piece at each turn.</summary>
abstract class Attack : IDisposable
{
    const long GiveUpAfter = 5 * Run.Second;
    const long LookForSilenceEvery = Run.Second / 10;

    readonly Dictionary<string, long> _refused = [];
    readonly Queue<Connection> _free = new();
    readonly long[] _openedAt;
    long _begun, _attempts, _admitted, _cut, _unanswered, _failed, _silent, _heldMost;
    long? _firstTrouble, _lastAdmitted;
    long _silenceAt;

    protected Attack(Run run, IPAddress from, int slots)
    {
        From = from;
        Swarm = run.NewSwarm(from);
        Dialect = run.Dialect;
        _openedAt = new long[slots];
        for (var i = 0; i < slots; i++) _free.Enqueue(Swarm.Add());
        Swarm.Opened = connection =>
        {
            _admitted++;
            _lastAdmitted = Payload.Now();
            OnAdmitted(connection);
        };
        Swarm.Ended = (connection, ending) =>
        {
            _firstTrouble ??= Payload.Now();
            if (ending == Ending.NoConnection) _failed++;
            else if (ending == Ending.Refused) _refused[NameOfRefusal(connection)] = _refused.GetValueOrDefault(NameOfRefusal(connection)) + 1;
            else if (connection.Status == 0) _unanswered++;
            else _cut++;
            Free(connection);
        };
    }

    public IPAddress From { get; }

    protected Swarm Swarm { get; }

    protected Dialect Dialect { get; }

    protected int HeldCount => _openedAt.Length - _free.Count;

    /// <summary>By the status of the answer, without an answer, or after the upgrade.</summary>
    public static string NameOfRefusal(Connection connection) => connection.Status switch { 0 => "no answer", 101 => "packet", var status => status.ToString() };

    public void Begin(long now) => _begun = now;

    /// <summary>Attacks a little, and says whether there was anything to do.</summary>
    public bool Turn(long now)
    {
        var busy = Swarm.Poll(0);
        if (now >= _silenceAt)
        {
            _silenceAt = now + LookForSilenceEvery;
            foreach (var connection in Swarm.Connections)
            {
                if (connection.Phase is Phase.Free or Phase.Open || IsPatient || now - _openedAt[connection.Slot] < GiveUpAfter) continue;
                _silent++;
                Leave(connection);
            }
        }
        busy |= Act(now);
        _heldMost = Math.Max(_heldMost, HeldCount);
        return busy;
    }

    public void Stop()
    {
        foreach (var connection in Swarm.Connections) Swarm.Close(connection, reset: true);
    }

    public object Report(double seconds) => new
    {
        AttemptsPerSecond = Math.Round(_attempts / seconds, 1),
        Attempts = _attempts,
        Admitted = _admitted,
        RefusedBy = _refused,
        Refused = _refused.Values.Sum() + _unanswered + _failed,     // kept out
        ClosedUnanswered = _unanswered,
        Cut = _cut,                                                // let in, and thrown out
        Failed = _failed,
        Silent = _silent,
        HeldMost = _heldMost,
        FirstTroubleAfterSeconds = After(_firstTrouble),
        LastAdmittedAfterSeconds = After(_lastAdmitted),
        Events = SentEvents,
        EventsPerSecond = Math.Round(SentEvents / seconds),
    };

    public void Dispose() => Swarm.Dispose();

    protected virtual long SentEvents => 0;

    /// <summary>Whether an answer that does not come is what this attack waits for.</summary>
    protected virtual bool IsPatient => false;

    protected abstract bool Act(long now);

    protected virtual void OnAdmitted(Connection connection) { }

    /// <summary>Opens one more. False: all slots are taken.</summary>
    protected Connection? TryOpen(long now)
    {
        if (!_free.TryDequeue(out var connection)) return null;
        _attempts++;
        _openedAt[connection.Slot] = now;
        Swarm.Open(connection);
        return connection;
    }

    protected void Leave(Connection connection)
    {
        Swarm.Close(connection, reset: true);
        Free(connection);
    }

    void Free(Connection connection) => _free.Enqueue(connection);

    double? After(long? time) => time is { } at ? Math.Round((at - _begun) / 1e9, 2) : null;

}

/// <summary>As many connections a second as there is time for; each is left as soon as enough are held.</summary>
sealed class ConnectionAttack(Run run, IPAddress from) : Attack(run, from, Slots)
{
    const int Slots = 128, Held = 64, OpenedAtOnce = 16;
    readonly Queue<(Connection Who, int Generation)> _held = new();

    protected override bool Act(long now)
    {
        var opened = 0;
        while (opened < OpenedAtOnce && TryOpen(now) is not null) opened++;
        return opened > 0;
    }

    protected override void OnAdmitted(Connection connection)
    {
        _held.Enqueue((connection, connection.Generation));
        if (_held.Count <= Held) return;
        var (oldest, generation) = _held.Dequeue();
        if (oldest.Generation == generation && oldest.Phase == Phase.Open) Leave(oldest);
    }
}

/// <summary>One client that sends events without end, and comes back whenever it is thrown out.</summary>
sealed class EventAttack(Run run, IPAddress from, double eventsPerSecond) : Attack(run, from, slots: 1)
{
    const int Block = 50;
    const int EmptyRoom = 1_000_000;
    const long ComeBackAfter = Run.Second / 20;
    byte[]? _block;
    Connection? _connection;
    long _openedAt, _dueFrom, _dueCount, _sent, _comeBackAt;

    protected override long SentEvents => _sent;

    protected override bool Act(long now)
    {
        if (_connection is null || _connection.Phase == Phase.Free)
        {
            if (now < _comeBackAt) return false;
            _comeBackAt = now + ComeBackAfter;
            _connection = TryOpen(now);
            _openedAt = now;
            return true;
        }
        if (_connection.Phase != Phase.Open) return false;
        if (_dueFrom < _openedAt) (_dueFrom, _dueCount) = (now, 0);
        // Held back by the server: what is due then is not made up for.
        if (_connection.UnsentTo > _connection.UnsentFrom)
        {
            _dueFrom = 0;
            return false;
        }
        if ((now - _dueFrom) / 1e9 * eventsPerSecond < _dueCount + Block) return false;
        _block ??= [.. Enumerable.Repeat(Swarm.FrameOf(Dialect.Publish(EmptyRoom, Payload.Smallest, now, 0)), Block).SelectMany(static frame => frame)];
        Swarm.SendRaw(_connection, _block);
        _dueCount += Block;
        _sent += Block;
        return true;
    }
}

/// <summary>Handshakes that never come to an end: a byte a second, from as many connections as the server holds.</summary>
sealed class HandshakeAttack(Run run, IPAddress from, int most) : Attack(run, from, most)
{
    const int OpenedAtOnce = 4;
    const long ByteEvery = Run.Second;
    static readonly byte[] Beginning = Encoding.ASCII.GetBytes("GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nX-Slow: ");
    static readonly byte[] More = [(byte)'a'];
    long _openAt;
    uint _next;

    protected override bool IsPatient => true;

    protected override bool Act(long now)
    {
        Swarm.Connected ??= connection => Swarm.SendRaw(connection, Beginning);
        var opened = 0;
        if (now >= _openAt)
        {
            _openAt = now + Run.Second / 500;      // two thousand a second: it is not the number of attempts that is tried here
            while (opened < OpenedAtOnce && TryOpen(now) is not null) opened++;
        }
        var sent = 0;
        for (var i = 0; i < 64; i++)
        {
            var connection = Swarm.Connections[(int)(_next++ % (uint)Swarm.Connections.Count)];
            if (connection.Phase != Phase.Upgrading || now < connection.ConnectedAt + ByteEvery) continue;
            connection.ConnectedAt = now;
            Swarm.SendRaw(connection, More);
            sent++;
        }
        return opened + sent > 0;
    }
}
