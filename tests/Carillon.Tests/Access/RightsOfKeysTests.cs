using System.Net;
using System.Text;
using Carillon.Access;
using Carillon.Api;
using Carillon.Storage;
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

    // A request past the guard, with the handler of a test behind it.
    static async Task<HttpContext> ServeAsync(TestApp app, string body, RequestDelegate next)
    {
        var http = new DefaultHttpContext { RequestServices = app.Get<IServiceProvider>() };
        http.Request.Method = "POST";
        http.Request.Headers["Idempotency-Key"] = "k1";
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
