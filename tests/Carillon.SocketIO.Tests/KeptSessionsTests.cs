using Carillon.SocketIO.Engine;
using Carillon.SocketIO.Limits;
using Carillon.SocketIO.Packets;
using Carillon.SocketIO.Sockets;
using Carillon.TestTools;

namespace Carillon.SocketIO.Tests;

/// <summary>Which lost sessions are kept, for how long, and what is replayed to them.</summary>
public class KeptSessionsTests
{
    readonly HandDrivenClock _clock = new(timersToo: true);
    readonly BufferBudget _buffers = new(null, () => { });
    readonly Recovery _recovery;

    public KeptSessionsTests() => _recovery = new Recovery(new SocketIOOptions { RecoveryWindow = TimeSpan.FromSeconds(8) }, _clock, _buffers);

    [Fact]
    public void A_session_that_is_lost_again_is_kept_for_its_whole_time_again()
    {
        _recovery.Keep(Session());
        _clock.Advance(TimeSpan.FromSeconds(4));
        Assert.True(_recovery.TryRestore("pid", null, out _, out _));
        _recovery.Discard("pid");
        _recovery.Keep(Session());
        _clock.Advance(TimeSpan.FromSeconds(7));      // eleven seconds after the first leaving
        Assert.True(_recovery.TryRestore("pid", null, out _, out _));
        _clock.Advance(TimeSpan.FromSeconds(1.5));
        Assert.False(_recovery.TryRestore("pid", null, out _, out _));
        Assert.Equal((0, 0, 0), (_recovery.Lost, _recovery.Bytes, _buffers.Held));
    }

    [Fact]
    public void What_is_replayed_went_to_a_room_of_the_session_and_excepted_none_of_them()
    {
        _recovery.Keep(Session("sid", "alerts", "muted"));
        var (everyone, mine, others, excepted) = (Frame(), Frame(), Frame(), Frame());
        Record(everyone, [], []);
        Record(mine, ["elsewhere", "alerts"], ["nobody"]);
        Record(others, ["elsewhere"], []);
        Record(excepted, ["alerts"], ["muted"]);
        Record(Frame(), [], ["sid"]);
        Assert.True(_recovery.TryRestore("pid", null, out _, out var missed));
        Assert.Equal([everyone, mine], missed);
    }

    LostSession Session(params string[] rooms) => new("sid", new Recoverable { Pid = "pid" }, rooms, null, null, _clock.GetTimestamp(), _clock.GetTimestamp());

    static SharedFrame Frame() => PacketFrame.Of(PacketWriter.Disconnected("/"));

    void Record(SharedFrame frame, string[] rooms, string[] except) => _recovery.Record(_recovery.NextOffset(), frame, rooms, except);
}
