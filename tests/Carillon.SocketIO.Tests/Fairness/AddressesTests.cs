using System.Net;
using Microsoft.Extensions.Logging.Abstractions;

namespace Carillon.SocketIO.Tests;

/// <summary>The ledger of addresses: what is admitted, what is refused and with what wait, who is banned and forgiven.</summary>
public class AddressesTests
{
    static readonly IPAddress Office = IPAddress.Parse("192.0.2.7");
    static readonly IPAddress Home = IPAddress.Parse("198.51.100.1");

    readonly HandDrivenClock _clock = new();
    readonly FairnessOptions _options = new();

    [Theory]
    [InlineData(0, 0, 0, 0, null, 0)]
    [InlineData(0, 0, 3999, 2499, null, 0)]
    [InlineData(60, 0, 0, 0, "banned", 60)]
    [InlineData(60, 2, 9999, 9999, "banned", 60)]
    [InlineData(0, 2, 0, 0, "rate-limited", 2)]
    [InlineData(0, 2, 9999, 0, "rate-limited", 2)]
    [InlineData(0, 0, 4000, 0, "too-many-connections", 5)]
    [InlineData(0, 0, 4000, 2500, "too-many-connections", 5)]
    [InlineData(0, 0, 2500, 2500, "rate-limited", 1)]
    public void Who_is_let_in(int bannedFor, int wait, int open, int halfOpen, string? code, int retryAfter)
    {
        var refusal = Addresses.Decide(new(TimeSpan.FromSeconds(bannedFor), TimeSpan.FromSeconds(wait), open, halfOpen), _options);

        Assert.Equal(code, refusal?.Code);
        Assert.Equal(retryAfter, refusal?.RetryAfterSeconds ?? 0);
    }

    [Fact]
    public void A_limit_of_zero_is_no_limit()
    {
        (_options.ConnectionsPerAddress, _options.HalfOpenPerAddress) = (0, 0);

        Assert.Null(Addresses.Decide(new(default, default, 1_000_000, 1_000_000), _options));
    }

    [Theory]
    [InlineData(1, 60)]
    [InlineData(2, 240)]
    [InlineData(3, 960)]
    [InlineData(4, 3600)]
    [InlineData(1_000_000, 3600)]
    public void Bans_grow_up_to_the_longest(int strikes, double seconds) =>
        Assert.Equal(seconds, Banning.LengthOf(strikes, _options).TotalSeconds);

    [Theory]
    [InlineData(3, -10, 3)]
    [InlineData(3, 59, 3)]
    [InlineData(3, 60, 2)]
    [InlineData(3, 130, 1)]
    [InlineData(3, 100_000, 0)]
    public void Earlier_bans_are_forgotten_one_by_one(int strikes, int minutesSinceTheLastEnded, int left) =>
        Assert.Equal(left, Banning.StillCounting(strikes, TimeSpan.FromMinutes(minutesSinceTheLastEnded), _options));

    [Fact]
    public void Two_thousand_connections_of_one_address_are_admitted_at_once()
    {
        var ledger = Ledger();
        for (var i = 0; i < 2000; i++) Assert.Null(ledger.Admit(Office));

        Assert.Equal(2000, ledger.Find("192.0.2.7")!.Open);
    }

    [Fact]
    public void An_office_shakes_two_hundred_hands_a_second_all_day()
    {
        var ledger = Ledger();
        for (var second = 0; second < 8 * 60 * 60; second += 60)
        {
            for (var i = 0; i < 200; i++)
            {
                Assert.Null(ledger.Admit(Office));
                ledger.Joined(Office);
                ledger.Closed(Office, halfOpen: false);
            }
            _clock.Advance(TimeSpan.FromSeconds(1));
        }
    }

    [Fact]
    public void An_office_with_a_hundred_refused_handshakes_and_five_hundred_malformed_events_a_minute_is_not_banned()
    {
        var ledger = Ledger();
        for (var minute = 0; minute < 8 * 60; minute++)
        {
            for (var i = 0; i < 100; i++) ledger.Refused(Office);
            for (var i = 0; i < 500; i++) ledger.Malformed(Office);
            Assert.Null(Visit(ledger, Office));
            _clock.Advance(TimeSpan.FromMinutes(1));
        }
        Assert.Empty(ledger.Bans());
    }

