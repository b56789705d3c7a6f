namespace Carillon.BenchLoad;

/// <summary>
/// A room whose members read, without and with others that stopped reading, by turns: what the readers notice, what it costs the server in memory, and what
/// becomes of those that do not read.
/// </summary>
static class Stalled
{
    // A loopback takes megabytes for a client that does not read; a client at the end of an Ethernet, some ten thousand bytes.
    static readonly SocketShape SmallWindow = new(ReceiveBuffer: 8192, SegmentSize: 1448);
    const long KernelTakes = 256 * 1024;
    const double SecondsToBeCut = 4;
    // The server pings everybody who came at the same time at the same time. A window with that and one without have different tails.
    const double HeartbeatSeconds = 25;
    const long SampleEvery = Run.Second / 20;

    public static object Measure(Run run)
    {
        var (count, stalled) = (run.Options.Whole("connections", 1000), run.Options.Whole("stalled", 50));
        var (rate, rounds, budget) = (run.Options.Number("rate", 20), run.Options.Whole("rounds", 3), run.Options.Number("queue-bytes", 1 << 20));
        run.Options.RefuseTheRest();
        var crowd = Crowd.Gather(run, count - stalled);
        crowd.WarmUp(run, rate);

        // Both windows are as long as it takes until the last of them is cut, and have as many heartbeats.
        var seconds = Math.Max(run.Seconds, (budget + KernelTakes) / (run.Size * rate) + SecondsToBeCut);
        seconds = Math.Ceiling(seconds / HeartbeatSeconds) * HeartbeatSeconds;
        var peak = 0.0;
        var sampleAt = 0L;
        run.Meanwhile = now =>
        {
            if (now < sampleAt) return;
            sampleAt = now + SampleEvery;
            peak = Math.Max(peak, run.Server.ResidentKiB());
        };
        var results = new List<Round>();
        for (var i = 0; i < rounds; i++)
        {
            peak = 0;
            var without = crowd.Publish(run, rate, seconds, run.DrainSeconds);
            var before = peak;

            var slow = run.Add(stalled, static _ => 0, SmallWindow);
            run.Open(slow, atOnce: 50);
            run.Join(slow);
            foreach (var connection in slow) run.Swarm.Stall(connection, true);
            peak = 0;
            var with = crowd.Publish(run, rate, seconds, run.DrainSeconds);
            var growth = peak - before;

            var cut = slow.Count(static connection => connection.Phase == Phase.Free);
            var uptodate = WakeUp(run, crowd, slow);
            results.Add(new Round(without, with, growth, cut, slow.Count(static connection => connection.Phase == Phase.Free), uptodate,
                crowd.Subscribers.Count(static connection => connection.Phase != Phase.Open)));
            foreach (var connection in slow) run.Swarm.Close(connection, reset: true);
            run.Idle(1);
        }
        return new
        {
            Connections = count,
            Stalled = stalled,
            QueueBytes = budget,
            Rounds = results,
            P99Ratio = Median(results.Select(static round => round.With.Counts.Latency.P99 / Math.Max(0.001, round.Without.Counts.Latency.P99))),
            GrowthKiB = results.Max(static round => round.GrowthKiB),
            Cost = results[^1].With.Cost with { LimitedByGenerator = results.Any(static round => round.Without.Cost.LimitedByGenerator || round.With.Cost.LimitedByGenerator) },
        };
    }

    // Those that are still there read what lies before them, and one message more that nobody may have missed.
    static int WakeUp(Run run, Crowd crowd, Connection[] slow)
    {
        run.Swarm.Delivered = static (connection, _, number) => connection.LastNumber = number;
        foreach (var connection in slow) run.Swarm.Stall(connection, false);
        run.Idle(1);
        var last = run.Ledger.Publish(0);
        run.Swarm.Send(crowd.Publisher, run.Dialect.Publish(0, run.Size, Payload.Now(), last));
        run.Until(() => slow.All(connection => connection.Phase == Phase.Free || connection.LastNumber == last), 5);
        run.Swarm.Delivered = run.Ledger.Deliver;
        return slow.Count(connection => connection.Phase == Phase.Open && connection.LastNumber == last);
    }

    static double Median(IEnumerable<double> values)
    {
        var sorted = values.Order().ToArray();
        return Math.Round((sorted[sorted.Length / 2] + sorted[(sorted.Length - 1) / 2]) / 2, 3);
    }

    /// <param name="Cut">How many of the stalled the server had visibly ended before anyone read again.</param>
    /// <param name="Gone">How many it had ended, as they found out when they read.</param>
    /// <param name="UpToDate">How many were still there and received what was published then.</param>
    sealed record Round(Window Without, Window With, double GrowthKiB, int Cut, int Gone, int UpToDate, int OthersEnded);
}
