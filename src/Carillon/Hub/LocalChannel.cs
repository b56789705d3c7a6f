using Carillon.Channels;
using Carillon.SocketIO.Engine;
using Carillon.SocketIO.Packets;
using Carillon.SocketIO.Sockets;

namespace Carillon.Hub;

/// <summary>One channel on this node: its room, and those who are on their way into it.</summary>
sealed class LocalChannel(SocketServer server, string name, Area area, TimeProvider clock)
{
    readonly Lock _gate = new();          // one publication at a time, so that each socket gets them in their order
    readonly List<PendingJoin> _holds = [];
    readonly List<Publication> _gathered = [];     // for the room; those on their way in have them already
    readonly Dictionary<Socket, Position> _ahead = [];   // who has read in the table what is not delivered yet, and up to where
    readonly string _room = RoomOf(name);
    readonly SendPolicy _policy = new() { Priority = PriorityOf(area.Importance), Overflow = area.Overflow, Stream = name };
    readonly SendPolicy _whole = new() { Priority = SendPriority.High, Stream = name };
    ITimer? _sending;
    Position? _delivered;
    volatile bool _hasEnded;

    /// <summary>A subscriber that reads the history while publications wait for it.</summary>
    public sealed record PendingJoin(Socket Socket)
    {
        // As much as is replayed at most (Release): beyond it the client loads anew all the same.
        const long MostBytes = 8L << 20;
        long _bytes;

        public List<Publication> Waiting { get; } = [];

        /// <summary>
        /// The last of the publications that there was no room for; none is sent then, and the client is told that it has a gap.
        /// </summary>
        public Position? Overflowed { get; private set; }

        public void Add(Publication message)
        {
            _bytes += message.Body.Length;
            if (Overflowed is null && _bytes <= MostBytes) Waiting.Add(message);
            else
            {
                Overflowed = message.Position;
                Waiting.Clear();
                Waiting.TrimExcess();
            }
        }

        /// <summary>Where the channel's history was replaced meanwhile.</summary>
        public Position? NewEpoch { get; private set; }

        /// <summary>The channel's history is replaced: nothing held back from before is worth anything.</summary>
        public void BeginEpoch(Position position)
        {
            (NewEpoch, Overflowed, _bytes) = (position, null, 0);
            Waiting.Clear();
        }
    }

    /// <summary>The room of a channel. Rooms of sockets have their ids as names; a channel can never be called like one.</summary>
    public static string RoomOf(string channel) => "channel:" + channel;

    /// <summary>The pattern of its area.</summary>
    public string Area => area.Pattern;

    /// <summary>
    /// Held while a subscriber joins or leaves: it guards <see cref="Subscribers"/>, and orders what the layer is asked about this channel.
    /// </summary>
    public AsyncLock Membership { get; } = new();

    /// <summary>How many have joined or are joining.</summary>
    public int Subscribers { get; set; }

    /// <summary>The account of the first subscriber, which pays for the channel.</summary>
    public string Account { get; set; } = "";

    /// <summary>Whether the last subscriber has left. The next one joins a new local channel.</summary>
    public bool HasEnded => _hasEnded;

    public PendingJoin BeginJoin(Socket socket)
    {
        var hold = new PendingJoin(socket);
        lock (_gate)
        {
            SendGathered();               // it may be in the room already
            socket.Leave(_room);          // joining again replays again; without this it would hear some twice
            _holds.Add(hold);
        }
        return hold;
    }

    /// <summary>
    /// Sends the missed publications, then those held back, and lets the socket into the room: one moment for everyone else.
    /// </summary>
    /// <param name="hold">The subscriber.</param>
    /// <param name="history">What the history answered.</param>
    /// <param name="recovered">Whether the missed publications are to be sent.</param>
    /// <param name="tell">Tells the client where it stands, after what it missed and before what is new.</param>
    /// <returns>Whether they were sent.</returns>
    public bool Complete(PendingJoin hold, History history, bool recovered, Action<Position, bool> tell)
    {
        lock (_gate)
        {
            _holds.Remove(hold);
            SendGathered();                // for the room only: the history has these, or the hold
            hold.Socket.Join(_room);       // before anything is sent: where it cannot join, nothing was told
            // A history that was replaced while it was read is worth nothing.
            var position = hold.Overflowed ?? hold.NewEpoch ?? history.Position;
            // What does not fit the client's queue could not be sent whole, and it would come back for the same again and again.
            recovered &= hold.NewEpoch is null && hold.Overflowed is null && history.Publications.Sum(m =>
                (long)m.Body.Length) <= server.Engine.Options.MaxQueuedBytes / 2;
            using var together = SocketServer.SendTogether();
            if (recovered)
                foreach (var message in history.Publications) Send(hold.Socket, message);
            foreach (var message in hold.Waiting)
            {
                if (message.Position.Epoch == position.Epoch ? message.Position.Offset <= position.Offset
                    : hold.NewEpoch is not null) continue;
                Send(hold.Socket, message);
                position = message.Position;
            }
            tell(position, recovered);
            // Where a table is the log, its rows may be read before they are delivered: then they come once more.
            if (area.ReadHistory is not null && !(_delivered is { } last && last.Epoch == position.Epoch
                && last.Offset >= position.Offset)) _ahead[hold.Socket] = position;
            return recovered;
        }
    }

