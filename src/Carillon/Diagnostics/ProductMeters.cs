using System.Diagnostics.Metrics;

namespace Carillon.Diagnostics;

/// <summary>
/// What operators watch of channels, the log and access, in the meter <c>Carillon</c>. While nobody listens, a measurement costs a
/// comparison. Tags have few values: an area is named by its pattern, and no tag holds the name of a channel or a user.
/// </summary>
static class ProductMeters
{
    static readonly Meter Meter = new("Carillon");

    /// <summary>Publications to a channel, by <c>area</c>, once each.</summary>
    static readonly Counter<long> Publications =
        Meter.CreateCounter<long>("carillon.publications", "{publication}", "Publications to channels");

    /// <summary>Publications handed to subscribers of this server, by <c>area</c>: one for a thousand counts a thousand times.</summary>
    static readonly Counter<long> Deliveries =
        Meter.CreateCounter<long>("carillon.deliveries", "{delivery}", "Publications handed to subscribers, counted for each of them");

    /// <summary>Subscriptions that began with a position and received all that followed it, by <c>area</c>.</summary>
    static readonly Counter<long> Recovered = Meter.CreateCounter<long>(
        "carillon.subscriptions.recovered", "{subscription}", "Subscriptions that received all they had missed");

    /// <summary>
    /// Subscriptions that were told to load again, by <c>area</c>: their position was too old, or the history began anew.
    /// </summary>
    static readonly Counter<long> Gaps =
        Meter.CreateCounter<long>("carillon.subscriptions.gaps", "{subscription}", "Subscriptions that had to load again");

    /// <summary>Requests and events that were refused, by <c>code</c> and <c>door</c> (http or event).</summary>
    static readonly Counter<long> Refusals =
        Meter.CreateCounter<long>("carillon.refusals", "{request}", "Requests and events that were refused");

    /// <summary>Tokens and tickets that were rejected, by <c>code</c>.</summary>
    static readonly Counter<long> RejectedTokens =
        Meter.CreateCounter<long>("carillon.tokens.rejected", "{token}", "Tokens and tickets that were rejected");

    /// <summary>From the commit of a change to its publication.</summary>
    static readonly Histogram<double> PumpLag = Meter.CreateHistogram(
        "carillon.pump.lag", "s", "Time from the commit of a change to its publication", tags: null,
        new InstrumentAdvice<double>
        {
            HistogramBucketBoundaries = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
        });

    /// <summary>Entries of the log that can be recovered.</summary>
    public static readonly Gauge<long> LogSize =
        Meter.CreateGauge<long>("carillon.log.size", "{entry}", "Entries of the log that can be recovered");

    public static KeyValuePair<string, object?> Area(string? pattern) => new("area", pattern ?? "none");

    public static void Published(string? area)
    {
        if (Publications.Enabled) Publications.Add(1, Area(area));
    }

    public static void Delivered(string area, int subscribers)
    {
        if (Deliveries.Enabled && subscribers > 0) Deliveries.Add(subscribers, Area(area));
    }

    public static void CaughtUp(string area, bool recovered)
    {
        if (recovered) Recovered.Add(1, Area(area));
        else Gaps.Add(1, Area(area));
    }

    public static void MustLoadAgain(string area, int subscribers)
    {
        if (subscribers > 0) Gaps.Add(subscribers, Area(area));
    }

    public static void Refused(ErrorCode error, string door)
    {
        if (Refusals.Enabled) Refusals.Add(1, new("code", error.Code), new("door", door));
    }

    public static void RejectedToken(ErrorCode error) => RejectedTokens.Add(1, new KeyValuePair<string, object?>("code", error.Code));

    /// <summary>A change was published. The clock of the writer may be ahead of ours.</summary>
    public static void Pumped(DateTimeOffset committedAt, TimeProvider clock)
    {
        if (PumpLag.Enabled) PumpLag.Record(Math.Max(0, (clock.GetUtcNow() - committedAt).TotalSeconds));
    }
}
