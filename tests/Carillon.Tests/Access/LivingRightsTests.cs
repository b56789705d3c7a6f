using System.Net;
using System.Text.Json;
using Carillon.Hosting;
using Carillon.Hub;
using Carillon.SocketIO.Sockets;
using Carillon.TestTools;
using Carillon.Tests.Live;
using Microsoft.Extensions.DependencyInjection;

namespace Carillon.Tests.Access;

/// <summary>What is taken away is gone from connections that are open.</summary>
public class LivingRightsTests
{
    static void Areas(CarillonOptions options)
    {
        options.Areas.Add(new Area("class:{id}", "class") { Subscribe = Grant.Role("teacher"), HistorySize = 10 });
        options.Areas.Add(new Area("team:{id}", "team") { Subscribe = Grant.Members });
        options.Areas.Add(new Area("orders:{id}", "order"));
    }

    [Theory]
    [InlineData("revoke-token", "token-revoked")]
    [InlineData("revoke-user", "token-revoked")]
    [InlineData("disable", "unknown-user")]
    [InlineData("delete", "unknown-user")]
    public async Task Who_has_no_right_to_be_there_any_more_is_told_and_the_connection_ends(string act, string code)
    {
        await using var app = await TestApp.StartKnowingAsync(["alice", "bob"]);
        var token = app.TokenOf("alice", new { jti = "t1", iat = TimeProvider.System.GetUtcNow().ToUnixTimeSeconds() - 60 });
        using var phone = await app.ConnectAsync(token);
        using var laptop = await app.ConnectAsync(token);
        using var bob = await app.ConnectAsAsync("bob", new { jti = "t2" });
        await (act switch
        {
            "revoke-token" => app.CallAsync("POST", "/api/tokens/revoke", new { jti = "t1" }),
            "revoke-user" => app.CallAsync("POST", "/api/tokens/revoke", new { userId = "alice" }),
            "disable" => app.CallAsync("PUT", "/api/users/alice", new { disabled = true }),
            _ => app.CallAsync("DELETE", "/api/users/alice"),
        });
        foreach (var device in new[] { phone, laptop })
        {
            Assert.Equal(code, (await device.NextAsync("error")).GetProperty("code").GetString());
            Assert.Empty(await device.UntilClosedAsync());
        }
        Assert.True((await bob.AskAsync("subscribe", "suggestions:votes")).GetProperty("ok").GetBoolean());
    }

    [Fact]
    public async Task A_role_that_is_lost_takes_its_subscriptions_away_and_leaves_the_others()
    {
        await using var app = await TestApp.StartKnowingAsync([], Areas);
        await app.PutUserAsync("alice", "teacher", "seller");
        using var client = await app.ConnectAsAsync("alice");
        await client.AskAsync("subscribe", "class:7");
        await client.AskAsync("subscribe", "suggestions:votes");
        await client.UntilAsync("subscribed");
        await client.UntilAsync("subscribed");

        await app.PutUserAsync("alice", "seller");

        var lost = await client.NextAsync("unsubscribed");
        Assert.Equal(("class:7", "forbidden"), (lost.GetProperty("channel").GetString(), lost.GetProperty("code").GetString()));
        await app.Live.PublishAsync("class:7", new { secret = true });
        await app.Live.PublishAsync("suggestions:votes", new { open = true });
        await client.NextAsync("suggestion:vote");      // and nothing of the class before it
        Assert.Equal("forbidden", (await client.AskAsync("subscribe", "class:7")).GetProperty("error").GetProperty("code").GetString());

        await app.PutUserAsync("alice", "teacher");
        await client.UntilAsync("error");
        Assert.True((await client.AskAsync("subscribe", "class:7")).GetProperty("ok").GetBoolean());
    }

    [Fact]
    public async Task A_member_who_is_taken_out_hears_nothing_more()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"], Areas);
        using var client = await app.ConnectAsAsync("alice");
        Assert.Equal("forbidden", (await client.AskAsync("subscribe", "team:red")).GetProperty("error").GetProperty("code").GetString());
        await client.NextAsync("error");
        await app.CallAsync("PUT", "/api/channels/team:red/members/alice");
        Assert.True((await client.AskAsync("subscribe", "team:red")).GetProperty("ok").GetBoolean());
        await client.UntilAsync("subscribed");

