using System.Net;
using Carillon.Access;
using Carillon.Storage;
using Carillon.Tests.Live;
using Carillon.Tests.Storage;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Carillon.Tests.Access;

/// <summary>Decisions that end connections apply while the database cannot be written, and are stored when it can.</summary>
public class UnstoredDecisionsTests
{
    [Theory]
    [InlineData("revoke-token", "token-revoked")]
    [InlineData("revoke-user", "token-revoked")]
    [InlineData("disable", "unknown-user")]
    [InlineData("delete", "unknown-user")]
    public async Task A_decision_closes_connections_at_once_though_it_cannot_be_stored(string act, string code)
    {
        await using var app = await TestApp.StartKnowingAsync(["alice", "bob"]);
        var token = app.TokenOf("alice", new { jti = "t1", iat = TimeProvider.System.GetUtcNow().ToUnixTimeSeconds() - 60 });
        using var phone = await app.ConnectAsync(token);
        using var bob = await app.ConnectAsAsync("bob", new { jti = "t2" });
        await app.Get<Audit>().FlushAsync(default);

        await using (await ForeignLock.TakeAsync(app.Database.Path))
        {
            var deciding = DecideAsync(app, act);
            Assert.Equal(code, (await phone.NextAsync("error")).GetProperty("code").GetString());
            Assert.Empty(await phone.UntilClosedAsync());
            var (status, body) = await deciding;
            Assert.Equal((HttpStatusCode.ServiceUnavailable, "unavailable"), (status, body.GetProperty("code").GetString()));
            Assert.Equal(code, await app.RefusedAsync(token));
            Assert.Equal(HttpStatusCode.Unauthorized, (await app.CallAsync("GET", "/api/suggestions", authorization: $"Bearer {token}")).Status);
            Assert.True((await bob.AskAsync("subscribe", "suggestions:votes")).GetProperty("ok").GetBoolean());
        }

        await UntilAsync(() => app.Get<PendingDecisions>().Count == 0);
        Assert.Equal(code, await app.RefusedAsync(token));
        Assert.NotNull(await app.Database.QuerySingleOrDefaultAsync<string>("SELECT action FROM carillon_audit WHERE action IN ('token:revoked', 'user:disabled', 'user:deleted')"));
    }

