using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Net;

namespace Carillon.SocketIO.Limits;

/// <summary>
/// Addresses that count as one: an IPv4 address, written as IPv6 or not, or the 64 bits of IPv6 that a network gives to one customer, who
/// has
/// every address below them.
/// </summary>
readonly record struct AddressKey
{
    // An IPv4 address stands in the lower half under a prefix of multicast, from which no connection comes.
    const ulong IPv4 = 0xFFFF_FFFF_0000_0000;

    readonly ulong _bits;

    AddressKey(ulong bits) => _bits = bits;

    public static AddressKey Of(IPAddress address)
    {
        Span<byte> bytes = stackalloc byte[16];
        address.TryWriteBytes(bytes, out var length);
        if (length == 4) return new(IPv4 | BinaryPrimitives.ReadUInt32BigEndian(bytes));
        return address.IsIPv4MappedToIPv6
            ? new(IPv4 | BinaryPrimitives.ReadUInt32BigEndian(bytes[12..]))
            : new(BinaryPrimitives.ReadUInt64BigEndian(bytes));
    }

    /// <summary>Reads an address, or the public form of a key: <c>192.0.2.7</c>, <c>2001:db8::1</c>, <c>2001:db8::/64</c>.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out AddressKey key)
    {
        key = default;
        if (text is null) return false;
        var address = text.EndsWith("/64", StringComparison.Ordinal) && text.Contains(':') ? text[..^3] : text;
        if (!IPAddress.TryParse(address, out var parsed)) return false;
        // The short forms of old ("7", "127.1") are more often a slip than meant.
        if (!address.Contains(':') && parsed.ToString() != address) return false;
        key = Of(parsed);
        return true;
    }

    // Mixed with a secret of the process: whoever chooses many addresses must not choose where they fall.
    public override int GetHashCode() => HashCode.Combine(_bits);

    /// <summary>The public form.</summary>
    public override string ToString()
    {
        Span<byte> bytes = stackalloc byte[16];
        if (_bits >= IPv4)
        {
            BinaryPrimitives.WriteUInt32BigEndian(bytes, (uint)_bits);
            return new IPAddress(bytes[..4]).ToString();
        }
        bytes.Clear();
        BinaryPrimitives.WriteUInt64BigEndian(bytes, _bits);
        return $"{new IPAddress(bytes)}/64";
    }
}
