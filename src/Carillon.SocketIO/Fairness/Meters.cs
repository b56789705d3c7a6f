using System.Diagnostics.Metrics;

namespace Carillon.SocketIO;

/// <summary>What an operator watches of fairness: nothing is counted unless somebody listens.</summary>
static class Meters
{
    static readonly Meter Meter = new("Carillon.SocketIO");

    /// <summary>Handshakes that were refused before anything was done for them, by <c>code</c>.</summary>
    public static readonly Counter<long> Refused = Meter.CreateCounter<long>("carillon.socketio.handshakes.refused");

    /// <summary>Events that were refused because somebody spent more than their share, their own or their account's.</summary>
    public static readonly Counter<long> Overspent = Meter.CreateCounter<long>("carillon.socketio.events.refused");

    /// <summary>Bans, those by hand among them.</summary>
    public static readonly Counter<long> Bans = Meter.CreateCounter<long>("carillon.socketio.bans");

    /// <summary>Servers of this process that refuse new connections because memory is short.</summary>
    public static readonly UpDownCounter<long> ShortOfMemory = Meter.CreateUpDownCounter<long>("carillon.socketio.memory.short");

    public static KeyValuePair<string, object?> Code(string code) => new("code", code);
}
