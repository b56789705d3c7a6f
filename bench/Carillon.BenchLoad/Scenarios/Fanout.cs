namespace Carillon.BenchLoad;

/// <summary>One client publishes to a room of many.</summary>
static class Fanout
{
    public static object Measure(Run run)
    {
        var (count, rate) = (run.Options.Whole("connections", 1000), run.Options.Number("rate", 20));
        run.Options.RefuseTheRest();
        var crowd = Crowd.Gather(run, count);
        crowd.WarmUp(run, rate);
        return crowd.Publish(run, rate, run.Seconds, run.DrainSeconds);
    }
}

/// <summary>The subscribers of one room, and the client that publishes to it without being in it.</summary>
sealed record Crowd(Connection[] Subscribers, Connection Publisher)
{
    public static Crowd Gather(Run run, int count)
    {
        var subscribers = run.Add(count, static _ => 0);
        run.Open(subscribers, atOnce: 200);
        run.Join(subscribers);
        var publisher = run.Add(1, static _ => -1);
        run.Open(publisher, atOnce: 1);
        return new Crowd(subscribers, publisher[0]);
    }

    /// <summary>At twice the rate, then a rest: a server may compile in the background what it found to be hot.</summary>
    public void WarmUp(Run run, double rate)
    {
        if (run.WarmSeconds <= 0) return;
        Publish(run, rate * 2, run.WarmSeconds, run.DrainSeconds);
        run.Idle(Math.Min(1, run.WarmSeconds));
    }

    public Window Publish(Run run, double rate, double seconds, double drain) =>
        run.Publish(rate, seconds, drain, Subscribers, inOrder: true, _ => (Publisher, 0));
}
