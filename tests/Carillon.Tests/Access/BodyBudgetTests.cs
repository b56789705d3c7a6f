using System.Net;
using System.Net.Sockets;
using System.Text;
using Carillon.Api;
using Carillon.TestTools;
using Carillon.Tests.Live;
using Microsoft.Extensions.DependencyInjection;

namespace Carillon.Tests.Access;

/// <summary>Bodies that are large, slow or never come do not close the API to others.</summary>
public class BodyBudgetTests
{
    [Fact]
    public void One_caller_gets_a_part_and_all_together_get_the_whole()
    {
        var budget = new BodyBudget(100, 40);
        Assert.True(budget.TryTake("alice", 40));
        Assert.False(budget.TryTake("alice", 1));
        Assert.True(budget.TryTake("bob", 40));
        Assert.False(budget.TryTake("carol", 21));
        Assert.True(budget.TryTake("carol", 20));
        Assert.True(budget.TryTake("dave", 0));
        budget.GiveBack("alice", 40);
        Assert.True(budget.TryTake("carol", 20));
        Assert.False(budget.TryTake("carol", 1));
        Assert.True(budget.TryTake("alice", 20));
        Assert.False(budget.TryTake("alice", 1));
    }

    [Fact]
    public void Requests_without_a_body_take_nothing_however_many_there_are_at_once()
    {
        var budget = new BodyBudget(100, 40);
        Assert.True(budget.TryTake("alice", 5));
        for (var i = 0; i < 2; i++) Assert.True(budget.TryTake("alice", 0));
        budget.GiveBack("alice", 5);
        for (var i = 0; i < 2; i++) budget.GiveBack("alice", 0);
        Assert.True(budget.TryTake("alice", 40));
        Assert.Equal(40, budget.InHand);
    }

    [Fact]
    public void A_back_end_may_have_all_that_there_is()
    {
        var budget = new BodyBudget(100, 40);
        Assert.True(budget.TryTake("key:shop", 90, isShared: true));
        Assert.False(budget.TryTake("key:shop", 20, isShared: true));
        Assert.True(budget.TryTake("alice", 10));
    }

    [Fact]
    public async Task Slow_bodies_of_some_users_keep_neither_others_nor_operators_out()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice", "bob", "carol"]);
        app.Get<Guard>().Bodies = new BodyBudget(12_000_000, 8_000_000);
        List<TcpClient> slow = [];
        try
        {
            for (var i = 0; i < 2; i++) slow.Add(await BeginPostAsync(app, "alice"));
            await HoldsAsync(8_000_000);
            Assert.Equal(HttpStatusCode.ServiceUnavailable, await PostAsync("alice"));
            Assert.Equal(HttpStatusCode.Created, await PostAsync("bob"));

            await HoldsAsync(8_000_000);
            slow.Add(await BeginPostAsync(app, "bob"));
            await HoldsAsync(12_000_000);
            Assert.Equal(HttpStatusCode.ServiceUnavailable, await PostAsync("carol"));
            Assert.Equal(HttpStatusCode.OK, (await app.CallAsAsync("carol", "GET", "/api/suggestions")).Status);
            Assert.Equal(HttpStatusCode.NoContent, (await app.CallAsync("POST", "/api/tokens/revoke", new { userId = "alice" })).Status);
            Assert.Equal(HttpStatusCode.OK, (await app.CallAsync("PUT", "/api/users/bob", new { disabled = true })).Status);
            Assert.Equal(HttpStatusCode.Created, (await app.CallAsync("POST", "/api/keys", new { name = "k", scopes = new[] { "read" } })).Status);
        }
        finally
        {
            foreach (var client in slow) client.Dispose();
        }
        await HoldsAsync(0);
        Assert.Equal(HttpStatusCode.Created, await PostAsync("carol"));

        Task HoldsAsync(long bytes) => Wait.UntilAsync(() => app.Get<Guard>().Bodies.InHand == bytes);

        async Task<HttpStatusCode> PostAsync(string user) => (await app.CallAsAsync(user, "POST", "/api/suggestions", new { title = "Open on Sundays" })).Status;
    }

    [Fact]
    public async Task A_body_that_does_not_arrive_within_a_minute_is_given_up()
    {
        var clock = new HandDrivenClock(timersToo: true);
        await using var app = await TestApp.StartKnowingAsync(["alice"], services: services => services.AddSingleton<TimeProvider>(clock));
        using var slow = await BeginPostAsync(app, "alice");
        var buffer = new byte[4096];
        var reading = slow.GetStream().ReadAsync(buffer).AsTask();
        await Wait.UntilAsync(() => app.Get<Guard>().Bodies.InHand > 0);
        var advanced = TimeSpan.Zero;
        await Wait.UntilAsync(() =>
        {
            clock.Advance(TimeSpan.FromSeconds(10));
            advanced += TimeSpan.FromSeconds(10);
            return Task.FromResult(reading.IsCompleted);
        });
        Assert.InRange(advanced, Guard.BodyWithin, Guard.BodyWithin * 20);     // the clock goes fast, and the request has to arrive
        var answer = Encoding.UTF8.GetString(buffer, 0, await reading);
        Assert.StartsWith("HTTP/1.1 400", answer, StringComparison.Ordinal);
    }

    static async Task<TcpClient> BeginPostAsync(TestApp app, string user)
    {
        var client = new TcpClient();
        await client.ConnectAsync(IPAddress.Loopback, app.Http.BaseAddress!.Port);
        // So much at once that the least rate of Kestrel, 240 bytes a second on average, leaves it alone.
        await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes(
            $"POST /api/suggestions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {app.TokenOf(user)}\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{{{new string(' ', 100_000)}"));
        return client;
    }
}
