using Carillon.Api;

namespace Carillon.ClientEvents;

/// <summary>
/// The event <c>ping</c>: a client that was asleep or offline asks whether its connection still works. It is not audited.
/// </summary>
static class PingEvent
{
    public static void Map(EventMap events, TimeProvider clock)
    {
        events.Map("ping", EndpointPolicy.Client, static request => request, (request, _) =>
        {
            request.Acknowledge(new { serverTime = Iso.Of(clock.GetUtcNow()) });
            return new ValueTask<Refusal?>();
        }, isFree: true);
    }
}