    [Fact]
    public async Task A_user_who_is_let_in_again_stays_in()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        Task<(HttpStatusCode Status, System.Text.Json.JsonElement Body)> enabling;
        await using (await ForeignLock.TakeAsync(app.Database.Path))
        {
            Assert.Equal(HttpStatusCode.ServiceUnavailable, (await DecideAsync(app, "disable")).Status);
            enabling = app.CallAsync("PUT", "/api/users/alice", new { name = "ALICE" });
            Assert.Equal("unknown-user", await app.RefusedAsync(app.TokenOf("alice")));
        }
        Assert.Equal(HttpStatusCode.OK, (await enabling).Status);
        await UntilAsync(() => app.Get<PendingDecisions>().Count == 0);
        Assert.Null(await app.RefusedAsync(app.TokenOf("alice")));
    }

    [Theory]
    [InlineData("disable")]
    [InlineData("delete")]
    public async Task A_key_ends_at_once_with_its_maker_though_that_cannot_be_stored(string act)
    {
        await using var app = await TestApp.StartKnowingAsync([]);
        await app.PutUserAsync("alice", "admin");
        var (_, made) = await app.CallAsync("POST", "/api/keys", new { name = "k", scopes = new[] { "read" } }, $"Bearer {app.TokenOf("alice")}");
        var key = $"ApiKey {made.GetProperty("key").GetString()}";
        await app.Get<Audit>().FlushAsync(default);
        await using (await ForeignLock.TakeAsync(app.Database.Path))
        {
            Assert.Equal(HttpStatusCode.OK, (await app.CallAsync("GET", "/api/suggestions", authorization: key)).Status);
            Assert.Equal(HttpStatusCode.ServiceUnavailable, (await DecideAsync(app, act)).Status);
            Assert.Equal(HttpStatusCode.Unauthorized, (await app.CallAsync("GET", "/api/suggestions", authorization: key)).Status);
        }
    }

    [Fact]
    public async Task A_decision_that_is_withdrawn_while_it_waits_is_void()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        await app.Get<Audit>().FlushAsync(default);
        var decisions = app.Get<PendingDecisions>();
        await using (await ForeignLock.TakeAsync(app.Database.Path))
        {
            Assert.Equal(HttpStatusCode.ServiceUnavailable, (await DecideAsync(app, "disable")).Status);
            Assert.Equal(HttpStatusCode.ServiceUnavailable, (await DecideAsync(app, "revoke-token")).Status);
            Assert.Equal(2, decisions.Count);
            decisions.Withdraw("bob");
            Assert.Equal(2, decisions.Count);
            decisions.Withdraw("alice");
            Assert.Equal(1, decisions.Count);      // a revocation is nothing that enabling a user takes back
            Assert.Null(await app.RefusedAsync(app.TokenOf("alice")));
        }
        await UntilAsync(() => decisions.Count == 0);
        Assert.Null(await app.RefusedAsync(app.TokenOf("alice")));
        Assert.Equal("token-revoked", await app.RefusedAsync(app.TokenOf("alice", new { jti = "t1" })));
        Assert.Equal(0, await app.Database.QuerySingleOrDefaultAsync<int>("SELECT disabled FROM carillon_users WHERE id = 'alice'"));
    }

    [Fact]
    public async Task An_idempotency_key_that_cannot_be_stored_does_not_hold_up_a_revocation()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        using var phone = await app.ConnectAsAsync("alice", new { jti = "t1" });
        await app.Get<Audit>().FlushAsync(default);
        await using (await ForeignLock.TakeAsync(app.Database.Path))
        {
            var (status, _) = await app.CallAsync("POST", "/api/tokens/revoke", new { jti = "t1" }, headers: ("Idempotency-Key", "k1"));
            Assert.Equal(HttpStatusCode.ServiceUnavailable, status);
            Assert.Equal("token-revoked", (await phone.NextAsync("error")).GetProperty("code").GetString());
        }
    }

    [Fact]
    public async Task A_failed_commit_of_a_vote_is_unavailable_and_the_next_one_counts()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        var (_, suggestion) = await app.CallAsAsync("alice", "POST", "/api/suggestions", new { title = "Open on Sundays" });
        var path = $"/api/suggestions/{suggestion.GetProperty("id").GetString()}/vote";
        await using (await ForeignLock.TakeAsync(app.Database.Path))
        {
            var (status, body) = await app.CallAsAsync("alice", "POST", path, new { value = 1 });
            Assert.Equal((HttpStatusCode.ServiceUnavailable, "unavailable", true), (status, body.GetProperty("code").GetString(), body.GetProperty("retryable").GetBoolean()));
        }
        Assert.Equal(HttpStatusCode.OK, (await app.CallAsAsync("alice", "POST", path, new { value = 1 })).Status);
    }

    [Fact]
    public async Task Readiness_attempts_a_write_and_names_what_fails()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        Assert.Equal(HealthStatus.Healthy, (await CheckAsync()).Status);
        await using (await ForeignLock.TakeAsync(app.Database.Path))
        {
            await UntilAsync(async () => (await CheckAsync()).Status == HealthStatus.Unhealthy);
            Assert.Contains("another program holds its lock", (await CheckAsync()).Description, StringComparison.Ordinal);
        }
        await UntilAsync(async () => (await CheckAsync()).Status == HealthStatus.Healthy);

        async Task<(HealthStatus Status, string Description)> CheckAsync()
        {
            var report = await app.Get<HealthCheckService>().CheckHealthAsync();
            return (report.Status, report.Entries["carillon"].Description!);
        }
    }

    [Fact]
    public async Task Readiness_writes_once_a_second_however_often_it_is_asked()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        var began = TimeProvider.System.GetTimestamp();
        var probe = new WriteProbe(app.Database, TimeProvider.System);
        HashSet<Task<string?>> attempts = [];
        for (var i = 0; i < 5_000; i++) attempts.Add(probe.FindFaultAsync());
        Assert.All(await Task.WhenAll(attempts), Assert.Null);
        Assert.InRange(attempts.Count, 1, 1 + (int)TimeProvider.System.GetElapsedTime(began).TotalSeconds);

        var clock = new HandDrivenClock();
        probe = new WriteProbe(app.Database, clock);
        var first = probe.FindFaultAsync();
        Assert.Null(await first);
        Assert.Same(first, probe.FindFaultAsync());
        clock.Advance(TimeSpan.FromSeconds(1));
        Assert.NotSame(first, probe.FindFaultAsync());
    }

    static Task<(HttpStatusCode Status, System.Text.Json.JsonElement Body)> DecideAsync(TestApp app, string act) => act switch
    {
        "revoke-token" => app.CallAsync("POST", "/api/tokens/revoke", new { jti = "t1" }),
        "revoke-user" => app.CallAsync("POST", "/api/tokens/revoke", new { userId = "alice" }),
        "disable" => app.CallAsync("PUT", "/api/users/alice", new { disabled = true }),
        _ => app.CallAsync("DELETE", "/api/users/alice"),
    };

    static Task UntilAsync(Func<bool> holds) => UntilAsync(() => Task.FromResult(holds()));

    static async Task UntilAsync(Func<Task<bool>> holds)
    {
        var began = TimeProvider.System.GetTimestamp();
        while (!await holds())
        {
            Assert.True(TimeProvider.System.GetElapsedTime(began) < TimeSpan.FromSeconds(10), "It did not come to be within ten seconds.");
            await Task.Delay(20);
        }
    }
}
