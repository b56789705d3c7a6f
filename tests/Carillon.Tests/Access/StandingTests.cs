using System.Net;
using System.Text;
using Carillon.Access;
using Carillon.Access.Tokens;
using Carillon.TestTools;
using Carillon.Tests.Live;
using Microsoft.Extensions.DependencyInjection;

namespace Carillon.Tests.Access;

/// <summary>Whether a token is accepted, given what is on record about it and its user.</summary>
public class StandingTests
{
    static readonly DateTimeOffset Revoked = new(2026, 1, 5, 8, 0, 0, TimeSpan.Zero);

    [Theory]
    [InlineData(null, "token-revoked")]      // nobody can say that it was issued later
    [InlineData(-1, "token-revoked")]
    [InlineData(0, null)]
    [InlineData(1, null)]
    public void After_all_tokens_of_a_user_are_revoked_only_later_ones_are_accepted(int? issuedSecondsLater, string? code)
    {
        var token = TokenIssued(issuedSecondsLater is { } seconds ? Revoked.AddSeconds(seconds) : null);
        Assert.Equal(code, UserDirectory.Decide(new UserRecord { IsKnown = true, RevokedBefore = Revoked }, token)?.Code);
        // The same while the decision waits to be stored.
        var decision = new AccessDecision { UserId = "alice", RevokedBefore = Revoked, StoreAsync = (_, _) => Task.FromResult(true) };
        Assert.Equal(code, decision.Refuses(token)?.Code);
    }

    [Theory]
    [InlineData(true, false, false, false, null)]
    [InlineData(false, false, false, false, "unknown-user")]
    [InlineData(true, true, false, false, "unknown-user")]
    [InlineData(true, false, true, false, "unknown-user")]
    [InlineData(true, false, false, true, "token-revoked")]
    public void Only_known_users_and_tokens_that_are_not_revoked_are_accepted(bool known, bool disabled, bool deleted, bool revoked, string? code) =>
        Assert.Equal(code, UserDirectory.Decide(
            new UserRecord { IsKnown = known, IsDisabled = disabled, IsDeleted = deleted, TokenIsRevoked = revoked }, TokenIssued(Revoked))?.Code);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_token_without_a_time_of_issue_or_of_this_very_moment_ends_when_all_tokens_of_its_user_are_revoked(bool hasIat)
    {
        var clock = new HandDrivenClock();
        await using var app = await TestApp.StartKnowingAsync(["alice"], services: services => services.AddSingleton<TimeProvider>(clock));
        var now = clock.GetUtcNow().ToUnixTimeSeconds();
        var iat = hasIat ? $",\"iat\":{now}" : "";
        var token = Issuer.Hmac("""{"alg":"HS256"}""", $$"""{"sub":"alice","exp":{{now + 3600}}{{iat}}}""", Encoding.UTF8.GetBytes(TestApp.Secret));
        using var client = await app.ConnectAsync(token);

        Assert.Equal(HttpStatusCode.NoContent, (await app.CallAsync("POST", "/api/tokens/revoke", new { userId = "alice" })).Status);

        Assert.Equal("token-revoked", (await client.NextAsync("error")).GetProperty("code").GetString());
        Assert.Empty(await client.UntilClosedAsync());
        Assert.Equal(0, app.Get<PendingDecisions>().Count);      // what is on record decides
        Assert.Equal("token-revoked", await app.RefusedAsync(token));
        Assert.Equal("token-revoked", (await app.CallAsync("GET", "/api/suggestions", authorization: $"Bearer {token}")).Body.GetProperty("code").GetString());
    }

    static Token TokenIssued(DateTimeOffset? at) =>
        new("alice", null, [], null, [], "t1", at, DateTimeOffset.MaxValue, new Dictionary<string, IReadOnlyList<string>>());
}
