namespace Carillon.BenchLoad;

/// <summary>Each client has one question under way, and asks the next when it is answered.</summary>
static class Echo
{
    public static object Measure(Run run)
    {
        var count = run.Options.Whole("connections", 200);
        run.Options.RefuseTheRest();
        var clients = run.Add(count, static _ => -1);
        run.Open(clients, atOnce: 200);

        var latencies = new Latencies();
        var (asked, answered, wrong, number, goesOn) = (0L, 0L, 0L, 0L, true);
        run.Swarm.Answered = (client, stamp, which) =>
        {
            answered++;
            if (client.AskedAt == 0 || stamp != client.AskedAt || which != client.LastNumber) wrong++;
            else latencies.Record(Payload.Now() - stamp);
            client.AskedAt = 0;
            if (goesOn) Ask(client);
        };
        foreach (var client in clients) Ask(client);
        run.Idle(run.WarmSeconds);

        // What was asked before the window is answered in it, and the other way round at its end.
        latencies.Clear();
        wrong = answered = 0;
        asked = clients.Count(client => client.AskedAt != 0);
        var endedBefore = run.EndedCount;
        run.Meter.Begin();
        run.Idle(run.Seconds);
        var cost = run.Meter.End(answered);
        var inWindow = answered;
        goesOn = false;
        run.Until(() => clients.All(client => client.AskedAt == 0), run.DrainSeconds);
        run.Idle(0.05);
        var lost = clients.Count(client => client.AskedAt != 0);
        return new
        {
            RoundTripsPerSecond = Math.Round(inWindow / cost.Seconds),
            Counts = new Counts(asked, asked, answered, lost, Math.Max(0, answered + lost - asked), wrong, 0, latencies.Summary()),
            Ended = run.EndedCount - endedBefore,
            Cost = cost,
        };

        void Ask(Connection client)
        {
            asked++;
            client.AskedAt = Payload.Now();
            client.LastNumber = ++number;
            run.Swarm.Send(client, run.Dialect.Echo(run.Size, client.AskedAt, number));
        }
    }
}
