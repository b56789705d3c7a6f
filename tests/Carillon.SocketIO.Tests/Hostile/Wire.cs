using System.Buffers.Binary;
using System.Net.Sockets;
using System.Text;
using Carillon.SocketIO.WebSockets;

namespace Carillon.SocketIO.Tests.Hostile;

/// <summary>HTTP and WebSocket by hand, byte for byte: what no client sends can be sent, and what it is told can be read.</summary>
sealed class Wire : IDisposable
{
    public const string Key = "dGhlIHNhbXBsZSBub25jZQ==";
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    readonly TcpClient _tcp;
    readonly NetworkStream _stream;
    readonly byte[] _buffer = new byte[64 * 1024];
    int _from, _to;

    Wire(TcpClient tcp) => (_tcp, _stream) = (tcp, tcp.GetStream());

    /// <summary>What was answered to a request.</summary>
    public sealed record Answer(int Status, string Head, string Body);

    /// <summary>A frame from the server.</summary>
    public sealed record Frame(Opcode Opcode, byte[] Payload, bool IsCompressed)
    {
        public string Text => Encoding.UTF8.GetString(Payload);
    }

    /// <summary>The headers of an ordinary handshake, one a line.</summary>
    public static string Upgrade(RunningServer server, string more = "") =>
        $"Host: {server.Address.Authority}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {Key}\r\n{more}\r\n";

    public static async Task<Wire> ConnectAsync(RunningServer server)
    {
        var tcp = await server.TcpAsync();
        tcp.NoDelay = true;
        return new Wire(tcp);
    }

    /// <summary>A WebSocket; the open packet is read.</summary>
    public static async Task<Wire> OpenAsync(RunningServer server, string query = "", string headers = "")
    {
        var wire = await ConnectAsync(server);
        await wire.SendAsync($"GET /socket.io/?EIO=4&transport=websocket{query} HTTP/1.1\r\n{Upgrade(server, headers)}");
        var answer = await wire.AnswerAsync();
        Assert.Equal(101, answer.Status);
        if (query.Length == 0) Assert.StartsWith("0{", await wire.TextAsync(), StringComparison.Ordinal);
        return wire;
    }

    /// <summary>A WebSocket that has joined a namespace, and its id there.</summary>
    public static async Task<Wire> JoinAsync(RunningServer server, string packet = "40")
    {
        var wire = await OpenAsync(server);
        await wire.TextAsync(packet);
        wire.Joined = await wire.TextAsync();
        Assert.StartsWith("40", wire.Joined, StringComparison.Ordinal);
        return wire;
    }

    /// <summary>The packet that said that the client has joined.</summary>
    public string Joined { get; private set; } = "";

    /// <summary>How many pings were answered.</summary>
    public int Pings { get; private set; }

    public async Task SendAsync(byte[] bytes) => await _stream.WriteAsync(bytes);

    public Task SendAsync(string ascii) => SendAsync(Encoding.Latin1.GetBytes(ascii));

    public Task TextAsync(string text) => SendAsync(FrameOf(Opcode.Text, Encoding.UTF8.GetBytes(text)));

    /// <summary>Sends what may be refused half way: a server that closes is no failure here.</summary>
    public async Task TrySendAsync(byte[] bytes)
    {
        try
        {
            await SendAsync(bytes);
        }
        catch (IOException)
        {
        }
    }

    /// <summary>The next text, pings answered.</summary>
    public async Task<string> TextAsync()
    {
        while (await FrameAsync() is { } frame)
        {
            if (frame is { Opcode: Opcode.Text, Text: "2" })
            {
                Pings++;
                await TextAsync("3");
                continue;
            }
            return frame.Opcode == Opcode.Text ? frame.Text : $"{frame.Opcode} {Convert.ToHexString(frame.Payload)}";
        }
        return "the end";
    }

    /// <summary>Whether so many further bytes came with what was read last.</summary>
    public bool HasMore(int count) => _to - _from >= count;

    /// <summary>Reads to the end; the code of the close frame, 1005 for one without, 1006 where there was none.</summary>
    public async Task<int> EndAsync()
    {
        while (await FrameAsync() is { } frame)
        {
            if (frame.Opcode != Opcode.Close) continue;
            Dispose();     // the server waits a moment for that
            return frame.Payload.Length < 2 ? 1005 : BinaryPrimitives.ReadUInt16BigEndian(frame.Payload);
        }
        return 1006;
    }

