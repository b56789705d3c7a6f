using System.Net;
using System.Numerics;
using System.Text;

namespace Carillon.BenchLoad;

/// <summary>
/// A crowd of WebSocket clients that one thread polls. On the way of a message there is no allocation, no wait and no copy but the kernel's.
/// </summary>
sealed class Swarm : IDisposable
{
    const int HeaderRoom = 14;
    const int MostEvents = 512;
    const byte Text = 1, Binary = 2, CloseFrame = 8, Ping = 9, Pong = 10;
    static readonly byte[] Mask = [0x51, 0xc3, 0x2e, 0x97];
    static readonly Vector<byte> WideMask = new([.. Enumerable.Range(0, Vector<byte>.Count).Select(i => Mask[i & 3])]);

    readonly IPEndPoint _target;
    readonly Dialect _dialect;
    readonly IPAddress[] _sources;
    readonly byte[] _request;
    readonly int _poller = Native.NewPoller();
    readonly byte[] _events = new byte[MostEvents * Native.EventSize];
    byte[] _in = new byte[256 * 1024];
    byte[] _out = new byte[64 * 1024];
    uint _pingFrom;

    public Swarm(Uri url, Dialect dialect, params IPAddress[] sources)
    {
        _target = new IPEndPoint(IPAddress.Parse(url.Host), url.Port);
        _dialect = dialect;
        _sources = sources;
        var path = url.AbsolutePath.Length > 1 ? url.PathAndQuery : dialect.Path;
        _request = Encoding.ASCII.GetBytes($"GET {path} HTTP/1.1\r\nHost: {url.Authority}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
            $"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: Y2FyaWxsb24tYmVuY2gtMQ==\r\nOrigin: http://{url.Authority}\r\n\r\n");
    }

    public List<Connection> Connections { get; } = [];

    /// <summary>How many have come through the greetings of their dialect.</summary>
    public int OpenCount { get; private set; }

    public ReadOnlySpan<byte> Request => _request;

    /// <summary>Called when TCP is connected; by default the handshake leaves then.</summary>
    public Action<Connection>? Connected { get; set; }

    public Action<Connection>? Opened { get; set; }

    /// <summary>The server ended it, or would not have it.</summary>
    public Action<Connection, Ending>? Ended { get; set; }

    public Action<Connection, long, long>? Delivered { get; set; }

    /// <summary>An acknowledgement, with the stamp and number of the payload it carries; zeros without one.</summary>
    public Action<Connection, long, long>? Answered { get; set; }

    public Connection Add(SocketShape shape = default)
    {
        var connection = new Connection { Slot = Connections.Count, Shape = shape };
        Connections.Add(connection);
        return connection;
    }

    public void Open(Connection connection)
    {
        connection.Forget();
        connection.Generation++;
        connection.Socket = Native.NewSocket(connection.Shape);
        Native.Bind(connection.Socket, _sources[connection.Slot % _sources.Length]);
        connection.Phase = Phase.Connecting;
        connection.Watched = Native.Writable;
        if (Native.Connect(connection.Socket, _target)) Native.Watch(_poller, connection.Socket, connection.Watched, Tag(connection));
        else End(connection, Ending.NoConnection);
    }

    /// <summary>Leaves without a word. The server is told by the end of the stream, or with <paramref name="reset"/> at once.</summary>
    public void Close(Connection connection, bool reset = false)
    {
        if (connection.Phase == Phase.Free) return;
        if (connection.Phase == Phase.Open) OpenCount--;
        Native.Close(connection.Socket, reset);
        connection.Phase = Phase.Free;
        connection.Socket = -1;
    }

    public void Send(Connection connection, ReadOnlySpan<byte> message) => Send(connection, Text, message);

    /// <summary>Bytes as they are, without a frame.</summary>
    public void SendRaw(Connection connection, ReadOnlySpan<byte> bytes)
    {
        if (connection.UnsentTo == connection.UnsentFrom)
        {
            var sent = Math.Max(0, Native.Send(connection.Socket, bytes));
            if (sent == bytes.Length) return;
            bytes = bytes[sent..];
            connection.UnsentFrom = connection.UnsentTo = 0;
        }
        if (connection.Unsent.Length < connection.UnsentTo + bytes.Length) Array.Resize(ref connection.Unsent, (connection.UnsentTo + bytes.Length) * 2);
        bytes.CopyTo(connection.Unsent.AsSpan(connection.UnsentTo));
        connection.UnsentTo += bytes.Length;
        Watch(connection);
    }

