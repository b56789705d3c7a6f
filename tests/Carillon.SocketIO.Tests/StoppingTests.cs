using System.Net;
using System.Net.WebSockets;
using Carillon.SocketIO.Engine;
using Carillon.SocketIO.Sockets;
using Carillon.SocketIO.Tests.Hostile;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Carillon.SocketIO.Tests;

/// <summary>A server that stops turns newcomers away first, and lets the application say goodbye.</summary>
public class StoppingTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_server_that_accepts_nobody_says_so_on_every_transport(bool direct)
    {
        await using var server = await RunningServer.StartAsync(direct: direct);
        server.Io.Engine.StopAccepting();

        foreach (var transport in new[] { "polling", "websocket" })
        {
            var upgrade = transport == "websocket"
                ? "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" : "";
            var answer = await Wire.RequestAsync(server, $"GET /socket.io/?EIO=4&transport={transport} HTTP/1.1\r\nHost: shop.example\r\n{upgrade}\r\n");
            Assert.Equal(503, answer.Status);
            Assert.Contains("\"message\":\"server-closing\",\"retryable\":true", answer.Body, StringComparison.Ordinal);
            Assert.Contains("Retry-After: 5", answer.Head, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Who_is_in_goes_on_and_may_still_upgrade()
    {
        await using var server = await RunningServer.StartAsync(setUp: io => io.Root.On("echo", e => e.Ack(e.Arguments)));
        var sid = (await server.Http.GetStringAsync(server.Polling)).Split('"')[3];
        server.Io.Engine.StopAccepting();

        using var joined = await server.Http.PostAsync($"{server.Polling}&sid={sid}", new StringContent("40"));
        Assert.StartsWith("40{", await server.Http.GetStringAsync($"{server.Polling}&sid={sid}"), StringComparison.Ordinal);
        using var socket = new ClientWebSocket();
        await socket.ConnectAsync(new Uri($"ws://{server.Address.Authority}/socket.io/?EIO=4&transport=websocket&sid={sid}"), default);
        await RunningServer.SendAsync(socket, "2probe");
        Assert.Equal("3probe", await RunningServer.ReceiveAsync(socket));
        await RunningServer.SendAsync(socket, "5");
        await RunningServer.SendAsync(socket, "421[\"echo\",7]");

        Assert.Equal("431[7]", await RunningServer.ReceiveAsync(socket));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task The_application_says_goodbye_before_connections_are_closed_however_the_stop_began(bool bySignal)
    {
        await using var server = await RunningServer.StartAsync(services: services => services.AddHostedService<Goodbye>());
        using var client = await server.JoinAsync();

        // A signal raises ApplicationStopping at once, and only then the host begins to stop.
        if (bySignal) server.Host.Services.GetRequiredService<IHostApplicationLifetime>().StopApplication();
        var stopped = server.Host.StopAsync();

        Assert.Equal("42[\"goodbye\"]", await RunningServer.ReceiveAsync(client));
        var end = await client.ReceiveAsync(new byte[10], default);
        Assert.Equal(WebSocketMessageType.Close, end.MessageType);
        await client.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, null, default);
        await stopped;
    }

    [Fact]
    public async Task What_waits_is_counted_and_a_close_lets_it_leave_first()
    {
        await using var server = await RunningServer.StartAsync();
        var sid = (await server.Http.GetStringAsync(server.Polling)).Split('"')[3];
        using var joined = await server.Http.PostAsync($"{server.Polling}&sid={sid}", new StringContent("40"));
        await server.Http.GetStringAsync($"{server.Polling}&sid={sid}");
        Assert.Equal(0, server.Io.Engine.WaitingBytes);
        List<string> ends = [];
        server.Io.Root.OnDisconnect((_, reason) => ends.Add(reason));
        var socket = server.Io.Root.Everyone.Sockets()[0];

        socket.Emit("last");
        Assert.True(server.Io.Engine.WaitingBytes > 0);
        socket.Connection.Close(DisconnectReason.ServerShuttingDown);

        Assert.Equal("42[\"last\"]", await server.Http.GetStringAsync($"{server.Polling}&sid={sid}"));
        using (var last = await server.Http.GetAsync($"{server.Polling}&sid={sid}")) Assert.Equal(HttpStatusCode.ServiceUnavailable, last.StatusCode);
        Assert.Equal(0, server.Io.Engine.WaitingBytes);
        Assert.Equal([DisconnectReason.ServerShuttingDown], ends);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_poll_ends_with_an_error_after_which_clients_in_every_language_come_back(bool waits)
    {
        await using var server = await RunningServer.StartAsync();
        var sid = (await server.Http.GetStringAsync(server.Polling)).Split('"')[3];
        using var joined = await server.Http.PostAsync($"{server.Polling}&sid={sid}", new StringContent("40"));
        await server.Http.GetStringAsync($"{server.Polling}&sid={sid}");
        var socket = server.Io.Root.Everyone.Sockets()[0];
        var poll = waits ? server.Http.GetAsync($"{server.Polling}&sid={sid}") : null;
        if (waits) await RunningServer.UntilAsync(() => socket.Connection.IsPolling, "it polls");

        socket.Connection.Close(DisconnectReason.ServerShuttingDown);
        using var answer = await (poll ?? server.Http.GetAsync($"{server.Polling}&sid={sid}"));

        // A close packet would mean that the client is not wanted any more, and python-socketio takes it so.
        Assert.Equal(HttpStatusCode.ServiceUnavailable, answer.StatusCode);
        Assert.Contains("server-closing", await answer.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.Equal(0, server.Io.Engine.ConnectionCount);
    }

    [Fact]
    public async Task A_client_that_the_application_closes_over_polling_is_told_so_as_before()
    {
        await using var server = await RunningServer.StartAsync();
        var sid = (await server.Http.GetStringAsync(server.Polling)).Split('"')[3];
        using var joined = await server.Http.PostAsync($"{server.Polling}&sid={sid}", new StringContent("40"));
        await server.Http.GetStringAsync($"{server.Polling}&sid={sid}");
        server.Io.Root.Everyone.Sockets()[0].Connection.Close();
        Assert.EndsWith("1", await server.Http.GetStringAsync($"{server.Polling}&sid={sid}"), StringComparison.Ordinal);
    }

    sealed class Goodbye(SocketServer io) : IHostedLifecycleService
    {
        public Task StoppingAsync(CancellationToken cancellationToken)
        {
            io.Root.Emit("goodbye");
            return Task.CompletedTask;
        }

        public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
