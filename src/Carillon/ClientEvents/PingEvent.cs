using Carillon.SocketIO.Sockets;

namespace Carillon.ClientEvents;

/// <summary>
/// The event <c>ping</c>: a client that was asleep or offline asks whether its connection still works. It costs one event of the sender's
/// budget, as every event does, and is not audited.
/// </summary>
static class PingEvent
{
    public static void On(SocketNamespace root, TimeProvider clock) =>
        root.On("ping", e => e.Ack(new { ok = true, serverTime = Iso.Of(clock.GetUtcNow()) }));
}
