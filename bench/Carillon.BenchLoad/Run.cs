using System.Net;

namespace Carillon.BenchLoad;

/// <summary>A swarm, the server it drives, and the steps that scenarios share: open, join, publish on schedule.</summary>
sealed class Run : IDisposable
{
    public const long Second = 1_000_000_000;
    const long NothingDone = 2_000;
    static readonly IPAddress[] Spread = [.. Enumerable.Range(1, 8).Select(i => IPAddress.Parse($"127.0.1.{i}"))];   // ports to spare

    readonly bool _spins;
    long _turned;

    public Run(Options options)
    {
        Options = options;
        Url = new Uri(options.Text("url", "ws://127.0.0.1:9000"));
        if (!IPAddress.TryParse(Url.Host, out var address) || !IPAddress.IsLoopback(address)) throw new LoadException("The server must be an address of the loopback: ws://127.0.0.1:PORT.");
        Dialect = Dialect.Of(options.Text("dialect", "eio4"));
        Server = new ServerProcess(options.Whole("pid", 0));
        Size = Math.Max(Payload.Smallest, options.Whole("payload", 100));
        Seconds = options.Number("secs", 3);
        WarmSeconds = options.Number("warm", 3);
        DrainSeconds = options.Number("drain", 5);
        _spins = !options.Has("wait");
        Meter = new Meter(Server, _spins, options.Whole("server-core", -1));
        Swarm = NewSwarm(options.Text("from", "") is { Length: > 0 } from ? [IPAddress.Parse(from)] : Spread);
        Swarm.Delivered = Ledger.Deliver;
        Swarm.Ended = (_, _) => EndedCount++;
    }

    public Options Options { get; }
    public Uri Url { get; }
    public Dialect Dialect { get; }
    public ServerProcess Server { get; }
    public Meter Meter { get; }
    public Ledger Ledger { get; } = new();
    public Swarm Swarm { get; }
    public int Size { get; }
    public double Seconds { get; }
    public double WarmSeconds { get; }

    /// <summary>How long after a window what is under way may still arrive.</summary>
    public double DrainSeconds { get; }

    /// <summary>How many connections the server has ended or refused.</summary>
    public int EndedCount { get; private set; }

    /// <summary>What else a scenario does between two looks, such as reading the server's memory.</summary>
    public Action<long>? Meanwhile { get; set; }

    public Swarm NewSwarm(params IPAddress[] sources) => new(Url, Dialect, sources);

    public Connection[] Add(int count, Func<int, int> roomOf, SocketShape shape = default)
    {
        var added = new Connection[count];
        for (var i = 0; i < count; i++)
        {
            added[i] = Swarm.Add(shape);
            added[i].Room = roomOf(i);
        }
        return added;
    }

    /// <summary>Looks once, waiting up to <paramref name="until"/> where the generator was told to wait.</summary>
    public long Turn(long until = 0)
    {
        var before = Payload.Now();
        var busy = Swarm.Poll(_spins || until <= before ? 0 : (int)Math.Clamp((until - before) / 1_000_000, 0, 10));
        var now = Payload.Now();
        // From the end of the last look, unless something was done since: going round is not work.
        if (!busy) Meter.Idled(now - (before - _turned < NothingDone ? _turned : before));
        Swarm.KeepAlive(now);
        Meanwhile?.Invoke(now);
        _turned = now;
        return now;
    }

    public void Idle(double seconds)
    {
        var end = Payload.Now() + (long)(seconds * Second);
        while (Turn(end) < end) { }
    }

    /// <summary>Goes on until a condition holds, and says whether it did in time.</summary>
    public bool Until(Func<bool> holds, double seconds)
    {
        var end = Payload.Now() + (long)(seconds * Second);
        while (!holds())
        {
            if (Turn(end) >= end) return holds();
        }
        return true;
    }

    /// <summary>Opens connections, at most <paramref name="atOnce"/> handshakes under way, and says how many seconds it took.</summary>
    public double Open(IReadOnlyList<Connection> connections, int atOnce)
    {
        var begun = Payload.Now();
        var (next, openBefore, endedBefore) = (0, Swarm.OpenCount, EndedCount);
        var all = Until(() =>
        {
            while (next < connections.Count && next - (Swarm.OpenCount - openBefore) < atOnce) Swarm.Open(connections[next++]);
            if (EndedCount > endedBefore) throw new LoadException(WhyEnded(connections));
            return Swarm.OpenCount - openBefore == connections.Count;
        }, 60);
        return all ? (Payload.Now() - begun) / 1e9 : throw new LoadException($"Only {Swarm.OpenCount - openBefore} of {connections.Count} connections opened within a minute.");
    }

    public void Join(IReadOnlyList<Connection> connections)
    {
        var (sent, joined) = (0, 0);
        Swarm.Answered = (connection, _, _) =>
        {
            if (!connection.Joined) joined++;
            connection.Joined = true;
        };
        var all = Until(() =>
        {
            for (; sent < connections.Count && sent - joined < 200; sent++) Swarm.Send(connections[sent], Dialect.Join(connections[sent].Room));
            return joined == connections.Count;
        }, 60);
        Swarm.Answered = null;
        if (!all) throw new LoadException($"Only {joined} of {connections.Count} joined their room within a minute.");
    }

    /// <summary>
    /// Publishes on schedule, whatever the server does meanwhile, then waits for what is under way and counts. Latency begins at the moment at which a message
    /// was due, so neither a server nor a generator that falls behind can hide it.
    /// </summary>
    public Window Publish(double rate, double seconds, double drain, IEnumerable<Connection> members, bool inOrder, Func<long, (Connection From, int Room)> pick)
    {
        Ledger.Begin(members, inOrder);
        var endedBefore = EndedCount;
        Meter.Begin();
        var begun = Payload.Now();
        var end = begun + (long)(seconds * Second);
        var (count, due) = (0L, begun);
        for (var now = begun; now < end || due < end;)     // what was due is sent, however late
        {
            for (var burst = 0; due <= now && due < end && burst < 64; burst++)     // what arrives is not kept waiting longer
            {
                Meter.WasLate(now - due);
                var (from, room) = pick(count);
                if (from.Phase != Phase.Open) throw new LoadException("The server ended the connection of a client that publishes.");
                Swarm.Send(from, Dialect.Publish(room, Size, due, Ledger.Publish(room)));
                due = begun + (long)(++count * (Second / rate));
                now = Payload.Now();
            }
            now = Turn(Math.Min(due, end));
        }
        Until(() => Ledger.Delivered >= Ledger.Expected, drain);
        var cost = Meter.End(Ledger.Delivered);
        Idle(0.05);      // what comes twice may come late
        return new Window(rate, Ledger.Close(), EndedCount - endedBefore, cost);
    }

    public void Dispose() => Swarm.Dispose();

    static string WhyEnded(IReadOnlyList<Connection> connections) => connections.FirstOrDefault(c => c.Phase == Phase.Free && c.Status is not (0 or 101)) is { } refused
        ? $"The server refused a handshake with {refused.Status}."
        : "The server ended a connection that was being opened.";
}

/// <summary>What was published in one stretch of time, what arrived of it, and what it cost.</summary>
sealed record Window(double Rate, Counts Counts, int Ended, Cost Cost);
