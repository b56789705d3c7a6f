using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;
using Carillon.SocketIO.WebSockets;

namespace Carillon.SocketIO.Fuzz;

/// <summary>
/// Frames of WebSocket, compressed ones among them. What is read is what a plain reading of the whole input says, wherever the network cuts it, and no message is ever
/// larger than the limit. The first byte of an input says whether compression was agreed on.
/// </summary>
sealed class FrameTarget : Target
{
    const int Max = 300;

    static readonly string[] Texts = ["", "2", "42[\"echo\",1]", "h\u00e9llo", "\ud83d\ude00\ud83d\ude00", new('x', 125), new('x', 126), new('x', Max), new('\u00e9', Max / 2), new('x', Max + 1), new('x', 5000)];

    sealed record Outcome(List<(Opcode Opcode, string Payload)> Frames, CloseCode Code)
    {
        public override string ToString() => $"{Code} {string.Join(' ', Frames.Select(frame => $"{frame.Opcode}:{frame.Payload}"))}";
    }

    public override string Name => "frames";

    protected override byte[] Make(Random random)
    {
        var deflated = random.Next(2) == 0;
        List<byte> input = [(byte)(deflated ? 1 : 0)];
        for (var messages = random.Next(1, 6); messages > 0; messages--)
        {
            var opcode = Pick(random, Opcode.Text, Opcode.Text, Opcode.Binary);
            var payload = Encoding.UTF8.GetBytes(Pick(random, Texts));
            var compress = deflated && payload.Length > 0 && random.Next(2) == 0;
            if (compress) payload = MessageDeflate.Deflate(payload).ToArray();
            for (var at = 0; at < payload.Length || at == 0;)
            {
                var length = random.Next(3) == 0 ? random.Next(payload.Length - at + 1) : payload.Length - at;
                var last = at + length == payload.Length;
                input.AddRange(Frame(at == 0 ? opcode : Opcode.Continuation, payload.AsSpan(at, length), last, compress && at == 0, random));
                if (random.Next(4) == 0) input.AddRange(Frame(Pick(random, Opcode.Ping, Opcode.Pong), payload.AsSpan(0, Math.Min(payload.Length, 125)), final: true, compressed: false, random));
                if (last) break;
                if (length == 0 && at == 0) break;   // a message that has begun with nothing, and is left so
                at += length;
            }
        }
        if (random.Next(8) == 0) input.AddRange(Frame(Opcode.Close, "\u0003\u00e8"u8, final: true, compressed: false, random));
        byte[] made = [.. input];
        return random.Next(3) == 0 ? made : Mutation.Of(made, random);
    }

    protected override bool Check(byte[] input, Random random)
    {
        if (input.Length == 0) return false;
        var deflated = (input[0] & 1) != 0;
        input = input[1..];
        var expected = Plain(input, deflated);
        var before = GC.GetAllocatedBytesForCurrentThread();
        var whole = Read([input], deflated);
        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        // Data that unfolds to too much before it breaks is either.
        if (deflated && (whole.Code, expected.Code) is (CloseCode.InvalidPayload, CloseCode.TooBig)) expected = expected with { Code = whole.Code };
        Require(whole.ToString() == expected.ToString(), () => $"read as\n{whole}\nand is\n{expected}");
        Require(allocated < (64 + 32 * (input.Length / 6 + 1)) * 1024, () => $"{allocated} bytes were allocated for {input.Length}");
        for (var i = 0; i < 3; i++)
        {
            var cut = Read(Cut(input, random), deflated);
            Require(cut.ToString() == expected.ToString(), () => $"in pieces read as\n{cut}\nand is\n{expected}");
        }
        return expected.Code == CloseCode.None;
    }

    static Outcome Read(IEnumerable<byte[]> pieces, bool deflated)
    {
        List<(Opcode, string)> frames = [];
        var reader = new FrameReader(Max, (opcode, payload) =>
        {
            if (opcode == Opcode.Continuation) return true;      // a fragment that completes nothing
            Require(payload.Length <= (opcode >= Opcode.Close ? 125 : Max), "a message beyond the limit");
            frames.Add((opcode, Convert.ToHexString(payload)));
            return opcode != Opcode.Close;
        }, deflated);
        var code = CloseCode.None;
        foreach (var piece in pieces)
        {
            byte[] copy = [.. piece];     // it is unmasked in place
            var (one, before) = (reader.HoldsOne(copy), frames.Count);
            code = reader.Read(copy);
            Require(!one || frames.Count <= before + 1, "a piece of one frame held several");
            if (reader.HasStopped) break;
        }
        reader.Release();
        return new Outcome(frames, code);
    }

