using Carillon.SocketIO.Engine;
using Carillon.SocketIO.Sockets;
using Microsoft.Extensions.Options;

namespace Carillon.SocketIO.Tests;

public class RoomsTests
{
    readonly SocketServer _server = new(Options.Create(new SocketIOOptions()));

    [Fact]
    public void Rooms_hold_who_joined_and_nobody_else_whatever_the_order_of_coming_and_going()
    {
        foreach (var (seed, chance) in Chance.Rounds(10))
        {
            try
            {
                ComeAndGo(chance);
            }
            catch (Exception ex)
            {
                Assert.Fail($"seed {seed}: {ex}");
            }
        }
    }

    void ComeAndGo(Random chance)
    {
        var rooms = new Rooms();
        var names = Enumerable.Range(0, 12).Select(i => $"room {i}").ToArray();
        Dictionary<Socket, HashSet<string>> expected = [];
        for (var step = 0; step < 2000; step++)
        {
            var present = expected.Keys.ToArray();
            var socket = present.Length == 0 ? null : present[chance.Next(present.Length)];
            var room = names[chance.Next(names.Length)];
            switch (chance.Next(8))
            {
                case 0 when expected.Count < 40:
                    var handshake = new Handshake("/", [], null, default);
                    var comes = new Socket(new SocketClient(_server, new EngineSocket(_server.Engine, handshake, true, false)), _server.Root, handshake);
                    rooms.Enter(comes, [comes.Id]);
                    expected[comes] = [comes.Id];
                    break;
                case 1 when socket is not null:
                    Assert.Equal(expected[socket].Order(), rooms.Exit(socket).Order());
                    expected.Remove(socket);
                    break;
                case 2 or 3 or 4 when socket is not null:
                    rooms.Join(socket, room);
                    expected[socket].Add(room);
                    break;
                case 5 or 6 when socket is not null:
                    rooms.Leave(socket, room);
                    expected[socket].Remove(room);
                    break;
                case 7 when socket is not null:
                    var other = present[chance.Next(present.Length)];
                    rooms.Join(socket, other.Id);      // somebody else's own room
                    expected[socket].Add(other.Id);
                    break;
            }
            if (step % 20 == 0) Compare(rooms, expected, chance, names);
        }
    }

    static void Compare(Rooms rooms, Dictionary<Socket, HashSet<string>> expected, Random chance, string[] names)
    {
        Assert.Equal(expected.Count, rooms.Count);
        foreach (var (socket, joined) in expected) Assert.Equal(joined.Order(), rooms.Of(socket).Order());
        foreach (var name in names) Assert.Equal(expected.Count(e => e.Value.Contains(name)), rooms.CountOf(name));
        var (to, except) = (names[chance.Next(names.Length)], names[chance.Next(names.Length)]);
        var receivers = rooms.Rent([to, names[0]], [except], out var count);
        Assert.Equal(
            expected.Where(e => (e.Value.Contains(to) || e.Value.Contains(names[0])) && !e.Value.Contains(except)).Select(e => e.Key.Id).Order(),
            receivers[..count].Select(s => s.Id).Order());
        var connections = rooms.RentConnections([to, names[0]], [except], out var connected);
        Assert.Equal(receivers[..count].Select(s => s.Connection).ToHashSet(), connections[..connected].ToHashSet());
        Rooms.Return(connections, connected);
        Rooms.Return(receivers, count);
        var members = rooms.Rent([to], [], out count);
        connections = rooms.RentConnections([to], [], out connected);
        Assert.Equal(members[..count].Select(s => s.Connection), connections[..connected]);
    }
}
