using System.Buffers;

namespace Carillon.SocketIO;

/// <summary>
/// Who is in which room of a namespace. A room is a dense array, so that a broadcast walks memory in a row; joining and leaving cost what this one
/// room costs, whatever the number of rooms and sockets. A room exists while somebody is in it.
/// </summary>
sealed class Rooms
{
    sealed class Room
    {
        public Socket[] Members = new Socket[2];
        public readonly Dictionary<Socket, int> Places = [];
        public int Count;
    }

    readonly Lock _gate = new();
    readonly Dictionary<string, Room> _rooms = [];
    readonly Room _everyone = new();

    public int Count
    {
        get
        {
            lock (_gate) return _everyone.Count;
        }
    }

    public int CountOf(string room)
    {
        lock (_gate) return _rooms.TryGetValue(room, out var found) ? found.Count : 0;
    }

    public void Enter(Socket socket, IEnumerable<string> rooms)
    {
        lock (_gate)
        {
            Add(_everyone, socket);
            foreach (var room in rooms) Add(RoomOf(room), socket);
        }
    }

    public void Join(Socket socket, string room)
    {
        lock (_gate) Add(RoomOf(room), socket);
    }

    public void Leave(Socket socket, string room)
    {
        lock (_gate)
        {
            if (_rooms.TryGetValue(room, out var found) && Remove(found, socket) && found.Count == 0) _rooms.Remove(room);
        }
    }

    public void Exit(Socket socket, IEnumerable<string> rooms)
    {
        lock (_gate)
        {
            Remove(_everyone, socket);
            foreach (var room in rooms)
                if (_rooms.TryGetValue(room, out var found) && Remove(found, socket) && found.Count == 0) _rooms.Remove(room);
        }
    }

    /// <summary>
    /// The sockets in any of some rooms (everyone, where none is named) and in none of others, each once, in an array of the pool that the caller gives back.
    /// No lock is held while it is read, so a slow receiver delays nobody who joins.
    /// </summary>
    public Socket[] Rent(ReadOnlySpan<string> rooms, ReadOnlySpan<string> except, out int count)
    {
        lock (_gate)
        {
            if (rooms.Length <= 1 && except.Length == 0)
            {
                var room = rooms.Length == 0 ? _everyone : _rooms.GetValueOrDefault(rooms[0]);
                count = room?.Count ?? 0;
                if (count == 0) return [];
                var members = ArrayPool<Socket>.Shared.Rent(count);
                Array.Copy(room!.Members, members, count);
                return members;
            }

            HashSet<Socket> chosen = [];
            if (rooms.Length == 0) AddTo(chosen, _everyone);
            foreach (var name in rooms)
                if (_rooms.TryGetValue(name, out var room)) AddTo(chosen, room);
            foreach (var name in except)
                if (_rooms.TryGetValue(name, out var room)) chosen.ExceptWith(room.Places.Keys);
            count = chosen.Count;
            if (count == 0) return [];
            var rented = ArrayPool<Socket>.Shared.Rent(count);
            chosen.CopyTo(rented);
            return rented;
        }
    }

    public static void Return(Socket[] rented, int count)
    {
        if (rented.Length == 0) return;
        Array.Clear(rented, 0, count);
        ArrayPool<Socket>.Shared.Return(rented);
    }

    Room RoomOf(string name)
    {
        if (!_rooms.TryGetValue(name, out var room)) _rooms[name] = room = new Room();
        return room;
    }

    static void AddTo(HashSet<Socket> chosen, Room room)
    {
        for (var i = 0; i < room.Count; i++) chosen.Add(room.Members[i]);
    }

    static void Add(Room room, Socket socket)
    {
        if (!room.Places.TryAdd(socket, room.Count)) return;
        if (room.Count == room.Members.Length) Array.Resize(ref room.Members, room.Count * 2);
        room.Members[room.Count++] = socket;
    }

    static bool Remove(Room room, Socket socket)
    {
        if (!room.Places.Remove(socket, out var place)) return false;
        var last = room.Members[--room.Count];
        room.Members[room.Count] = null!;
        if (place == room.Count) return true;
        room.Members[place] = last;
        room.Places[last] = place;
        return true;
    }
}
