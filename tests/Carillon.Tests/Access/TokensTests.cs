using System.Text.Json.Nodes;
using Carillon.Access;
using Carillon.Access.Tokens;
using Microsoft.Extensions.Logging.Abstractions;

namespace Carillon.Tests.Access;

public class TokensTests
{
    [Fact]
    public async Task A_token_says_who_its_bearer_is_and_what_is_allowed()
    {
        using var issuer = new Issuer();
        var reading = await issuer.ReadAsync(issuer.Hs256(new JsonObject
        {
            ["iss"] = "https://issuer.example",
            ["aud"] = "shop",
            ["sub"] = "alice",
            ["name"] = "Alice Martin",
            ["roles"] = new JsonArray("seller", "manager"),
            ["region"] = "north",
            ["interests"] = new JsonArray("fruit"),
            ["jti"] = "token-7",
            ["iat"] = issuer.Now - 60,
            ["exp"] = issuer.Now + 60.5,
            ["capabilities"] = new JsonObject { ["orders:*"] = new JsonArray("subscribe", "publish") },
        }.ToJsonString()));

        var token = reading.Token!;
        var now = issuer.Clock.GetUtcNow();
        Assert.Equal(("alice", "Alice Martin", "north", "token-7"), (token.Subject, token.Name, token.Region, token.Id));
        Assert.Equal(["seller", "manager"], token.Roles);
        Assert.Equal(["fruit"], token.Interests);
        Assert.Equal((now.AddSeconds(-60), now.AddSeconds(60.5)), (token.IssuedAt!.Value, token.ExpiresAt));
        Assert.Equal(["subscribe", "publish"], Assert.Single(token.Capabilities, entry => entry.Key == "orders:*").Value);
    }

    [Fact]
    public async Task What_a_token_leaves_out_is_empty_and_one_role_needs_no_list()
    {
        using var issuer = new Issuer();
        var token = (await issuer.ReadAsync(issuer.Hs256(issuer.Claims("roles", "seller")))).Token!;

        Assert.Equal(["seller"], token.Roles);
        Assert.Equal((null, null, null), (token.Name, token.Region, token.Id));
        Assert.Empty(token.Interests);
        Assert.Empty(token.Capabilities);
    }

    [Fact]
    public async Task A_token_expires_by_the_clock()
    {
        using var issuer = new Issuer();
        var token = issuer.Hs256(issuer.Claims("exp", issuer.Now + 60));
        Assert.Equal("good", await issuer.CodeAsync(token));

        issuer.Clock.Advance(TimeSpan.FromSeconds(64));
        Assert.Equal("good", await issuer.CodeAsync(token));
        issuer.Clock.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal("token-expired", await issuer.CodeAsync(token));
    }

    [Fact]
    public async Task Without_an_issuer_and_an_audience_in_the_configuration_any_will_do()
    {
        using var issuer = new Issuer(options => options.Issuer = options.Audience = null);
        Assert.Equal("good", await issuer.CodeAsync(issuer.Hs256($$"""{"sub":"alice","exp":{{issuer.Now + 60}}}""")));
        Assert.Equal("good", await issuer.CodeAsync(issuer.Hs256(issuer.Claims())));
    }

    [Theory]
    [InlineData(99, 10, true, "good")]
    [InlineData(101, 10, true, "token-expired")]
    [InlineData(101, 10, false, "good")]           // without an id it cannot be revoked by one
    [InlineData(null, 99, true, "good")]
    [InlineData(null, 101, true, "unauthorized")]
    public async Task A_token_that_outlives_the_memory_of_its_revocation_is_refused(int? issuedDaysAgo, int expiresInDays, bool hasId, string code)
    {
        using var issuer = new Issuer(options => (options.Issuer, options.Audience, options.RevocationRetention) = (null, null, TimeSpan.FromDays(100)));
        const int day = 86_400;
        var iat = issuedDaysAgo is { } ago ? $",\"iat\":{issuer.Now - (ago * day)}" : "";
        var jti = hasId ? ",\"jti\":\"t1\"" : "";
        Assert.Equal(code, await issuer.CodeAsync(issuer.Hs256($$"""{"sub":"alice","exp":{{issuer.Now + (expiresInDays * day)}}{{iat}}{{jti}}}""")));
    }

    [Fact]
    public async Task Without_a_key_every_token_is_refused()
    {
        using var issuer = new Issuer(options => options.SigningKey = options.Jwks = "");
        Assert.Equal("unauthorized", await issuer.CodeAsync(issuer.Hs256(issuer.Claims())));
        Assert.Equal("unauthorized", await issuer.CodeAsync(issuer.Rs256(issuer.Claims())));
        Assert.Equal("unauthorized", await issuer.CodeAsync(Issuer.Hmac("""{"alg":"HS256"}""", issuer.Claims(), [])));
    }

    [Theory]
    [InlineData("SigningKey", "short", "SigningKey has 5 bytes; it must have 32 or more. `openssl rand -base64 48` makes one.")]
    [InlineData("SigningKey", "ééééééééééééééé", "SigningKey has 30 bytes; it must have 32 or more. `openssl rand -base64 48` makes one.")]
    [InlineData("SigningKey", "éééééééééééééééé", null)]
    [InlineData("SigningKey", "", null)]
    [InlineData("SigningKey", "-----BEGIN PUBLIC KEY-----", "SigningKey is a secret, not a key in PEM. A public key belongs into a JSON Web Key Set, named by Jwks.")]
    [InlineData("Jwks", "keys.json", null)]
    [InlineData("Jwks", "/etc/carillon/keys.json", null)]
    [InlineData("Jwks", "https://issuer.example/keys", null)]
    [InlineData("Jwks", "ftp://issuer.example/keys", "Jwks must be the path of a file, or an address that begins with http:// or https://.")]
    [InlineData("Jwks", "https://user:secret@issuer.example/keys", "Jwks must not hold a user or a password: a key set is public.")]
    [InlineData("ClockSkew", "-00:00:01", "ClockSkew must lie between zero and ten minutes.")]
    [InlineData("MaxTokenLength", "5", "MaxTokenLength must lie between 128 and 1,048,576.")]
    [InlineData("JwksTimeout", "00:00:00", "JwksRefresh, JwksMinInterval and JwksTimeout must be longer than zero.")]
    public void Options_that_cannot_work_are_told_in_a_sentence(string name, string value, string? problem)
    {
        var options = new AccessOptions();
        var property = typeof(AccessOptions).GetProperty(name)!;
        property.SetValue(options, System.ComponentModel.TypeDescriptor.GetConverter(property.PropertyType).ConvertFromInvariantString(value));
        Assert.Equal(problem, options.TokenProblem());
    }

    [Fact]
    public async Task A_client_that_gives_up_does_not_wait_for_keys()
    {
        using var silent = new KeyServer { IsSilent = true };
        using var tokens = new TokenValidator(new AccessOptions { Jwks = silent.Address }, TimeProvider.System, NullLogger.Instance);
        using var issuer = new Issuer();
        using var gone = new CancellationTokenSource();
        var reading = tokens.ValidateAsync(issuer.Rs256(issuer.Claims()), gone.Token).AsTask();
        await silent.AskedAsync();
        await gone.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => reading);
    }
}
