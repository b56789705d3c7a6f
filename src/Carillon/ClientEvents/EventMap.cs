using Carillon.Access;
using Carillon.Api;
using Carillon.Audit;
using Carillon.Channels;
using Carillon.Hub;
using Carillon.SocketIO.Sockets;
using Carillon.Storage;

namespace Carillon.ClientEvents;

/// <summary>
/// The events that clients emit, and the one way from an event to its handler. Handlers return refusals; only this class answers, counts
/// and audits them.
/// </summary>
sealed class EventMap(SocketServer server, ChannelHub hub, AuditLog audit)
{
    /// <summary>Maps an event whose acknowledgement carries the result.</summary>
    /// <param name="event">The name of the event.</param>
    /// <param name="policy">Who may emit it.</param>
    /// <param name="read">Reads the argument; null where it is malformed.</param>
    /// <param name="handle">Handles it.</param>
    public void Map<TRequest, TResult>(
        string @event, EndpointPolicy policy, Func<ClientRequest, TRequest?> read,
        Func<TRequest, Caller, CancellationToken, ValueTask<Outcome<TResult>>> handle) where TRequest : class
    {
        Map(@event, policy, read, HandleAsync);

        async ValueTask<Refusal?> HandleAsync(ClientRequest request, TRequest argument)
        {
            var outcome = await handle(argument, request.Caller, CancellationToken.None);
            if (outcome.Refusal is null) request.Acknowledge(outcome.Value!);
            return outcome.Refusal;
        }
    }

    /// <summary>Maps an event that its handler answers itself, unless it refuses.</summary>
    /// <param name="event">The name of the event.</param>
    /// <param name="policy">Who may emit it.</param>
    /// <param name="read">Reads the argument; null where it is malformed.</param>
    /// <param name="handle">Handles it.</param>
    /// <param name="inTurn">Whether it waits until the connection's earlier requests of this kind are done.</param>
    /// <param name="isFree">Whether it costs no more of the sender's budget than any event does.</param>
    public void Map<TRequest>(
        string @event, EndpointPolicy policy, Func<ClientRequest, TRequest?> read,
        Func<ClientRequest, TRequest, ValueTask<Refusal?>> handle, bool inTurn = false, bool isFree = false) where TRequest : class
    {
        server.Root.On(@event, HandleAsync);

        async Task HandleAsync(SocketEvent e)
        {
            if (hub.Find(e.Socket) is not { } subscriber) return;
            var request = new ClientRequest(e, subscriber);
            if (read(request) is not { } argument) Refuse(request, new Refusal(ErrorCode.InvalidPayload));
            else if (!isFree && !e.Socket.TryAcquire(1, out var wait))
                Refuse(request, new Refusal(ErrorCode.RateLimited, RetryAfter: wait) { IsAudited = false });
            else if (!inTurn) await RunAsync(request, policy, argument, handle);
            else
            {
                using var turn = await subscriber.TakeTurnAsync();
                if (!subscriber.HasEnded) await RunAsync(request, policy, argument, handle);
            }
        }
    }

    async ValueTask RunAsync<TRequest>(
        ClientRequest request, EndpointPolicy policy, TRequest argument, Func<ClientRequest, TRequest, ValueTask<Refusal?>> handle)
    {
        try
        {
            var refusal = policy.Admits(request.Caller) ? await handle(request, argument) : new Refusal(ErrorCode.Forbidden);
            if (refusal is not null) Refuse(request, refusal);
        }
        catch (Exception ex)
        {
            if (!request.IsAcknowledged) Answer.Refuse(request.Event, ErrorCode.Unavailable, request.Channel);
            // The health check names what the database lacks; all else is logged by the server.
            if (!DatabaseUnavailableException.Is(ex) && ex is not ChannelsFullException) throw;
        }
    }

    // Malformed arguments count against the address instead of filling the audit log.
    void Refuse(ClientRequest request, Refusal refusal)
    {
        var (e, caller) = (request.Event, request.Caller);
        if (refusal.Error == ErrorCode.InvalidPayload) e.Socket.ReportMalformed();
        else if (refusal.IsAudited) audit.NoteRefusal(caller.Actor, e.Name, request.Subject, caller.Address, refusal.Error.Code);
        Answer.Refuse(e, refusal.Error, request.Channel, refusal.RetryAfter);
    }
}
