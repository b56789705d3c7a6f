namespace Carillon.SocketIO.Engine;

/// <summary>
/// How long the way to a client and back takes, smoothed over the pings of its connection as RFC 6298, section 2, does it for TCP. The
/// default is that of a connection that
/// has not been measured yet.
/// </summary>
public readonly record struct RoundTrip
{
    // How many measurements it takes before the estimate says more about the network than about chance.
    const int Enough = 3;

    // A client that loses a segment four times in a row receives it after 1 + 2 + 4 + 8 times what TCP waits at first (RFC 6298, section
    // 5.5), and
    // then the answer is on its way.
    const int RetransmissionTimeouts = 16;

    readonly float _smoothed;      // milliseconds; a float of each, because every connection has one
    readonly float _jitter;

    RoundTrip(float smoothed, float jitter, int count) => (_smoothed, _jitter, Count) = (smoothed, jitter, count);

    /// <summary>The smoothed round trip (SRTT); zero before the first measurement.</summary>
    public TimeSpan Smoothed => TimeSpan.FromMilliseconds(_smoothed);

    /// <summary>How far measurements usually lie from it (RTTVAR); half of the round trip after the first.</summary>
    public TimeSpan Jitter => TimeSpan.FromMilliseconds(_jitter);

    /// <summary>How many measurements it is made of.</summary>
    public int Count { get; }

    /// <summary>The estimate after one more measurement.</summary>
    internal RoundTrip With(TimeSpan measured)
    {
        var now = (float)measured.TotalMilliseconds;
        return Count == 0
            ? new(now, now / 2, 1)
            : new(_smoothed * 7 / 8 + now / 8, _jitter * 3 / 4 + Math.Abs(_smoothed - now) / 4, Count + 1);
    }

    /// <summary>
    /// How long a client may take to answer its next ping: so long that a segment lost four times in a row ends nothing, and within the
    /// bounds; the longest until it was measured three times.
    /// </summary>
    internal TimeSpan PingTimeout(TimeSpan? shortest, TimeSpan longest)
    {
        if (shortest is not { } least || Count < Enough) return longest;
        var enough = RetransmissionTimeouts * (Smoothed + 4 * Jitter);
        return enough < least ? least : enough > longest ? longest : enough;
    }
}
