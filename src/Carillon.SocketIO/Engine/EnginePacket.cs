using System.Buffers.Text;

namespace Carillon.SocketIO.Engine;

/// <summary>The packets of Engine.IO protocol 4: one digit, then the data; <c>b</c> and base64 for binary in a text.</summary>
static class EnginePacket
{
    public const byte Open = (byte)'0';
    public const byte Close = (byte)'1';
    public const byte Ping = (byte)'2';
    public const byte Pong = (byte)'3';
    public const byte Message = (byte)'4';
    public const byte Upgrade = (byte)'5';
    public const byte Noop = (byte)'6';
    public const byte Base64Message = (byte)'b';

    public static readonly SharedFrame PingFrame = SharedFrame.OfText("2"u8);
    public static readonly SharedFrame ProbeAnswer = SharedFrame.OfText("3probe"u8);

    /// <summary>Decodes what follows the <c>b</c> of a binary message in text form.</summary>
    public static bool TryDecodeBase64(ReadOnlySpan<byte> text, out byte[] data)
    {
        data = new byte[Base64.GetMaxDecodedFromUtf8Length(text.Length)];
        if (Base64.DecodeFromUtf8(text, data, out var consumed, out var written) != System.Buffers.OperationStatus.Done
            || consumed != text.Length)
            return false;
        Array.Resize(ref data, written);
        return true;
    }
}
