using System.Net;
using System.Text;
using System.Text.Json;
using Carillon.Access;
using Carillon.Access.Tokens;
using Carillon.Audit;
using Carillon.Changes;
using Carillon.Hosting;
using Carillon.Hub;
using Carillon.Storage;
using Carillon.TestTools;
using Carillon.Tests.Access;
using Carillon.Tests.Changes;
using Carillon.Tests.Live;
using Dapper;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Carillon.Tests.Storage;

/// <summary>Nobody fills the disk, and a disk that fills up stops what is optional first.</summary>
public class DiskUseTests
{
    [Fact]
    public async Task Suggestions_tickets_memberships_and_idempotency_keys_of_one_person_have_a_daily_quota()
    {
        var clock = new HandDrivenClock();
        await using var app = await TestApp.StartKnowingAsync(["alice", "bob"], options =>
        {
            SetQuotas(options, 3);
            options.Areas.Add(new Area("team:{id}", "team") { Subscribe = Grant.Members, Manage = Grant.Users });
        }, services => services.AddSingleton<TimeProvider>(clock));
        var acts = await ActsAsync(app);
        foreach (var act in acts)
        {
            for (var i = 0; i < 3; i++) Assert.NotEqual("rate-limited", CodeIn(await act("alice")));
            var refused = await act("alice");
            Assert.Equal((HttpStatusCode.TooManyRequests, "rate-limited"), (refused.Status, CodeIn(refused)));
            Assert.InRange(refused.Body.GetProperty("retryAfter").GetInt32(), 1, 86_400 / 3);
            Assert.NotEqual("rate-limited", CodeIn(await act("bob")));
        }
        Assert.Equal(HttpStatusCode.NoContent, (await app.CallAsync("PUT", "/api/channels/team:red/members/alice")).Status);      // a back end has none
        clock.Advance(TimeSpan.FromHours(8));
        foreach (var act in acts) Assert.NotEqual("rate-limited", CodeIn(await act("alice")));
    }

