using System.Diagnostics;

namespace Carillon.BenchLoad;

/// <summary>
/// What travels: <c>~</c>, the time at which it was due in 19 digits of nanoseconds, its number in 10 digits, and padding. The time makes the latency, the
/// number makes the count exact.
/// </summary>
static class Payload
{
    public const int Smallest = 1 + StampDigits + NumberDigits;
    const int StampDigits = 19, NumberDigits = 10;
    const int SoughtIn = 160;    // where the wrapping of any dialect is over

    public static long Now() => Stopwatch.GetTimestamp() * (1_000_000_000 / Stopwatch.Frequency);

    public static void Write(Span<byte> payload, long stamp, long number)
    {
        payload[0] = (byte)'~';
        WriteDigits(payload.Slice(1, StampDigits), stamp);
        WriteDigits(payload.Slice(1 + StampDigits, NumberDigits), number);
        payload[Smallest..].Fill((byte)'x');
    }

    public static bool TryRead(ReadOnlySpan<byte> message, out long stamp, out long number)
    {
        stamp = number = 0;
        var at = message[..Math.Min(message.Length, SoughtIn)].IndexOf((byte)'~');
        if (at < 0 || message.Length < at + Smallest) return false;
        stamp = ReadDigits(message.Slice(at + 1, StampDigits));
        number = ReadDigits(message.Slice(at + 1 + StampDigits, NumberDigits));
        return true;
    }

    static void WriteDigits(Span<byte> digits, long value)
    {
        for (var i = digits.Length - 1; i >= 0; i--, value /= 10) digits[i] = (byte)('0' + value % 10);
    }

    static long ReadDigits(ReadOnlySpan<byte> digits)
    {
        var value = 0L;
        foreach (var digit in digits) value = value * 10 + (digit - '0');
        return value;
    }
}
