using Carillon.SocketIO.Limits;

namespace Carillon.SocketIO.Sockets;

public sealed partial class Socket
{
    /// <summary>
    /// For whom the socket counts, such as the id of the user: all connections of one account share its limits
    /// (<see cref="LimitOptions.PerAccount"/>,
    /// <see cref="LimitOptions.ConnectionsPerAccount"/>). Set it in a middleware, once the client is known; later it changes nothing.
    /// </summary>
    public string? Account { get; set; }

    /// <summary>
    /// Spends expensive operations of the connection's share, and of its account's: a handler that reads a database asks before it does.
    /// Every event was counted
    /// as one event already.
    /// </summary>
    /// <param name="operations">How many operations the event costs.</param>
    /// <param name="retryAfter">If the limit is reached: the time until it no longer is. Answer the client with
    /// <c>rate-limited</c>.</param>
    public bool TryAcquire(int operations, out TimeSpan retryAfter) => Connection.TryAcquireOperations(operations, out retryAfter);

    /// <summary>
    /// Counts against the client's address that an event of it was not as it should be. An address that sends too many is banned for a
    /// while
    /// (<see cref="LimitOptions.MalformedPerMinute"/>).
    /// </summary>
    public void ReportMalformed() => Connection.CountMalformed();
}
