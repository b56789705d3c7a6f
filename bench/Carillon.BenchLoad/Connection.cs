namespace Carillon.BenchLoad;

enum Phase : byte { Free, Connecting, Upgrading, Greeting, Open }

/// <summary>How a connection ended: by the server's words, or without any.</summary>
enum Ending { Refused, Closed, NoConnection }

/// <summary>One client. Its buffers exist only while something is left over.</summary>
sealed class Connection
{
    public required int Slot { get; init; }
    public int Socket = -1, Generation;
    public Phase Phase;
    public uint Watched;              // what the poller waits for
    public bool IsStalled;            // does not read
    public SocketShape Shape;

    public byte[] Rest = [];          // the beginning of a frame whose end has not come
    public int RestLength;
    public byte[] Fragments = [];     // a message that comes in several frames
    public int FragmentsLength;
    public bool InFragments;
    public byte[] Unsent = [];
    public int UnsentFrom, UnsentTo;

    public int Status;                // of a refused handshake
    public long ConnectedAt, PingAt;

    // What scenarios keep.
    public int Room = -1;
    public bool Joined;
    public long Received, Numbers, LastNumber;    // in this window: how many, the sum of their numbers, the last one
    public bool IsCounted;
    public long AskedAt;                          // when the outstanding question was due; 0: none

    public void Forget()
    {
        RestLength = FragmentsLength = UnsentFrom = UnsentTo = Status = 0;
        InFragments = Joined = IsStalled = IsCounted = false;
        AskedAt = Received = Numbers = LastNumber = 0;
    }
}
