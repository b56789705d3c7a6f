namespace Carillon.BenchLoad;

/// <summary>Many rooms of two, whose members publish by turns.</summary>
static class Chat
{
    const long Stride = 7919;    // a prime: neighbours in time are no neighbours in the server's memory

    public static object Measure(Run run)
    {
        var count = run.Options.Whole("connections", 2000) / 2 * 2;
        var rate = run.Options.Number("rate", 4900);    // not in step with a kernel's tick
        run.Options.RefuseTheRest();
        var members = run.Add(count, static i => i / 2);
        run.Open(members, atOnce: 200);
        run.Join(members);
        if (run.WarmSeconds > 0)
        {
            Publish(rate * 2, run.WarmSeconds);
            run.Idle(Math.Min(1, run.WarmSeconds));
        }
        return Publish(rate, run.Seconds);

        Window Publish(double perSecond, double seconds) => run.Publish(perSecond, seconds, run.DrainSeconds, members, inOrder: false, i =>
        {
            var from = members[i * Stride % count];
            return (from, from.Room);
        });
    }
}
