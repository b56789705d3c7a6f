using System.Net;
using System.Net.WebSockets;
using System.Text.RegularExpressions;
using Carillon.SocketIO.Engine;

namespace Carillon.SocketIO.Tests;

/// <summary>Connections and namespaces begin and end whole.</summary>
public class LifetimeTests
{
    [Fact]
    public async Task An_upgrade_that_is_not_completed_is_closed_and_the_session_lives_on()
    {
        await using var server = await RunningServer.StartAsync(o => o.Engine.UpgradeTimeout = TimeSpan.FromMilliseconds(200));
        var sid = await OpenAsync(server);
        using var socket = new ClientWebSocket();
        await socket.ConnectAsync(new Uri($"ws://{server.Address.Authority}/socket.io/?EIO=4&transport=websocket&sid={sid}"), default);
        await RunningServer.SendAsync(socket, "2probe");
        Assert.Equal("3probe", await RunningServer.ReceiveAsync(socket));

        var end = await socket.ReceiveAsync(new byte[10], default);

        Assert.Equal(WebSocketMessageType.Close, end.MessageType);
        using var joined = await server.Http.PostAsync($"{server.Polling}&sid={sid}", new StringContent("40"));
        Assert.StartsWith("40{", await server.Http.GetStringAsync($"{server.Polling}&sid={sid}"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("polling")]
    [InlineData("websocket")]
    public async Task A_connection_that_the_application_cannot_take_is_not_kept(string transport)
    {
        List<EngineSocket> seen = [];
        await using var server = await RunningServer.StartEngineAsync(socket =>
        {
            lock (seen) seen.Add(socket);
            throw new InvalidOperationException("not today");
        });

        if (transport == "polling")
        {
            using var answer = await server.Http.GetAsync(server.Polling);
            Assert.Equal(HttpStatusCode.InternalServerError, answer.StatusCode);
        }
        else
        {
            using var socket = await server.ConnectAsync();
        }

        await RunningServer.UntilAsync(() => seen is [{ IsOpen: false }], "the connection is gone");
    }

    [Fact]
    public async Task An_application_that_fails_when_it_hears_of_an_end_does_not_end_the_server()
    {
        var ended = new TaskCompletionSource();
        await using var server = await RunningServer.StartEngineAsync(
            socket => socket.Closed = _ =>
            {
                ended.TrySetResult();
                throw new InvalidOperationException("a bug");
            },
            options => options.PingInterval = options.PingTimeout = TimeSpan.FromMilliseconds(50));
        using var silent = await server.ConnectAsync();
        await ended.Task.WaitAsync(TimeSpan.FromSeconds(10));
        using var answer = await server.Http.GetAsync(server.Polling);
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
    }

    [Fact]
    public async Task Clients_that_come_while_others_leave_meet_in_one_namespace()
    {
        await using var server = await RunningServer.StartAsync(setUp: io =>
        {
            var pattern = io.Of(new Regex("/shared"));
            pattern.Use(async _ =>
            {
                await Task.Yield();
                return null;
            });
            pattern.On("count", e => e.Ack(e.Socket.Namespace.Count));
        });
        using var passing = await server.ConnectAsync();
        using var one = await server.ConnectAsync();
        using var other = await server.ConnectAsync();
        foreach (var socket in new[] { passing, one, other }) await RunningServer.ReceiveAsync(socket);
        for (var round = 0; round < 200; round++)
        {
            await EnterAsync(passing);
            await Task.WhenAll(RunningServer.SendAsync(passing, "41/shared,"), EnterAsync(one), EnterAsync(other));
            // For a moment who leaves may still be counted, and who comes not yet; in two namespaces of one name they would never be two.
            var count = "";
            for (var asked = 0; asked < 500 && count != "43/shared,1[2]"; asked++)
            {
                await RunningServer.SendAsync(one, "42/shared,1[\"count\"]");
                count = await RunningServer.ReceiveAsync(one);
            }
            Assert.Equal("43/shared,1[2]", count);
            await Task.WhenAll(RunningServer.SendAsync(one, "41/shared,"), RunningServer.SendAsync(other, "41/shared,"));
        }

        static async Task EnterAsync(ClientWebSocket socket)
        {
            await RunningServer.SendAsync(socket, "40/shared,");
            Assert.StartsWith("40/shared,", await RunningServer.ReceiveAsync(socket), StringComparison.Ordinal);
        }
    }

    static async Task<string> OpenAsync(RunningServer server) => (await server.Http.GetStringAsync(server.Polling)).Split('"')[3];
}
