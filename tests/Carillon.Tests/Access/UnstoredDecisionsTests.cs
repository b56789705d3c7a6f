using System.Net;
using Carillon.Access;
using Carillon.Access.Tokens;
using Carillon.Administration;
using Carillon.Audit;
using Carillon.Hub;
using Carillon.Storage;
using Carillon.TestTools;
using Carillon.Tests.Live;
using Carillon.Tests.Storage;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Logging;

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
        await app.Get<AuditLog>().FlushAsync(default);

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

        await Wait.UntilAsync(() => app.Get<PendingDecisions>().Count == 0);
        Assert.Equal(code, await app.RefusedAsync(token));
        Assert.NotNull(await app.Database.QuerySingleOrDefaultAsync<string>("SELECT action FROM carillon_audit WHERE action IN ('token:revoked', 'user:disabled', 'user:deleted')"));
    }

    [Theory]
    [InlineData("revoke-token", "token-revoked")]
    [InlineData("revoke-user", "token-revoked")]
    [InlineData("disable", "unknown-user")]
    [InlineData("delete", "unknown-user")]
    public async Task A_decision_applies_though_the_database_cannot_even_be_read(string act, string code)
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        using var phone = await app.ConnectAsAsync("alice", new { jti = "t1", iat = TimeProvider.System.GetUtcNow().ToUnixTimeSeconds() - 60 });
        using (app.HideDatabase())
        {
            var (status, body) = await DecideAsync(app, act);
            Assert.Equal((HttpStatusCode.ServiceUnavailable, true), (status, body.GetProperty("inForce").GetBoolean()));
            Assert.Equal(code, (await phone.NextAsync("error")).GetProperty("code").GetString());
        }
        await Wait.UntilAsync(() => app.Get<PendingDecisions>().Count == 0);
        Assert.NotNull(await app.Database.QuerySingleOrDefaultAsync<string>("SELECT action FROM carillon_audit WHERE action IN ('token:revoked', 'user:disabled', 'user:deleted')"));
    }

    [Fact]
    public async Task A_decision_that_cannot_be_stored_for_another_reason_stays_in_force_and_is_logged()
    {
        await using var app = await TestApp.StartKnowingAsync([]);
        var lines = new Lines();
        using var decisions = new PendingDecisions(app.Database, new AccessChanges(), TimeProvider.System, lines.Of<PendingDecisions>());
        await decisions.StartAsync(CancellationToken.None);
        var attempts = 0;
        Task<bool> FailAsync(DatabaseTransaction tx, CancellationToken ct) =>
            ++attempts == 1 ? throw new DatabaseUnavailableException("The disk is full.") : throw new InvalidOperationException("The file is damaged.");
        Assert.Equal(DecisionOutcome.Pending, await decisions.ApplyAsync(new AccessDecision { TokenId = "t1", StoreAsync = FailAsync }, default));

        // The retry fails, and one behind it is stored.
        await decisions.ApplyAsync(new AccessDecision { TokenId = "t2", StoreAsync = (_, _) => Task.FromResult(true) }, default);
        await Wait.UntilAsync(() => decisions.Count == 1);
        Assert.Equal((ErrorCode.TokenRevoked, null), (decisions.Refuses(TokenWith("t1")), decisions.Refuses(TokenWith("t2"))));
        Assert.Contains("t1", Assert.Single(lines.At(LogLevel.Critical)), StringComparison.Ordinal);
        Assert.Empty(lines.At(LogLevel.Information));
        await decisions.StopAsync(CancellationToken.None);
        Assert.Contains("1 decisions", lines.At(LogLevel.Critical)[1], StringComparison.Ordinal);
    }

    [Fact]
    public async Task Decisions_that_wait_are_bounded_by_bytes_and_the_answer_says_which_are_in_force()
    {
        await using var app = await TestApp.StartKnowingAsync([]);
        var decisions = app.Get<PendingDecisions>();
        var http = new DefaultHttpContext { RequestServices = app.Get<IServiceProvider>() };
        async Task<bool> IsInForceAsync(AccessDecision decision) =>
            (bool)((ProblemHttpResult)DecisionAnswer.ProblemOf(await decisions.ApplyAsync(decision, default), http)!).ProblemDetails.Extensions["inForce"]!;
        using (app.HideDatabase())
        {
            const int characters = 1 << 20;
            var accepted = 0;
            while (await IsInForceAsync(new AccessDecision { TokenId = $"t{accepted}", Characters = characters, StoreAsync = (_, _) => Task.FromResult(true) })) accepted++;
            Assert.Equal(PendingDecisions.MostBytes / (2 * characters) - 1, accepted);
            Assert.Equal(accepted, decisions.Count);
            Assert.Null(decisions.Refuses(TokenWith($"t{accepted}")));
            Assert.True(await IsInForceAsync(new AccessDecision { TokenId = "small", StoreAsync = (_, _) => Task.FromResult(true) }));
        }
        await Wait.UntilAsync(() => decisions.Count == 0);
    }

    [Fact]
    public async Task A_key_is_deleted_at_once_though_that_cannot_be_stored()
    {
        await using var app = await TestApp.StartKnowingAsync([]);
        var (_, made) = await app.CallAsync("POST", "/api/keys", new { name = "k", scopes = new[] { "read" } });
        var (key, path) = ($"ApiKey {made.GetProperty("key").GetString()}", $"/api/keys/{made.GetProperty("id").GetString()}");
        await app.Get<AuditLog>().FlushAsync(default);
        await using (await ForeignLock.TakeAsync(app.Database.Path))
        {
            Assert.Equal(HttpStatusCode.OK, (await app.CallAsync("GET", "/api/suggestions", authorization: key)).Status);
            var (status, body) = await app.CallAsync("DELETE", path);
            Assert.Equal((HttpStatusCode.ServiceUnavailable, true), (status, body.GetProperty("inForce").GetBoolean()));
            Assert.Equal(HttpStatusCode.Unauthorized, (await app.CallAsync("GET", "/api/suggestions", authorization: key)).Status);
        }
        await Wait.UntilAsync(() => app.Get<PendingDecisions>().Count == 0);
        Assert.Equal(HttpStatusCode.Unauthorized, (await app.CallAsync("GET", "/api/suggestions", authorization: key)).Status);
        Assert.Equal(HttpStatusCode.NotFound, (await app.CallAsync("DELETE", path)).Status);
        Assert.Equal(1, await app.Database.QuerySingleOrDefaultAsync<int>("SELECT count(*) FROM carillon_audit WHERE action = 'key:removed'"));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_revocation_waits_neither_for_ordinary_writes_nor_for_the_memberships_that_people_change(bool throughTheApi)
    {
        await using var app = await TestApp.StartKnowingAsync(["teacher"], options =>
            options.Areas.Add(new Area("team:{id}", "team") { Subscribe = Grant.Members, Manage = Grant.Users }));
        await app.Get<AuditLog>().FlushAsync(default);
        const int before = 40;
        var writer = await app.Database.BeginAsync(null, default);
        var authorization = $"Bearer {app.TokenOf("teacher")}";
        Task[] ordinary = [.. Enumerable.Range(0, before).Select(i => throughTheApi
            ? app.CallAsync("PUT", $"/api/channels/team:red/members/m{i}", authorization: authorization)
            : WriteAsync(app.Database))];
        await Wait.UntilAsync(() => app.Database.WaitingWriters >= before);
        var revoking = app.CallAsync("POST", "/api/tokens/revoke", new { jti = "t1" });
        await Wait.UntilAsync(() => app.Get<PendingDecisions>().Count == 1 && app.Database.WaitingWriters > before);
        await writer.DisposeAsync();
        Assert.Equal(HttpStatusCode.NoContent, (await revoking).Status);
        await Task.WhenAll(ordinary);
        // In the order of the commits.
        var ids = await app.Database.QueryAsync<string>("SELECT action FROM carillon_audit WHERE action IN ('token:revoked', 'member:added') ORDER BY id");
        Assert.InRange(ids.ToList().IndexOf("token:revoked"), 0, 2);

        static async Task WriteAsync(Database db)
        {
            await using var tx = await db.BeginAsync(null, default);
            await tx.ExecuteAsync("INSERT INTO carillon_audit (at, action, outcome) VALUES ('2026', 'member:added', 'allowed')");
            await tx.CommitAsync();
        }
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
        await Wait.UntilAsync(() => app.Get<PendingDecisions>().Count == 0);
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
        await app.Get<AuditLog>().FlushAsync(default);
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
        await app.Get<AuditLog>().FlushAsync(default);
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
        await Wait.UntilAsync(() => decisions.Count == 0);
        Assert.Null(await app.RefusedAsync(app.TokenOf("alice")));
        Assert.Equal("token-revoked", await app.RefusedAsync(app.TokenOf("alice", new { jti = "t1" })));
        Assert.Equal(0, await app.Database.QuerySingleOrDefaultAsync<int>("SELECT disabled FROM carillon_users WHERE id = 'alice'"));
    }

    [Fact]
    public async Task An_idempotency_key_that_cannot_be_stored_does_not_hold_up_a_revocation()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        using var phone = await app.ConnectAsAsync("alice", new { jti = "t1" });
        await app.Get<AuditLog>().FlushAsync(default);
        await using (await ForeignLock.TakeAsync(app.Database.Path))
        {
            // An ordinary writer holds the turn while it waits for the lock.
            Task<(HttpStatusCode Status, System.Text.Json.JsonElement Body)>[] writing =
                [.. Enumerable.Range(0, 5).Select(_ => app.CallAsAsync("alice", "POST", "/api/suggestions", new { title = "Open on Sundays" }))];
            await Wait.UntilAsync(() => app.Database.WaitingWriters == 4);
            var began = TimeProvider.System.GetTimestamp();
            var revoking = app.CallAsync("POST", "/api/tokens/revoke", new { jti = "t1" }, headers: ("Idempotency-Key", "k1"));
            Assert.Equal("token-revoked", (await phone.NextAsync("error")).GetProperty("code").GetString());
            Assert.InRange(TimeProvider.System.GetElapsedTime(began), TimeSpan.Zero, TimeSpan.FromSeconds(3));     // one, and what a busy machine adds
            Assert.Equal(HttpStatusCode.ServiceUnavailable, (await revoking).Status);
            foreach (var write in writing) Assert.Equal(HttpStatusCode.ServiceUnavailable, (await write).Status);
        }
    }

    [Fact]
    public async Task A_vote_that_meets_a_foreign_lock_is_unavailable()
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
    public async Task A_failed_commit_of_a_vote_is_unavailable_and_the_next_one_counts()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        var (_, suggestion) = await app.CallAsAsync("alice", "POST", "/api/suggestions", new { title = "Open on Sundays" });
        var path = $"/api/suggestions/{suggestion.GetProperty("id").GetString()}/vote";
        await app.Get<AuditLog>().FlushAsync(default);
        await FullDisk.ForNextTransactionAsync(app.Database);
        var (status, body) = await app.CallAsAsync("alice", "POST", path, new { value = 1 });
        Assert.Equal((HttpStatusCode.ServiceUnavailable, "unavailable", true), (status, body.GetProperty("code").GetString(), body.GetProperty("retryable").GetBoolean()));
        Assert.Equal(HttpStatusCode.OK, (await app.CallAsAsync("alice", "POST", path, new { value = 1 })).Status);
    }

    [Fact]
    public async Task Readiness_attempts_a_write_and_names_what_fails()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        Assert.Equal(HealthStatus.Healthy, (await CheckAsync()).Status);
        await using (await ForeignLock.TakeAsync(app.Database.Path))
        {
            await Wait.UntilAsync(async () => (await CheckAsync()).Status == HealthStatus.Unhealthy);
            Assert.Contains("another program holds its lock", (await CheckAsync()).Description, StringComparison.Ordinal);
        }
        await Wait.UntilAsync(async () => (await CheckAsync()).Status == HealthStatus.Healthy);

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

    static Token TokenWith(string id) => new("alice", null, [], null, [], id, DateTimeOffset.MinValue, DateTimeOffset.MaxValue, new Dictionary<string, IReadOnlyList<string>>());

    static Task<(HttpStatusCode Status, System.Text.Json.JsonElement Body)> DecideAsync(TestApp app, string act) => act switch
    {
        "revoke-token" => app.CallAsync("POST", "/api/tokens/revoke", new { jti = "t1" }),
        "revoke-user" => app.CallAsync("POST", "/api/tokens/revoke", new { userId = "alice" }),
        "disable" => app.CallAsync("PUT", "/api/users/alice", new { disabled = true }),
        _ => app.CallAsync("DELETE", "/api/users/alice"),
    };
}