        await app.CallAsync("DELETE", "/api/channels/team:red/members/alice");
        Assert.Equal("team:red", (await client.NextAsync("unsubscribed")).GetProperty("channel").GetString());
    }

    [Fact]
    public async Task Who_manages_a_channel_says_who_its_members_are()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice", "bob"], options =>
            options.Areas.Add(new Area("club:{id}", "club") { Subscribe = Grant.Members, Manage = Grant.Role("captain") }));
        await app.PutUserAsync("carol", "captain");
        Assert.Equal("forbidden", (await app.CallAsAsync("bob", "PUT", "/api/channels/club:1/members/bob")).Body.GetProperty("code").GetString());
        Assert.Equal(HttpStatusCode.NoContent, (await app.CallAsAsync("carol", "PUT", "/api/channels/club:1/members/alice")).Status);
        Assert.Equal("alice", (await app.CallAsAsync("carol", "GET", "/api/channels/club:1/members")).Body.GetProperty("items")[0].GetString());
        Assert.Equal("forbidden", (await app.CallAsAsync("carol", "PUT", "/api/channels/other:1/members/alice")).Body.GetProperty("code").GetString());
        using var alice = await app.ConnectAsAsync("alice");
        Assert.True((await alice.AskAsync("subscribe", "club:1")).GetProperty("ok").GetBoolean());
        await alice.NextAsync("subscribed");
        await app.CallAsAsync("carol", "DELETE", "/api/channels/club:1/members/alice");
        Assert.Equal("club:1", (await alice.NextAsync("unsubscribed")).GetProperty("channel").GetString());
    }

    [Fact]
    public async Task A_rule_that_hangs_keeps_nobody_else_s_rights_from_being_looked_at()
    {
        TaskCompletionSource<bool> never = new(), asked = new();
        await using var app = await TestApp.StartKnowingAsync(["alice", "bob"], options =>
            options.Areas.Add(new Area("stuck:{x}", "stuck")
            {
                Subscribe = Grant.When((_, _) =>
                {
                    asked.TrySetResult(true);
                    return new ValueTask<bool>(never.Task);
                }),
            }));
        using var alice = await app.ConnectAsAsync("alice");
        using var bob = await app.ConnectAsAsync("bob", new { jti = "b" });
        await alice.EmitAsync("subscribe", "stuck:1");
        await asked.Task;
        await app.PutUserAsync("alice", "new role");
        await app.CallAsync("POST", "/api/tokens/revoke", new { jti = "b" });
        Assert.Equal("token-revoked", (await bob.NextAsync("error")).GetProperty("code").GetString());
        Assert.Empty(await alice.UntilClosedAsync());      // its turn did not come: it is cut, and may come back
        never.SetResult(false);
    }

    [Fact]
    public async Task Who_lost_a_channel_does_not_see_who_is_there_either()
    {
        await using var app = await TestApp.StartKnowingAsync([], options =>
        {
            Areas(options);
            options.Presence.LeaveAfter = TimeSpan.FromMinutes(5);      // she counts as present all the while
        });
        await app.PutUserAsync("alice", "teacher");
        using var alice = await app.ConnectAsAsync("alice");
        foreach (var channel in new[] { "presence:class:7", "class:7", "presence:class:7" }) await alice.AskAsync("subscribe", channel);
        await alice.UntilAsync("subscribed");
        await alice.UntilAsync("subscribed");

        await app.PutUserAsync("alice", "pupil");

        string?[] lost = [(await alice.UntilAsync("unsubscribed")).GetProperty("channel").GetString(), (await alice.UntilAsync("unsubscribed")).GetProperty("channel").GetString()];
        Assert.Equal(["class:7", "presence:class:7"], lost.Order());
        Assert.Equal("forbidden", (await alice.AskAsync("presence", new { channel = "class:7" })).GetProperty("error").GetProperty("code").GetString());
        Assert.Equal("forbidden", (await alice.AskAsync("subscribe", "presence:class:7")).GetProperty("error").GetProperty("code").GetString());
        Assert.Equal("forbidden", (await app.CallAsAsync("alice", "GET", "/api/channels/class:7/presence")).Body.GetProperty("code").GetString());
    }

    [Fact]
    public async Task What_was_granted_is_there_when_the_call_has_answered()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"], Areas);
        using var alice = await app.ConnectAsAsync("alice");
        for (var i = 0; i < 60; i++)
        {
            await app.CallAsync("PUT", $"/api/channels/team:{i}/members/alice");
            Assert.True((await alice.AskAsync("subscribe", $"team:{i}")).GetProperty("ok").GetBoolean());
        }
    }

    [Fact]
    public async Task A_rule_that_fails_grants_nothing_and_keeps_no_other_subscription()
    {
        var fails = false;
        await using var app = await TestApp.StartKnowingAsync([], options =>
        {
            Areas(options);
            options.Areas.Add(new Area("mine:{x}", "mine") { Subscribe = Grant.When((_, _) => Volatile.Read(ref fails) ? throw new InvalidOperationException("the rule is broken") : true) });
        });
        await app.PutUserAsync("alice", "teacher");
        using var alice = await app.ConnectAsAsync("alice");
        foreach (var channel in new[] { "mine:1", "class:7", "mine:2" })
        {
            await alice.AskAsync("subscribe", channel);
            await alice.NextAsync("subscribed");
        }
        Volatile.Write(ref fails, true);
        await app.PutUserAsync("alice", "pupil");
        List<string?> lost = [];
        while (lost.Count < 3) lost.Add((await alice.NextAsync("unsubscribed")).GetProperty("channel").GetString());
        Assert.Equal(["class:7", "mine:1", "mine:2"], lost.Order());
    }

    [Fact]
    public async Task A_rule_that_does_not_answer_when_rights_change_has_the_connection_cut()
    {
        var asked = 0;
        var never = new TaskCompletionSource<bool>();
        await using var app = await TestApp.StartKnowingAsync(["alice"], options =>
            options.Areas.Add(new Area("mine:{x}", "mine") { Subscribe = Grant.When((_, _) => Interlocked.Increment(ref asked) == 1 ? new ValueTask<bool>(true) : new(never.Task)) }));
        using var alice = await app.ConnectAsAsync("alice");
        await alice.AskAsync("subscribe", "mine:1");
        await app.PutUserAsync("alice", "new role");
        await alice.UntilClosedAsync();
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        while (app.Live.CountOf("mine:1") > 0 || app.Live.HasSubscribers("mine:1")) patience.Token.ThrowIfCancellationRequested();     // nothing of it stays
        never.SetResult(true);
    }

    [Fact]
    public async Task A_rule_that_fails_when_somebody_subscribes_is_told_as_what_it_is()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"], options =>
            options.Areas.Add(new Area("broken:{x}", "x") { Subscribe = Grant.When((caller, _) => caller.IsKnown ? throw new InvalidOperationException("the rule is broken") : true) }));
        using var alice = await app.ConnectAsAsync("alice");
        var error = (await alice.AskAsync("subscribe", "broken:1")).GetProperty("error");
        Assert.Equal(("unavailable", true), (error.GetProperty("code").GetString(), error.GetProperty("retryable").GetBoolean()));
    }

    [Theory]
    [InlineData("role:teacher,present")]
    [InlineData("role:teacher,subscribers")]
    [InlineData("present,subscribers")]
    public async Task Grants_that_ask_each_other_come_to_an_end(string grant)
    {
        Assert.True(Grant.TryParse(grant, out var who));
        await using var app = await TestApp.StartKnowingAsync([], options => options.Areas.Add(new Area("loop:{x}", "x") { Subscribe = who, Presence = who, History = who }));
        await app.PutUserAsync("alice", "teacher");
        using var alice = await app.ConnectAsAsync("alice");
        await alice.AskAsync("subscribe", "loop:1");
        await app.PutUserAsync("alice", "pupil");
        foreach (var what in new[] { "history", "presence" }) await app.CallAsAsync("alice", "GET", $"/api/channels/loop:1/{what}");
        Assert.True((await alice.AskAsync("subscribe", "suggestions:votes")).GetProperty("ok").GetBoolean());
    }

    [Fact]
    public async Task The_application_says_when_its_own_rule_has_changed()
    {
        var open = true;
        await using var app = await TestApp.StartKnowingAsync(["alice"], options =>
            options.Areas.Add(new Area("mine:{x}", "mine") { Subscribe = Grant.When((_, _) => Volatile.Read(ref open)) }));
        using var client = await app.ConnectAsAsync("alice");
        await client.AskAsync("subscribe", "mine:1");
        await client.NextAsync("subscribed");
        Volatile.Write(ref open, false);
        app.Live.RightsChanged("alice");
        Assert.Equal("mine:1", (await client.NextAsync("unsubscribed")).GetProperty("channel").GetString());
    }

    [Fact]
    public async Task A_newer_token_keeps_the_connection_and_what_it_allows()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice", "bob"], Areas);
        using var client = await app.ConnectAsAsync("alice", new { capabilities = new Dictionary<string, string[]> { ["orders:7"] = ["subscribe"] } });
        foreach (var channel in new[] { "orders:7", "suggestions:votes" })
        {
            Assert.True((await client.AskAsync("subscribe", channel)).GetProperty("ok").GetBoolean());
            await client.UntilAsync("subscribed");
        }
        foreach (var (argument, code) in new (object?, string)[]
        {
            (new { token = app.TokenOf("bob") }, "forbidden"), (new { token = "rubbish" }, "unauthorized"), (new { token = app.TokenOf("alice", expiresIn: -TimeSpan.FromHours(1)) }, "token-expired"),
            (new { }, "invalid-payload"), (7, "invalid-payload"), (null, "invalid-payload"),
        })
        {
            Assert.Equal(code, (await client.AskAsync("token:refresh", argument)).GetProperty("error").GetProperty("code").GetString());
            await client.UntilAsync("error");
        }

        var answer = await client.AskAsync("token:refresh", new { token = app.TokenOf("alice", expiresIn: TimeSpan.FromHours(2)) });
        Assert.True(answer.GetProperty("ok").GetBoolean());
        Assert.Equal("orders:7", (await client.NextAsync("unsubscribed")).GetProperty("channel").GetString());      // the newer token does not allow it
        await app.Live.PublishAsync("suggestions:votes", new { still = "heard" });
        await client.NextAsync("suggestion:vote");
    }

    [Fact]
    public async Task An_expired_token_ends_its_connection_after_a_grace_unless_a_newer_one_comes()
    {
        var clock = new HandDrivenClock();
        await using var app = await TestApp.StartKnowingAsync(["alice"], services: services => services.AddSingleton<TimeProvider>(clock));
        using var careless = await app.ConnectAsync(app.TokenOf("alice", expiresIn: TimeSpan.FromMinutes(5)));
        using var careful = await app.ConnectAsync(app.TokenOf("alice", expiresIn: TimeSpan.FromMinutes(5)));
        clock.Advance(TimeSpan.FromMinutes(5));
        foreach (var client in new[] { careless, careful })
        {
            var told = await client.UntilAsync("error");
            Assert.Equal(("token-expired", "token:refresh"), (told.GetProperty("code").GetString(), told.GetProperty("event").GetString()));
        }
        Assert.True((await careful.AskAsync("token:refresh", new { token = app.TokenOf("alice", expiresIn: TimeSpan.FromMinutes(5)) })).GetProperty("ok").GetBoolean());
        clock.Advance(TimeSpan.FromSeconds(15));
        Assert.Contains("error", await careless.UntilClosedAsync());
        Assert.True((await careful.AskAsync("subscribe", "suggestions:votes")).GetProperty("ok").GetBoolean());
        await careful.UntilAsync("subscribed");

        // The newer one expires too, and its connection is told so again.
        clock.Advance(TimeSpan.FromMinutes(5) - TimeSpan.FromSeconds(15));
        Assert.Equal("token-expired", (await careful.NextAsync("error")).GetProperty("code").GetString());
        Assert.True((await careful.AskAsync("subscribe", "suggestions:votes")).GetProperty("ok").GetBoolean());      // within the grace
    }

    [Fact]
    public async Task Refreshing_a_token_costs_as_much_as_other_questions()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"], services: services => services.Configure<SocketIOOptions>(io =>
            (io.Engine.Limits.PerConnection.OperationsPerSecond, io.Engine.Limits.PerConnection.OperationBurst) = (1, 2)));
        using var alice = await app.ConnectAsAsync("alice");
        List<string?> codes = [];
        for (var i = 0; i < 10; i++)
            codes.Add((await alice.AskAsync("token:refresh", new { token = "rubbish" })).GetProperty("error").GetProperty("code").GetString());
        Assert.Equal(["rate-limited", "unauthorized"], codes.Distinct().Order());
    }

    [Fact]
    public async Task Whatever_comes_between_nobody_stays_who_was_revoked()
    {
        // The revocation falls before, into and after the moment in which the connection is let in.
        await using var server = await TestApp.StartKnowingAsync(["alice"]);
        for (var i = 0; i < 40; i++)
        {
            var token = server.TokenOf("alice", new { jti = $"t{i}" });
            using var client = await server.OpenAsync(token);
            await server.CallAsync("POST", "/api/tokens/revoke", new { jti = $"t{i}" });
            await client.UntilClosedAsync();
        }
        await EventuallyAsync(() => Task.FromResult(!server.Live.Subscribers.Any()));
    }

    static async Task EventuallyAsync(Func<Task<bool>> holds)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        while (!await holds())
        {
            patience.Token.ThrowIfCancellationRequested();
            await Task.Yield();
        }
    }
}
