using System.Buffers.Binary;
using System.Net;
using System.Runtime.InteropServices;

namespace Carillon.BenchLoad;

/// <summary>
/// The dozen calls of Linux that the generator consists of. Not .NET's sockets: they poll on a thread of their own, and what a generator costs must be
/// one thread on one core, or it cannot say how busy it was.
/// </summary>
static partial class Native
{
    public const uint Readable = 0x1, Writable = 0x4, Failed = 0x8, HungUp = 0x10;
    public const int Again = 11, InProgress = 115, Interrupted = 4;
    const int Inet = 2, Stream = 1, NonBlocking = 0x800, CloseOnExec = 0x80000;
    const int Add = 1, Modify = 3;
    const int NoSignal = 0x4000;
    const int SolSocket = 1, SolIp = 0, SolTcp = 6;

    // The kernel packs the structure on x86-64 only.
    static readonly bool Packed = RuntimeInformation.ProcessArchitecture == Architecture.X64;
    public static readonly int EventSize = Packed ? 12 : 16;
    static readonly int EventData = Packed ? 4 : 8;

    public static int LastError => Marshal.GetLastPInvokeError();

    public static int NewSocket(in SocketShape shape)
    {
        var socket = socket_(Inet, Stream | NonBlocking | CloseOnExec, 0);
        if (socket < 0) throw new LoadException($"No further socket can be opened (error {LastError}); is the limit of open files high enough?");
        Set(socket, SolTcp, 1 /* TCP_NODELAY */, 1);
        Set(socket, SolIp, 24 /* IP_BIND_ADDRESS_NO_PORT */, 1);
        if (shape.ReceiveBuffer > 0) Set(socket, SolSocket, 8 /* SO_RCVBUF */, shape.ReceiveBuffer);
        if (shape.SegmentSize > 0) Set(socket, SolTcp, 2 /* TCP_MAXSEG */, shape.SegmentSize);
        return socket;
    }

    public static void Bind(int socket, IPAddress address)
    {
        Span<byte> name = stackalloc byte[16];
        WriteName(name, address, 0);
        if (bind_(socket, name, name.Length) < 0) throw new LoadException($"A socket could not be bound to {address} (error {LastError}).");
    }

    /// <summary>Begins to connect. False: it failed at once.</summary>
    public static bool Connect(int socket, IPEndPoint target)
    {
        Span<byte> name = stackalloc byte[16];
        WriteName(name, target.Address, target.Port);
        return connect_(socket, name, name.Length) == 0 || LastError is InProgress;
    }

    public static int ErrorOf(int socket)
    {
        int error = 0, size = sizeof(int);
        return getsockopt_(socket, SolSocket, 4 /* SO_ERROR */, ref error, ref size) < 0 ? LastError : error;
    }

    public static int Send(int socket, ReadOnlySpan<byte> bytes) => (int)send_(socket, bytes, bytes.Length, NoSignal);

    public static int Receive(int socket, Span<byte> bytes) => (int)recv_(socket, bytes, bytes.Length, 0);

    /// <summary>Closes; with <paramref name="reset"/> at once and without the minute in which the port stays taken.</summary>
    public static void Close(int socket, bool reset)
    {
        if (reset)
        {
            Span<byte> linger = [1, 0, 0, 0, 0, 0, 0, 0];
            setsockopt_(socket, SolSocket, 13 /* SO_LINGER */, linger, linger.Length);
        }
        close_(socket);
    }

    public static int NewPoller() => epoll_create1_(CloseOnExec);

    public static void Watch(int poller, int socket, uint events, ulong data) => Control(poller, Add, socket, events, data);

    public static void Rewatch(int poller, int socket, uint events, ulong data) => Control(poller, Modify, socket, events, data);

    public static int Poll(int poller, Span<byte> events, int milliseconds) =>
        epoll_wait_(poller, events, events.Length / EventSize, milliseconds);

    public static (uint Events, ulong Data) EventAt(ReadOnlySpan<byte> events, int index)
    {
        var one = events[(index * EventSize)..];
        return (BinaryPrimitives.ReadUInt32LittleEndian(one), BinaryPrimitives.ReadUInt64LittleEndian(one[EventData..]));
    }

    static void Control(int poller, int operation, int socket, uint events, ulong data)
    {
        Span<byte> one = stackalloc byte[16];
        one.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(one, events);
        BinaryPrimitives.WriteUInt64LittleEndian(one[EventData..], data);
        epoll_ctl_(poller, operation, socket, one);
    }

    static void Set(int socket, int level, int option, int value)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, value);
        setsockopt_(socket, level, option, bytes, bytes.Length);
    }

    static void WriteName(Span<byte> name, IPAddress address, int port)
    {
        name.Clear();
        BinaryPrimitives.WriteUInt16LittleEndian(name, Inet);
        BinaryPrimitives.WriteUInt16BigEndian(name[2..], (ushort)port);
        address.TryWriteBytes(name[4..], out _);
    }

    [LibraryImport("libc", EntryPoint = "socket", SetLastError = true)]
    private static partial int socket_(int domain, int type, int protocol);

    [LibraryImport("libc", EntryPoint = "bind", SetLastError = true)]
    private static partial int bind_(int socket, ReadOnlySpan<byte> name, int length);

    [LibraryImport("libc", EntryPoint = "connect", SetLastError = true)]
    private static partial int connect_(int socket, ReadOnlySpan<byte> name, int length);

    [LibraryImport("libc", EntryPoint = "getsockopt", SetLastError = true)]
    private static partial int getsockopt_(int socket, int level, int option, ref int value, ref int length);

    [LibraryImport("libc", EntryPoint = "setsockopt", SetLastError = true)]
    private static partial int setsockopt_(int socket, int level, int option, ReadOnlySpan<byte> value, int length);

    [LibraryImport("libc", EntryPoint = "send", SetLastError = true)]
    private static partial nint send_(int socket, ReadOnlySpan<byte> bytes, nint length, int flags);

    [LibraryImport("libc", EntryPoint = "recv", SetLastError = true)]
    private static partial nint recv_(int socket, Span<byte> bytes, nint length, int flags);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    private static partial int close_(int socket);

    [LibraryImport("libc", EntryPoint = "epoll_create1", SetLastError = true)]
    private static partial int epoll_create1_(int flags);

    [LibraryImport("libc", EntryPoint = "epoll_ctl", SetLastError = true)]
    private static partial int epoll_ctl_(int poller, int operation, int socket, ReadOnlySpan<byte> one);

    [LibraryImport("libc", EntryPoint = "epoll_wait", SetLastError = true)]
    private static partial int epoll_wait_(int poller, Span<byte> events, int most, int milliseconds);
}

/// <summary>What a socket looks like to the other side: a small window and Ethernet's segments, where a loopback would swallow megabytes.</summary>
readonly record struct SocketShape(int ReceiveBuffer, int SegmentSize);

/// <summary>Why a run has no result, in a sentence.</summary>
sealed class LoadException(string message) : Exception(message);
