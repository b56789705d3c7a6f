using System.Net;

namespace Carillon.BenchLoad;

/// <summary>
/// Ordinary clients ask at a steady pace; beside them one address floods. What the ordinary notice, what is done about the flooder, and when it may come back.
/// One thread does both by turns, the ordinary first, so that a flood never delays the clock by which they are judged.
/// </summary>
static class Flood
{
    const double OpenedASecond = 250;          // ordinary clients do not arrive all at once
    const long ProbeEvery = Run.Second, ProbeWithin = Run.Second * 9 / 10;

    public static object Measure(Run run)
    {
        var options = run.Options;
        var (count, rate) = (options.Whole("connections", 500), options.Number("rate", 1000));
        var forgiveWithin = options.Number("forgive-within", 120);
        var from = IPAddress.Parse(options.Text("flood-from", "127.0.0.2"));
        Attack attack = options.Text("kind", "connections") switch
        {
            "connections" => new ConnectionAttack(run, from),
            "events" => new EventAttack(run, from, options.Number("events", 50_000)),
            "handshakes" => new HandshakeAttack(run, from, options.Whole("slow", 8000)),
            var other => throw new LoadException($"There is no flood of {other}: connections, events, handshakes."),
        };
        options.RefuseTheRest();
        using var _ = attack;

        var clients = new Askers(run, run.Add(count, static _ => -1), rate);
        clients.Open(OpenedASecond);
        if (run.WarmSeconds > 0) clients.Ask(run.WarmSeconds);
        var without = clients.Ask(run.Seconds);
        var with = clients.Ask(run.Seconds, attack);
        attack.Stop();
        var (probesRefusedBy, letInAfter) = Probe(run, attack.From, clients, forgiveWithin);
        return new
        {
            Kind = options.Text("kind", "connections"),
            Connections = count,
            Without = without,
            With = with,
            OthersEnded = clients.EndedCount,
            Flood = attack.Report(with.Cost.Seconds),
            FloodLimitedBy = with.Cost.ServerBusy > 0.9 ? "server" : with.Cost.GeneratorBusy > 0.9 ? "generator" : "neither",
            ProbesRefused = probesRefusedBy.Values.Sum(),
            ProbesRefusedBy = probesRefusedBy,
            LetInAfterSeconds = letInAfter,
            // For the ordinary clients' figures it does not matter that the flood took all there was, only that they were served by the clock.
            Cost = with.Cost with { LimitedByGenerator = without.Cost.LimitedByGenerator || with.Cost.GeneratorFellBehind },
        };
    }

    // A well-behaved client from the flooder's address knocks each second until it is let in and answered.
    static (Dictionary<string, int> RefusedBy, double? LetInAfter) Probe(Run run, IPAddress from, Askers clients, double within)
    {
        using var swarm = run.NewSwarm(from);
        var visitor = swarm.Add();
        var refusedBy = new Dictionary<string, int>();
        var answered = false;
        swarm.Opened = connection => swarm.Send(connection, run.Dialect.Echo(run.Size, Payload.Now(), 1));
        swarm.Answered = (_, _, _) => answered = true;
        var begun = Payload.Now();
        for (var next = begun + ProbeEvery / 2; next < begun + within * Run.Second; next += ProbeEvery)
        {
            clients.Until(next, () => false);
            swarm.Open(visitor);
            clients.Until(next + ProbeWithin, () =>
            {
                swarm.Poll(0);
                return answered || visitor.Phase == Phase.Free;
            });
            if (answered) return (refusedBy, Math.Round((Payload.Now() - begun) / 1e9, 1));
            swarm.Close(visitor, reset: true);
            var how = Attack.NameOfRefusal(visitor);
            refusedBy[how] = refusedBy.GetValueOrDefault(how) + 1;
        }
        return (refusedBy, null);
    }

    /// <summary>The ordinary clients.</summary>
    sealed class Askers
    {
        readonly Run _run;
        readonly Connection[] _clients;
        readonly double _rate;
        readonly Latencies _latencies = new();
        long _asked, _answered, _number, _firstNumber;

        public Askers(Run run, Connection[] clients, double rate)
        {
            (_run, _clients, _rate) = (run, clients, rate);
            run.Swarm.Answered = (_, stamp, number) =>
            {
                if (number < _firstNumber) return;
                _answered++;
                _latencies.Record(Payload.Now() - stamp);
            };
        }

        public int EndedCount => _clients.Count(static client => client.Phase != Phase.Open);

        public void Open(double aSecond)
        {
            var begun = Payload.Now();
            for (var next = 0; next < _clients.Length; next++)
            {
                var due = begun + (long)(next / aSecond * Run.Second);
                while (_run.Turn(due) < due) { }
                _run.Swarm.Open(_clients[next]);
            }
            _run.Until(() => _run.Swarm.OpenCount == _clients.Length, 5);
            if (_run.Swarm.OpenCount < _clients.Length) throw new LoadException($"Only {_run.Swarm.OpenCount} of {_clients.Length} ordinary clients were let in; {_run.EndedCount} were refused.");
        }

        /// <summary>Asks on schedule for a while, and lets an attack have its turn after each look.</summary>
        public Answers Ask(double seconds, Attack? attack = null)
        {
            _latencies.Clear();
            _asked = _answered = 0;
            _firstNumber = _number + 1;
            _run.Meter.Begin();
            var begun = Payload.Now();
            var end = begun + (long)(seconds * Run.Second);
            attack?.Begin(begun);
            var (count, due) = (0L, begun);
            for (var now = begun; now < end || due < end;)
            {
                for (; due <= now && due < end; due = begun + (long)(++count * (Run.Second / _rate)))
                {
                    _run.Meter.WasLate(now - due);
                    var client = _clients[(int)(count % _clients.Length)];
                    _asked++;
                    if (client.Phase == Phase.Open) _run.Swarm.Send(client, _run.Dialect.Echo(_run.Size, due, ++_number));
                }
                now = _run.Turn(attack is null ? Math.Min(due, end) : 0);
                if (attack is null) continue;
                var before = now;
                var busy = attack.Turn(now);
                now = Payload.Now();
                if (!busy) _run.Meter.Idled(now - before);
            }
            var cost = _run.Meter.End(_answered);
            _run.Until(() => _answered >= _asked, _run.DrainSeconds);
            return new Answers(_asked, _answered, _asked - _answered, _latencies.Summary(), cost);
        }

        /// <summary>Looks after them until a time, or until something has happened.</summary>
        public void Until(long time, Func<bool> happened)
        {
            while (!happened() && _run.Turn(Math.Min(time, Payload.Now() + Run.Second / 1000)) < time) { }
        }
    }

    sealed record Answers(long Asked, long Answered, long Unanswered, Percentiles Latency, Cost Cost);
}
