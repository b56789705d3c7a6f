using System.Text.RegularExpressions;
using Carillon.SocketIO.Tests.Hostile;

namespace Carillon.SocketIO.Tests;

/// <summary>Every table in memory has an end.</summary>
public class BoundsTests
{
    [Fact]
    public async Task A_socket_is_in_so_many_rooms_and_no_more()
    {
        await using var siege = await Siege.StartAsync(direct: true, options => options.MaxRoomsPerSocket = 3);
        var socket = siege.Server.Io.Root.Everyone.Sockets()[0];
        for (var i = 0; i < 3; i++) socket.Join($"room {i}");
        socket.Join("room 1");
        Assert.Throws<InvalidOperationException>(() => socket.Join("room 3"));
        socket.Leave("room 0");
        socket.Join("room 3");
        Assert.Equal(4, socket.Rooms.Count);
    }

    [Fact]
    public async Task Rooms_that_are_joined_before_the_socket_is_in_are_limited_too()
    {
        var caught = new TaskCompletionSource<Exception?>();
        await using var siege = await Siege.StartAsync(direct: true, options => options.MaxRoomsPerSocket = 3, io => io.Of("/early").Use(socket =>
        {
            caught.SetResult(Record.Exception(() =>
            {
                for (var i = 0; i < 4; i++) socket.Join($"room {i}");
            }));
            return default;
        }));
        using var wire = await Wire.OpenAsync(siege.Server);
        await wire.TextAsync("40/early,");
        await wire.TextAsync();
        Assert.IsType<InvalidOperationException>(await caught.Task);
    }

    [Fact]
    public async Task A_client_that_answers_nothing_owes_so_many_answers_and_no_more()
    {
        await using var siege = await Siege.StartAsync(direct: true, options => options.MaxPendingAcks = 5);
        using var silent = await Wire.JoinAsync(siege.Server);
        var socket = siege.Server.Io.Root.Everyone.Sockets()[1];
        var pending = Enumerable.Range(0, 5).Select(_ => socket.EmitWithAckAsync("question", TimeSpan.FromMinutes(1))).ToArray();
        await Assert.ThrowsAsync<TimeoutException>(() => socket.EmitWithAckAsync("question", TimeSpan.FromMinutes(1)));

        var all = await siege.Server.Io.Root.To(socket.Id).EmitWithAcksAsync("vote", TimeSpan.FromMilliseconds(50));
        Assert.False(all.Complete);
        silent.Reset();
        foreach (var task in pending) await Assert.ThrowsAnyAsync<OperationCanceledException>(() => task);
    }

    [Fact]
    public async Task Namespaces_whose_names_clients_choose_are_so_many_and_no_more()
    {
        await using var siege = await Siege.StartAsync(direct: true, options => options.MaxPatternNamespaces = 3, io => io.Of(new Regex("/dyn-[0-9]+")));
        using var one = await Wire.OpenAsync(siege.Server);
        foreach (var name in new[] { "/dyn-1", "/dyn-2" })
        {
            await one.TextAsync($"40{name},");
            Assert.StartsWith($"40{name},{{\"sid\"", await one.TextAsync(), StringComparison.Ordinal);
        }
        using var other = await Wire.OpenAsync(siege.Server);
        await other.TextAsync("40/dyn-3,");
        Assert.StartsWith("44/dyn-3,{\"message\":\"unavailable\"", await other.TextAsync(), StringComparison.Ordinal);
        await other.TextAsync("40/dyn-2,");
        Assert.StartsWith("40/dyn-2,{\"sid\"", await other.TextAsync(), StringComparison.Ordinal);

        await one.TextAsync("41/dyn-1,");
        string answer;
        do
        {
            await other.TextAsync("40/dyn-3,");
            answer = await other.TextAsync();
        }
        while (answer.StartsWith("44", StringComparison.Ordinal));
        Assert.StartsWith("40/dyn-3,{\"sid\"", answer, StringComparison.Ordinal);
    }

    [Fact]
    public async Task One_account_leaves_namespaces_for_the_others()
    {
        await using var siege = await Siege.StartAsync(direct: true, options => options.MaxPatternNamespaces = 20, io =>
        {
            io.Of(new Regex("/dyn-[a-z0-9]+"));
            io.Root.Use(socket =>
            {
                socket.Account = socket.Handshake.Auth.GetProperty("account").GetString();
                return default;
            });
        }, bystander: "40{\"account\":\"bystander\"}");
        var wires = new List<Wire>();
        var made = 0;
        for (var isRefused = false; !isRefused; made += isRefused ? 0 : 1)
        {
            wires.Add(await Wire.JoinAsync(siege.Server, "40{\"account\":\"mallory\"}"));
            await wires[^1].TextAsync($"40/dyn-{made},");
            isRefused = (await wires[^1].TextAsync()).StartsWith("44", StringComparison.Ordinal);
        }
        Assert.Equal(10, made);
        using (var alice = await Wire.JoinAsync(siege.Server, "40{\"account\":\"alice\"}"))
        {
            await alice.TextAsync("40/dyn-alice,");
            Assert.StartsWith("40/dyn-alice,{\"sid\"", await alice.TextAsync(), StringComparison.Ordinal);
        }
        wires.ForEach(wire => wire.Dispose());
    }

    [Fact]
    public async Task Lost_sessions_are_no_more_than_connections_may_be()
    {
        await using var siege = await Siege.StartAsync(direct: true, options => (options.RecoveryWindow, options.Engine.MaxConnections) = (TimeSpan.FromMinutes(2), 5));
        var recovery = siege.Server.Io.Root.Recovery!;
        for (var i = 0; i < 20; i++)
        {
            var lost = await Wire.JoinAsync(siege.Server);
            lost.Reset();
            await RunningServer.UntilAsync(() => siege.Engine.ConnectionCount == 1, "it is lost");
        }
        await RunningServer.UntilAsync(() => siege.Server.Io.Root.Count == 1, "all are lost");
        Assert.Equal(5, recovery.Lost);
        recovery.ForgetOldest(() => true, 0);
        Assert.Equal((0, 0L), (recovery.Lost, siege.Engine.BufferedBytes));
    }
}
