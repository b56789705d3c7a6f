namespace Carillon.BenchLoad;

/// <summary>Connections that do nothing: what they cost in memory, what it costs to open them, and what happens when all come back at once.</summary>
static class Idle
{
    const double RetryAfterSeconds = 0.1;

    public static object Measure(Run run)
    {
        var count = run.Options.Whole("connections", 10_000);
        var settle = run.Options.Number("settle", 5);
        run.Options.RefuseTheRest();
        var connections = run.Add(count, static _ => -1);
        var half = count / 2;

        run.Idle(1);
        var empty = run.Server.ExactKiB();
        run.Meter.Begin();
        var seconds = run.Open(connections[..half], atOnce: 200);
        var firstHalf = run.Meter.End(half);
        run.Idle(settle);
        var atHalf = run.Server.ExactKiB();
        run.Meter.Begin();
        seconds += run.Open(connections[half..], atOnce: 200);
        var secondHalf = run.Meter.End(count - half);
        run.Meter.Begin();
        run.Idle(settle);
        var atRest = run.Meter.End(0);
        var full = run.Server.ExactKiB();
        var endedBefore = run.EndedCount;

        // Not quite all: the old ones may still be open on the server's side, and both together must stay below its limit of open files.
        var returning = connections[..(int)Math.Ceiling(count * 0.95)];
        foreach (var connection in connections) run.Swarm.Close(connection);
        run.Meter.Begin();
        var (stormSeconds, refused) = Storm(run, returning);
        var storm = run.Meter.End(returning.Length);
        run.Idle(Math.Min(settle, 2));
        var after = run.Server.ExactKiB();
        return new
        {
            Connections = count,
            ResidentKiB = new { Empty = empty.Resident, Half = atHalf.Resident, Full = full.Resident, AfterStorm = after.Resident },
            ResidentKiBPerConnectionAtHalf = Each(atHalf.Resident - empty.Resident, half),
            ResidentKiBPerConnection = Each(full.Resident - empty.Resident, count),
            PrivateKiBPerConnection = Each(full.Private - empty.Private, count),
            ConnectionsPerSecond = Math.Round(count / seconds),
            CpuMillisecondsPerConnect = Each((firstHalf.ServerCpuSeconds + secondHalf.ServerCpuSeconds) * 1e3, count),
            ServerBusyAtRest = atRest.ServerBusy,
            Storm = new { Connections = returning.Length, Seconds = Math.Round(stormSeconds, 3), CpuSeconds = storm.ServerCpuSeconds, Refused = refused },
            Ended = endedBefore,
            Cost = firstHalf.LimitedByGenerator ? firstHalf : secondHalf,
        };
    }

    // All at once, as after a cut of the network; who is refused comes back, as clients do.
    static (double Seconds, int Refused) Storm(Run run, Connection[] connections)
    {
        var retries = new Queue<(long At, Connection Who)>();
        var refused = 0;
        run.Swarm.Ended = (connection, _) =>
        {
            refused++;
            retries.Enqueue((Payload.Now() + (long)(RetryAfterSeconds * Run.Second), connection));
        };
        var begun = Payload.Now();
        foreach (var connection in connections) run.Swarm.Open(connection);
        var all = run.Until(() =>
        {
            while (retries.TryPeek(out var first) && first.At <= Payload.Now()) run.Swarm.Open(retries.Dequeue().Who);
            return run.Swarm.OpenCount == connections.Length;
        }, 60);
        return all ? ((Payload.Now() - begun) / 1e9, refused) : throw new LoadException($"Only {run.Swarm.OpenCount} of {connections.Length} came back within a minute.");
    }

    static double Each(double amount, int count) => Math.Round(amount / count, 3);
}
