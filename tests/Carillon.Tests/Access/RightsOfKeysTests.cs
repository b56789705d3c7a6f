using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Carillon.Access;
using Carillon.Api;
using Carillon.TestTools;
using Carillon.Tests.Live;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.DependencyInjection;

namespace Carillon.Tests.Access;

/// <summary>A key is good for no more, and for no longer, than the right with which it was made.</summary>
public class RightsOfKeysTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_key_of_scope_users_makes_no_administrator(bool disabled)
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        await app.PutUserAsync("root", "admin");
        var users = await MakeKeyAsync(app, $"ApiKey {TestApp.Key}", "users");
        var refused = await app.CallAsync("PUT", "/api/users/alice", new { roles = new[] { "admin" }, disabled }, users);
        Assert.Equal((HttpStatusCode.Forbidden, "forbidden"), (refused.Status, refused.Body.GetProperty("code").GetString()));
        Assert.Equal(HttpStatusCode.Forbidden, (await app.CallAsync("PUT", "/api/users/new", new { roles = new[] { "seller", "admin" }, disabled }, users)).Status);
        Assert.Equal(HttpStatusCode.OK, (await app.CallAsync("PUT", "/api/users/alice", new { roles = new[] { "seller" }, disabled }, users)).Status);
        Assert.Equal(HttpStatusCode.OK, (await app.CallAsync("PUT", "/api/users/root", new { name = "Root", roles = new[] { "admin" } }, users)).Status);      // stays one
        Assert.Equal(HttpStatusCode.OK, (await app.CallAsync("PUT", "/api/users/alice", new { roles = new[] { "admin" } })).Status);
    }

    [Theory]
    [InlineData("role")]
    [InlineData("disabled")]
    [InlineData("deleted")]
    public async Task A_key_made_by_a_person_ends_with_the_person_s_right(string loses)
    {
        await using var app = await TestApp.StartKnowingAsync([]);
        await app.PutUserAsync("root", "admin");
        var key = await MakeKeyAsync(app, $"Bearer {app.TokenOf("root")}", "manage", "read");
        var keyOfKey = await MakeKeyAsync(app, key, "read");
        foreach (var each in new[] { key, keyOfKey }) Assert.Equal(HttpStatusCode.OK, await ReadAsync(app, each));
        await (loses switch
        {
            "role" => app.PutUserAsync("root", "seller"),
            "disabled" => app.PutUserAsync("root", new { roles = new[] { "admin" }, disabled = true }),
            _ => app.CallAsync("DELETE", "/api/users/root"),
        });
        foreach (var each in new[] { key, keyOfKey }) Assert.Equal(HttpStatusCode.Unauthorized, await ReadAsync(app, each));
        await app.PutUserAsync("root", "admin");
        Assert.Equal(HttpStatusCode.OK, await ReadAsync(app, keyOfKey));
    }

    [Fact]
    public async Task A_key_made_with_the_right_of_a_token_ends_with_the_token()
    {
        var clock = new HandDrivenClock();
        await using var app = await TestApp.StartKnowingAsync(["alice"], services: services => services.AddSingleton<TimeProvider>(clock));
        var token = app.TokenOf("alice", new { roles = new[] { "admin" } }, expiresIn: TimeSpan.FromMinutes(10));
        var (_, made) = await app.CallAsync("POST", "/api/keys", new { name = "k", scopes = new[] { "read" }, expiresAt = "2999-01-01T00:00:00Z" }, $"Bearer {token}");
        Assert.InRange(DateTimeOffset.Parse(made.GetProperty("expiresAt").GetString()!, System.Globalization.CultureInfo.InvariantCulture), clock.GetUtcNow(), clock.GetUtcNow() + TimeSpan.FromMinutes(10));
        var key = $"ApiKey {made.GetProperty("key").GetString()}";
        Assert.Equal(HttpStatusCode.OK, await ReadAsync(app, key));
        clock.Advance(TimeSpan.FromMinutes(11));
        Assert.Equal(HttpStatusCode.Unauthorized, await ReadAsync(app, key));

        var next = await MakeKeyAsync(app, $"Bearer {app.TokenOf("alice", new { roles = new[] { "admin" } })}", "read");
        clock.Advance(TimeSpan.FromSeconds(1));
        await app.CallAsync("POST", "/api/tokens/revoke", new { userId = "alice" });
        Assert.Equal(HttpStatusCode.Unauthorized, await ReadAsync(app, next));
    }

    [Theory]
    [InlineData("disabled")]
    [InlineData("deleted")]
    public async Task A_key_made_with_the_right_of_a_token_ends_with_its_user(string how)
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        var key = await MakeKeyAsync(app, $"Bearer {app.TokenOf("alice", new { roles = new[] { "admin" } })}", "read");
        Assert.Equal(HttpStatusCode.OK, await ReadAsync(app, key));
        await (how == "deleted" ? app.CallAsync("DELETE", "/api/users/alice") : app.PutUserAsync("alice", new { disabled = true }));
        Assert.Equal(HttpStatusCode.Unauthorized, await ReadAsync(app, key));
    }

    [Theory]
    [InlineData("jti")]
    [InlineData("roles in the directory")]
    [InlineData("capabilities turned off")]
    [InlineData("age")]
    public async Task A_key_made_with_the_right_of_a_token_ends_when_the_token_gives_the_right_no_more(string how)
    {
        var clock = new HandDrivenClock();
        await using var app = await TestApp.StartKnowingAsync(["alice"], options => options.Access.RevocationRetention = TimeSpan.FromDays(2),
            services => services.AddSingleton<TimeProvider>(clock));
        object claims = how == "capabilities turned off"
            ? new { jti = "t1", capabilities = new Dictionary<string, string[]> { ["*"] = ["manage"] } }
            : new { jti = "t1", roles = new[] { "admin" } };
        var key = await MakeKeyAsync(app, $"Bearer {app.TokenOf("alice", claims, TimeSpan.FromDays(10))}", "manage", "read");
        var keyOfKey = await MakeKeyAsync(app, key, "read");
        foreach (var each in new[] { key, keyOfKey }) Assert.Equal(HttpStatusCode.OK, await ReadAsync(app, each));
        switch (how)
        {
            case "jti": await app.CallAsync("POST", "/api/tokens/revoke", new { jti = "t1" }); break;
            case "roles in the directory": await app.PutUserAsync("alice", "seller"); break;
            case "capabilities turned off": app.Get<AccessOptions>().TokenCapabilities = false; break;
            default: clock.Advance(TimeSpan.FromDays(3)); break;
        }
        foreach (var each in new[] { key, keyOfKey }) Assert.Equal(HttpStatusCode.Unauthorized, await ReadAsync(app, each));
        Assert.Empty(await app.Database.QueryAsync<string>("SELECT id FROM carillon_api_keys WHERE maker_token LIKE '%.%.%'"));      // claims, and no token
    }

    [Fact]
    public async Task A_key_made_by_somebody_with_a_role_in_the_directory_does_not_depend_on_the_token()
    {
        await using var app = await TestApp.StartKnowingAsync([]);
        await app.PutUserAsync("root", "admin");
        var key = await MakeKeyAsync(app, $"Bearer {app.TokenOf("root", new { jti = "t1" })}", "read");
        await app.CallAsync("POST", "/api/tokens/revoke", new { jti = "t1" });
        Assert.Equal(HttpStatusCode.OK, await ReadAsync(app, key));
    }

    [Fact]
    public async Task Keys_made_with_the_keys_of_a_person_before_an_upgrade_end_with_the_right_of_that_person()
    {
        var folder = Directory.CreateTempSubdirectory("carillon-");
        await using (var old = await StartAtAsync(folder))
        {
            await old.PutUserAsync("root", "admin");
            await using var tx = await old.Database.BeginAsync(null, default);
            // As the version before stored them.
            await tx.ExecuteAsync("""
                DELETE FROM carillon_migrations WHERE number >= 15;
                ALTER TABLE carillon_api_keys DROP COLUMN maker_token;
                DROP INDEX carillon_audit_repeatable;
                """);
            await tx.ExecuteAsync("INSERT INTO carillon_api_keys (id, name, hash, scopes, created_by, created_at, maker) VALUES (@id, 'k', @hash, '[\"read\"]', @by, '2026-01-01T00:00:00.000Z', @maker)",
                new[] { ("first", "root", "root"), ("second", "key:first", null), ("third", "key:second", null), ("other", "key:configured-0", null) }
                    .Select(key => new { id = key.Item1.PadRight(16, '0'), hash = HashOf(key.Item1), by = key.Item2 is "key:first" or "key:second" ? key.Item2.PadRight(20, '0') : key.Item2, maker = key.Item3 }).ToArray());
            await tx.CommitAsync();
        }
        await using var app = await StartAtAsync(folder);
        foreach (var id in new[] { "first", "second", "third", "other" }) Assert.Equal(HttpStatusCode.OK, await ReadAsync(app, KeyOf(id)));
        await app.PutUserAsync("root", "seller");
        foreach (var id in new[] { "first", "second", "third" }) Assert.Equal(HttpStatusCode.Unauthorized, await ReadAsync(app, KeyOf(id)));
        Assert.Equal(HttpStatusCode.OK, await ReadAsync(app, KeyOf("other")));

        static string KeyOf(string id) => $"ApiKey ck_{id.PadRight(16, '0')}_secret";
        static string HashOf(string id) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(KeyOf(id)["ApiKey ".Length..])));
        static Task<TestApp> StartAtAsync(DirectoryInfo at) => TestApp.StartAsync(options => (options.Access.SigningKey, options.Access.ApiKeys) = (TestApp.Secret, [TestApp.Key]), at: at);
    }

    [Fact]
    public async Task A_key_of_scope_users_makes_no_administrator_by_emptying_roles()
    {
        await using var app = await TestApp.StartKnowingAsync([]);
        var users = await MakeKeyAsync(app, $"ApiKey {TestApp.Key}", "users");
        var token = $"Bearer {app.TokenOf("bob", new { roles = new[] { "admin" } })}";
        await app.PutUserAsync("bob", "clerk");
        Task<(HttpStatusCode Status, JsonElement Body)> PutAsync(object user) => app.CallAsync("PUT", "/api/users/bob", user, users);
        Task<HttpStatusCode> AdministersAsync() => app.CallAsync("GET", "/api/audit", authorization: token).ContinueWith(answer => answer.Result.Status, TaskScheduler.Default);

        Assert.Equal(HttpStatusCode.Forbidden, (await PutAsync(new { name = "Bob", roles = Array.Empty<string>() })).Status);
        Assert.Equal(HttpStatusCode.Forbidden, (await PutAsync(new { name = "Bob" })).Status);
        Assert.Equal(HttpStatusCode.Forbidden, await AdministersAsync());
        // Disabling needs no roles, and does not take them away.
        var disabled = await PutAsync(new { disabled = true });
        Assert.Equal((HttpStatusCode.OK, "clerk"), (disabled.Status, disabled.Body.GetProperty("roles")[0].GetString()));
        Assert.Equal(HttpStatusCode.Forbidden, (await PutAsync(new { name = "Bob" })).Status);
        // A deletion forgets them, and a key that brings the user back has to give some.
        Assert.Equal(HttpStatusCode.NoContent, (await app.CallAsync("DELETE", "/api/users/bob", authorization: users)).Status);
        Assert.Equal(HttpStatusCode.Forbidden, (await PutAsync(new { name = "Bob" })).Status);
        Assert.Equal(HttpStatusCode.OK, (await PutAsync(new { name = "Bob", roles = new[] { "clerk" } })).Status);
        Assert.Equal(HttpStatusCode.Forbidden, await AdministersAsync());
        // A key that administers may.
        await app.PutUserAsync("bob", new { name = "Bob" });
        Assert.Equal(HttpStatusCode.OK, await AdministersAsync());
    }

    [Fact]
    public async Task A_user_who_lost_a_role_that_administers_does_not_get_it_back_from_a_key_of_scope_users_by_being_disabled()
    {
        await using var app = await TestApp.StartKnowingAsync([]);
        await app.PutUserAsync("bob", "admin");
        var users = await MakeKeyAsync(app, $"ApiKey {TestApp.Key}", "users");
        Task<(HttpStatusCode Status, JsonElement Body)> disabling;
        await using (var tx = await app.Database.BeginAsync(null, default))
        {
            disabling = app.CallAsync("PUT", "/api/users/bob", new { roles = new[] { "admin" }, disabled = true }, users);      // bob is one, as far as it can see
            await Wait.UntilAsync(() => app.Get<PendingDecisions>().Count == 1);
            await tx.ExecuteAsync("""UPDATE carillon_users SET roles = '["clerk"]' WHERE id = 'bob'""");
            await tx.CommitAsync();
        }
        var (status, bob) = await disabling;
        Assert.Equal((HttpStatusCode.OK, true, """["clerk"]"""), (status, bob.GetProperty("disabled").GetBoolean(), bob.GetProperty("roles").GetRawText()));
    }

    [Theory]
    [InlineData(true, HttpStatusCode.OK)]
    [InlineData(false, HttpStatusCode.Forbidden)]
    public async Task Capabilities_of_tokens_can_be_turned_off(bool on, HttpStatusCode expected)
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"], options => options.Access.TokenCapabilities = on);
        var token = app.TokenOf("alice", new { capabilities = new Dictionary<string, string[]> { ["*"] = ["*"] } });
        Assert.Equal(expected, (await app.CallAsync("GET", "/api/audit", authorization: $"Bearer {token}")).Status);
        Assert.Equal(expected, (await app.CallAsync("GET", "/api/channels/notifications:bob/history", authorization: $"Bearer {token}")).Status);
    }

    [Theory]
    [InlineData("""{"operation":"renamed","data":"\ud800"}""")]
    [InlineData("""{"operation":"renamed","data":{"a":["\uDC00"]}}""")]
    [InlineData("""{"operation":"renamed","data":{"\ud83d":1}}""")]
    [InlineData("""{"operation":"renamed","patch":[{"op":"add","path":"/a","value":"x\uD83Dx"}]}""")]
    [InlineData("""{"operation":"\ud800"}""")]
    public async Task Half_a_surrogate_pair_is_refused_before_anything_is_written(string body)
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        foreach (var (method, path) in new[] { ("POST", "/api/resources/7/updates"), ("POST", "/api/publish"), ("PUT", "/api/users/bob") })
        {
            var answer = await app.CallAsync(method, path, body, headers: ("Idempotency-Key", "k1"));
            Assert.Equal((HttpStatusCode.BadRequest, "invalid-payload"), (answer.Status, answer.Body.GetProperty("code").GetString()));
        }
        Assert.Equal(0, await app.Database.QuerySingleOrDefaultAsync<int>("SELECT count(*) FROM carillon_resources"));
        // A whole pair, however it is written, is a text like others.
        var whole = await app.CallAsync("POST", "/api/resources/7/updates", """{"operation":"renamed","data":"\ud83d\ude00 \\ud800"}""");
        Assert.Equal((HttpStatusCode.Created, "😀 \\ud800"), (whole.Status, whole.Body.GetProperty("data").GetString()));
    }

    [Fact]
    public void Bytes_that_are_no_UTF_8_cannot_be_written() => Assert.False(JsonBody.IsWritable([.. "{\"a\":\""u8, 0xED, 0xA0, 0x80, .. "\"}"u8]));

    [Fact]
    public async Task After_a_commit_the_key_stays_taken_whatever_became_of_the_answer()
    {
        await using var app = await TestApp.StartKnowingAsync([]);
        var done = 0;
        async Task DoAsync(HttpContext http)
        {
            await using var tx = await app.Database.BeginAsync(null, default);
            await tx.CommitAsync();
            done++;
            throw new InvalidOperationException("The answer cannot be written.");
        }
        await Assert.ThrowsAsync<InvalidOperationException>(() => ServeAsync(app, "{}", DoAsync));
        var again = await ServeAsync(app, "{}", DoAsync);
        Assert.Equal((StatusCodes.Status409Conflict, 1), (again.Response.StatusCode, done));
    }

    [Theory]
    [InlineData(StatusCodes.Status201Created)]
    [InlineData(StatusCodes.Status400BadRequest)]
    public async Task A_request_slower_than_a_minute_leaves_a_key_alone_that_another_has_taken_meanwhile(int slowStatus)
    {
        var clock = new HandDrivenClock();
        await using var app = await TestApp.StartKnowingAsync([], services: services => services.AddSingleton<TimeProvider>(clock));
        TaskCompletionSource hasBegun = new(), mayEnd = new();
        var slow = ServeAsync(app, "slow", async http =>
        {
            hasBegun.SetResult();
            await mayEnd.Task;
            http.Response.StatusCode = slowStatus;
        });
        await hasBegun.Task;
        clock.Advance(TimeSpan.FromSeconds(61));
        var acts = 0;
        async Task ActAsync(HttpContext http)
        {
            http.Response.StatusCode = StatusCodes.Status202Accepted;
            await http.Response.WriteAsync($"act {++acts}");
        }
        Assert.Equal("act 1", BodyOf(await ServeAsync(app, "quick", ActAsync)));
        mayEnd.SetResult();
        Assert.Equal(slowStatus, (await slow).Response.StatusCode);

        var again = await ServeAsync(app, "quick", ActAsync);
        Assert.Equal((StatusCodes.Status202Accepted, "act 1", 1), (again.Response.StatusCode, BodyOf(again), acts));
        Assert.Equal(StatusCodes.Status409Conflict, (await ServeAsync(app, "slow", ActAsync)).Response.StatusCode);
    }

    [Fact]
    public async Task A_request_that_happened_while_its_key_could_not_be_stored_is_remembered_until_it_is_stored_or_too_old()
    {
        var clock = new HandDrivenClock();
        await using var app = await TestApp.StartKnowingAsync([], services: services => services.AddSingleton<TimeProvider>(clock));
        var idempotency = app.Get<Idempotency>();
        idempotency.MaxUnstored = 2;
        IDisposable? hidden = null;
        Task LoseAsync(HttpContext http)
        {
            hidden = app.HideDatabase();
            http.Response.StatusCode = StatusCodes.Status201Created;
            return Task.CompletedTask;
        }
        async Task LoseOneAsync(string key)
        {
            Assert.Equal(StatusCodes.Status201Created, (await ServeAsync(app, "{}", LoseAsync, key)).Response.StatusCode);
            hidden!.Dispose();
        }
        foreach (var key in new[] { "k1", "k2", "k3" }) await LoseOneAsync(key);
        Assert.Equal(2, idempotency.Unstored);     // there was no room for the third
        Assert.Equal(StatusCodes.Status409Conflict, (await ServeAsync(app, "{}", LoseAsync, "k1")).Response.StatusCode);
        Assert.Equal(1, idempotency.Unstored);     // stored, and remembered no more
        await LoseOneAsync("k4");
        clock.Advance(TimeSpan.FromDays(1) + TimeSpan.FromSeconds(1));
        await LoseOneAsync("k5");
        Assert.Equal(1, idempotency.Unstored);     // the old ones made room
        Assert.Equal(StatusCodes.Status409Conflict, (await ServeAsync(app, "{}", LoseAsync, "k5")).Response.StatusCode);
        Assert.Equal(0, idempotency.Unstored);
    }

    // A request past the guard, with the handler of a test behind it.
    static async Task<HttpContext> ServeAsync(TestApp app, string body, RequestDelegate next, string key = "k1")
    {
        var http = new DefaultHttpContext { RequestServices = app.Get<IServiceProvider>() };
        http.Request.Method = "POST";
        http.Request.Headers["Idempotency-Key"] = key;
        http.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget = "/api/x";
        http.Request.Body = new MemoryStream(Encoding.UTF8.GetBytes(body));
        http.Response.Body = new MemoryStream();
        await app.Get<Idempotency>().ServeAsync(http, new Caller("alice", null, [], null), next);
        return http;
    }

    static string BodyOf(HttpContext http) => Encoding.UTF8.GetString(((MemoryStream)http.Response.Body).ToArray());

    static async Task<string> MakeKeyAsync(TestApp app, string authorization, params string[] scopes) =>
        $"ApiKey {(await app.CallAsync("POST", "/api/keys", new { name = "k", scopes }, authorization)).Body.GetProperty("key").GetString()}";

    static async Task<HttpStatusCode> ReadAsync(TestApp app, string key) => (await app.CallAsync("GET", "/api/suggestions", authorization: key)).Status;
}
