using Carillon.SocketIO.Engine;
using Carillon.TestTools;

namespace Carillon.SocketIO.Tests;

public class TimerWheelTests
{
    sealed class Bell(List<string> rung, string name) : TimerWheel.Deadline
    {
        internal override void OnDue() => rung.Add(name);
    }

    readonly HandDrivenClock _clock = new(timersToo: true);
    readonly List<string> _rung = [];
    readonly TimerWheel _wheel;

    public TimerWheelTests() => _wheel = new TimerWheel(_clock, TimeSpan.FromMilliseconds(100));

    [Theory]
    [InlineData(1)]
    [InlineData(100)]
    [InlineData(3_000)]
    [InlineData(51_200)]       // a whole turn
    [InlineData(200_000)]      // several
    public void A_deadline_is_never_early_and_late_by_two_ticks_at_most(int milliseconds)
    {
        _clock.Advance(TimeSpan.FromMilliseconds(70));   // in the middle of a tick
        _wheel.Set(new Bell(_rung, "bell"), TimeSpan.FromMilliseconds(milliseconds));

        for (var passed = 0; passed + 10 < milliseconds; passed += 10)
        {
            _clock.Advance(TimeSpan.FromMilliseconds(10));
            Assert.Empty(_rung);
        }
        for (var passed = 0; passed < 210; passed += 10) _clock.Advance(TimeSpan.FromMilliseconds(10));
        Assert.Equal(["bell"], _rung);
        Assert.Equal(0, _wheel.Count);
    }

    [Fact]
    public void A_deadline_that_is_set_again_or_cancelled_does_not_come_at_its_first_time()
    {
        var (moved, cancelled) = (new Bell(_rung, "moved"), new Bell(_rung, "cancelled"));
        _wheel.Set(moved, TimeSpan.FromSeconds(1));
        _wheel.Set(cancelled, TimeSpan.FromSeconds(1));
        _wheel.Set(moved, TimeSpan.FromSeconds(3));
        _wheel.Cancel(cancelled);
        _wheel.Cancel(cancelled);

        _clock.Advance(TimeSpan.FromSeconds(2));
        Assert.Empty(_rung);
        _clock.Advance(TimeSpan.FromSeconds(2));
        Assert.Equal(["moved"], _rung);
    }

    [Fact]
    public void After_a_long_sleep_everything_that_is_due_comes_at_once_and_nothing_else()
    {
        for (var i = 1; i <= 100; i++) _wheel.Set(new Bell(_rung, $"{i}"), TimeSpan.FromSeconds(i * 10));

        _clock.Advance(TimeSpan.FromSeconds(505));

        Assert.Equal(Enumerable.Range(1, 50).Select(i => $"{i}").Order(), _rung.Order());
        Assert.Equal(50, _wheel.Count);
    }

    [Fact]
    public void While_nothing_is_due_no_timer_runs()
    {
        Assert.Equal(0, _clock.ActiveTimers);
        var bell = new Bell(_rung, "bell");
        _wheel.Set(bell, TimeSpan.FromSeconds(1));
        Assert.Equal(1, _clock.ActiveTimers);
        _wheel.Cancel(bell);
        Assert.Equal(0, _clock.ActiveTimers);
    }

    [Fact]
    public void A_deadline_may_set_itself_again_when_it_is_due()
    {
        var count = 0;
        Again? again = null;
        again = new Again(() =>
        {
            if (++count < 5) _wheel.Set(again!, TimeSpan.FromSeconds(1));
        });
        _wheel.Set(again, TimeSpan.FromSeconds(1));
        for (var i = 0; i < 20; i++) _clock.Advance(TimeSpan.FromMilliseconds(500));
        Assert.Equal(5, count);
    }

    sealed class Again(Action due) : TimerWheel.Deadline
    {
        internal override void OnDue() => due();
    }
}
