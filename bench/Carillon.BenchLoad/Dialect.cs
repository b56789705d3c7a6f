using System.Text;

namespace Carillon.BenchLoad;

/// <summary>How the three things of every benchmark are said: join a room, publish to it, ask for an echo.</summary>
abstract class Dialect
{
    byte[] _message = new byte[4096];

    public static Dialect Of(string name) => name switch
    {
        "eio4" => new SocketIODialect(),
        "signalr" => new SignalRDialect(),
        _ => throw new LoadException($"There is no dialect {name}: eio4, signalr."),
    };

    public abstract string Path { get; }

    /// <summary>What the client says first on a new WebSocket.</summary>
    public abstract byte[] Greeting { get; }

    /// <summary>What its clients send by themselves to stay.</summary>
    public virtual byte[] Ping => [];

    public virtual long PingEvery => long.MaxValue / 2;

    public abstract void Read(Swarm swarm, Connection connection, ReadOnlySpan<byte> message);

    public abstract ReadOnlySpan<byte> Join(int room);

    public abstract ReadOnlySpan<byte> Publish(int room, int size, long stamp, long number);

    public abstract ReadOnlySpan<byte> Echo(int size, long stamp, long number);

    protected static byte[] Ascii(string text) => Encoding.ASCII.GetBytes(text);

    // The parts one after the other, with the room's name and the payload where they belong.
    protected ReadOnlySpan<byte> Compose(ReadOnlySpan<byte> begin, int room, ReadOnlySpan<byte> between, int size, long stamp, long number, ReadOnlySpan<byte> end)
    {
        if (_message.Length < begin.Length + between.Length + end.Length + size + 16) _message = new byte[size * 2 + 256];
        begin.CopyTo(_message);
        var at = begin.Length;
        if (room >= 0)
        {
            _message[at++] = (byte)'r';
            room.TryFormat(_message.AsSpan(at), out var digits);
            at += digits;
        }
        between.CopyTo(_message.AsSpan(at));
        at += between.Length;
        if (size > 0)
        {
            Payload.Write(_message.AsSpan(at, size), stamp, number);
            at += size;
        }
        end.CopyTo(_message.AsSpan(at));
        return _message.AsSpan(0, at + end.Length);
    }

    protected static void Report(Action<Connection, long, long>? listener, Connection connection, ReadOnlySpan<byte> message)
    {
        Payload.TryRead(message, out var stamp, out var number);
        listener?.Invoke(connection, stamp, number);
    }
}

/// <summary>Socket.IO 5 over Engine.IO 4, WebSocket alone.</summary>
sealed class SocketIODialect : Dialect
{
    static readonly byte[] Pong = [(byte)'3'];
    static readonly byte[] Connect = "40"u8.ToArray();

    public override string Path => "/socket.io/?EIO=4&transport=websocket";
    public override byte[] Greeting => [];

    public override ReadOnlySpan<byte> Join(int room) => Compose("420[\"join\",\""u8, room, "\"]"u8, 0, 0, 0, default);

    public override ReadOnlySpan<byte> Publish(int room, int size, long stamp, long number) =>
        Compose("42[\"pub\",\""u8, room, "\",\""u8, size, stamp, number, "\"]"u8);

    public override ReadOnlySpan<byte> Echo(int size, long stamp, long number) =>
        Compose("421[\"echo\",\""u8, -1, default, size, stamp, number, "\"]"u8);

    public override void Read(Swarm swarm, Connection connection, ReadOnlySpan<byte> message)
    {
        if (message.IsEmpty) return;
        switch (message[0])
        {
            case (byte)'4' when message.Length > 1:
                ReadPacket(swarm, connection, message);
                break;
            case (byte)'2':
                swarm.Send(connection, Pong);
                break;
            case (byte)'0':
                swarm.Send(connection, Connect);
                break;
        }
    }

    static void ReadPacket(Swarm swarm, Connection connection, ReadOnlySpan<byte> message)
    {
        switch (message[1])
        {
            case (byte)'2':
                Report(swarm.Delivered, connection, message);
                break;
            case (byte)'3':
                Report(swarm.Answered, connection, message);
                break;
            case (byte)'0' when connection.Phase == Phase.Greeting:
                swarm.SetOpen(connection);
                break;
            case (byte)'1' or (byte)'4':
                swarm.End(connection, Ending.Refused);
                break;
        }
    }
}

/// <summary>SignalR's hub protocol in JSON: records that end with 0x1e, several of which may share a message.</summary>
sealed class SignalRDialect : Dialect
{
    const byte End = 0x1e;

    public override string Path => "/hub";
    public override byte[] Greeting { get; } = Ascii("{\"protocol\":\"json\",\"version\":1}\u001e");
    public override byte[] Ping { get; } = Ascii("{\"type\":6}\u001e");
    public override long PingEvery => 15_000_000_000;

    public override ReadOnlySpan<byte> Join(int room) =>
        Compose("{\"type\":1,\"invocationId\":\"0\",\"target\":\"Join\",\"arguments\":[\""u8, room, "\"]}\u001e"u8, 0, 0, 0, default);

    public override ReadOnlySpan<byte> Publish(int room, int size, long stamp, long number) =>
        Compose("{\"type\":1,\"target\":\"Pub\",\"arguments\":[\""u8, room, "\",\""u8, size, stamp, number, "\"]}\u001e"u8);

    public override ReadOnlySpan<byte> Echo(int size, long stamp, long number) =>
        Compose("{\"type\":1,\"invocationId\":\"1\",\"target\":\"Echo\",\"arguments\":[\""u8, -1, default, size, stamp, number, "\"]}\u001e"u8);

    public override void Read(Swarm swarm, Connection connection, ReadOnlySpan<byte> message)
    {
        while (!message.IsEmpty && connection.Phase != Phase.Free)
        {
            var end = message.IndexOf(End);
            var record = end < 0 ? message : message[..end];
            ReadRecord(swarm, connection, record);
            message = end < 0 ? default : message[(end + 1)..];
        }
    }

    static void ReadRecord(Swarm swarm, Connection connection, ReadOnlySpan<byte> record)
    {
        if (connection.Phase == Phase.Greeting)
        {
            if (record.Length == 2) swarm.SetOpen(connection);
            else swarm.End(connection, Ending.Refused);
            return;
        }
        var at = record.IndexOf("\"type\":"u8);
        switch (at < 0 || record.Length < at + 8 ? 0 : record[at + 7])
        {
            case (byte)'1':
                Report(swarm.Delivered, connection, record);
                break;
            case (byte)'3':
                Report(swarm.Answered, connection, record);
                break;
            case (byte)'7':
                swarm.End(connection, Ending.Closed);
                break;
        }
    }
}
