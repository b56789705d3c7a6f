using System.Diagnostics;
using Carillon.Access;
using Carillon.Channels;
using Carillon.Channels.InProcess;
using Carillon.Hub;
using Carillon.SocketIO.Sockets;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;

namespace Carillon.MicroBench;

/// <summary>Subscribers in memory that each join a channel of their own, on a layer that takes a millisecond to subscribe.</summary>
static class JoinBenchmark
{
    /// <summary>Joins them all at once. Returns the time until the last of them has joined.</summary>
    public static async Task<TimeSpan> RunAsync(int subscribers)
    {
        var area = new Area("news:{topic}", "news") { Subscribe = Grant.Everyone };
        var server = new SocketServer(Options.Create(new SocketIOOptions { MaxRoomsPerSocket = subscribers + 1 }));
        using var hub = new ChannelHub(server, new RemoteLayer(), new AreaList([area]), new SubscriptionLimits(subscribers, 1000), new AccessChanges(),
            TimeProvider.System, NullLogger<ChannelHub>.Instance) { Budget = new SubscriptionBudget(long.MaxValue) };
        _ = new InMemoryClient(server);
        var socket = server.Root.Everyone.Sockets().Single();
        var all = Enumerable.Range(0, subscribers).Select(n => (new Subscriber(socket, Caller.Anonymous(null), 0), NameOf(n))).ToArray();

        var clock = Stopwatch.StartNew();
        await Task.WhenAll(all.Select(one => hub.JoinAsync(one.Item1, one.Item2, area, since: null, static (_, _) => { }, CancellationToken.None)));
        return clock.Elapsed;
    }

    static ChannelName NameOf(int n) => ChannelName.TryParse($"news:{n}", out var name) ? name : throw new FormatException();

    /// <summary>The layer of one process, at the distance of a millisecond.</summary>
    sealed class RemoteLayer : IChannelLayer
    {
        readonly InProcessChannelLayer _inner = new(TimeProvider.System, maxBytes: long.MaxValue);

        public void OnMessage(Action<Publication> deliver) => _inner.OnMessage(deliver);

        public async ValueTask SubscribeAsync(string channel, CancellationToken ct)
        {
            await Task.Delay(TimeSpan.FromMilliseconds(1), ct);
            await _inner.SubscribeAsync(channel, ct);
        }

        public ValueTask UnsubscribeAsync(string channel, CancellationToken ct) => _inner.UnsubscribeAsync(channel, ct);

        public ValueTask<Position> PublishAsync(string channel, ReadOnlyMemory<byte> body, PublishOptions options, CancellationToken ct) =>
            _inner.PublishAsync(channel, body, options, ct);

        public ValueTask<History> HistoryAsync(string channel, Position? since, int limit, CancellationToken ct) =>
            _inner.HistoryAsync(channel, since, limit, ct);
    }
}
