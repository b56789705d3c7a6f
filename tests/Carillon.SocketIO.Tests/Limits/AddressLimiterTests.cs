using System.Net;
using Carillon.SocketIO.Engine;
using Carillon.SocketIO.Limits;
using Carillon.TestTools;
using Microsoft.Extensions.Logging.Abstractions;

namespace Carillon.SocketIO.Tests;

/// <summary>The ledger of addresses: what is admitted, what is refused and with what wait, who is banned and forgiven.</summary>
public class AddressLimiterTests
{
    static readonly IPAddress Office = IPAddress.Parse("192.0.2.7");
    static readonly IPAddress Home = IPAddress.Parse("198.51.100.1");

    readonly HandDrivenClock _clock = new(timersToo: true);
    readonly LimitOptions _options = new();

    [Theory]
    [InlineData(0, 0, 0, 0, null, 0)]
    [InlineData(0, 0, 3999, 4999, null, 0)]
    [InlineData(60, 0, 0, 0, "banned", 60)]
    [InlineData(60, 2, 9999, 9999, "banned", 60)]
    [InlineData(0, 2, 0, 0, "rate-limited", 2)]
    [InlineData(0, 2, 9999, 0, "rate-limited", 2)]
    [InlineData(0, 0, 4000, 0, "too-many-connections", 5)]
    [InlineData(0, 0, 4000, 5000, "too-many-connections", 5)]
    [InlineData(0, 0, 2500, 5000, "rate-limited", 1)]
    public void Who_is_let_in(int bannedFor, int wait, int open, int halfOpen, string? code, int retryAfter)
    {
        var refusal = AddressLimiter.Decide(new(TimeSpan.FromSeconds(bannedFor), TimeSpan.FromSeconds(wait), open, halfOpen), _options);

        Assert.Equal(code, refusal?.Code);
        Assert.Equal(retryAfter, refusal?.RetryAfterSeconds ?? 0);
    }

