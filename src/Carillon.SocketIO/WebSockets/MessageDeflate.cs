using System.Buffers;
using System.IO.Compression;

namespace Carillon.SocketIO.WebSockets;

/// <summary>
/// Compression of single messages (RFC 7692), always without context takeover: no connection holds a window, and one compressed message
/// serves all receivers of a broadcast.
/// </summary>
static class MessageDeflate
{
    /// <summary>The server's answer to a client whose offer it accepts.</summary>
    public const string Agreement = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

    // The bytes that a sender omits from each message (section 7.2.1), and an empty last block, so that the data has an end.
    static ReadOnlySpan<byte> Tail => [0x00, 0x00, 0xff, 0xff, 0x01, 0x00, 0x00, 0xff, 0xff];

    // A message of no bytes (section 7.2.3.6).
    static readonly byte[] Empty = [0x00];

    /// <summary>
    /// Whether one of a client's offers can be taken (the header <c>Sec-WebSocket-Extensions</c>). One that asks for a smaller window than
    /// ours cannot; parameters we do not know, or
    /// that are given twice, make an offer invalid (section 7.1).
    /// </summary>
    public static bool CanAgree(ReadOnlySpan<char> offers)
    {
        foreach (var range in offers.Split(','))
            if (IsFitting(offers[range])) return true;
        return false;
    }

    static bool IsFitting(ReadOnlySpan<char> offer)
    {
        var (name, seen) = (true, 0);
        foreach (var range in offer.Split(';'))
        {
            var part = offer[range].Trim();
            if (name)
            {
                if (part is not "permessage-deflate") return false;
                name = false;
                continue;
            }
            var bit = part switch
            {
                "server_no_context_takeover" => 1,
                "client_no_context_takeover" => 2,
                "client_max_window_bits" => 4,
                "server_max_window_bits=15" => 8,
                _ when part.StartsWith("client_max_window_bits=") && int.TryParse(part["client_max_window_bits=".Length..], out var bits)
                    && bits is >= 8 and <= 15 => 4,
                _ => 0,
            };
            if (bit == 0 || (seen & bit) != 0) return false;
            seen |= bit;
        }
        return !name;
    }

    /// <summary>Compresses a message.</summary>
    public static ReadOnlyMemory<byte> Deflate(ReadOnlySpan<byte> message)
    {
        if (message.IsEmpty) return Empty;   // for nothing there is no flush either
        var target = new MemoryStream(message.Length / 2);
        using (var deflate = new DeflateStream(target, CompressionLevel.Fastest, leaveOpen: true))
        {
            deflate.Write(message);
            deflate.Flush();
            // Up to the mark of the flush; what closing would add is not for the wire.
            return target.GetBuffer().AsMemory(0, (int)target.Length - 4);
        }
    }

    /// <summary>
    /// Decompresses a message into a buffer of the pool, which the caller gives back. It is never more than a message may have.
    /// </summary>
    /// <returns><see cref="CloseCode.None"/>, or why the message cannot be.</returns>
    public static CloseCode Inflate(ReadOnlySpan<byte> data, int maxPayload, out byte[] buffer, out int length)
    {
        var compressed = ArrayPool<byte>.Shared.Rent(data.Length + Tail.Length);
        data.CopyTo(compressed);
        Tail.CopyTo(compressed.AsSpan(data.Length));
        // Memory follows what has really come out, not what might.
        buffer = ArrayPool<byte>.Shared.Rent(Math.Min(Math.Max(data.Length * 4, 1024), maxPayload + 1));
        length = 0;
        try
        {
            using var inflate = new DeflateStream(new MemoryStream(compressed, 0, data.Length + Tail.Length), CompressionMode.Decompress);
            while (true)
            {
                if (length == buffer.Length)
                {
                    var larger = ArrayPool<byte>.Shared.Rent(Math.Min(length * 2, Math.Max(maxPayload + 1, length + 1)));
                    buffer.AsSpan(0, length).CopyTo(larger);
                    ArrayPool<byte>.Shared.Return(buffer);
                    buffer = larger;
                }
                var count = inflate.Read(buffer.AsSpan(length));
                if (count == 0) return CloseCode.None;
                length += count;
                if (length > maxPayload) return CloseCode.TooBig;
            }
        }
        catch (InvalidDataException)
        {
            return CloseCode.InvalidPayload;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(compressed);
        }
    }
}
