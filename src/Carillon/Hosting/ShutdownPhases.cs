namespace Carillon.Hosting;

/// <summary>How long each step of a stop may take at most, so that all of them are done in time even if every one hangs.</summary>
/// <param name="Readiness">Readiness fails, and nothing else happens.</param>
/// <param name="Tasks">Others say goodbye: presence, audit.</param>
/// <param name="Closing">Connections are closed, some at a time.</param>
/// <param name="Flushing">What waits for clients leaves.</param>
/// <param name="Answers">Clients answer the end of their connection before it is cut.</param>
/// <param name="Saving">The history is saved.</param>
internal readonly record struct ShutdownPhases(
    TimeSpan Readiness, TimeSpan Tasks, TimeSpan Closing, TimeSpan Flushing, TimeSpan Answers, TimeSpan Saving)
{
    static readonly TimeSpan Step = TimeSpan.FromMilliseconds(50);

    // Fewer than this at once are no storm.
    const int LeastPerStep = 20;

    /// <summary>All but the answers and the saving, which come when the connections are closed.</summary>
    public TimeSpan UntilClosed => Readiness + Tasks + Closing + Flushing;

    public static ShutdownPhases Of(ShutdownOptions options)
    {
        var ninth = (options.Timeout - options.ReadinessDelay) / 9;
        return new(options.ReadinessDelay, ninth * 2, ninth * 2, ninth * 2, ninth * 2, ninth);
    }

    /// <summary>How many connections are closed at once, and how long it is to the next ones.</summary>
    public (int Size, TimeSpan Pause) StepsFor(int connections)
    {
        var steps = Math.Max(1, (int)(Closing / Step));
        return (Math.Max(LeastPerStep, (connections + steps - 1) / steps), Step);
    }

    /// <summary>When the client of a number comes back, of so many: the first at once, the others evenly after it.</summary>
    public static int ReconnectInMs(int number, int clients, TimeSpan spread) => (int)(spread.TotalMilliseconds * number / clients);
}
