using System.Net;
using Carillon.Access;
using Carillon.Api;
using Carillon.Audit;
using Carillon.TestTools;

namespace Carillon.Tests.Access;

/// <summary>What each person may use, counted in memory: forgotten when it makes no difference, and bounded.</summary>
public class SharesTests
{
    readonly HandDrivenClock _clock = new();

    [Fact]
    public void A_daily_quota_that_is_used_up_is_not_renewed_by_waiting_minutes()
    {
        var quota = new DailyQuota(3, _clock);
        for (var i = 0; i < 3; i++) Assert.True(quota.TryTake(Person("alice"), out _));
        Assert.False(quota.TryTake(Person("alice"), out _));
        for (var minutes = 0; minutes < 7 * 60; minutes += 11)
        {
            _clock.Advance(TimeSpan.FromMinutes(11));      // the table is swept
            Assert.False(quota.TryTake(Person("alice"), out _));
        }
    }

    [Fact]
    public void People_beyond_a_hundred_thousand_share_one_daily_quota()
    {
        var quota = new DailyQuota(1, _clock);
        for (var i = 0; i < 100_000; i++) Assert.True(quota.TryTake(Person($"user{i}"), out _));
        Assert.True(quota.TryTake(Person("one more"), out _));
        Assert.False(quota.TryTake(Person("and another"), out _));
        Assert.False(quota.TryTake(Person("user7"), out _));
        _clock.Advance(TimeSpan.FromDays(1));              // all have rested
        Assert.True(quota.TryTake(Person("one more"), out _));
        Assert.True(quota.TryTake(Person("and another"), out _));
    }

    [Fact]
    public void Requests_that_were_used_up_are_not_renewed_when_the_table_is_swept()
    {
        var shares = new ApiRateLimiter(new AccessOptions { RequestsPerSecondPerUser = 1, RequestBurstPerUser = 1000 }, _clock);
        Assert.Equal(1000, Spend());
        _clock.Advance(TimeSpan.FromSeconds(61));
        Assert.Equal(61, Spend());

        int Spend()
        {
            var spent = 0;
            while (shares.TryAcquire(Person("alice"), out _)) spent++;
            return spent;
        }
    }

    [Fact]
    public void One_person_has_one_share_of_the_audit_log_from_all_addresses()
    {
        var throttle = new RefusalThrottle(_clock, burst: 2);
        Assert.True(throttle.Count("alice", IPAddress.Parse("192.0.2.1"), out _));
        Assert.True(throttle.Count("alice", IPAddress.Parse("192.0.2.2"), out _));
        Assert.False(throttle.Count("alice", IPAddress.Parse("192.0.2.3"), out _));
    }

    [Fact]
    public void What_is_folded_is_written_once()
    {
        var throttle = new RefusalThrottle(_clock, burst: 1);
        for (var i = 0; i < 4; i++) throttle.Count("alice", null, out _);
        _clock.Advance(RefusalThrottle.For);
        Assert.Equal([("alice", null, 3L)], throttle.TakeFolded(10));
        for (var i = 0; i < 3; i++) throttle.Count("alice", null, out _);      // one is written: ten seconds have passed
        _clock.Advance(RefusalThrottle.For);
        Assert.Equal([("alice", null, 2L)], throttle.TakeFolded(10));
        Assert.Empty(throttle.TakeFolded(10));
    }

    [Fact]
    public void Sweeping_the_audit_log_s_shares_gives_nobody_a_new_one()
    {
        var throttle = new RefusalThrottle(_clock, burst: 100);
        Assert.Equal(100, Write("alice", 103));
        _clock.Advance(TimeSpan.FromSeconds(60));
        Assert.Equal(1, Write("bob", 1));                  // somebody new: the table is swept
        Assert.Equal(60, Write("alice", 64));
        _clock.Advance(TimeSpan.FromSeconds(100));         // full again, with entries still to be written
        Assert.Equal(1, Write("carol", 1));
        Assert.Equal(100, Write("alice", 105));
        Assert.Equal([("alice", null, 12L)], throttle.TakeFolded(10));

        int Write(string actor, int entries) => Enumerable.Range(0, entries).Count(_ => throttle.Count(actor, null, out var _));
    }

    [Fact]
    public void A_share_of_the_audit_log_that_is_used_up_to_the_last_entry_is_not_renewed_by_sweeping()
    {
        var throttle = new RefusalThrottle(_clock, burst: 100);
        for (var i = 0; i < 100; i++) Assert.True(throttle.Count("alice", null, out _));
        _clock.Advance(TimeSpan.FromSeconds(60));
        Assert.True(throttle.Count("bob", null, out _));
        Assert.Equal(60, Enumerable.Range(0, 64).Count(_ => throttle.Count("alice", null, out var _)));
    }

    [Fact]
    public void People_beyond_ten_thousand_share_one_share_of_the_audit_log()
    {
        var throttle = new RefusalThrottle(_clock, burst: 1);
        for (var i = 0; i < 10_000; i++) Assert.True(throttle.Count($"user{i}", null, out _));
        Assert.True(throttle.Count("one more", null, out _));
        Assert.False(throttle.Count("and another", null, out _));
        _clock.Advance(RefusalThrottle.For);
        Assert.Equal([(null, null, 1L)], throttle.TakeFolded(10));
    }

    static Caller Person(string id) => new(id, null, [], null);
}
