using System.Net;
using System.Text.Json;
using Carillon.Hub;
using Carillon.TestTools;
using Carillon.Tests.Live;
using Microsoft.Extensions.DependencyInjection;

namespace Carillon.Tests.Access;

/// <summary>The HTTP API: who may call what, and that a write with a key of its own happens once.</summary>
public class ApiTests
{
    [Theory]
    [InlineData("GET", "/api/users", "forbidden")]
    [InlineData("PUT", "/api/users/bob", "forbidden")]
    [InlineData("DELETE", "/api/users/bob", "forbidden")]
    [InlineData("POST", "/api/tokens/revoke", "forbidden")]
    [InlineData("GET", "/api/audit", "forbidden")]
    [InlineData("POST", "/api/keys", "forbidden")]
    [InlineData("GET", "/api/keys", "forbidden")]
    [InlineData("DELETE", "/api/keys/x", "forbidden")]
    [InlineData("GET", "/api/bans", "forbidden")]
    [InlineData("GET", "/api/limits", "forbidden")]
    [InlineData("POST", "/api/resources/7/updates", "forbidden")]
    [InlineData("PUT", "/api/channels/a/members/bob", "forbidden")]
    [InlineData("GET", "/api/channels/a/members", "forbidden")]
    public async Task A_person_without_a_right_is_forbidden_before_anything_is_read(string method, string path, string code)
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        Assert.Equal(code, (await app.CallAsAsync("alice", method, path, "{rubbish")).Body.GetProperty("code").GetString());
        Assert.Equal("unauthorized", (await app.CallAsync(method, path, "{rubbish", authorization: null)).Body.GetProperty("code").GetString());
    }

    [Fact]
    public async Task Problems_bear_the_reason_phrase_of_their_status()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        Assert.Equal(("Unauthorized", "unauthorized"), TitleAndCode(await app.CallAsync("GET", "/api/users", authorization: null)));
        Assert.Equal(("Forbidden", "forbidden"), TitleAndCode(await app.CallAsAsync("alice", "GET", "/api/users")));
        Assert.Equal(("Not Found", "not-found"), TitleAndCode(await app.CallAsync("GET", "/api/users/nobody")));
        Assert.Equal(("Bad Request", "invalid-payload"), TitleAndCode(await app.CallAsync("PUT", "/api/users/x", "{rubbish")));
        using (app.HideDatabase())
            Assert.Equal(("Service Unavailable", "unavailable"), TitleAndCode(await app.CallAsync("GET", "/api/users")));

        static (string?, string?) TitleAndCode((HttpStatusCode Status, JsonElement Body) answer) =>
            (answer.Body.GetProperty("title").GetString(), answer.Body.GetProperty("code").GetString());
    }

    [Theory]
    [InlineData("POST", "/api/suggestions", "{\"title\":\"more bread\"}")]
    [InlineData("POST", "/api/tickets", null)]
    public async Task What_is_a_person_s_own_is_not_a_back_end_s(string method, string path, string? body)
    {
        await using var app = await TestApp.StartKnowingAsync([]);
        Assert.Equal("forbidden", (await app.CallAsync(method, path, body)).Body.GetProperty("code").GetString());
    }

    [Fact]
    public async Task Administrators_may_what_keys_that_manage_may()
    {
        await using var app = await TestApp.StartKnowingAsync([]);
        await app.PutUserAsync("root", "admin");
        foreach (var path in new[] { "/api/audit", "/api/keys", "/api/bans", "/api/limits", "/api/users" })
            Assert.Equal(HttpStatusCode.OK, (await app.CallAsAsync("root", "GET", path)).Status);
        Assert.Equal(HttpStatusCode.Forbidden, (await app.CallAsAsync("root", "DELETE", "/api/users/root")).Status);
    }

    [Theory]
    [InlineData("{rubbish")]
    [InlineData("[]")]
    [InlineData("7")]
    [InlineData("{\"roles\":\"teacher\"}")]
    [InlineData("{\"roles\":[null]}")]
    [InlineData("{\"roles\":[\"\"]}")]
    [InlineData("{\"disabled\":\"yes\"}")]
    [InlineData("null")]
    public async Task A_body_that_is_not_as_it_should_be_is_told_so(string body)
    {
        await using var app = await TestApp.StartKnowingAsync([]);
        var (status, problem) = await app.CallAsync("PUT", "/api/users/alice", body);
        Assert.Equal((HttpStatusCode.BadRequest, "invalid-payload"), (status, problem.GetProperty("code").GetString()));
        Assert.Equal(HttpStatusCode.NotFound, (await app.CallAsync("GET", "/api/users/alice")).Status);
    }

    [Fact]
    public async Task A_body_that_is_too_large_is_told_so()
    {
        await using var app = await TestApp.StartKnowingAsync([]);
        var (status, problem) = await app.CallAsync("POST", "/api/publish", new { channel = "a", data = new string('x', 1_000_001) });
        Assert.Equal((HttpStatusCode.RequestEntityTooLarge, "payload-too-large"), (status, problem.GetProperty("code").GetString()));
    }

    [Theory]
    [InlineData("a%3Ab")]
    [InlineData("a%0Ab")]
    [InlineData("%20")]
    public async Task An_id_that_could_not_stand_in_a_channel_s_name_is_none(string id)
    {
        await using var app = await TestApp.StartKnowingAsync([]);
        Assert.Equal(HttpStatusCode.BadRequest, (await app.CallAsync("PUT", $"/api/users/{id}", new { })).Status);
    }

    [Fact]
    public async Task The_directory_is_replaced_listed_and_forgotten()
    {
        await using var app = await TestApp.StartKnowingAsync(["carol", "alice", "bob"]);
        await app.PutUserAsync("bob", new { region = "Brittany", interests = new[] { "sailing", "sailing" }, disabled = true });
        var bob = (await app.CallAsync("GET", "/api/users/bob")).Body;
        Assert.Equal((JsonValueKind.Null, "Brittany", 1, true), (bob.GetProperty("name").ValueKind, bob.GetProperty("region").GetString(), bob.GetProperty("interests").GetArrayLength(), bob.GetProperty("disabled").GetBoolean()));

        var first = (await app.CallAsync("GET", "/api/users?limit=2")).Body;
        Assert.Equal(["alice", "bob"], first.GetProperty("items").EnumerateArray().Select(item => item.GetProperty("id").GetString()));
        var rest = (await app.CallAsync("GET", $"/api/users?limit=2&cursor={first.GetProperty("next").GetString()}")).Body;
        Assert.Equal(["carol"], rest.GetProperty("items").EnumerateArray().Select(item => item.GetProperty("id").GetString()));
        Assert.False(rest.TryGetProperty("next", out _));
    }

    [Fact]
    public async Task A_key_is_shown_once_works_within_its_scopes_and_can_be_taken_away()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        var (status, made) = await app.CallAsync("POST", "/api/keys", new { name = "the till", scopes = new[] { "publish" } });
        Assert.Equal(HttpStatusCode.Created, status);
        var (id, key) = (made.GetProperty("id").GetString(), made.GetProperty("key").GetString()!);
        var listed = Assert.Single((await app.CallAsync("GET", "/api/keys")).Body.GetProperty("items").EnumerateArray());
        Assert.Equal(("the till", false), (listed.GetProperty("name").GetString(), listed.TryGetProperty("key", out _)));

        Assert.Equal(HttpStatusCode.OK, (await app.CallAsync("POST", "/api/publish", new { channel = "notifications:alice", data = 1 }, $"ApiKey {key}")).Status);
        foreach (var (method, path) in new[] { ("GET", "/api/audit"), ("GET", "/api/users"), ("PUT", "/api/users/bob"), ("POST", "/api/keys"), ("GET", "/api/channels/notifications:alice/history") })
            Assert.Equal("forbidden", (await app.CallAsync(method, path, "{}", $"ApiKey {key}")).Body.GetProperty("code").GetString());

        Assert.Equal(HttpStatusCode.NoContent, (await app.CallAsync("DELETE", $"/api/keys/{id}")).Status);
        Assert.Equal("unauthorized", (await app.CallAsync("POST", "/api/publish", new { channel = "notifications:alice", data = 1 }, $"ApiKey {key}")).Body.GetProperty("code").GetString());
        Assert.Equal(HttpStatusCode.NotFound, (await app.CallAsync("DELETE", $"/api/keys/{id}")).Status);
    }

    [Fact]
    public async Task A_key_is_refused_when_anything_of_it_is_wrong()
    {
        await using var app = await TestApp.StartKnowingAsync([]);
        var key = (await app.CallAsync("POST", "/api/keys", new { name = "k", scopes = new[] { "*" } })).Body.GetProperty("key").GetString()!;
        Assert.Equal(HttpStatusCode.OK, (await app.CallAsync("GET", "/api/keys", authorization: $"ApiKey {key}")).Status);
        foreach (var wrong in new[]
        {
            key[..^1], key + "x", key.ToUpperInvariant(), key[3..], "ck_" + new string('0', 16) + key[19..], key[..20], "ck_", "", new string('k', 5000),
            "' OR 1=1 --", TestApp.Key + " ", TestApp.Key[..^1],
        })
            if (wrong.Trim() != TestApp.Key) Assert.Equal("unauthorized", (await app.CallAsync("GET", "/api/keys", authorization: $"ApiKey {wrong}")).Body.GetProperty("code").GetString());
        Assert.Equal("unauthorized", (await app.CallAsync("GET", "/api/keys", authorization: $"Bearer {key}")).Body.GetProperty("code").GetString());
        var hashes = await app.Database.QueryAsync<string>("SELECT hash || id || name || scopes FROM carillon_api_keys");
        Assert.DoesNotContain(key[20..], Assert.Single(hashes), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{\"name\":\"k\",\"scopes\":[]}")]
    [InlineData("{\"name\":\"k\"}")]
    [InlineData("{\"name\":\"k\",\"scopes\":[\"everything\"]}")]
    [InlineData("{\"name\":\"\",\"scopes\":[\"*\"]}")]
    [InlineData("{\"name\":\"k\",\"scopes\":[\"*\"],\"expiresAt\":\"2020-01-01T00:00:00Z\"}")]
    public async Task A_key_is_not_made_of_rubbish(string body)
    {
        await using var app = await TestApp.StartKnowingAsync([]);
        Assert.Equal("invalid-payload", (await app.CallAsync("POST", "/api/keys", body)).Body.GetProperty("code").GetString());
    }

    [Fact]
    public async Task A_key_makes_none_that_lasts_longer_than_itself()
    {
        await using var app = await TestApp.StartKnowingAsync([]);
        var end = TimeProvider.System.GetUtcNow() + TimeSpan.FromHours(1);
        var key = (await app.CallAsync("POST", "/api/keys", new { name = "k", scopes = new[] { "manage" }, expiresAt = end })).Body.GetProperty("key").GetString();
        foreach (var wished in new DateTimeOffset?[] { null, end + TimeSpan.FromDays(1), end - TimeSpan.FromMinutes(1) })
        {
            var made = (await app.CallAsync("POST", "/api/keys", new { name = "another", scopes = new[] { "manage" }, expiresAt = wished }, $"ApiKey {key}")).Body;
            Assert.True(made.GetProperty("expiresAt").GetDateTimeOffset() <= end);
        }
    }

    [Fact]
    public async Task A_history_since_a_position_is_read_in_parts()
    {
        await using var app = await TestApp.StartKnowingAsync([]);
        string epoch = "";
        for (var i = 1; i <= 120; i++) epoch = (await app.CallAsync("POST", "/api/publish", new { channel = "resource:updates:7", data = i })).Body.GetProperty("items")[0].GetProperty("position").GetProperty("epoch").GetString()!;
        List<int> read = [];
        for (var path = $"/api/channels/resource:updates:7/history?since={epoch}:0"; path is not null;)
        {
            var part = (await app.CallAsync("GET", path)).Body;
            Assert.True(part.GetProperty("recovered").GetBoolean());
            read.AddRange(part.GetProperty("items").EnumerateArray().Select(item => item.GetProperty("data").GetInt32()));
            path = part.TryGetProperty("next", out var next) ? $"/api/channels/resource:updates:7/history?cursor={next.GetString()}" : null;
        }
        Assert.Equal(Enumerable.Range(1, 120), read);
    }

    [Theory]
    [InlineData("a%2Fb", "a/b")]
    [InlineData("a%2fb", "a/b")]
    [InlineData("a%252Fb", "a%2Fb")]
    [InlineData("auth0%7C1", "auth0|1")]
    [InlineData("a%2Fb?x=%252F", "a/b")]
    public async Task An_id_may_hold_what_a_path_escapes(string written, string id)
    {
        await using var app = await TestApp.StartKnowingAsync([]);
        Assert.Equal(id, (await app.CallAsync("PUT", $"/api/users/{written}", new { })).Body.GetProperty("id").GetString());
        using var client = await app.ConnectAsAsync(id);
        Assert.Equal($"notifications:{id}", client.Session.GetProperty("channels")[0].GetString());
        Assert.Equal(id, (await app.CallAsync("POST", $"/api/resources/{written.Split('?')[0]}/updates", new { operation = "update" })).Body.GetProperty("resourceId").GetString());
    }

    [Fact]
    public async Task An_answer_that_is_given_again_is_whole_and_one_under_way_may_be_asked_for_again()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        for (var i = 0; i < 2; i++)
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, "/api/suggestions") { Content = new StringContent("{\"title\":\"bread\"}", System.Text.Encoding.UTF8, "application/json") };
            request.Headers.TryAddWithoutValidation("Authorization", $"Bearer {app.TokenOf("alice")}");
            request.Headers.TryAddWithoutValidation("Idempotency-Key", "k");
            using var answer = await app.Http.SendAsync(request);
            Assert.Equal(HttpStatusCode.Created, answer.StatusCode);
            Assert.StartsWith("/api/suggestions/", answer.Headers.Location!.ToString(), StringComparison.Ordinal);
        }
        await using (var tx = await app.Database.BeginAsync(null, default))
        {
            await tx.ExecuteAsync("UPDATE carillon_idempotency SET status = NULL");
            await tx.CommitAsync();
        }
        var underWay = (await app.CallAsync("POST", "/api/suggestions", new { title = "bread" }, $"Bearer {app.TokenOf("alice")}", ("Idempotency-Key", "k"))).Body;
        Assert.Equal(("conflict", true, 1), (underWay.GetProperty("code").GetString(), underWay.GetProperty("retryable").GetBoolean(), underWay.GetProperty("retryAfter").GetInt32()));
    }

    [Fact]
    public async Task A_key_makes_none_with_more_scopes_than_its_own()
    {
        await using var app = await TestApp.StartKnowingAsync([]);
        var key = (await app.CallAsync("POST", "/api/keys", new { name = "k", scopes = new[] { "manage" } })).Body.GetProperty("key").GetString();
        Assert.Equal("forbidden", (await app.CallAsync("POST", "/api/keys", new { name = "more", scopes = new[] { "publish" } }, $"ApiKey {key}")).Body.GetProperty("code").GetString());
        Assert.Equal(HttpStatusCode.Created, (await app.CallAsync("POST", "/api/keys", new { name = "as much", scopes = new[] { "manage" } }, $"ApiKey {key}")).Status);
    }

    [Fact]
    public async Task A_write_with_a_key_of_its_own_happens_once()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        using var client = await app.ConnectAsAsync("alice");
        var sent = new { channel = "notifications:alice", data = new { n = 1 } };
        var answers = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => app.CallAsync("POST", "/api/publish", sent, headers: ("Idempotency-Key", "k1"))));
        var first = await app.CallAsync("POST", "/api/publish", sent, headers: ("Idempotency-Key", "k1"));
        Assert.Equal(HttpStatusCode.OK, first.Status);
        Assert.All(answers, answer => Assert.True(
            answer.Status == HttpStatusCode.OK ? answer.Body.GetRawText() == first.Body.GetRawText() : answer.Body.GetProperty("code").GetString() == "conflict"));
        Assert.Contains(answers, answer => answer.Status == HttpStatusCode.OK);

        Assert.Equal("conflict", (await app.CallAsync("POST", "/api/publish", new { channel = "notifications:alice", data = new { n = 2 } }, headers: ("Idempotency-Key", "k1"))).Body.GetProperty("code").GetString());
        Assert.Equal("invalid-payload", (await app.CallAsync("POST", "/api/publish", sent, headers: ("Idempotency-Key", new string('k', 201)))).Body.GetProperty("code").GetString());
        await app.CallAsync("POST", "/api/publish", new { channel = "notifications:alice", data = new { n = 3 } }, headers: ("Idempotency-Key", "k2"));
        Assert.Equal(1, (await client.NextAsync("notification")).GetProperty("n").GetInt32());
        Assert.Equal(3, (await client.NextAsync("notification")).GetProperty("n").GetInt32());
    }

    [Fact]
    public async Task A_key_whose_first_request_never_ended_is_free_again_after_a_minute_and_an_answer_is_kept_a_day()
    {
        var clock = new HandDrivenClock();
        await using var app = await TestApp.StartKnowingAsync([], services: services => services.AddSingleton<TimeProvider>(clock));
        await using (var tx = await app.Database.BeginAsync(null, default))
        {
            await tx.ExecuteAsync("INSERT INTO carillon_idempotency (caller, key, request, at_ms) VALUES ('key:configured-0', 'k', 'x', @now)", new { now = clock.GetUtcNow().ToUnixTimeMilliseconds() });
            await tx.CommitAsync();
        }
        var sent = new { channel = "a:b", data = 1 };
        Assert.Equal("conflict", (await app.CallAsync("POST", "/api/publish", sent, headers: ("Idempotency-Key", "k"))).Body.GetProperty("code").GetString());
        clock.Advance(TimeSpan.FromSeconds(61));
        var first = (await app.CallAsync("POST", "/api/publish", sent, headers: ("Idempotency-Key", "k"))).Body.GetRawText();
        clock.Advance(TimeSpan.FromHours(23));
        Assert.Equal(first, (await app.CallAsync("POST", "/api/publish", sent, headers: ("Idempotency-Key", "k"))).Body.GetRawText());
        clock.Advance(TimeSpan.FromHours(2));
        Assert.NotEqual(first, (await app.CallAsync("POST", "/api/publish", sent, headers: ("Idempotency-Key", "k"))).Body.GetRawText());
    }

    [Fact]
    public async Task An_answer_that_holds_a_secret_is_not_kept()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        await app.CallAsync("POST", "/api/keys", new { name = "k", scopes = new[] { "read" } }, headers: ("Idempotency-Key", "k"));
        await app.CallAsync("POST", "/api/tickets", authorization: $"Bearer {app.TokenOf("alice")}", headers: ("Idempotency-Key", "k"));
        Assert.Empty(await app.Database.QueryAsync<string>("SELECT key FROM carillon_idempotency"));
    }

    [Fact]
    public async Task A_publication_may_be_critical()
    {
        await using var app = await TestApp.StartKnowingAsync([]);
        Assert.Equal(HttpStatusCode.OK, (await app.CallAsync("POST", "/api/publish", new { channel = "a", importance = "critical", data = 1 })).Status);
    }

    [Theory]
    [InlineData("read", true)]
    [InlineData("users", true)]
    [InlineData("publish", false)]
    public async Task Who_keeps_the_directory_reads_it(string scope, bool may)
    {
        await using var app = await TestApp.StartKnowingAsync([]);
        var key = (await app.CallAsync("POST", "/api/keys", new { name = "k", scopes = new[] { scope } })).Body.GetProperty("key").GetString();
        Assert.Equal(may ? HttpStatusCode.OK : HttpStatusCode.Forbidden, (await app.CallAsync("GET", "/api/users", authorization: $"ApiKey {key}")).Status);
    }

    [Fact]
    public async Task A_write_that_was_refused_may_be_sent_again_with_its_key()
    {
        await using var app = await TestApp.StartKnowingAsync([]);
        Assert.Equal(HttpStatusCode.BadRequest, (await app.CallAsync("POST", "/api/publish", new { channel = "a::b", data = 1 }, headers: ("Idempotency-Key", "k"))).Status);
        Assert.Equal(HttpStatusCode.OK, (await app.CallAsync("POST", "/api/publish", new { channel = "a:b", data = 1 }, headers: ("Idempotency-Key", "k"))).Status);
    }

    [Theory]
    [InlineData("{\"data\":1}")]
    [InlineData("{\"channel\":\"a\"}")]
    [InlineData("{\"channel\":\"a\",\"channels\":[\"b\"],\"data\":1}")]
    [InlineData("{\"channels\":[],\"data\":1}")]
    [InlineData("{\"channels\":[\"a\",null],\"data\":1}")]
    [InlineData("{\"channel\":\"a:\",\"data\":1}")]
    [InlineData("{\"channel\":\"a\",\"event\":\"connect\",\"data\":1}")]
    [InlineData("{\"channel\":\"a\",\"event\":\"session\",\"data\":1}")]
    [InlineData("{\"channel\":\"a\",\"event\":\"\",\"data\":1}")]
    [InlineData("{\"channel\":\"a\",\"importance\":\"huge\",\"data\":1}")]
    [InlineData("{\"channel\":\"a\",\"importance\":3,\"data\":1}")]
    public async Task What_cannot_be_published_is_told_so(string body)
    {
        await using var app = await TestApp.StartKnowingAsync([]);
        Assert.Equal("invalid-payload", (await app.CallAsync("POST", "/api/publish", body)).Body.GetProperty("code").GetString());
    }

    [Theory]
    [InlineData("audit")]
    [InlineData("presence:suggestions:votes")]
    public async Task Nobody_says_what_the_server_itself_says(string channel)
    {
        await using var app = await TestApp.StartKnowingAsync([]);
        Assert.Equal("forbidden", (await app.CallAsync("POST", "/api/publish", new { channel, data = 1 })).Body.GetProperty("code").GetString());
    }

    [Fact]
    public async Task A_publication_carries_an_event_of_its_own_and_is_read_again()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        using var client = await app.ConnectAsAsync("alice");
        await client.AskAsync("subscribe:resource", "7");
        await client.NextAsync("subscribed");
        for (var i = 0; i < 30; i++) await app.CallAsync("POST", "/api/publish", new { channel = "resource:updates:7", @event = "resource:moved", data = new { i } });
        var heard = await client.NextWithMetaAsync("resource:moved");
        Assert.Equal(0, heard[1].GetProperty("i").GetInt32());

        var latest = (await app.CallAsAsync("alice", "GET", "/api/channels/resource:updates:7/history?limit=20")).Body;
        Assert.Equal(Enumerable.Range(10, 20), latest.GetProperty("items").EnumerateArray().Select(item => item.GetProperty("data").GetProperty("i").GetInt32()));
        var epoch = heard[2].GetProperty("epoch").GetString();
        var since = (await app.CallAsAsync("alice", "GET", $"/api/channels/resource:updates:7/history?since={epoch}:28")).Body;
        Assert.Equal((true, 2), (since.GetProperty("recovered").GetBoolean(), since.GetProperty("items").GetArrayLength()));
        Assert.False((await app.CallAsAsync("alice", "GET", "/api/channels/resource:updates:7/history?since=other:28")).Body.GetProperty("recovered").GetBoolean());
        Assert.Equal("unknown-channel", (await app.CallAsAsync("alice", "GET", "/api/channels/nothing:7/history")).Body.GetProperty("code").GetString());
        Assert.Equal("forbidden", (await app.CallAsAsync("alice", "GET", "/api/channels/notifications:bob/history")).Body.GetProperty("code").GetString());
        Assert.Equal("invalid-payload", (await app.CallAsAsync("alice", "GET", "/api/channels/resource:updates:7/history?since=28")).Body.GetProperty("code").GetString());
    }

    [Fact]
    public async Task The_latest_of_a_history_is_what_is_kept_of_it()
    {
        await using var app = await TestApp.StartKnowingAsync([], options => options.Areas.Add(new Area("short:{x}", "short") { HistorySize = 7 }));
        Assert.Empty((await app.CallAsync("GET", "/api/channels/short:1/history")).Body.GetProperty("items").EnumerateArray());
        for (var i = 1; i <= 40; i++) await app.Live.PublishAsync("short:1", new { i });
        var items = (await app.CallAsync("GET", "/api/channels/short:1/history")).Body.GetProperty("items").EnumerateArray().Select(item => item.GetProperty("data").GetProperty("i").GetInt32());
        Assert.Equal(Enumerable.Range(34, 7), items);
    }

    [Fact]
    public async Task A_user_publishes_where_the_area_lets_users_and_nowhere_else()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"], options => options.Areas.Add(new Area("wall:{x}", "post") { Subscribe = Grant.Users, Publish = Grant.Users }));
        using var client = await app.ConnectAsAsync("alice");
        await client.AskAsync("subscribe", "wall:1");
        await client.NextAsync("subscribed");
        Assert.Equal(HttpStatusCode.OK, (await app.CallAsAsync("alice", "POST", "/api/publish", new { channel = "wall:1", data = new { text = "hello" } })).Status);
        Assert.Equal("hello", (await client.NextAsync("post")).GetProperty("text").GetString());
        foreach (var body in new object[] { new { channel = "wall:1", @event = "other", data = 1 }, new { channel = "wall:1", importance = "critical", data = 1 }, new { channel = "wall:1", key = "k", data = 1 }, new { channel = "suggestions:votes", data = 1 }, new { channel = "nowhere", data = 1 } })
            Assert.Equal("forbidden", (await app.CallAsAsync("alice", "POST", "/api/publish", body)).Body.GetProperty("code").GetString());
    }
}