    /// <summary>The next frame; null at the end.</summary>
    public async Task<Frame?> FrameAsync()
    {
        if (!await HasAsync(2)) return null;
        var (opcode, compressed) = ((Opcode)(_buffer[_from] & 0x0f), (_buffer[_from] & 0x40) != 0);
        var length = _buffer[_from + 1] & 0x7f;
        var header = length switch { 126 => 4, 127 => 10, _ => 2 };
        if (!await HasAsync(header)) return null;
        if (length == 126) length = BinaryPrimitives.ReadUInt16BigEndian(_buffer.AsSpan(_from + 2));
        else if (length == 127) length = (int)BinaryPrimitives.ReadInt64BigEndian(_buffer.AsSpan(_from + 2));
        _from += header;
        return await TakeAsync(length) is { } payload ? new Frame(opcode, payload, compressed) : null;
    }

    /// <summary>The answer to a request; status 0 where the connection ended without one.</summary>
    public async Task<Answer> AnswerAsync()
    {
        var head = new StringBuilder();
        while (!head.ToString().EndsWith("\r\n\r\n", StringComparison.Ordinal))
        {
            if (!await HasAsync(1)) return new Answer(0, head.ToString(), "");
            head.Append((char)_buffer[_from++]);
        }
        var lines = head.ToString();
        var status = int.Parse(lines.AsSpan(9, 3));
        var length = lines.Split("\r\n").FirstOrDefault(line => line.StartsWith("Content-Length:", StringComparison.OrdinalIgnoreCase)) is { } header ? int.Parse(header.AsSpan(15)) : 0;
        return new Answer(status, lines, Encoding.UTF8.GetString(await TakeAsync(length) ?? []));
    }

    /// <summary>Sends a request and reads its answer.</summary>
    public static async Task<Answer> RequestAsync(RunningServer server, string request) => await RequestAsync(server, Encoding.Latin1.GetBytes(request));

    public static async Task<Answer> RequestAsync(RunningServer server, byte[] request)
    {
        using var wire = await ConnectAsync(server);
        await wire.TrySendAsync(request);
        return await wire.AnswerAsync();
    }

    /// <summary>Ends the connection as a cut cable does.</summary>
    public void Reset()
    {
        _tcp.LingerState = new(true, 0);
        _tcp.Dispose();
    }

    public void Dispose() => _tcp.Dispose();

    /// <summary>A frame of a client.</summary>
    public static byte[] FrameOf(Opcode opcode, ReadOnlySpan<byte> payload, bool final = true, int reserved = 0)
    {
        var frame = new byte[14 + payload.Length];
        var length = FrameHeader.Write(frame, opcode, payload.Length);
        if (!final) frame[0] &= 0x7f;
        frame[0] |= (byte)(reserved << 4);
        frame[1] |= 0x80;
        byte[] mask = [0x37, 0xfa, 0x21, 0x3d];
        mask.CopyTo(frame, length);
        length += 4;
        for (var i = 0; i < payload.Length; i++) frame[length + i] = (byte)(payload[i] ^ mask[i & 3]);
        return frame[..(length + payload.Length)];
    }

    public static byte[] TextFrame(string text) => FrameOf(Opcode.Text, Encoding.UTF8.GetBytes(text));

    async Task<byte[]?> TakeAsync(int length)
    {
        var taken = new byte[length];
        for (var at = 0; at < length;)
        {
            if (!await HasAsync(1)) return null;
            var part = Math.Min(length - at, _to - _from);
            _buffer.AsSpan(_from, part).CopyTo(taken.AsSpan(at));
            (_from, at) = (_from + part, at + part);
        }
        return taken;
    }

    async Task<bool> HasAsync(int count)
    {
        if (_to - _from >= count) return true;
        _buffer.AsSpan(_from, _to - _from).CopyTo(_buffer);
        (_from, _to) = (0, _to - _from);
        using var deadline = new CancellationTokenSource(Patience);
        try
        {
            while (_to < count)
            {
                var read = await _stream.ReadAsync(_buffer.AsMemory(_to), deadline.Token);
                if (read == 0) return false;
                _to += read;
            }
            return true;
        }
        catch (IOException)
        {
            return false;     // a reset is an end, too
        }
    }
}