    [Fact]
    public void Who_comes_faster_than_allowed_waits_and_others_do_not()
    {
        (_options.HandshakesPerSecond, _options.HandshakeBurst) = (10, 20);
        var ledger = Ledger();
        for (var i = 0; i < 20; i++) Assert.Null(ledger.Admit(Office));

        var refusal = ledger.Admit(Office);
        Assert.Equal("rate-limited", refusal!.Code);
        Assert.Equal(TimeSpan.FromMilliseconds(100), refusal.RetryAfter);
        Assert.Null(ledger.Admit(Home));

        _clock.Advance(refusal.RetryAfter);
        Assert.Null(ledger.Admit(Office));
        Assert.Equal(21, ledger.Find("192.0.2.7")!.Open);
    }

    [Fact]
    public void Being_told_to_wait_is_no_offence()
    {
        (_options.HandshakesPerSecond, _options.HandshakeBurst) = (1, 1);
        var ledger = Ledger();
        for (var i = 0; i < 100_000; i++) ledger.Admit(Office);

        Assert.Empty(ledger.Bans());
    }

    [Fact]
    public void Half_open_connections_make_room_when_they_join()
    {
        _options.HalfOpenPerAddress = 2;
        var ledger = Ledger();
        Assert.Null(ledger.Admit(Office));
        Assert.Null(ledger.Admit(Office));
        Assert.Equal("rate-limited", ledger.Admit(Office)!.Code);

        ledger.Joined(Office);
        Assert.Null(ledger.Admit(Office));
        Assert.Equal((3, 2), (ledger.Find("192.0.2.7")!.Open, ledger.Find("192.0.2.7")!.HalfOpen));
    }

    [Fact]
    public void Too_many_refusals_ban_and_the_ban_grows_with_repetition_and_is_forgotten()
    {
        (_options.RefusedHandshakesPerMinute, _options.ForgetBanAfter) = (5, TimeSpan.FromHours(2));
        var ledger = Ledger();
        foreach (var minutes in new[] { 1, 4, 16, 60, 60 })
        {
            Offend();
            Assert.Equal(TimeSpan.FromMinutes(minutes), ledger.Admit(Office)!.RetryAfter);
            Assert.Equal("banned", ledger.Admit(Office)!.Code);
            _clock.Advance(TimeSpan.FromMinutes(minutes));
            Assert.Null(Visit(ledger, Office));
        }

        _clock.Advance(TimeSpan.FromHours(2) * 5);
        Offend();
        Assert.Equal(TimeSpan.FromMinutes(1), ledger.Admit(Office)!.RetryAfter);

        void Offend()
        {
            for (var i = 0; i <= 5; i++) ledger.Refused(Office);
        }
    }

    [Fact]
    public void Malformed_packets_ban_too()
    {
        _options.MalformedPerMinute = 10;
        var ledger = Ledger();
        for (var i = 0; i < 10; i++) ledger.Malformed(Office);
        Assert.Null(Visit(ledger, Office));
        ledger.Malformed(Office);

        Assert.Equal("banned", ledger.Admit(Office)!.Code);
        Assert.Equal([new Ban("192.0.2.7", _clock.GetUtcNow().AddMinutes(1), 1, "malformed packets")], ledger.Bans());
    }

    [Fact]
    public void A_ban_holds_for_the_whole_network_of_a_customer()
    {
        var ledger = Ledger();
        ledger.Ban(IPAddress.Parse("2001:db8::1"), TimeSpan.FromMinutes(3));

        Assert.Equal("banned", ledger.Admit(IPAddress.Parse("2001:db8::ffff:1"))!.Code);
        Assert.Null(ledger.Admit(IPAddress.Parse("2001:db8:0:1::1")));
        Assert.Equal("2001:db8::/64", Assert.Single(ledger.Bans()).Address);
    }

    [Fact]
    public void A_lifted_ban_is_over_and_forgotten()
    {
        var ledger = Ledger();
        ledger.Ban(Office, TimeSpan.FromDays(1));
        Assert.False(ledger.Lift("198.51.100.1"));
        Assert.True(ledger.Lift("192.0.2.7"));

        Assert.Null(ledger.Admit(Office));
        Assert.Equal(0, ledger.Find("192.0.2.7")!.Strikes);
        Assert.False(ledger.Lift("192.0.2.7"));
    }

    [Theory]
    [InlineData("192.0.2.7")]
    [InlineData("192.0.2.0/24")]
    public void Who_is_on_the_allow_list_is_neither_limited_nor_banned(string allowed)
    {
        _options.AllowList.Add(allowed);
        (_options.HandshakesPerSecond, _options.HandshakeBurst, _options.ConnectionsPerAddress, _options.MalformedPerMinute) = (1, 1, 1, 1);
        var ledger = Ledger();
        for (var i = 0; i < 100; i++)
        {
            Assert.Null(ledger.Admit(Office));
            ledger.Malformed(Office);
            ledger.Refused(Office);
        }

        Assert.Empty(ledger.Bans());
        Assert.Null(ledger.Admit(IPAddress.Parse("::ffff:192.0.2.7")));
        Assert.Equal(101, ledger.Find("192.0.2.7")!.Open);
    }

