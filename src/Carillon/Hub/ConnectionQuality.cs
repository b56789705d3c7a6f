using Carillon.SocketIO.Sockets;

namespace Carillon.Hub;

/// <summary>How well a connection does, in the order in which it gets worse.</summary>
enum QualityLevel : byte { Unknown, Good, Fair, Poor }

/// <summary>
/// <c>connection:quality</c>: what a client is told of its own connection, after the first measurement and each time that the level
/// changes. Measurements come with the pings, so this
/// costs nothing while nothing changes.
/// </summary>
static class ConnectionQuality
{
    // ITU-T G.114: up to 150 ms one way most people notice nothing, beyond 400 ms nobody likes to talk. There and back it is twice that.
    const double GoodRoundTrip = 300;
    const double FairRoundTrip = 800;

    // The jitter of the first measurement is half of it (RFC 6298): with half the bounds it is judged by the round trip alone.
    const double GoodJitter = GoodRoundTrip / 2;
    const double FairJitter = FairRoundTrip / 2;

    // Better is only told when it is better by a fifth: at a bound, chance alone would tell it again and again.
    const double Margin = 1.25;

    public static void On(SocketNamespace root, ChannelHub hub)
    {
        root.OnLatency(socket => Report(socket, hub));
        root.OnConnection(socket => Report(socket, hub));     // it may have been measured before it joined
    }

    static void Report(Socket socket, ChannelHub hub)
    {
        var roundTrip = socket.Connection.RoundTrip;
        if (roundTrip.Count == 0 || hub.Find(socket) is not { } subscriber) return;
        var (rtt, jitter) = (roundTrip.Smoothed.TotalMilliseconds, roundTrip.Jitter.TotalMilliseconds);
        var told = subscriber.ReportedQuality;
        var level = Next(told, rtt, jitter);
        // Who comes second in the same moment has nothing new to tell.
        if (level == told || Interlocked.CompareExchange(ref subscriber.ReportedQuality, level, told) != told) return;
        socket.Emit("connection:quality", new { rttMs = Math.Round(rtt, 1), jitterMs = Math.Round(jitter, 1), level = NameOf(level) });
    }

    /// <summary>The level to tell, after one that was told before.</summary>
    internal static QualityLevel Next(QualityLevel told, double rttMs, double jitterMs)
    {
        var level = LevelOf(rttMs, jitterMs);
        if (level >= told) return level;
        var surely = LevelOf(rttMs * Margin, jitterMs * Margin);
        return surely < told ? surely : told;
    }

    static QualityLevel LevelOf(double rttMs, double jitterMs) =>
        rttMs <= GoodRoundTrip && jitterMs <= GoodJitter ? QualityLevel.Good :
        rttMs <= FairRoundTrip && jitterMs <= FairJitter ? QualityLevel.Fair :
        QualityLevel.Poor;

    static string NameOf(QualityLevel level) => level switch
    {
        QualityLevel.Good => "good",
        QualityLevel.Fair => "fair",
        _ => "poor",
    };
}
