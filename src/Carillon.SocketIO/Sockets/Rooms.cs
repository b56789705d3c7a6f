using System.Buffers;
using System.Runtime.InteropServices;
using Carillon.SocketIO.Engine;

namespace Carillon.SocketIO.Sockets;

/// <summary>
/// The members of the rooms of a namespace. A room is a dense array, so that a broadcast walks memory in a row. Each place in a room knows
/// which of its socket's memberships it
/// is, and each membership which place it holds: joining and leaving cost the same whatever the size of the room, and a disconnect costs
/// what that socket's own rooms cost. A room
/// exists while somebody is in it; one with a single member, such as each socket's own, is nothing but an entry.
/// </summary>
sealed class Rooms
{
    /// <summary>The members of a room, in no order.</summary>
    internal sealed class Room(string name)
    {
        public string Name => name;
        public Socket[] Members = new Socket[2];
        public EngineSocket[] Connections = new EngineSocket[2];   // of the members: a broadcast touches nothing else of them
        public int[] Slots = new int[2];                           // of each member's memberships, the one that is this room
        public int Count;
    }

    /// <summary>One socket's place in one room.</summary>
    /// <param name="Room">The room, or the name of a room where the socket is alone.</param>
    /// <param name="Place">The place in the room.</param>
    internal record struct Membership(object Room, int Place)
    {
        public readonly string Name => Room as string ?? ((Room)Room).Name;
    }

    readonly Lock _gate = new();
    readonly Dictionary<string, object> _rooms = [];      // a Room, or the one Socket that is in it
    readonly Room _everyone = new("");

    public int Count
    {
        get
        {
            lock (_gate) return _everyone.Count;
        }
    }

    public int CountOf(string room)
    {
        lock (_gate) return _rooms.GetValueOrDefault(room) switch { Room many => many.Count, Socket => 1, _ => 0 };
    }

    /// <summary>The rooms a socket is in.</summary>
    public string[] Of(Socket socket)
    {
        lock (_gate)
        {
            // The first membership is the namespace itself.
            var names = new string[Math.Max(0, socket.MembershipCount - 1)];
            for (var i = 0; i < names.Length; i++) names[i] = socket.Memberships[i + 1].Name;
            return names;
        }
    }

    public void Enter(Socket socket, IEnumerable<string> rooms)
    {
        lock (_gate)
        {
            Add(_everyone, socket);
            foreach (var room in rooms) Add(room, socket);
        }
    }

    /// <summary>Takes a socket into a room. False: it is in as many as it may be, and in this one it is not.</summary>
    public bool Join(Socket socket, string room, int most = int.MaxValue)
    {
        lock (_gate)
        {
            // The first membership is the namespace itself.
            if (socket.MembershipCount > most
                && (!_rooms.TryGetValue(room, out var found) || SlotOf(socket, room, found) < 0)) return false;
            Add(room, socket);
            return true;
        }
    }

    public void Leave(Socket socket, string room)
    {
        lock (_gate)
            if (_rooms.TryGetValue(room, out var found) && SlotOf(socket, room, found) is >= 0 and var slot) Remove(socket, slot);
    }

    /// <summary>Takes a socket out of everything; answers the rooms that it was in.</summary>
    public string[] Exit(Socket socket)
    {
        lock (_gate)
        {
            var rooms = new string[Math.Max(0, socket.MembershipCount - 1)];
            // From the last: none has to move.
            while (socket.MembershipCount > 0)
            {
                var last = socket.MembershipCount - 1;
                if (last > 0) rooms[last - 1] = socket.Memberships[last].Name;
                Remove(socket, last);
            }
            return rooms;
        }
    }

    /// <summary>
    /// The sockets in any of some rooms (everyone, where none is named) and in none of others, each once, in an array of the pool that the
    /// caller gives back.
    /// No lock is held while it is read, so a slow receiver delays nobody who joins.
    /// </summary>
    public Socket[] Rent(ReadOnlySpan<string> rooms, ReadOnlySpan<string> except, out int count)
    {
        lock (_gate)
        {
            if (rooms.Length <= 1 && except.Length == 0)
                return rooms.Length == 0 ? CopyOf(_everyone, out count) : CopyOf(_rooms.GetValueOrDefault(rooms[0]), out count);

            HashSet<Socket> chosen = [];
            if (rooms.Length == 0) AddTo(chosen, _everyone);
            foreach (var name in rooms) AddTo(chosen, _rooms.GetValueOrDefault(name));
            foreach (var name in except) RemoveFrom(chosen, _rooms.GetValueOrDefault(name));
            count = chosen.Count;
            if (count == 0) return [];
            var rented = ArrayPool<Socket>.Shared.Rent(count);
            chosen.CopyTo(rented);
            return rented;
        }
    }

