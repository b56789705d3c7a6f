namespace Carillon.BenchLoad;

/// <summary>The rate of a fan-out goes up until messages are late or lost; what held last is the result.</summary>
static class Maximum
{
    const double LateMilliseconds = 200;
    const double Coarse = 1.4, Fine = 1.1;
    const int MostSteps = 24;

    public static object Measure(Run run)
    {
        var (count, rate) = (run.Options.Whole("connections", 1000), run.Options.Number("rate", 20));
        run.Options.RefuseTheRest();
        var crowd = Crowd.Gather(run, count);
        crowd.WarmUp(run, rate);

        Window? best = null;
        Window? failed = null;
        var factor = Coarse;
        for (var step = 0; step < MostSteps; step++)
        {
            var window = crowd.Publish(run, rate, run.Seconds, drain: 1);
            if (Holds(window))
            {
                best = window;
            }
            else
            {
                failed = window;
                LetTheRestArrive(run);
                if (factor == Fine || best is null || window.Ended > 0) break;
                (factor, rate) = (Fine, best.Rate);
            }
            rate *= factor;
        }
        return new
        {
            MessagesPerSecond = Math.Round((best?.Rate ?? 0) * count),
            best?.Counts,
            Ended = (best?.Ended ?? 0) + (failed?.Ended ?? 0),
            // What matters is who gave way at the end: a server with time to spare did not.
            Cost = (best ?? failed)!.Cost with { LimitedByGenerator = failed is null || (failed.Cost.LimitedByGenerator && failed.Cost.ServerBusy < 0.9) },
            Failed = failed,
        };
    }

    static bool Holds(Window window) =>
        window.Counts.Delivered == window.Counts.Expected && window.Counts.Latency.P99 <= LateMilliseconds && window.Cost.GeneratorLateMilliseconds <= LateMilliseconds;

    static void LetTheRestArrive(Run run)
    {
        var (seen, quietSince) = (-1L, Payload.Now());
        var arrived = 0L;
        run.Swarm.Delivered = (_, _, _) => arrived++;
        run.Until(() =>
        {
            if (arrived != seen) (seen, quietSince) = (arrived, Payload.Now());
            return Payload.Now() - quietSince > Run.Second / 2;
        }, 20);
        run.Swarm.Delivered = run.Ledger.Deliver;
    }
}