    [Fact]
    public void A_limit_of_zero_is_no_limit()
    {
        (_options.ConnectionsPerAddress, _options.HalfOpenPerAddress) = (0, 0);

        Assert.Null(AddressLimiter.Decide(new(default, default, 1_000_000, 1_000_000), _options));
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

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Idle_sessions_give_arrivals_no_more_room_than_they_take(bool awaitsJoin)
    {
        var options = new EngineOptions();
        options.Limits.HalfOpenPerAddress = 5;
        var engine = new EngineServer(options, _ => { }, _clock) { AwaitsJoin = awaitsJoin };
        for (var i = 0; i < 3; i++)
        {
            Assert.Null(engine.Enter(Office, webSocket: false));
            var session = new EngineSocket(engine, new Handshake("/", [], Office, default), webSocket: false, base64: false);
            if (!awaitsJoin) session.CountAsJoined();
            session.IdlePlace = engine.Addresses.AddIdle(Office, session);
        }
        var arrived = 0;
        while (engine.Addresses.OnAccepted(Office) is null) arrived++;
        Assert.Equal(5, arrived);
    }

    [Fact]
    public void Two_thousand_connections_of_one_address_are_admitted_at_once()
    {
        var ledger = Ledger();
        for (var i = 0; i < 2000; i++) Assert.Null(ledger.AdmitWebSocket(Office, out _));

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
                Assert.Null(ledger.AdmitWebSocket(Office, out _));
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
        for (var i = 0; i < 20; i++) Assert.Null(ledger.AdmitWebSocket(Office, out _));

        var refusal = ledger.AdmitWebSocket(Office, out _);
        Assert.Equal("rate-limited", refusal!.Code);
        Assert.Equal(TimeSpan.FromMilliseconds(100), refusal.RetryAfter);
        Assert.Null(ledger.AdmitWebSocket(Home, out _));

        _clock.Advance(refusal.RetryAfter);
        Assert.Null(ledger.AdmitWebSocket(Office, out _));
        Assert.Equal(21, ledger.Find("192.0.2.7")!.Open);
    }

    [Fact]
    public void Being_told_to_wait_is_no_offence()
    {
        (_options.HandshakesPerSecond, _options.HandshakeBurst) = (1, 1);
        var ledger = Ledger();
        for (var i = 0; i < 5001; i++) ledger.AdmitWebSocket(Office, out _);

        Assert.Empty(ledger.Bans());
        Assert.Equal("rate-limited", ledger.AdmitWebSocket(Office, out _)!.Code);
    }

    [Fact]
    public void Not_heeding_it_is_one()
    {
        (_options.HandshakesPerSecond, _options.HandshakeBurst) = (1, 1);
        var ledger = Ledger();
        for (var i = 0; i < 5002; i++) ledger.AdmitWebSocket(Office, out _);

        Assert.Equal("handshakes in spite of 429", Assert.Single(ledger.Bans()).Reason);
        Assert.Equal("banned", ledger.AdmitWebSocket(Office, out _)!.Code);
        _clock.Advance(TimeSpan.FromMinutes(1));
        Assert.Null(ledger.AdmitWebSocket(Office, out _));
    }

    [Fact]
    public void Knocking_while_all_places_are_taken_is_none()
    {
        _options.ConnectionsPerAddress = 10;
        var ledger = Ledger();
        for (var i = 0; i < 10; i++) Assert.Null(ledger.AdmitWebSocket(Office, out _));
        for (var second = 0; second < 60; second++)
        {
            for (var i = 0; i < 200; i++) Assert.Equal("too-many-connections", ledger.AdmitWebSocket(Office, out _)!.Code);
            _clock.Advance(TimeSpan.FromSeconds(1));
        }

        Assert.Empty(ledger.Bans());
    }

    [Theory]
    [InlineData(2000)]
    [InlineData(8000)]
    public void A_loop_of_handshakes_is_banned_within_ten_seconds(int perSecond)
    {
        var ledger = Ledger();
        for (var i = 0; i < 10 * perSecond; i++)
        {
            Visit(ledger, Office);
            _clock.Advance(TimeSpan.FromSeconds(1.0 / perSecond));
        }

        Assert.Equal("handshakes in spite of 429", Assert.Single(ledger.Bans()).Reason);
    }

    // Stock clients come back after 1, 2, 4 and then 5 seconds, half of it more or less; each browser opens a spare connection besides, which says nothing.
    [Theory]
    [InlineData(0)]
    [InlineData(1000)]
    public void An_office_of_2500_that_comes_back_at_once_is_in_within_seconds_and_not_banned(int firstWithinMilliseconds)
    {
        var chance = new Random(7);
        var ledger = Ledger();
        var due = new PriorityQueue<(int Tries, bool IsSpare), double>();
        for (var client = 0; client < 2500; client++)
        {
            due.Enqueue((0, false), chance.NextDouble() * firstWithinMilliseconds);
            due.Enqueue((0, true), chance.NextDouble() * firstWithinMilliseconds);
        }
        var (now, told, inside) = (0.0, 0, 0);
        var spares = new Queue<double>();
        while (due.TryDequeue(out var client, out var at))
        {
            _clock.Advance(TimeSpan.FromMilliseconds(Math.Max(0, at - now)));
            now = Math.Max(now, at);
            while (spares.TryPeek(out var end) && end <= now)
            {
                spares.Dequeue();
                ledger.OnAborted(Office);
            }
            var refusal = ledger.OnAccepted(Office);
            if (client.IsSpare)
            {
                if (refusal is null) spares.Enqueue(now + 10_000);
                continue;
            }
            if (refusal is null) ledger.OnRequest(Office);
            refusal ??= ledger.AdmitWebSocket(Office, out _);
            if (refusal is null)
            {
                ledger.Joined(Office);
                inside++;
                continue;
            }
            told++;
            due.Enqueue((client.Tries + 1, false), now + Math.Min(5000, 1000 * Math.Pow(2, client.Tries)) * (0.5 + chance.NextDouble()));
        }
        foreach (var _ in spares) ledger.OnAborted(Office);

        Assert.Equal(2500, inside);
        Assert.InRange(told, 0, 1000);
        Assert.InRange(now, 0, 10_000);
        Assert.Empty(ledger.Bans());
        Assert.Equal((2500, 0), (ledger.Find("192.0.2.7")!.Open, ledger.Find("192.0.2.7")!.HalfOpen));
    }

    [Theory]
    [InlineData(0.3, 10, true)]        // 50,000 events a second, and back at once
    [InlineData(1.25, 60, true)]       // the same with a stock client's back-off
    [InlineData(3, 3600, false)]       // a faulty page: 4,000 events a second are refused after five seconds
    [InlineData(6.5, 3600, false)]
    public void Who_floods_events_is_banned_if_it_is_closed_more_often_than_every_three_seconds(double closedEvery, double seconds, bool isBanned)
    {
        var ledger = Ledger();
        for (var second = 0.0; second < seconds && ledger.Bans().Count == 0; second += closedEvery)
        {
            ledger.Flooded(Office);
            _clock.Advance(TimeSpan.FromSeconds(closedEvery));
        }

        Assert.Equal(isBanned ? ["connections that flooded events"] : [], ledger.Bans().Select(ban => ban.Reason));
    }

    [Fact]
    public void Who_arrives_is_half_open_until_it_is_known_what_it_is()
    {
        _options.HalfOpenPerAddress = 2;
        var ledger = Ledger();
        Assert.Null(ledger.OnAccepted(Office));
        Assert.Null(ledger.OnAccepted(Office));
        Assert.Equal("rate-limited", ledger.OnAccepted(Office)!.Code);
        Assert.Equal("rate-limited", ledger.AdmitWebSocket(Office, out _)!.Code);
        Assert.Equal((0, 2), (ledger.Find("192.0.2.7")!.Open, ledger.Find("192.0.2.7")!.HalfOpen));
        Assert.Equal(["192.0.2.7"], ledger.Busiest(1).Select(a => a.Address));
        Assert.Null(ledger.OnAccepted(Home));

        ledger.OnRequest(Office);
        Assert.Null(ledger.AdmitWebSocket(Office, out _));
        ledger.OnAborted(Office);
        Assert.Null(ledger.OnAccepted(Office));
        Assert.Equal("rate-limited", ledger.OnAccepted(Office)!.Code);
    }

    [Fact]
    public void An_address_has_as_many_TCP_connections_as_it_may_whatever_they_carry()
    {
        var ledger = Ledger();
        ledger.SocketsPerAddress = 2;
        for (var i = 0; i < 2; i++)
        {
            Assert.Null(ledger.OnAccepted(Office));
            ledger.OnRequest(Office);      // an HTTP connection that is kept open
        }
        Assert.Equal("too-many-connections", ledger.OnAccepted(Office)!.Code);
        Assert.Null(ledger.OnAccepted(Home));
        // They count though nothing else does of the address, and however many others come.
        for (var i = 0; i < 3 * AddressLimiter.Remembered; i++) Visit(ledger, Stranger(i));
        Assert.Equal("too-many-connections", ledger.OnAccepted(Office)!.Code);

        ledger.Disconnected(Office);
        Assert.Null(ledger.OnAccepted(Office));
        ledger.OnRequest(Office);
        Assert.Equal("too-many-connections", ledger.OnAccepted(Office)!.Code);
    }

    [Fact]
    public void A_ban_ends_with_nothing_held_against_the_address_but_the_ban()
    {
        (_options.MalformedPerMinute, _options.RefusedHandshakesPerMinute) = (10, 10);
        var ledger = Ledger();
        for (var i = 0; i < 11; i++) ledger.Malformed(Office);
        Assert.Equal("banned", ledger.AdmitWebSocket(Office, out _)!.Code);
        // What is under way when the ban begins makes it neither longer nor a second one.
        for (var i = 0; i < 100; i++) ledger.Refused(Office);
        Assert.Equal((1, TimeSpan.FromMinutes(1)), (Assert.Single(ledger.Bans()).Strikes, ledger.AdmitWebSocket(Office, out _)!.RetryAfter));

        _clock.Advance(TimeSpan.FromMinutes(1));
        for (var i = 0; i < 10; i++) ledger.Malformed(Office);
        Assert.Empty(ledger.Bans());

        _options.MalformedPerMinute = 1000;
        ledger = Ledger();
        for (var i = 0; i < 1001; i++) ledger.Malformed(Office);
        _clock.Advance(TimeSpan.FromSeconds(50));
        ledger.Unban("192.0.2.7");
        for (var i = 0; i < 1000; i++) ledger.Malformed(Office);      // as many as a full bucket holds, after 50 of the 60 seconds in which an empty one is full
        Assert.Empty(ledger.Bans());
    }

    [Fact]
    public void Handshakes_during_a_ban_take_nothing_from_the_time_after_it()
    {
        (_options.HandshakesPerSecond, _options.HandshakeBurst) = (1, 1000);
        var ledger = Ledger();
        ledger.Ban(Office, TimeSpan.FromSeconds(1));
        for (var i = 0; i < 1000; i++) Assert.Equal("banned", ledger.AdmitWebSocket(Office, out _)!.Code);
        _clock.Advance(TimeSpan.FromSeconds(1));
        for (var i = 0; i < 1000; i++) Assert.Null(ledger.AdmitWebSocket(Office, out _));
    }

    [Fact]
    public void A_ban_by_hand_is_a_strike_and_the_next_offence_is_banned_for_longer()
    {
        _options.MalformedPerMinute = 10;
        var ledger = Ledger();
        ledger.Ban(Office, TimeSpan.FromSeconds(1));
        _clock.Advance(TimeSpan.FromSeconds(1));
        for (var i = 0; i < 11; i++) ledger.Malformed(Office);
        Assert.Equal((2, TimeSpan.FromMinutes(4)), (Assert.Single(ledger.Bans()).Strikes, ledger.AdmitWebSocket(Office, out _)!.RetryAfter));
    }

    [Fact]
    public void What_an_address_has_spent_is_not_forgotten_when_others_come()
    {
        (_options.HandshakesPerSecond, _options.HandshakeBurst, _options.FailedCredentialsPerMinute) = (1, 1000, 3);
        var ledger = Ledger();
        for (var i = 0; i < 3; i++) ledger.Failed(Office);
        for (var i = 0; i < 1000; i++)
        {
            Assert.Null(ledger.AdmitRequest(Home, out _));
            ledger.Closed(Home, halfOpen: true);
        }
        for (var i = 0; i < 100; i++) Assert.Null(Visit(ledger, Stranger(i)));
        Assert.False(ledger.MayTry(Office, out _));
        Assert.Equal("rate-limited", ledger.AdmitRequest(Home, out _)!.Code);
    }

    [Fact]
    public void Who_is_banned_is_turned_away_on_arrival()
    {
        var ledger = Ledger();
        ledger.Ban(Office, TimeSpan.FromMinutes(1));

        Assert.Equal(new("banned", TimeSpan.FromMinutes(1)), ledger.OnAccepted(Office));
        Assert.Equal(0, ledger.Find("192.0.2.7")!.HalfOpen);
        _clock.Advance(TimeSpan.FromMinutes(1));
        Assert.Null(ledger.OnAccepted(Office));
    }

    [Fact]
    public void Arrivals_beyond_the_half_open_ban_when_they_go_on()
    {
        _options.HalfOpenPerAddress = 1;
        var ledger = Ledger();
        ledger.OnAccepted(Office);
        for (var i = 0; i < 5001; i++) Assert.Equal("rate-limited", ledger.OnAccepted(Office)!.Code);

        Assert.Equal("banned", ledger.OnAccepted(Office)!.Code);
    }

    [Fact]
    public void Connections_that_come_to_nothing_are_let_pass_and_a_storm_of_them_is_not()
    {
        var ledger = Ledger();
        for (var second = 0; second < 600; second++)
        {
            for (var i = 0; i < 400; i++) ComeToNothing();
            _clock.Advance(TimeSpan.FromSeconds(1));
        }
        Assert.Empty(ledger.Bans());

        for (var i = 0; i < 2000 + 5001; i++) ComeToNothing();
        Assert.Single(ledger.Bans());

        void ComeToNothing()
        {
            Assert.Null(ledger.OnAccepted(Office));
            ledger.OnAborted(Office);
        }
    }

    [Fact]
    public void Half_open_connections_make_room_when_they_join()
    {
        _options.HalfOpenPerAddress = 2;
        var ledger = Ledger();
        Assert.Null(ledger.AdmitWebSocket(Office, out _));
        Assert.Null(ledger.AdmitWebSocket(Office, out _));
        Assert.Equal("rate-limited", ledger.AdmitWebSocket(Office, out _)!.Code);

        ledger.Joined(Office);
        Assert.Null(ledger.AdmitWebSocket(Office, out _));
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
            Assert.Equal(TimeSpan.FromMinutes(minutes), ledger.AdmitWebSocket(Office, out _)!.RetryAfter);
            Assert.Equal("banned", ledger.AdmitWebSocket(Office, out _)!.Code);
            _clock.Advance(TimeSpan.FromMinutes(minutes));
            Assert.Null(Visit(ledger, Office));
        }

        _clock.Advance(TimeSpan.FromHours(2) * 5);
        Offend();
        Assert.Equal(TimeSpan.FromMinutes(1), ledger.AdmitWebSocket(Office, out _)!.RetryAfter);

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

        Assert.Equal("banned", ledger.AdmitWebSocket(Office, out _)!.Code);
        Assert.Equal([new Ban("192.0.2.7", _clock.GetUtcNow().AddMinutes(1), 1, "malformed packets")], ledger.Bans());
    }

