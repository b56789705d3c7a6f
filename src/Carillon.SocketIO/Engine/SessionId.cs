using System.Buffers.Binary;
using System.Buffers.Text;
using System.Security.Cryptography;

namespace Carillon.SocketIO.Engine;

/// <summary>
/// Ids of sessions, sockets and recoverable sessions: 20 URL-safe characters, of which twelve bytes come from the system's random source
/// (they are
/// secrets) and three from a counter (so that two are never the same).
/// </summary>
static class SessionId
{
    static int _counter;

    public static string Create()
    {
        Span<byte> bytes = stackalloc byte[16];
        BinaryPrimitives.WriteInt32BigEndian(bytes[12..], Interlocked.Increment(ref _counter) << 8);
        RandomNumberGenerator.Fill(bytes[..12]);
        return Base64Url.EncodeToString(bytes[..15]);
    }
}
