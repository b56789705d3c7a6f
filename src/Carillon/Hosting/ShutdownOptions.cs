namespace Carillon.Hosting;

/// <summary>How the server stops, so that nobody loses anything and all do not come back in the same moment.</summary>
public sealed class ShutdownOptions
{
    /// <summary>
    /// How long all of it may take, whatever hangs: 10 seconds, a third of what orchestrators usually grant. The host's own
    /// <c>ShutdownTimeout</c> (30 seconds) must be longer.
    /// </summary>
    public TimeSpan Timeout { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// How long readiness fails before anything else happens, so that a load balancer sends nobody any more: 1 second, the interval at
    /// which many ask. Zero where nobody asks.
    /// </summary>
    public TimeSpan ReadinessDelay { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>
    /// Over how long clients are asked to spread their return: 5 seconds. Each is told its own moment by <c>server:closing</c>.
    /// </summary>
    public TimeSpan ReconnectSpread { get; set; } = TimeSpan.FromSeconds(5);

    internal string? Problem() =>
        Timeout <= TimeSpan.Zero ? "Timeout must be longer than zero." :
        ReadinessDelay < TimeSpan.Zero || ReadinessDelay >= Timeout ? "ReadinessDelay must be shorter than Timeout, and not negative." :
        ReconnectSpread < TimeSpan.Zero ? "ReconnectSpread must not be negative." :
        null;
}