    [Fact]
    public async Task A_full_disk_uses_no_daily_quota_up()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice", "bob"], options =>
        {
            SetQuotas(options, 3);
            options.Areas.Add(new Area("team:{id}", "team") { Subscribe = Grant.Members, Manage = Grant.Users });
        });
        foreach (var act in await ActsAsync(app))
        {
            for (var i = 0; i < 5; i++)
            {
                await app.Get<AuditLog>().FlushAsync(default);
                await FullDisk.ForNextTransactionAsync(app.Database);
                Assert.Equal(HttpStatusCode.ServiceUnavailable, (await act("alice")).Status);
            }
            for (var i = 0; i < 3; i++) Assert.NotEqual("rate-limited", CodeIn(await act("alice")));
            Assert.Equal("rate-limited", CodeIn(await act("alice")));
        }
    }

    static void SetQuotas(CarillonOptions options, int perDay)
    {
        options.Votes.SuggestionsPerDay = options.Votes.VotesPerDay = perDay;
        options.Access.TicketsPerDay = options.Access.IdempotencyKeysPerDay = options.Access.MembershipsPerDay = options.Access.KeysPerDay = perDay;
    }

    // What creates rows, each as a user does it.
    static async Task<Func<string, Task<(HttpStatusCode Status, JsonElement Body)>>[]> ActsAsync(TestApp app)
    {
        await using (var tx = await app.Database.BeginAsync(null, default))
        {
            await tx.ExecuteAsync("INSERT INTO carillon_suggestions (id, title, author, created_at) VALUES ('s', 'Open on Sundays', 'carol', '2026-01-01T00:00:00.000Z')");
            await tx.CommitAsync();
        }
        var n = 0;
        return
        [
            user => app.CallAsAsync(user, "POST", "/api/suggestions", new { title = "Open on Sundays" }),
            user => app.CallAsAsync(user, "POST", "/api/suggestions/s/vote", new { value = n++ % 2 == 0 ? 1 : -1 }),
            user => app.CallAsAsync(user, "POST", "/api/tickets"),
            user => app.CallAsync("POST", "/api/keys", new { name = "k", scopes = new[] { "read" } }, $"Bearer {app.TokenOf(user, new { roles = new[] { "admin" } })}"),
            user => app.CallAsAsync(user, "PUT", $"/api/channels/team:red/members/m{n++}"),
            // The publication itself is refused: the key alone counts.
            user => app.CallAsync("POST", "/api/publish", new { channel = "audit", data = 1 }, $"Bearer {app.TokenOf(user)}", ("Idempotency-Key", $"k{n++}")),
        ];
    }

    [Theory]
    [InlineData(AuditLog.DeleteOld, "SEARCH carillon_audit USING COVERING INDEX carillon_audit_at (at<?)")]
    [InlineData(AuditLog.DeleteRepeatable, "SCAN carillon_audit USING INDEX carillon_audit_repeatable")]
    [InlineData(AuditLog.DeleteFirst, "SCAN carillon_audit")]
    public async Task Pruning_the_audit_log_reads_no_more_than_it_deletes(string statement, string plan)
    {
        await using var app = await TestApp.StartKnowingAsync([]);
        await using var connection = await app.Database.OpenReadAsync(default);
        var steps = (await connection.QueryAsync<(int, int, int, string Detail)>("EXPLAIN QUERY PLAN " + statement, new { before = "2026", most = 2000 })).Select(step => step.Detail).ToList();
        Assert.Contains(plan, steps);
        Assert.DoesNotContain(steps, step => step.Contains("TEMP B-TREE", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_flood_of_refusals_and_acts_does_not_push_decisions_out_of_the_audit_log()
    {
        await using var app = await TestApp.StartKnowingAsync([], options => options.Access.AuditMaxEntries = 1000);
        var audit = app.Get<AuditLog>();
        for (var i = 0; i < 900; i++) audit.Note("root", "user:changed", $"u{i}", null, AuditEntry.Allowed);
        for (var i = 0; i < 900; i++) audit.Note(null, "connect", null, null, AuditEntry.Refused, "unauthorized");
        for (var i = 0; i < 900; i++) audit.Note($"u{i}", "subscribe", "suggestions:votes", null, AuditEntry.Allowed);
        await audit.FlushAsync(default);
        await audit.PruneAsync(default);
        Assert.Equal((900, 1000), (await CountAsync(app, "action = 'user:changed'"), await CountAsync(app, "true")));
        Assert.Equal(100, await CountAsync(app, "action = 'subscribe'"));       // the latest of the others
        // Decisions alone are bounded as well.
        for (var i = 0; i < 300; i++) audit.Note("root", "user:disabled", $"u{i}", null, AuditEntry.Allowed);
        await audit.FlushAsync(default);
        await audit.PruneAsync(default);
        Assert.Equal((700, 300, 1000), (await CountAsync(app, "action = 'user:changed'"), await CountAsync(app, "action = 'user:disabled'"), await CountAsync(app, "true")));
    }

    [Fact]
    public async Task Repeated_allowed_acts_are_counted_in_one_entry()
    {
        var clock = new HandDrivenClock();
        await using var app = await TestApp.StartKnowingAsync(["alice", "bob"], services: services => services.AddSingleton<TimeProvider>(clock));
        var audit = app.Get<AuditLog>();
        for (var i = 0; i < 1000; i++) audit.NoteAct("alice", "subscribe", "suggestions:votes", null);
        audit.NoteAct("bob", "subscribe", "suggestions:votes", null);
        clock.Advance(TimeSpan.FromSeconds(10));
        await audit.FlushAsync(CancellationToken.None);
        Assert.Equal(300, await CountAsync(app, "actor = 'alice' AND action = 'subscribe'"));
        Assert.Equal(1, await CountAsync(app, "actor = 'alice' AND action = 'acts:more' AND subject = '700 more' AND outcome = 'allowed'"));
        Assert.Equal(1, await CountAsync(app, "actor = 'bob' AND action = 'subscribe'"));
    }

    [Fact]
    public async Task The_audit_log_is_bounded_by_its_number_of_entries()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"], options => options.Access.AuditMaxEntries = 1000);
        var audit = app.Get<AuditLog>();
        for (var written = 0; written < 15_000; written += 500)
        {
            for (var i = 0; i < 500; i++) audit.Note($"u{i}", "flood", null, null, AuditEntry.Allowed);
            await audit.FlushAsync(CancellationToken.None);
        }
        audit.Note("last", "flood", null, null, AuditEntry.Allowed);       // wakes the loop that prunes
        await Wait.UntilAsync(async () => await CountAsync(app, "true") <= 1000 + 10_000);     // pruned once in ten thousand entries
        await Wait.UntilAsync(async () => await CountAsync(app, "actor = 'last'") == 1);
    }

    [Fact]
    public async Task A_long_answer_is_not_stored_and_its_request_still_happens_once()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        var suggestion = new { title = "Open on Sundays", body = new string('x', 9000) };
        Task<(HttpStatusCode Status, JsonElement Body)> PostAsync() => app.CallAsync("POST", "/api/suggestions", suggestion, $"Bearer {app.TokenOf("alice")}", ("Idempotency-Key", "k1"));
        Assert.Equal(HttpStatusCode.Created, (await PostAsync()).Status);
        var again = await PostAsync();
        Assert.Equal((HttpStatusCode.Created, JsonValueKind.Undefined), (again.Status, again.Body.ValueKind));
        Assert.Equal(1, await app.Database.QuerySingleOrDefaultAsync<int>("SELECT count(*) FROM carillon_suggestions"));
        Assert.Null(await app.Database.QuerySingleOrDefaultAsync<byte[]>("SELECT body FROM carillon_idempotency"));
    }

    [Fact]
    public async Task A_disk_that_is_short_of_space_stops_optional_writes_first_and_shows_it()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"], options => options.MinFreeSpace = long.MaxValue / 2);
        await Wait.UntilAsync(() => Task.FromResult(app.Get<FreeSpace>().IsShort));
        using var client = await app.ConnectAsAsync("alice");
        Assert.True((await client.AskAsync("subscribe", "suggestions:votes")).GetProperty("ok").GetBoolean());
        Assert.Equal("forbidden", (await client.AskAsync("subscribe", "notifications:bob")).GetProperty("error").GetProperty("code").GetString());
        await app.Get<AuditLog>().FlushAsync(CancellationToken.None);
        Assert.Equal(0, await CountAsync(app, "action = 'connect' OR (action = 'subscribe' AND outcome = 'allowed')"));
        Assert.Equal(1, await CountAsync(app, "outcome = 'refused'"));
        // What people do goes on.
        Assert.Equal(HttpStatusCode.Created, (await app.CallAsAsync("alice", "POST", "/api/suggestions", new { title = "Open on Sundays" })).Status);
        // An answer to an idempotent write is not stored, and its key stays taken.
        Assert.Equal(HttpStatusCode.Created, (await app.CallAsync("POST", "/api/suggestions", new { title = "Open late" }, $"Bearer {app.TokenOf("alice")}", ("Idempotency-Key", "k1"))).Status);
        Assert.Equal(1, await app.Database.QuerySingleOrDefaultAsync<int>("SELECT count(*) FROM carillon_idempotency WHERE status = 201 AND body IS NULL"));
        var report = await app.Get<HealthCheckService>().CheckHealthAsync();
        Assert.Equal(HealthStatus.Degraded, report.Status);
        Assert.Contains("MinFreeSpace", report.Entries["carillon"].Description, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(100, 100, false, false)]
    [InlineData(99, 100, false, true)]
    [InlineData(124, 100, true, true)]
    [InlineData(125, 100, true, false)]
    [InlineData(0, 0, false, false)]
    public void Space_is_short_below_the_threshold_until_there_is_a_quarter_more(long free, long least, bool wasShort, bool isShort) =>
        Assert.Equal(isShort, FreeSpace.Decide(free, least, wasShort));

    [Fact]
    public async Task Suggestions_and_resources_can_be_deleted_and_versions_still_only_grow()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        var (_, suggestion) = await app.CallAsAsync("alice", "POST", "/api/suggestions", new { title = "Open on Sundays" });
        var path = $"/api/suggestions/{suggestion.GetProperty("id").GetString()}";
        await app.CallAsAsync("alice", "POST", path + "/vote", new { value = 1 });
        Assert.Equal(HttpStatusCode.Forbidden, (await app.CallAsAsync("alice", "DELETE", path)).Status);
        Assert.Equal(HttpStatusCode.NoContent, (await app.CallAsync("DELETE", path)).Status);
        Assert.Equal(HttpStatusCode.NotFound, (await app.CallAsync("DELETE", path)).Status);
        Assert.Equal(0, await app.Database.QuerySingleOrDefaultAsync<int>("SELECT (SELECT count(*) FROM carillon_suggestions) + (SELECT count(*) FROM carillon_votes)"));

        Task<(HttpStatusCode Status, JsonElement Body)> UpdateAsync(string id) => app.CallAsync("POST", $"/api/resources/{id}/updates", new { operation = "renamed" });
        await UpdateAsync("7");
        Assert.Equal(2, (await UpdateAsync("7")).Body.GetProperty("version").GetInt64());
        Assert.Equal(HttpStatusCode.NoContent, (await app.CallAsync("DELETE", "/api/resources/7")).Status);
        Assert.Equal(HttpStatusCode.NotFound, (await app.CallAsync("DELETE", "/api/resources/7")).Status);
        Assert.Equal(3, (await UpdateAsync("7")).Body.GetProperty("version").GetInt64());
        Assert.Equal(3, (await UpdateAsync("8")).Body.GetProperty("version").GetInt64());
    }

    [Fact]
    public async Task Revoked_token_ids_are_forgotten_when_such_tokens_are_refused_by_their_age()
    {
        var clock = new HandDrivenClock();
        await using var app = await TestApp.StartKnowingAsync(["alice"], options => options.Access.RevocationRetention = TimeSpan.FromDays(30), services => services.AddSingleton<TimeProvider>(clock));
        var token = app.TokenOf("alice", new { jti = "t1" }, expiresIn: TimeSpan.FromDays(365));
        await app.CallAsync("POST", "/api/tokens/revoke", new { jti = "t1" });
        Assert.Equal("token-revoked", await app.RefusedAsync(token));
        clock.Advance(TimeSpan.FromDays(31));
        await app.CallAsync("POST", "/api/tokens/revoke", new { jti = "t3" });
        Assert.Equal(["t1", "t3"], await app.Database.QueryAsync<string>("SELECT jti FROM carillon_revoked_tokens ORDER BY at"));     // there are few: nothing needs deleting
        app.Get<AccessOptions>().MaxRevokedTokens = 1;
        await app.CallAsync("POST", "/api/tokens/revoke", new { jti = "t4" });
        Assert.Equal(["t3", "t4"], await app.Database.QueryAsync<string>("SELECT jti FROM carillon_revoked_tokens ORDER BY at, jti"));     // the young one stays, though there are more
        Assert.Equal("token-expired", await app.RefusedAsync(token));
        Assert.Null(await app.RefusedAsync(app.TokenOf("alice", new { jti = "t1" })));      // given again, later
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_revoked_token_stays_revoked_until_it_expires_whatever_is_deleted(bool hasIat)
    {
        var clock = new HandDrivenClock();
        await using var app = await TestApp.StartKnowingAsync(["alice"], options =>
            (options.Access.RevocationRetention, options.Access.ClockSkew) = (TimeSpan.FromDays(1), TimeSpan.FromMinutes(10)), services => services.AddSingleton<TimeProvider>(clock));
        // Issued by a clock that is ahead, or at a time that nobody knows.
        var now = clock.GetUtcNow().ToUnixTimeSeconds();
        var iat = hasIat ? $",\"iat\":{now + 590}" : "";
        if (hasIat) app.Get<AccessOptions>().MaxRevokedTokens = 0;
        var token = Issuer.Hmac("""{"alg":"HS256"}""", $$"""{"sub":"alice","jti":"old","exp":{{now + (30 * 3600)}}{{iat}}}""", Encoding.UTF8.GetBytes(TestApp.Secret));
        await app.CallAsync("POST", "/api/tokens/revoke", new { jti = "old" });
        for (var minutes = 0; minutes < 30 * 60; minutes += 5)
        {
            clock.Advance(TimeSpan.FromMinutes(5));
            await app.CallAsync("POST", "/api/tokens/revoke", new { jti = $"other{minutes}" });
            Assert.NotEqual(HttpStatusCode.OK, (await app.CallAsync("GET", "/api/suggestions", authorization: $"Bearer {token}")).Status);
        }
    }

    [Fact]
    public async Task A_token_of_the_host_that_outlives_its_revocation_is_refused()
    {
        var clock = new HandDrivenClock();
        await using var app = await TestApp.StartKnowingAsync(["alice"], options => options.Access.RevocationRetention = TimeSpan.FromDays(1), services => services.AddSingleton<TimeProvider>(clock));
        var now = clock.GetUtcNow();
        Token TokenOf(TimeSpan age) => new("alice", null, [], null, [], "t1", now - age, DateTimeOffset.MaxValue, new Dictionary<string, IReadOnlyList<string>>());
        Assert.Null((await app.Get<UserDirectory>().LookUpAsync(TokenOf(TimeSpan.FromHours(23)), null, default)).Error);
        Assert.Equal(ErrorCode.TokenExpired, (await app.Get<UserDirectory>().LookUpAsync(TokenOf(TimeSpan.FromHours(25)), null, default)).Error);
    }

    [Fact]
    public async Task A_transient_fault_of_the_disk_does_not_end_the_guard_against_restored_backups()
    {
        await using var hub = await LiveDatabase.StartAsync("CREATE TABLE t (id INTEGER PRIMARY KEY)", "t");
        var file = PumpCheckpoint.FileFor(hub.Db);
        Directory.CreateDirectory(file + "~");     // writing the file fails
        await hub.RawAsync("INSERT INTO t VALUES (1)");
        await hub.NextAsync();
        var before = File.Exists(file) ? File.ReadAllText(file) : "";
        await Wait.UntilAsync(() => Task.FromResult(hub.Pump.CannotRemember));
        Directory.Delete(file + "~");
        await Wait.UntilAsync(() => Task.FromResult(File.Exists(file) && File.ReadAllText(file) != before));
    }

    static string? CodeIn((HttpStatusCode Status, JsonElement Body) answer) =>
        answer.Body.ValueKind == JsonValueKind.Object && answer.Body.TryGetProperty("code", out var code) ? code.GetString() : null;

    static Task<int> CountAsync(TestApp app, string condition) => app.Database.QuerySingleOrDefaultAsync<int>($"SELECT count(*) FROM carillon_audit WHERE {condition}")!;
}
