using Carillon.SocketIO.Limits;
using Carillon.TestTools;

namespace Carillon.SocketIO.Tests;

/// <summary>What one connection and one account may spend.</summary>
public class BudgetTests
{
    readonly HandDrivenClock _clock = new(timersToo: true);
    readonly LimitOptions _options = new();

    [Fact]
    public void A_connection_spends_its_burst_and_then_its_rate()
    {
        (_options.PerConnection.EventsPerSecond, _options.PerConnection.EventBurst) = (10, 100);
        var budget = NewBudget();
        for (var i = 0; i < 100; i++) Assert.True(budget.TryAcquire(1, Now, out _));

        Assert.False(budget.TryAcquire(1, Now, out var retryAfter));
        Assert.Equal(TimeSpan.FromMilliseconds(100), retryAfter);
        _clock.Advance(retryAfter);
        Assert.True(budget.TryAcquire(1, Now, out _));
    }

    [Fact]
    public void Bytes_are_counted_and_what_is_refused_costs_nothing()
    {
        (_options.PerConnection.BytesPerSecond, _options.PerConnection.ByteBurst) = (1000, 1000);
        (_options.PerConnection.EventsPerSecond, _options.PerConnection.EventBurst) = (1, 2);
        var budget = NewBudget();
        Assert.True(budget.TryAcquire(900, Now, out _));
        for (var i = 0; i < 10; i++) Assert.False(budget.TryAcquire(200, Now, out _));

        Assert.True(budget.TryAcquire(100, Now, out _));
    }

    [Fact]
    public void Connections_of_an_account_share_what_is_the_account_s()
    {
        (_options.PerAccount.EventsPerSecond, _options.PerAccount.EventBurst) = (1, 3);
        (_options.PerConnection.EventsPerSecond, _options.PerConnection.EventBurst) = (1, 2);
        var account = new Accounts(_options, _clock).Enter("alice")!;
        var (phone, laptop) = (NewBudget(), NewBudget());
        phone.Exchange(account);
        laptop.Exchange(account);
        Assert.True(phone.TryAcquire(1, Now, out _));
        Assert.True(phone.TryAcquire(1, Now, out _));
        Assert.True(laptop.TryAcquire(1, Now, out _));
        Assert.False(laptop.TryAcquire(1, Now, out var retryAfter));
        Assert.Equal(TimeSpan.FromSeconds(1), retryAfter);

        laptop.Exchange(null);
        Assert.True(laptop.TryAcquire(1, Now, out _));   // its own was given back
    }

    [Fact]
    public void Expensive_operations_are_counted_apart()
    {
        (_options.PerConnection.OperationsPerSecond, _options.PerConnection.OperationBurst) = (1, 2);
        var budget = NewBudget();
        Assert.True(budget.TryAcquireOperations(2, Now, out _));

        Assert.False(budget.TryAcquireOperations(1, Now, out var retryAfter));
        Assert.Equal(TimeSpan.FromSeconds(1), retryAfter);
        Assert.True(budget.TryAcquire(1, Now, out _));
    }

    [Fact]
    public void Operations_that_the_account_refuses_cost_the_connection_nothing()
    {
        (_options.PerAccount.OperationsPerSecond, _options.PerAccount.OperationBurst) = (1, 2);
        (_options.PerConnection.OperationsPerSecond, _options.PerConnection.OperationBurst) = (1, 2);
        var account = new Accounts(_options, _clock).Enter("alice")!;
        var (phone, laptop) = (NewBudget(), NewBudget());
        phone.Exchange(account);
        laptop.Exchange(account);
        Assert.True(phone.TryAcquireOperations(2, Now, out _));
        for (var i = 0; i < 10; i++) Assert.False(laptop.TryAcquireOperations(2, Now, out _));

        laptop.Exchange(null);
        Assert.True(laptop.TryAcquireOperations(2, Now, out _));
    }

    [Fact]
    public void Bytes_that_were_let_in_already_are_owed_by_the_connection_and_by_the_account()
    {
        (_options.PerAccount.BytesPerSecond, _options.PerAccount.ByteBurst) = (1000, 1000);
        (_options.PerConnection.BytesPerSecond, _options.PerConnection.ByteBurst) = (1000, 1000);
        var account = new Accounts(_options, _clock).Enter("alice")!;
        var (phone, laptop) = (NewBudget(), NewBudget());
        phone.Exchange(account);
        laptop.Exchange(account);
        phone.Spend(5000, Now);
        foreach (var budget in new[] { phone, laptop })
        {
            Assert.False(budget.TryAcquire(1, Now, out var retryAfter));
            Assert.InRange(retryAfter, TimeSpan.FromSeconds(4), TimeSpan.FromSeconds(5));
        }
        phone.Exchange(null);
        Assert.False(phone.TryAcquire(1, Now, out _));
        laptop.Exchange(null);
        Assert.True(laptop.TryAcquire(1, Now, out _));
    }

    [Fact]
    public void Before_the_join_a_connection_has_less_to_spend()
    {
        var budget = NewBudget();
        var events = 0;
        while (budget.TryAcquire(1, Now, out _, beforeJoin: true)) events++;
        Assert.Equal(250, events);
        var other = NewBudget();
        var bytes = 0;
        while (other.TryAcquire(16 * 1024, Now, out _, beforeJoin: true)) bytes += 16 * 1024;
        Assert.Equal(256 * 1024, bytes);
        _clock.Advance(TimeSpan.FromSeconds(1));
        while (other.TryAcquire(16 * 1024, Now, out _, beforeJoin: true)) bytes += 16 * 1024;
        Assert.Equal((256 + 64) * 1024, bytes);
    }

