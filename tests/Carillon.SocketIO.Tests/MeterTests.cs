using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Net.WebSockets;

namespace Carillon.SocketIO.Tests;

/// <summary>What an operator sees under the name Carillon. Other tests run beside these: a figure is at least what happens here.</summary>
public sealed class MeterTests : IDisposable
{
    readonly MeterListener _listener = new();
    readonly ConcurrentDictionary<string, double> _sums = new();

    public MeterTests()
    {
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Meter.Name == "Carillon") listener.EnableMeasurementEvents(instrument);
        };
        _listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) => Add(instrument, value, tags));
        _listener.SetMeasurementEventCallback<double>((instrument, value, tags, _) => Add(instrument, value, tags));
        _listener.Start();
    }

    public void Dispose() => _listener.Dispose();

    void Add(Instrument instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        var name = tags.IsEmpty ? instrument.Name : $"{instrument.Name} {tags[0].Value}";
        if (instrument.IsObservable) _sums[name] = value;
        else _sums.AddOrUpdate(name, value, (_, sum) => sum + value);
    }

    double this[string name] => _sums.GetValueOrDefault(name);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_conversation_is_counted(bool direct)
    {
        await using var server = await RunningServer.StartAsync(o =>
        {
            o.Engine.PingInterval = TimeSpan.FromSeconds(1);
            o.Engine.AllowRequest = handshake => new(handshake.QueryValue("deny"));
        }, io => io.Root.On("echo", e => e.Ack(e.Arguments)), direct: direct);
        using (var one = await server.JoinAsync())
        using (var other = await server.JoinAsync())
        {
            using var polling = await server.Http.GetAsync(server.Polling);
            await RunningServer.SendAsync(one, "427[\"echo\",\"hello\"]");
            Assert.Equal("437[\"hello\"]", await NextAsync(one));
            server.Io.Root.Emit("news", "for two");
            Assert.Equal("42[\"news\",\"for two\"]", await NextAsync(other));
            while (await RunningServer.ReceiveAsync(one) != "2")
            {
            }
            await RunningServer.SendAsync(one, "3");
            await RunningServer.UntilAsync(() => this["carillon.ping.duration"] > 0, "the round trip is measured");
            _listener.RecordObservableInstruments();
            Assert.True(this["carillon.connections websocket"] >= 2);
            Assert.True(this["carillon.connections polling"] >= 1);
            await one.CloseAsync(WebSocketCloseStatus.NormalClosure, null, default);
        }
        using var denied = await server.Http.GetAsync(server.Polling + "&deny=not+today");

        await RunningServer.UntilAsync(() => this["carillon.disconnects transport close"] >= 1, "the end is counted");
        Assert.True(this["carillon.handshakes websocket"] >= 2);
        Assert.True(this["carillon.handshakes polling"] >= 1);
        Assert.True(this["carillon.handshakes.refused refused"] >= 1);
        Assert.True(this["carillon.events.received"] >= 1);
        Assert.True(this["carillon.events.sent"] >= 2);
        Assert.True(this["carillon.fanout.duration"] > 0);
        Assert.True(this["carillon.bytes.received"] >= 40);
        Assert.True(this["carillon.bytes.sent"] >= 200);
    }

    // The next message that is no ping; pings are answered.
    static async Task<string> NextAsync(ClientWebSocket socket)
    {
        while (true)
        {
            var text = await RunningServer.ReceiveAsync(socket);
            if (text != "2") return text;
            await RunningServer.SendAsync(socket, "3");
        }
    }
}