    [Fact]
    public void Wrong_keys_make_wait_and_do_not_ban()
    {
        _options.FailedCredentialsPerMinute = 3;
        var ledger = Ledger();
        for (var i = 0; i < 10; i++) ledger.Failed(Office);

        Assert.False(ledger.MayTry(Office, out var wait));
        Assert.Equal(TimeSpan.FromSeconds(20), wait);
        Assert.True(ledger.MayTry(Home, out _));
        Assert.Null(ledger.Admit(Office));
        _clock.Advance(wait);
        Assert.True(ledger.MayTry(Office, out _));
    }

    [Fact]
    public void Switched_off_it_counts_nothing()
    {
        _options.LimitAddresses = false;
        var ledger = Ledger();
        for (var i = 0; i < 100_000; i++)
        {
            Assert.Null(ledger.Admit(Office));
            ledger.Malformed(Office);
        }
        Assert.Equal(0, ledger.Count);
    }

    [Fact]
    public void An_unknown_address_is_not_limited()
    {
        var ledger = Ledger();
        for (var i = 0; i < 10_000; i++) Assert.Null(ledger.Admit(null));
        Assert.Equal(0, ledger.Count);
    }

    [Fact]
    public async Task Counts_are_exact_however_many_come_and_go_at_once()
    {
        (_options.HandshakesPerSecond, _options.ConnectionsPerAddress) = (0, 500);
        var ledger = Ledger();
        var admitted = 0;
        await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(() =>
        {
            for (var i = 0; i < 1000; i++)
                if (ledger.Admit(Office) is null) Interlocked.Increment(ref admitted);
        })));
        Assert.Equal(500, admitted);

        await Task.WhenAll(Enumerable.Range(0, 5).Select(worker => Task.Run(() =>
        {
            for (var i = 0; i < 100; i++)
            {
                if (i % 2 == 0) ledger.Joined(Office);
                ledger.Closed(Office, halfOpen: i % 2 == 1);
            }
        })));
        Assert.Equal((0, 0), (ledger.Find("192.0.2.7")!.Open, ledger.Find("192.0.2.7")!.HalfOpen));
    }

    [Fact]
    public void Addresses_that_left_nothing_behind_are_forgotten()
    {
        var ledger = Ledger();
        for (var i = 0; i < 1000; i++) Assert.Null(Visit(ledger, Stranger(i)));
        _clock.Advance(TimeSpan.FromMinutes(2));
        for (var i = 1000; i < 1600; i++) Assert.Null(Visit(ledger, Stranger(i)));

        Assert.InRange(ledger.Count, 600, 601);
    }

    [Fact]
    public void Memory_is_bounded_whatever_addresses_come_and_bans_are_forgotten_last()
    {
        var ledger = Ledger();
        ledger.Ban(Office, TimeSpan.FromDays(1));
        Assert.Null(ledger.Admit(Home));
        for (var i = 0; i < 3 * Addresses.Remembered; i++) Visit(ledger, Stranger(i));

        Assert.InRange(ledger.Count, Addresses.Remembered, Addresses.Remembered + 3);
        Assert.Equal("banned", ledger.Admit(Office)!.Code);
        Assert.Equal(1, ledger.Find("198.51.100.1")!.Open);
    }

    [Fact]
    public void Even_bans_are_bounded()
    {
        var ledger = Ledger();
        for (var i = 0; i < Addresses.Remembered + 1000; i++) ledger.Ban(Stranger(i), TimeSpan.FromDays(1));

        Assert.InRange(ledger.Count, Addresses.Remembered, Addresses.Remembered + 3);
    }

    [Fact]
    public void The_busiest_come_first()
    {
        var ledger = Ledger();
        foreach (var (address, count) in new[] { (Office, 3), (Home, 5), (Stranger(1), 1) })
            for (var i = 0; i < count; i++) Assert.Null(ledger.Admit(address));

        Assert.Equal([("198.51.100.1", 5), ("192.0.2.7", 3)], ledger.Busiest(2).Select(a => (a.Address, a.Open)));
    }

    Addresses Ledger() => new(_options, _clock, NullLogger.Instance);

    static Refusal? Visit(Addresses ledger, IPAddress address)
    {
        var refusal = ledger.Admit(address);
        if (refusal is null) ledger.Closed(address, halfOpen: true);
        return refusal;
    }

    static IPAddress Stranger(int i) => new([10, (byte)(i >> 16), (byte)(i >> 8), (byte)i]);
}