    [Fact]
    public void A_ban_holds_for_the_whole_network_of_a_customer()
    {
        var ledger = Ledger();
        ledger.Ban(IPAddress.Parse("2001:db8::1"), TimeSpan.FromMinutes(3));

        Assert.Equal("banned", ledger.AdmitWebSocket(IPAddress.Parse("2001:db8::ffff:1"), out _)!.Code);
        Assert.Null(ledger.AdmitWebSocket(IPAddress.Parse("2001:db8:0:1::1"), out _));
        Assert.Equal("2001:db8::/64", Assert.Single(ledger.Bans()).Address);
    }

    [Fact]
    public void A_lifted_ban_is_over_and_forgotten()
    {
        var ledger = Ledger();
        ledger.Ban(Office, TimeSpan.FromDays(1));
        Assert.False(ledger.Unban("198.51.100.1"));
        Assert.True(ledger.Unban("192.0.2.7"));

        Assert.Null(ledger.AdmitWebSocket(Office, out _));
        Assert.Equal(0, ledger.Find("192.0.2.7")!.Strikes);
        Assert.False(ledger.Unban("192.0.2.7"));
    }

    [Theory]
    [InlineData("192.0.2.7")]
    [InlineData("192.0.2.0/24")]
    public void Who_is_on_the_allow_list_is_neither_limited_nor_banned(string allowed)
    {
        _options.AllowList.Add(allowed);
        (_options.HandshakesPerSecond, _options.HandshakeBurst, _options.ConnectionsPerAddress, _options.MalformedPerMinute) = (1, 1, 1, 1);
        _options.HalfOpenPerAddress = 1;
        var ledger = Ledger();
        for (var i = 0; i < 100; i++)
        {
            Assert.Null(ledger.AdmitWebSocket(Office, out _));
            Assert.Null(ledger.OnAccepted(Office));
            ledger.Malformed(Office);
            ledger.Refused(Office);
            ledger.Flooded(Office);
        }

        Assert.Empty(ledger.Bans());
        Assert.Null(ledger.AdmitWebSocket(IPAddress.Parse("::ffff:192.0.2.7"), out _));
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
        Assert.Null(ledger.AdmitWebSocket(Office, out _));
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
            Assert.Null(ledger.AdmitWebSocket(Office, out _));
            ledger.Malformed(Office);
        }
        Assert.Equal(0, ledger.Count);
    }

    [Fact]
    public void An_unknown_address_is_not_limited()
    {
        var ledger = Ledger();
        for (var i = 0; i < 10_000; i++) Assert.Null(ledger.AdmitWebSocket(null, out _));
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
                if (ledger.AdmitWebSocket(Office, out object? _) is null) Interlocked.Increment(ref admitted);
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
        Assert.Null(ledger.AdmitWebSocket(Home, out _));
        for (var i = 0; i < 3 * AddressLimiter.Remembered; i++) Visit(ledger, Stranger(i));

        Assert.InRange(ledger.Count, AddressLimiter.Remembered, AddressLimiter.Remembered + 3);
        Assert.Equal("banned", ledger.AdmitWebSocket(Office, out _)!.Code);
        Assert.Equal(1, ledger.Find("198.51.100.1")!.Open);
    }

    [Fact]
    public void Even_bans_are_bounded()
    {
        var ledger = Ledger();
        for (var i = 0; i < AddressLimiter.Remembered + 1000; i++) ledger.Ban(Stranger(i), TimeSpan.FromDays(1));

        Assert.InRange(ledger.Count, AddressLimiter.Remembered, AddressLimiter.Remembered + 3);
    }

    [Fact]
    public void The_busiest_come_first()
    {
        var ledger = Ledger();
        foreach (var (address, count) in new[] { (Office, 3), (Home, 5), (Stranger(1), 1) })
            for (var i = 0; i < count; i++) Assert.Null(ledger.AdmitWebSocket(address, out _));

        Assert.Equal([("198.51.100.1", 5), ("192.0.2.7", 3)], ledger.Busiest(2).Select(a => (a.Address, a.Open)));
    }

    AddressLimiter Ledger() => new(_options, _clock, NullLogger.Instance);

    static Refusal? Visit(AddressLimiter ledger, IPAddress address)
    {
        var refusal = ledger.AdmitWebSocket(address, out _);
        if (refusal is null) ledger.Closed(address, halfOpen: true);
        return refusal;
    }

    static IPAddress Stranger(int i) => new([10, (byte)(i >> 16), (byte)(i >> 8), (byte)i]);
}