    /// <summary>The connections of the sockets that <see cref="Rent"/> would answer.</summary>
    public EngineSocket[] RentConnections(ReadOnlySpan<string> rooms, ReadOnlySpan<string> except, out int count)
    {
        if (rooms.Length <= 1 && except.Length == 0)
            lock (_gate) return ConnectionsOf(rooms.Length == 0 ? _everyone : _rooms.GetValueOrDefault(rooms[0]), out count);

        var sockets = Rent(rooms, except, out count);
        var connections = ArrayPool<EngineSocket>.Shared.Rent(count);
        for (var i = 0; i < count; i++) connections[i] = sockets[i].Connection;
        Return(sockets, count);
        return connections;
    }

    public static void Return<T>(T[] rented, int count)
    {
        if (rented.Length == 0) return;
        Array.Clear(rented, 0, count);
        ArrayPool<T>.Shared.Return(rented);
    }

    static Socket[] CopyOf(object? room, out int count)
    {
        count = room switch { Room many => many.Count, Socket => 1, _ => 0 };
        if (count == 0) return [];
        var copy = ArrayPool<Socket>.Shared.Rent(count);
        if (room is Room { Members: var members }) Array.Copy(members, copy, count);
        else copy[0] = (Socket)room!;
        return copy;
    }

    static EngineSocket[] ConnectionsOf(object? room, out int count)
    {
        count = room switch { Room many => many.Count, Socket => 1, _ => 0 };
        if (count == 0) return [];
        var copy = ArrayPool<EngineSocket>.Shared.Rent(count);
        if (room is Room { Connections: var connections }) Array.Copy(connections, copy, count);
        else copy[0] = ((Socket)room!).Connection;
        return copy;
    }

    static void AddTo(HashSet<Socket> chosen, object? room)
    {
        if (room is Socket alone) chosen.Add(alone);
        else if (room is Room many)
            for (var i = 0; i < many.Count; i++) chosen.Add(many.Members[i]);
    }

    static void RemoveFrom(HashSet<Socket> chosen, object? room)
    {
        if (room is Socket alone) chosen.Remove(alone);
        else if (room is Room many)
            for (var i = 0; i < many.Count; i++) chosen.Remove(many.Members[i]);
    }

    void Add(string name, Socket socket)
    {
        ref var room = ref CollectionsMarshal.GetValueRefOrAddDefault(_rooms, name, out _);
        switch (room)
        {
            case null:
                room = socket;
                socket.AddMembership(new Membership(name, 0));
                break;
            case Socket alone when alone != socket:
                var many = new Room(name);
                var slot = SlotOf(alone, name, alone);
                (many.Members[0], many.Connections[0], many.Slots[0], many.Count) = (alone, alone.Connection, slot, 1);
                alone.Memberships[slot] = new Membership(many, 0);
                room = many;
                Add(many, socket);
                break;
            case Room found when SlotOf(socket, name, found) < 0:
                Add(found, socket);
                break;
        }
    }

    static void Add(Room room, Socket socket)
    {
        if (room.Count == room.Members.Length)
        {
            Array.Resize(ref room.Members, room.Count * 2);
            Array.Resize(ref room.Connections, room.Count * 2);
            Array.Resize(ref room.Slots, room.Count * 2);
        }
        room.Members[room.Count] = socket;
        room.Connections[room.Count] = socket.Connection;
        room.Slots[room.Count] = socket.AddMembership(new Membership(room, room.Count));
        room.Count++;
    }

    // Which of a socket's memberships a room is; -1: none. It looks where there is less to look at.
    static int SlotOf(Socket socket, string name, object room)
    {
        if (room is Room many)
        {
            if (many.Count < socket.MembershipCount)
            {
                var place = Array.IndexOf(many.Members, socket, 0, many.Count);
                return place < 0 ? -1 : many.Slots[place];
            }
            for (var i = 0; i < socket.MembershipCount; i++)
                if (socket.Memberships[i].Room == many) return i;
            return -1;
        }
        if (room != socket) return -1;
        for (var i = 0; i < socket.MembershipCount; i++)
            if (socket.Memberships[i].Room is string alone && alone == name) return i;
        return -1;
    }

    void Remove(Socket socket, int slot)
    {
        var (room, place) = socket.Memberships[slot];
        if (room is Room many)
        {
            var last = --many.Count;
            if (place != last)
            {
                var moved = many.Members[last];
                (many.Members[place], many.Connections[place], many.Slots[place]) = (moved, many.Connections[last], many.Slots[last]);
                moved.Memberships[many.Slots[place]].Place = place;
            }
            many.Members[last] = null!;
            many.Connections[last] = null!;
            if (last == 0 && many != _everyone) _rooms.Remove(many.Name);
        }
        else
        {
            _rooms.Remove((string)room);
        }

        // The socket's last membership takes the place that became free.
        var end = --socket.MembershipCount;
        if (slot != end)
        {
            var moved = socket.Memberships[end];
            socket.Memberships[slot] = moved;
            if (moved.Room is Room other) other.Slots[moved.Place] = slot;
        }
        socket.Memberships[end] = default;
    }
}
