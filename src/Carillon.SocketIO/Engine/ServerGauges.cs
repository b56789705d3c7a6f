using System.Diagnostics.Metrics;
using System.Runtime.CompilerServices;
using Carillon.SocketIO.Diagnostics;

namespace Carillon.SocketIO.Engine;

/// <summary>The gauges of all servers of the process: connections, and what they hold.</summary>
static class ServerGauges
{
    static readonly ConditionalWeakTable<EngineServer, object?> Servers = [];

    static ServerGauges()
    {
        Meters.Meter.CreateObservableUpDownCounter("carillon.connections", CountConnections, "{connection}", "Open connections");
        Meters.Meter.CreateObservableGauge("carillon.send_queue.bytes", SumQueues, "By", "Bytes that wait for clients");
        Meters.Meter.CreateObservableGauge(
            "carillon.buffered.bytes", SumBuffered, "By", "Bytes that connections hold: waiting, half received, kept for recovery");
        Meters.Meter.CreateObservableGauge("carillon.buffered.limit", SumBufferedLimits, "By", "Bytes that connections may hold together");
        Meters.Meter.CreateObservableGauge("carillon.send_queue.max", DeepestQueue, "By", "Bytes that wait for the slowest client");
    }

    /// <summary>Includes a server for as long as it is in use.</summary>
    public static void Watch(EngineServer server) => Servers.Add(server, null);

    static IEnumerable<Measurement<long>> CountConnections()
    {
        var (webSockets, polling) = (0L, 0L);
        foreach (var (server, _) in Servers)
            foreach (var connection in server.Connections)
                if (connection.TransportName == "websocket") webSockets++;
                else polling++;
        return [new(webSockets, Meters.Transport("websocket")), new(polling, Meters.Transport("polling"))];
    }

    static long SumQueues() => Servers.Sum(server => server.Key.Connections.Sum(connection => (long)connection.Waiting));

    static long SumBuffered() => Servers.Sum(server => server.Key.BufferedBytes);

    static long SumBufferedLimits() => Servers.Sum(server => server.Key.MaxBufferedBytes ?? 0);

    static long DeepestQueue() =>
        Servers.SelectMany(server => server.Key.Connections).Select(connection => (long)connection.Waiting).DefaultIfEmpty().Max();
}
