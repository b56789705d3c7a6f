namespace Carillon.Presence;

/// <summary>When somebody counts as present, gone or idle.</summary>
public sealed class PresenceOptions
{
    /// <summary>
    /// How long after a user's last connection left a channel the user counts as gone: 5 seconds, in which a page that reloads or a phone
    /// that changes its network is back.
    /// </summary>
    public TimeSpan LeaveAfter { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>
    /// How long comings and goings are gathered before they are told: 250 milliseconds, so that a thousand arrivals are a few messages.
    /// </summary>
    public TimeSpan PresenceInterval { get; set; } = TimeSpan.FromMilliseconds(250);

    /// <summary>After how long without an event from any of a user's devices the user counts as idle: 5 minutes.</summary>
    public TimeSpan IdleAfter { get; set; } = TimeSpan.FromMinutes(5);

    internal string? Problem() =>
        LeaveAfter < TimeSpan.Zero ? "LeaveAfter must not be negative." :
        PresenceInterval <= TimeSpan.Zero ? "PresenceInterval must be longer than zero." :
        IdleAfter <= TimeSpan.Zero ? "IdleAfter must be longer than zero." :
        null;
}