    /// <summary>The frame of a message, for who sends many of one kind.</summary>
    public byte[] FrameOf(ReadOnlySpan<byte> message) => Frame(Text, message).ToArray();

    public void Stall(Connection connection, bool stalled)
    {
        connection.IsStalled = stalled;
        if (connection.Phase != Phase.Free) Watch(connection);
    }

    /// <summary>Does what there is to do, and says whether there was anything.</summary>
    public bool Poll(int milliseconds)
    {
        var count = Native.Poll(_poller, _events, milliseconds);
        for (var i = 0; i < count; i++)
        {
            var (events, data) = Native.EventAt(_events, i);
            var connection = Connections[(int)(uint)data];
            if (connection.Generation == (int)(data >> 32) && connection.Phase != Phase.Free) Handle(connection, events);
        }
        return count > 0;
    }

    /// <summary>Sends the pings that a dialect's clients send by themselves, to a few connections a call.</summary>
    public void KeepAlive(long now)
    {
        if (_dialect.Ping.Length == 0 || Connections.Count == 0) return;
        for (var i = 0; i < 4; i++)
        {
            var connection = Connections[(int)(_pingFrom++ % (uint)Connections.Count)];
            if (connection.Phase != Phase.Open || now < connection.PingAt) continue;
            connection.PingAt = now + _dialect.PingEvery;
            Send(connection, _dialect.Ping);
        }
    }

    public void SetOpen(Connection connection)
    {
        connection.Phase = Phase.Open;
        connection.PingAt = Payload.Now() + _dialect.PingEvery;
        OpenCount++;
        Opened?.Invoke(connection);
    }

    public void End(Connection connection, Ending ending)
    {
        if (connection.Phase == Phase.Free) return;
        Close(connection);
        Ended?.Invoke(connection, ending);
    }

    public void Dispose()
    {
        foreach (var connection in Connections) Close(connection);
    }

    void Handle(Connection connection, uint events)
    {
        if (connection.Phase == Phase.Connecting)
        {
            if (Native.ErrorOf(connection.Socket) != 0 || (events & Native.Writable) == 0)
            {
                End(connection, Ending.NoConnection);
                return;
            }
            connection.Phase = Phase.Upgrading;
            connection.ConnectedAt = Payload.Now();
            if (Connected is null) SendRaw(connection, _request);
            else Connected(connection);
            if (connection.Phase != Phase.Free) Watch(connection);
            return;
        }
        if ((events & Native.Writable) != 0) SendRest(connection);
        if (connection.IsStalled && (events & (Native.Failed | Native.HungUp)) != 0) End(connection, Ending.Closed);
        else if ((events & ~Native.Writable) != 0) Receive(connection);
    }

    void Receive(Connection connection)
    {
        connection.Rest.AsSpan(0, connection.RestLength).CopyTo(_in);
        var received = Native.Receive(connection.Socket, _in.AsSpan(connection.RestLength));
        if (received <= 0)
        {
            if (received < 0 && Native.LastError is Native.Again or Native.Interrupted) return;
            End(connection, Ending.Closed);
            return;
        }
        var bytes = _in.AsSpan(0, connection.RestLength + received);
        var used = connection.Phase == Phase.Upgrading ? ReadUpgrade(connection, bytes) : 0;
        if (connection.Phase >= Phase.Greeting) used += ReadFrames(connection, bytes[used..]);
        if (connection.Phase < Phase.Upgrading) return;   // ended meanwhile, perhaps opened anew
        Keep(ref connection.Rest, ref connection.RestLength, bytes[used..]);
        if (connection.RestLength * 2 > _in.Length) Array.Resize(ref _in, _in.Length * 2);
    }

    int ReadUpgrade(Connection connection, ReadOnlySpan<byte> bytes)
    {
        var end = bytes.IndexOf("\r\n\r\n"u8);
        if (end < 0) return 0;
        connection.Status = bytes.Length > 12 && int.TryParse(bytes.Slice(9, 3), out var status) ? status : -1;
        if (connection.Status != 101)
        {
            End(connection, Ending.Refused);
            return 0;
        }
        connection.Phase = Phase.Greeting;
        if (_dialect.Greeting.Length > 0) Send(connection, _dialect.Greeting);
        return end + 4;
    }

