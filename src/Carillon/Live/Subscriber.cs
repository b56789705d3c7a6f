using Carillon.Access;
using Carillon.SocketIO;

namespace Carillon.Live;

/// <summary>One connection as channels see it: who it is, and what it joined.</summary>
sealed class Subscriber(Socket socket, Caller caller)
{
    readonly HashSet<string> _channels = [];
    bool _ended;

    public Socket Socket => socket;

    public Caller Caller => caller;

    public int Count
    {
        get
        {
            lock (_channels) return _channels.Count;
        }
    }

    /// <summary>True: joined now; false: had joined before; null: the connection has ended.</summary>
    public bool? Add(string channel)
    {
        lock (_channels) return _ended ? null : _channels.Add(channel);
    }

    public bool Has(string channel)
    {
        lock (_channels) return _channels.Contains(channel);
    }

    public bool Remove(string channel)
    {
        lock (_channels) return _channels.Remove(channel);
    }

    public string[] End()
    {
        lock (_channels)
        {
            _ended = true;
            string[] channels = [.. _channels];
            _channels.Clear();
            return channels;
        }
    }
}
