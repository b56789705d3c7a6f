using System.Net;
using System.Security.Claims;
using System.Text.Encodings.Web;
using System.Text.Json;
using Carillon.Access;
using Carillon.Access.Tokens;
using Carillon.Channels;
using Carillon.Hub;
using Carillon.TestTools;
using Carillon.Tests.Live;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Carillon.Tests.Access;

/// <summary>Who is let in, as whom, and who is not.</summary>
public class ConnectingTests
{
    [Fact]
    public async Task A_known_user_is_told_who_one_is_and_what_one_has_joined()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        await app.PutUserAsync("alice", "seller");
        using var client = await app.ConnectAsAsync("alice", new { name = "somebody else", roles = new[] { "admin" } });

        var user = client.Session.GetProperty("user");
        Assert.Equal(("alice", "ALICE"), (user.GetProperty("id").GetString(), user.GetProperty("name").GetString()));
        Assert.Equal(["seller"], user.GetProperty("roles").EnumerateArray().Select(role => role.GetString()));     // the directory's, not the token's
        Assert.Equal(["notifications:alice"], client.Session.GetProperty("channels").EnumerateArray().Select(channel => channel.GetString()));
    }

    [Fact]
    public async Task What_the_token_says_counts_where_the_directory_says_nothing()
    {
        await using var app = await TestApp.StartKnowingAsync([]);
        await app.PutUserAsync("alice", new { });
        using var client = await app.ConnectAsAsync("alice", new { name = "Alice", roles = new[] { "seller" } });
        var user = client.Session.GetProperty("user");
        Assert.Equal("Alice", user.GetProperty("name").GetString());
        Assert.Equal("seller", user.GetProperty("roles")[0].GetString());
    }

    [Fact]
    public async Task What_is_published_to_a_user_reaches_all_devices_of_the_user_alone()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice", "bob"]);
        using var phone = await app.ConnectAsAsync("alice");
        using var laptop = await app.ConnectAsAsync("alice");
        using var bob = await app.ConnectAsAsync("bob");

        await app.CallAsync("POST", "/api/publish", new { channels = new[] { "notifications:alice", "notifications:bob" }, data = new { title = "one" } });
        await app.CallAsync("POST", "/api/publish", new { channel = "notifications:bob", data = new { title = "two" } });

        foreach (var device in new[] { phone, laptop }) Assert.Equal("one", (await device.NextAsync("notification")).GetProperty("title").GetString());
        Assert.Equal("one", (await bob.NextAsync("notification")).GetProperty("title").GetString());
        Assert.Equal("two", (await bob.NextAsync("notification")).GetProperty("title").GetString());
        Assert.Equal("forbidden", (await bob.AskAsync("subscribe", "notifications:alice")).GetProperty("error").GetProperty("code").GetString());
    }

    [Fact]
    public async Task Unknown_disabled_and_deleted_users_are_refused()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice", "bob"]);
        Assert.Equal("unknown-user", await app.RefusedAsync(app.TokenOf("mallory")));
        Assert.Null(await app.RefusedAsync(app.TokenOf("alice")));
        await app.PutUserAsync("alice", new { disabled = true });
        Assert.Equal("unknown-user", await app.RefusedAsync(app.TokenOf("alice")));
        await app.PutUserAsync("alice", new { });
        Assert.Null(await app.RefusedAsync(app.TokenOf("alice")));
        Assert.Equal(HttpStatusCode.NoContent, (await app.CallAsync("DELETE", "/api/users/bob")).Status);
        Assert.Equal("unknown-user", await app.RefusedAsync(app.TokenOf("bob")));
        Assert.Equal(HttpStatusCode.NotFound, (await app.CallAsync("GET", "/api/users/bob")).Status);
    }

    [Fact]
    public async Task A_user_may_be_entered_on_first_sight_and_who_was_deleted_is_not_entered_again()
    {
        await using var app = await TestApp.StartKnowingAsync([], options => options.Access.UnknownUsers = UnknownUsers.Create);
        using (var first = await app.ConnectAsAsync("alice", new { name = "Alice", region = "Brittany", interests = new[] { "sailing" } }))
            Assert.Equal("alice", first.Session.GetProperty("user").GetProperty("id").GetString());
        var (_, entry) = await app.CallAsync("GET", "/api/users/alice");
        Assert.Equal(("Alice", "Brittany", "sailing"), (entry.GetProperty("name").GetString(), entry.GetProperty("region").GetString(), entry.GetProperty("interests")[0].GetString()));

        await app.CallAsync("DELETE", "/api/users/alice");
        Assert.Equal("unknown-user", await app.RefusedAsync(app.TokenOf("alice")));
    }

    [Theory]
    [InlineData("")]
    [InlineData("rubbish")]
    [InlineData("a.b.c")]
    [InlineData("ct_0123456789012345678901234567890123456789012")]
    public async Task Who_brings_something_wrong_is_not_let_in_as_nobody(string token)
    {
        await using var app = await TestApp.StartKnowingAsync([], options => options.AllowAnonymous = true);
        Assert.Equal("unauthorized", await app.RefusedAsync(token));
        Assert.Null(await app.RefusedAsync(null));
    }

    [Theory]
    [InlineData("40{\"token\":7}")]
    [InlineData("40{\"token\":{}}")]
    [InlineData("40{\"token\":[\"x\"]}")]
    [InlineData("40{\"token\":\"\\ud800\"}")]
    public async Task A_token_that_is_no_text_is_refused(string join)
    {
        await using var app = await TestApp.StartKnowingAsync([], options => options.AllowAnonymous = true);
        using var client = await app.OpenAsync(join: join);
        Assert.StartsWith("0", await client.RawAsync(), StringComparison.Ordinal);
        Assert.Contains("\"unauthorized\"", await client.RawAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_ticket_opens_one_connection_as_the_user_who_asked_for_it()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        var (status, given) = await app.CallAsAsync("alice", "POST", "/api/tickets");
        Assert.Equal(HttpStatusCode.OK, status);
        var ticket = given.GetProperty("ticket").GetString()!;
        using (var client = await app.ConnectAsync(ticket)) Assert.Equal("alice", client.Session.GetProperty("user").GetProperty("id").GetString());
        Assert.Equal("token-replayed", await app.RefusedAsync(ticket));
        ticket = (await app.CallAsAsync("alice", "POST", "/api/tickets")).Body.GetProperty("ticket").GetString()!;
        using (var client = await app.ConnectAsync(join: $$"""40{"ticket":"{{ticket}}"}""")) Assert.Equal("alice", client.Session.GetProperty("user").GetProperty("id").GetString());
        Assert.Equal(HttpStatusCode.Unauthorized, (await app.CallAsync("GET", "/api/suggestions", authorization: "Bearer " + ticket)).Status);     // it opens connections, nothing else
    }

    [Fact]
    public async Task Of_many_who_bring_one_ticket_at_once_one_gets_in()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        var ticket = (await app.CallAsAsync("alice", "POST", "/api/tickets")).Body.GetProperty("ticket").GetString()!;
        var answers = await Task.WhenAll(Enumerable.Range(0, 12).Select(_ => app.RefusedAsync(ticket)));
        Assert.Equal(1, answers.Count(code => code is null));
        Assert.Equal(11, answers.Count(code => code == "token-replayed"));
    }

    [Fact]
    public async Task Of_two_who_have_read_a_ticket_before_either_takes_it_one_gets_in()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        var ticket = (await app.CallAsAsync("alice", "POST", "/api/tickets")).Body.GetProperty("ticket").GetString()!;
        Task<TokenResult>[] both;
        await using (await app.Database.BeginAsync(null, default))
        {
            // Each finds the ticket unused, and waits for its turn to write.
            both = [.. Enumerable.Range(0, 2).Select(_ => app.Get<Tickets>().RedeemAsync(ticket, default).AsTask())];
            Assert.All(both, redeeming => Assert.False(redeeming.IsCompleted));
        }
        Assert.Equal([null, "token-replayed"], (await Task.WhenAll(both)).Select(reading => reading.Error?.Code).Order());
    }

    [Fact]
    public async Task A_ticket_is_good_for_seconds_and_dies_with_its_user_s_tokens()
    {
        var clock = new HandDrivenClock();
        await using var app = await TestApp.StartKnowingAsync(["alice"], services: services => services.AddSingleton<TimeProvider>(clock));
        var late = (await app.CallAsAsync("alice", "POST", "/api/tickets")).Body.GetProperty("ticket").GetString()!;
        clock.Advance(TimeSpan.FromSeconds(30));
        Assert.Equal("token-expired", await app.RefusedAsync(late));
        var brief = app.TokenOf("alice", expiresIn: TimeSpan.FromSeconds(5));
        var given = (await app.CallAsync("POST", "/api/tickets", authorization: $"Bearer {brief}")).Body;
        Assert.Equal(clock.GetUtcNow() + TimeSpan.FromSeconds(5), given.GetProperty("expiresAt").GetDateTimeOffset());      // not longer than the token

        var revoked = (await app.CallAsAsync("alice", "POST", "/api/tickets")).Body.GetProperty("ticket").GetString()!;
        clock.Advance(TimeSpan.FromSeconds(1));
        await app.CallAsync("POST", "/api/tokens/revoke", new { userId = "alice" });
        Assert.Equal("token-revoked", await app.RefusedAsync(revoked));
    }

    [Fact]
    public async Task Where_tickets_are_required_a_token_opens_nothing()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"], options => options.Access.RequireTickets = true);
        Assert.Equal("unauthorized", await app.RefusedAsync(app.TokenOf("alice")));
        Assert.Null(await app.RefusedAsync((await app.CallAsAsync("alice", "POST", "/api/tickets")).Body.GetProperty("ticket").GetString()));
    }

    [Fact]
    public async Task Revoked_tokens_are_refused_and_newer_ones_of_the_same_user_are_not()
    {
        var clock = new HandDrivenClock();
        await using var app = await TestApp.StartKnowingAsync(["alice"], services: services => services.AddSingleton<TimeProvider>(clock));
        await app.CallAsync("POST", "/api/tokens/revoke", new { jti = "t1" });
        Assert.Equal("token-revoked", await app.RefusedAsync(app.TokenOf("alice", new { jti = "t1" })));
        Assert.Null(await app.RefusedAsync(app.TokenOf("alice", new { jti = "t2" })));

        var old = app.TokenOf("alice");
        clock.Advance(TimeSpan.FromSeconds(1));
        await app.CallAsync("POST", "/api/tokens/revoke", new { userId = "alice" });
        Assert.Equal("token-revoked", await app.RefusedAsync(old));
        Assert.Equal("token-revoked", (await app.CallAsync("GET", "/api/suggestions", authorization: "Bearer " + old)).Body.GetProperty("code").GetString());
        clock.Advance(TimeSpan.FromSeconds(1));
        Assert.Null(await app.RefusedAsync(app.TokenOf("alice")));
    }

    [Fact]
    public async Task The_application_s_own_authentication_may_say_who_is_signed_in()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"], options => options.Access.UseHostAuthentication = true,
            services => services.AddAuthentication("test").AddScheme<AuthenticationSchemeOptions, NamedInQuery>("test", null));
        using var client = await app.ConnectAsync(query: "&user=alice");
        Assert.Equal("alice", client.Session.GetProperty("user").GetProperty("id").GetString());
        await Assert.ThrowsAnyAsync<Exception>(() => app.ConnectAsync(query: ""));
        Assert.Equal(HttpStatusCode.OK, (await app.CallAsync("GET", "/api/suggestions?user=alice", authorization: null)).Status);
        Assert.Equal(HttpStatusCode.Unauthorized, (await app.CallAsync("GET", "/api/suggestions", authorization: null)).Status);
        Assert.Equal("unauthorized", await app.RefusedAsync(app.TokenOf("alice")));
        var refresh = await client.AskAsync("token:refresh", new { token = app.TokenOf("alice") });
        Assert.Equal("forbidden", refresh.GetProperty("error").GetProperty("code").GetString());
    }

    [Fact]
    public async Task A_user_whose_own_channel_would_have_too_long_a_name_is_welcome_without_it()
    {
        await using var app = await TestApp.StartKnowingAsync([], options =>
            options.Areas.Add(new Area("private-messages-of:{user}", "message") { Subscribe = Grant.Owner, AutoSubscribe = true }));
        var (longest, shorter) = (new string('a', 186), "bob");
        await app.PutUserAsync(longest, new { });
        await app.PutUserAsync(shorter, new { });
        using var first = await app.ConnectAsAsync(longest);
        Assert.Equal(1, first.Session.GetProperty("channels").GetArrayLength());
        using var second = await app.ConnectAsAsync(shorter);
        Assert.Equal(2, second.Session.GetProperty("channels").GetArrayLength());
    }

    [Fact]
    public async Task A_rule_that_fails_keeps_one_channel_away_and_not_the_person()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"], options =>
            options.Areas.Add(new Area("broken:{user}", "message") { AutoSubscribe = true, Subscribe = Grant.When((caller, _) => caller.IsKnown ? throw new InvalidOperationException("the rule is broken") : true) }));
        using var client = await app.ConnectAsAsync("alice");
        Assert.Equal("notifications:alice", Assert.Single(client.Session.GetProperty("channels").EnumerateArray()).GetString());
    }

    sealed class OutOfReach : IChannelLayer
    {
        public void OnMessage(Action<Publication> deliver)
        {
        }

        public ValueTask SubscribeAsync(string channel, CancellationToken ct) => throw new IOException("The layer is out of reach.");

        public ValueTask UnsubscribeAsync(string channel, CancellationToken ct) => throw new IOException("The layer is out of reach.");

        public ValueTask<Position> PublishAsync(string channel, ReadOnlyMemory<byte> body, PublishOptions options, CancellationToken ct) => throw new IOException("The layer is out of reach.");

        public ValueTask<History> HistoryAsync(string channel, Position? since, int limit, CancellationToken ct) => throw new IOException("The layer is out of reach.");
    }

    [Fact]
    public async Task Who_cannot_be_welcomed_is_told_and_nothing_of_the_connection_stays()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"], services: services => services.AddSingleton<IChannelLayer, OutOfReach>());
        using var client = await app.OpenAsync(app.TokenOf("alice"));
        Assert.Equal("unavailable", (await client.UntilAsync("error")).GetProperty("code").GetString());
        Assert.Empty(await client.UntilClosedAsync());
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        while (app.Live.Subscribers.Any()) patience.Token.ThrowIfCancellationRequested();
    }

    [Fact]
    public async Task A_user_has_fifty_tickets_at_once_and_no_more()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"]);
        for (var i = 0; i < 50; i++) Assert.Equal(HttpStatusCode.OK, (await app.CallAsAsync("alice", "POST", "/api/tickets")).Status);
        Assert.Equal("rate-limited", (await app.CallAsAsync("alice", "POST", "/api/tickets")).Body.GetProperty("code").GetString());
    }

    [Fact]
    public async Task Tickets_are_taken_and_may_be_required_where_the_application_signs_in()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"], options => options.Access.UseHostAuthentication = options.Access.RequireTickets = true,
            services => services.AddAuthentication("test").AddScheme<AuthenticationSchemeOptions, NamedInQuery>("test", null));
        var ticket = (await app.CallAsync("POST", "/api/tickets?user=alice", authorization: null)).Body.GetProperty("ticket").GetString();
        using (var client = await app.ConnectAsync(ticket)) Assert.Equal("alice", client.Session.GetProperty("user").GetProperty("id").GetString());
        await Assert.ThrowsAnyAsync<Exception>(() => app.ConnectAsync(query: "&user=alice"));
    }

    [Fact]
    public async Task A_revocation_ends_the_connections_of_whom_the_application_signed_in_and_not_the_next_ones()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"], options => options.Access.UseHostAuthentication = true,
            services => services.AddAuthentication("test").AddScheme<AuthenticationSchemeOptions, NamedInQuery>("test", null));
        using (var client = await app.ConnectAsync(query: "&user=alice"))
        {
            await app.CallAsync("POST", "/api/tokens/revoke", new { userId = "alice" });
            Assert.Equal("token-revoked", (await client.NextAsync("error")).GetProperty("code").GetString());
        }
        using var again = await app.ConnectAsync(query: "&user=alice");
    }

    [Fact]
    public async Task Who_is_signed_in_to_the_application_alone_is_anonymous_where_that_is_allowed()
    {
        await using var app = await TestApp.StartKnowingAsync(["alice"], options => options.AllowAnonymous = true,
            services => services.AddAuthentication("test").AddScheme<AuthenticationSchemeOptions, NamedInQuery>("test", null));
        using var client = await app.ConnectAsync(query: "&user=alice");
        Assert.Equal(JsonValueKind.Null, client.Session.GetProperty("user").ValueKind);
    }

    sealed class NamedInQuery(IOptionsMonitor<AuthenticationSchemeOptions> options, ILoggerFactory logger, UrlEncoder encoder)
        : AuthenticationHandler<AuthenticationSchemeOptions>(options, logger, encoder)
    {
        protected override Task<AuthenticateResult> HandleAuthenticateAsync() => Task.FromResult(Request.Query["user"] is [{ Length: > 0 } user]
            ? AuthenticateResult.Success(new AuthenticationTicket(new ClaimsPrincipal(new ClaimsIdentity([new Claim("sub", user)], "test")), "test"))
            : AuthenticateResult.NoResult());
    }
}