    int ReadFrames(Connection connection, ReadOnlySpan<byte> bytes)
    {
        var used = 0;
        while (bytes.Length - used >= 2)
        {
            var frame = bytes[used..];
            long length = frame[1] & 0x7f;
            var header = length switch { 126 => 4, 127 => 10, _ => 2 };
            if (frame.Length < header) break;
            if (header > 2)
            {
                length = 0;
                foreach (var part in frame[2..header]) length = length << 8 | part;
            }
            if (frame.Length < header + length) break;
            var content = frame.Slice(header, (int)length);
            used += header + (int)length;
            Read(connection, frame[0], content);
            if (connection.Phase < Phase.Greeting) break;
        }
        return used;
    }

    void Read(Connection connection, byte first, ReadOnlySpan<byte> content)
    {
        var isLast = (first & 0x80) != 0;
        switch (first & 0xf)
        {
            case Ping:
                Send(connection, Pong, content);
                break;
            case CloseFrame:
                End(connection, Ending.Closed);
                break;
            case <= Binary when isLast && !connection.InFragments:
                _dialect.Read(this, connection, content);
                break;
            case <= Binary:
                var soFar = connection.FragmentsLength;
                if (connection.Fragments.Length < soFar + content.Length) Array.Resize(ref connection.Fragments, (soFar + content.Length) * 2);
                content.CopyTo(connection.Fragments.AsSpan(soFar));
                connection.FragmentsLength += content.Length;
                connection.InFragments = !isLast;
                if (!isLast) break;
                var whole = connection.Fragments.AsSpan(0, connection.FragmentsLength);
                connection.FragmentsLength = 0;
                _dialect.Read(this, connection, whole);
                break;
        }
    }

    void Send(Connection connection, byte kind, ReadOnlySpan<byte> message) => SendRaw(connection, Frame(kind, message));

    ReadOnlySpan<byte> Frame(byte kind, ReadOnlySpan<byte> message)
    {
        if (_out.Length < message.Length + HeaderRoom) _out = new byte[(message.Length + HeaderRoom) * 2];
        var header = _out.AsSpan();
        header[0] = (byte)(0x80 | kind);
        int at;
        if (message.Length < 126)
        {
            header[1] = (byte)(0x80 | message.Length);
            at = 2;
        }
        else
        {
            var sizeBytes = message.Length < 65536 ? 2 : 8;
            header[1] = (byte)(0x80 | (sizeBytes == 2 ? 126 : 127));
            at = 2 + sizeBytes;
            for (var (i, rest) = (at - 1, (long)message.Length); i >= 2; i--, rest >>= 8) header[i] = (byte)rest;
        }
        Mask.CopyTo(header[at..]);
        var masked = header.Slice(at + 4, message.Length);
        var done = 0;
        for (; done <= message.Length - Vector<byte>.Count; done += Vector<byte>.Count)
        {
            (new Vector<byte>(message[done..]) ^ WideMask).CopyTo(masked[done..]);
        }
        for (; done < message.Length; done++) masked[done] = (byte)(message[done] ^ Mask[done & 3]);
        return _out.AsSpan(0, at + 4 + message.Length);
    }

    void SendRest(Connection connection)
    {
        var sent = Native.Send(connection.Socket, connection.Unsent.AsSpan(connection.UnsentFrom, connection.UnsentTo - connection.UnsentFrom));
        connection.UnsentFrom += Math.Max(0, sent);
        if (connection.UnsentFrom == connection.UnsentTo) Watch(connection);
    }

    void Watch(Connection connection)
    {
        var wanted = (connection.IsStalled ? 0u : Native.Readable) | (connection.UnsentTo > connection.UnsentFrom ? Native.Writable : 0u);
        if (connection.Phase is Phase.Free or Phase.Connecting || connection.Watched == wanted) return;
        connection.Watched = wanted;
        Native.Rewatch(_poller, connection.Socket, wanted, Tag(connection));
    }

    static void Keep(ref byte[] kept, ref int length, ReadOnlySpan<byte> bytes)
    {
        if (kept.Length < bytes.Length) kept = new byte[Math.Max(256, bytes.Length * 2)];
        else if (bytes.IsEmpty && kept.Length > 4096) kept = [];
        bytes.CopyTo(kept);
        length = bytes.Length;
    }

    static ulong Tag(Connection connection) => (uint)connection.Slot | (ulong)(uint)connection.Generation << 32;
}