    // RFC 6455 read straight through, with all the bytes at hand.
    static Outcome Plain(ReadOnlySpan<byte> input, bool deflated)
    {
        var outcome = new Outcome([], CloseCode.None);
        List<byte> message = [];
        var (begun, compressed) = (Opcode.Continuation, false);
        while (input.Length >= 2)
        {
            var (opcode, final, reserved, masked, length) = ((Opcode)(input[0] & 15), input[0] >> 7 == 1, (input[0] >> 4) & 7, input[1] >> 7 == 1, (ulong)(input[1] & 127));
            var known = Enum.IsDefined(opcode);
            var control = opcode >= Opcode.Close;
            var starts = opcode is Opcode.Text or Opcode.Binary;
            if (!known || !masked || (reserved != 0 && !(deflated && reserved == 4 && starts)) || (control && (!final || length > 125)) || (!control && starts != (begun == Opcode.Continuation)))
                return outcome with { Code = CloseCode.ProtocolError };
            var extended = length switch { 126 => 2, 127 => 8, _ => 0 };
            if (input.Length < 6 + extended) return outcome;
            if (extended == 2) length = BinaryPrimitives.ReadUInt16BigEndian(input[2..]);
            if (extended == 8) length = BinaryPrimitives.ReadUInt64BigEndian(input[2..]);
            if (!control && length > (ulong)(Max - message.Count)) return outcome with { Code = CloseCode.TooBig };
            var mask = input.Slice(2 + extended, 4);
            if (starts) (begun, compressed) = (opcode, reserved == 4);
            if (input.Length - 6 - extended < (int)length) return outcome;
            var payload = input.Slice(6 + extended, (int)length).ToArray();
            for (var i = 0; i < payload.Length; i++) payload[i] ^= mask[i % 4];
            input = input[(6 + extended + payload.Length)..];
            if (control)
            {
                outcome.Frames.Add((opcode, Convert.ToHexString(payload)));
                if (opcode == Opcode.Close) return outcome;
                continue;
            }
            message.AddRange(payload);
            if (!final) continue;
            byte[] data = [.. message];
            if (compressed && Inflate(ref data) is not CloseCode.None and var code) return outcome with { Code = code };
            if (begun == Opcode.Text && !IsUtf8(data)) return outcome with { Code = CloseCode.InvalidPayload };
            outcome.Frames.Add((begun, Convert.ToHexString(data)));
            message.Clear();
            begun = Opcode.Continuation;
        }
        return outcome;
    }

    static CloseCode Inflate(ref byte[] data)
    {
        try
        {
            using var inflate = new DeflateStream(new MemoryStream([.. data, 0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff]), CompressionMode.Decompress);
            using var target = new MemoryStream();
            var buffer = new byte[64];
            for (int count; (count = inflate.Read(buffer)) > 0;)
            {
                target.Write(buffer, 0, count);
                if (target.Length > Max) return CloseCode.TooBig;
            }
            data = target.ToArray();
            return CloseCode.None;
        }
        catch (InvalidDataException)
        {
            return CloseCode.InvalidPayload;
        }
    }

    static readonly UTF8Encoding s_strict = new(false, throwOnInvalidBytes: true);

    static bool IsUtf8(byte[] bytes)
    {
        try
        {
            _ = s_strict.GetCharCount(bytes);
            return true;
        }
        catch (ArgumentException)
        {
            return false;
        }
    }

    static byte[] Frame(Opcode opcode, ReadOnlySpan<byte> payload, bool final, bool compressed, Random random)
    {
        var frame = new byte[14 + payload.Length];
        var at = FrameHeader.Write(frame, opcode, payload.Length, compressed);
        if (!final) frame[0] &= 0x7f;
        frame[1] |= 0x80;
        var mask = frame.AsSpan(at, 4);
        random.NextBytes(mask);
        for (var i = 0; i < payload.Length; i++) frame[at + 4 + i] = (byte)(payload[i] ^ mask[i % 4]);
        return frame[..(at + 4 + payload.Length)];
    }
}
