using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace Carillon.SocketIO.Diagnostics;

/// <summary>The instruments of the meter <c>Carillon</c>. Without a listener each costs a comparison.</summary>
static class Meters
{
    public static readonly Meter Meter = new("Carillon");

    static readonly InstrumentAdvice<double> Seconds =
        new() { HistogramBucketBoundaries = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] };

    /// <summary>Handshakes that were let in, by <c>transport</c>.</summary>
    public static readonly Counter<long> Handshakes = Meter.CreateCounter<long>(
        "carillon.handshakes", "{handshake}", "Handshakes that were let in");

    /// <summary>Handshakes that were refused, by <c>code</c>.</summary>
    public static readonly Counter<long> Refused = Meter.CreateCounter<long>(
        "carillon.handshakes.refused", "{handshake}", "Handshakes that were refused");

    /// <summary>Connections that ended, by <c>reason</c>.</summary>
    public static readonly Counter<long> Disconnects = Meter.CreateCounter<long>(
        "carillon.disconnects", "{connection}", "Connections that ended");

    /// <summary>Events that came from clients.</summary>
    public static readonly Counter<long> EventsReceived = Meter.CreateCounter<long>(
        "carillon.events.received", "{event}", "Events from clients");

    /// <summary>
    /// Events that were handed to connections: one that goes to a thousand counts a thousand times, and one that is dropped for a slow
    /// client counts too.
    /// </summary>
    public static readonly Counter<long> EventsSent = Meter.CreateCounter<long>(
        "carillon.events.sent", "{event}", "Events for clients, counted for each receiver, dropped ones among them");

    /// <summary>Events that were refused because somebody spent more than their share, their own or their account's.</summary>
    public static readonly Counter<long> RateLimited = Meter.CreateCounter<long>(
        "carillon.events.rate_limited", "{event}", "Events beyond somebody's share");

    // {byte}, not By: Prometheus would append the unit to a name that holds it already.
    /// <summary>Bytes that came from clients, as they were on the transport.</summary>
    public static readonly Counter<long> BytesReceived =
        Meter.CreateCounter<long>("carillon.bytes.received", "{byte}", "Bytes from clients");

    /// <summary>Bytes that were handed to the network, or to the answers of polls.</summary>
    public static readonly Counter<long> BytesSent =
        Meter.CreateCounter<long>("carillon.bytes.sent", "{byte}", "Bytes to clients");

    /// <summary>How long it took to hand an event to all its receivers.</summary>
    public static readonly Histogram<double> FanOut =
        Meter.CreateHistogram("carillon.fanout.duration", "s", "Time to hand an event to all its receivers", tags: null, Seconds);

    /// <summary>
    /// Messages for clients whose queue was full, or that memory was short for, by <c>action</c>: drop, make-room or
    /// disconnect.
    /// </summary>
    public static readonly Counter<long> Overflows = Meter.CreateCounter<long>(
        "carillon.send_queue.overflows", "{message}", "Messages for clients whose queue was full");

    /// <summary>Clients that came back to the state of a lost connection, by <c>outcome</c>: recovered or lost.</summary>
    public static readonly Counter<long> Recoveries = Meter.CreateCounter<long>(
        "carillon.recoveries", "{client}", "Clients that came back to a lost connection");

    /// <summary>From a ping to its pong.</summary>
    public static readonly Histogram<double> RoundTrip =
        Meter.CreateHistogram("carillon.ping.duration", "s", "Time from a ping to its pong", tags: null, Seconds);

    /// <summary>Bans, those by hand among them.</summary>
    public static readonly Counter<long> Bans = Meter.CreateCounter<long>("carillon.bans", "{ban}", "Bans of addresses");

    /// <summary>Connections that were closed because all of them together held too much.</summary>
    public static readonly Counter<long> Shed = Meter.CreateCounter<long>(
        "carillon.connections.shed", "{connection}", "Connections closed because all together held too many bytes");

    /// <summary>Servers of this process that refuse new connections because memory is short.</summary>
    public static readonly UpDownCounter<long> ShortOfMemory = Meter.CreateUpDownCounter<long>(
        "carillon.memory.pressure", "{server}", "Servers that are short of memory");

    public static KeyValuePair<string, object?> Code(string code) => new("code", code);

    public static KeyValuePair<string, object?> Reason(string reason) => new("reason", reason);

    public static KeyValuePair<string, object?> Transport(string transport) => new("transport", transport);

    public static void Overflow(string action) => Overflows.Add(1, new KeyValuePair<string, object?>("action", action));

    public static void Recovery(bool recovered) =>
        Recoveries.Add(1, new KeyValuePair<string, object?>("outcome", recovered ? "recovered" : "lost"));

    /// <summary>The moment at which a fan-out begins; nothing where nobody asks how long it takes.</summary>
    public static long BeginFanOut() => FanOut.Enabled ? Stopwatch.GetTimestamp() : 0;

    public static void EndFanOut(long began, int receivers)
    {
        if (began != 0) FanOut.Record(Stopwatch.GetElapsedTime(began).TotalSeconds);
        if (EventsSent.Enabled) EventsSent.Add(receivers);
    }
}