    [Fact]
    public void What_was_spent_before_the_join_is_no_debt_after_it()
    {
        _options.PerConnection.ByteBurst = 8_000_000;
        var budget = NewBudget();
        for (var i = 0; i < 8; i++) Assert.True(budget.TryAcquire(32 * 1024, Now, out _, beforeJoin: true));
        budget.Spend(32 * 1024, Now, beforeJoin: true);
        Assert.False(budget.TryAcquire(1024, Now, out _, beforeJoin: true));

        for (var i = 0; i < 8; i++) Assert.True(budget.TryAcquire(1_000_000, Now, out _));
        Assert.False(budget.TryAcquire(1024, Now, out _));      // and it begins anew once only
    }

    [Fact]
    public void What_an_account_refuses_is_given_back_at_the_rate_at_which_it_was_taken()
    {
        (_options.PerAccount.BytesPerSecond, _options.PerAccount.ByteBurst) = (1, 1000);
        var account = new Accounts(_options, _clock).Enter("alice")!;
        var (first, second) = (NewBudget(), NewBudget());
        first.Exchange(account);
        second.Exchange(account);
        Assert.True(first.TryAcquire(1000, Now, out _, beforeJoin: true));
        for (var i = 0; i < 300; i++) Assert.False(second.TryAcquire(1000, Now, out _, beforeJoin: true));
        second.Exchange(null);
        for (var i = 0; i < 250; i++) Assert.True(second.TryAcquire(1000, Now, out _, beforeJoin: true));
    }

    [Fact]
    public void A_screen_that_subscribes_to_a_thousand_channels_at_once_is_within_its_budget()
    {
        var budget = NewBudget();
        for (var i = 0; i < 1000; i++)
        {
            Assert.True(budget.TryAcquire(200, Now, out _));
            Assert.True(budget.TryAcquireOperations(1, Now, out _));
        }
    }

    [Theory]
    [InlineData(1, 1000, false)]
    [InlineData(1000, 1000, false)]
    [InlineData(1001, 1000, true)]
    [InlineData(1_000_000, 0, false)]
    public void Who_does_not_heed_refusals_is_closed(int refusals, int limit, bool closed) =>
        Assert.Equal(closed ? RateLimitAction.Disconnect : RateLimitAction.Refuse, ConnectionLimiter.Decide(refusals, limit));

    [Fact]
    public void Refusals_are_counted_within_their_window()
    {
        _options.RefusalsBeforeDisconnect = 10;
        var budget = NewBudget();
        for (var round = 0; round < 5; round++)
        {
            for (var i = 0; i < 10; i++) Assert.Equal(RateLimitAction.Refuse, budget.Refused(Now));
            _clock.Advance(_options.RefusalWindow);
        }
        for (var i = 0; i < 10; i++) Assert.Equal(RateLimitAction.Refuse, budget.Refused(Now));
        Assert.Equal(RateLimitAction.Disconnect, budget.Refused(Now));
    }

    [Fact]
    public void An_account_has_as_many_connections_as_it_may()
    {
        _options.ConnectionsPerAccount = 2;
        var accounts = new Accounts(_options, _clock);
        var first = accounts.Enter("alice")!;
        Assert.NotNull(accounts.Enter("alice"));
        Assert.Null(accounts.Enter("alice"));
        Assert.NotNull(accounts.Enter("bob"));

        accounts.Leave(first);
        Assert.NotNull(accounts.Enter("alice"));
    }

    [Fact]
    public void Who_reconnects_does_not_find_a_full_purse()
    {
        (_options.PerAccount.EventsPerSecond, _options.PerAccount.EventBurst) = (1, 5);
        var accounts = new Accounts(_options, _clock);
        var account = accounts.Enter("alice")!;
        var budget = NewBudget();
        budget.Exchange(account);
        for (var i = 0; i < 5; i++) Assert.True(budget.TryAcquire(1, Now, out _));
        accounts.Leave(account);
        for (var i = 0; i < 100; i++) accounts.Leave(accounts.Enter($"somebody {i}")!);

        var again = NewBudget();
        again.Exchange(accounts.Enter("alice"));
        Assert.False(again.TryAcquire(1, Now, out _));
    }

    [Fact]
    public void An_account_that_came_back_is_counted_however_many_others_come()
    {
        _options.ConnectionsPerAccount = 1;
        var accounts = new Accounts(_options, _clock);
        accounts.Leave(accounts.Enter("alice")!);
        Assert.NotNull(accounts.Enter("alice"));
        for (var i = 0; i < 10; i++) Assert.NotNull(accounts.Enter($"somebody {i}"));
        Assert.Null(accounts.Enter("alice"));
    }

    [Fact]
    public void Accounts_without_connections_are_bounded()
    {
        var accounts = new Accounts(_options, _clock);
        for (var i = 0; i < 3 * Accounts.Remembered; i++)
        {
            var account = accounts.Enter($"somebody {i}")!;
            Assert.True(account.Buckets.TryAcquire(new RateLimits(_options, _clock).PerAccount, 1, Now, out _));
            accounts.Leave(account);
        }
        Assert.InRange(accounts.Count, 1, Accounts.Remembered + 2);
    }

    long Now => _clock.GetTimestamp();

    ConnectionLimiter NewBudget() => new(new RateLimits(_options, _clock));
}