    public void Cancel(PendingJoin hold)
    {
        lock (_gate) _holds.Remove(hold);
    }

    /// <summary>A socket has left.</summary>
    public void Forget(Socket socket)
    {
        lock (_gate) _ahead.Remove(socket);
    }

    /// <summary>Hands a publication to everyone in the room, now or with others in a moment; answers how many these are.</summary>
    public int Deliver(Publication message)
    {
        lock (_gate)
        {
            foreach (var hold in _holds) hold.Add(message);
            if (_hasEnded) return 0;
            _delivered = message.Position;
            if (area.BatchWindow <= TimeSpan.Zero) return Send(message) + _holds.Count;

            _gathered.Add(message);
            if ((message.Importance ?? area.Importance) == Importance.Critical)
                SendGathered();
            else if (_gathered.Count == 1)
                SetTimer(area.BatchWindow);
            return server.Root.To(_room).Count + _holds.Count;
        }
    }

    /// <summary>The channel leaves this node: nobody is in its room any more.</summary>
    public void End()
    {
        lock (_gate)
        {
            _hasEnded = true;
            _gathered.Clear();
            _sending?.Dispose();
            _sending = null;
        }
    }

    public void BeginEpoch(Position position)
    {
        lock (_gate)
        {
            SendGathered();
            foreach (var hold in _holds) hold.BeginEpoch(position);
            server.Root.To(_room).With(_whole).Emit("subscribed", new { channel = name, position, recovered = false });
        }
    }

    // Under the gate, as all that follows.
    void SendGathered()
    {
        if (_gathered.Count == 0) return;
        using (SocketServer.SendTogether())
            foreach (var message in _gathered) Send(message);
        _gathered.Clear();
    }

    void SetTimer(TimeSpan due)
    {
        _sending ??= clock.CreateTimer(
            static channel => ((LocalChannel)channel!).OnTimer(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        _sending.Change(due, Timeout.InfiniteTimeSpan);
    }

    void OnTimer()
    {
        lock (_gate) SendGathered();
    }

    int Send(Publication message)
    {
        var room = server.Root.To(_room);
        if (_ahead.Count > 0) room = room.Except(TakeAhead(message.Position));
        return room.With(PolicyOf(message)).Emit(message.Event, new RawJson(message.Body), Meta(message));
    }

    // Those who have this one already; those who have not are ahead no more.
    List<string> TakeAhead(Position delivered)
    {
        List<string> have = [];
        foreach (var (socket, until) in _ahead)
        {
            var hasIt = until.Epoch == delivered.Epoch && delivered.Offset <= until.Offset;
            if (hasIt) have.Add(socket.Id);
            if (!hasIt || delivered.Offset == until.Offset) _ahead.Remove(socket);
        }
        return have;
    }

    // To one who catches up: all of it or nothing, whatever the area does with publications for who reads slowly.
    void Send(Socket socket, Publication message) =>
        server.Root.To(socket.Id).With(_whole).Emit(message.Event, new RawJson(message.Body), Meta(message));

    SendPolicy PolicyOf(Publication message) =>
        message.Importance is null && message.Key is null
            ? _policy : _policy with { Priority = PriorityOf(message.Importance ?? area.Importance), Key = message.Key };

    static SendPriority PriorityOf(Importance importance) => importance switch
    {
        Importance.Marketing => SendPriority.Low,
        Importance.Important => SendPriority.High,
        Importance.Critical => SendPriority.Critical,
        _ => SendPriority.Normal,
    };

    static object Meta(Publication message) => new
    {
        channel = message.Channel,
        epoch = message.Position.Epoch,
        offset = message.Position.Offset,
        id = message.Id,
        at = Iso.Of(message.At),
    };
}
