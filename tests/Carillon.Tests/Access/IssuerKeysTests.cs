using System.Security.Cryptography;
using Carillon.Access;
using Carillon.Access.Tokens;
using Carillon.TestTools;
using Microsoft.Extensions.Logging.Abstractions;

namespace Carillon.Tests.Access;

/// <summary>Where the keys of an issuer come from, when they are looked for, and which are left out.</summary>
public sealed class IssuerKeysTests : IDisposable
{
    readonly KeyServer _server = new();
    readonly Issuer _issuer = new();
    readonly HandDrivenClock _clock = new();

    public void Dispose()
    {
        _server.Dispose();
        _issuer.Dispose();
    }

    [Fact]
    public async Task Keys_are_fetched_once_when_the_first_client_needs_one()
    {
        _server.Body = Issuer.KeySet(Issuer.Jwk(_issuer.Rsa, "rsa-1"), Issuer.Jwk(_issuer.P256, "ec-1"));
        using var tokens = Trusting(_server.Address);
        Assert.Equal("unauthorized", await CodeAsync(tokens, _issuer.Hs256(_issuer.Claims())));
        Assert.Equal(0, _server.Requests);

        var readings = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => CodeAsync(tokens, _issuer.Rs256(_issuer.Claims()))));
        Assert.All(readings, code => Assert.Equal("good", code));
        Assert.Equal("good", await CodeAsync(tokens, _issuer.Es256(_issuer.Claims())));
        Assert.Equal(1, _server.Requests);
    }

    [Theory]
    [InlineData("application/json; charset=klingon")]
    [InlineData("application/json; charset=\"\"")]
    [InlineData("text/plain; charset=utf-16")]
    [InlineData("nonsense")]
    public async Task A_key_set_is_UTF_8_whatever_its_answer_claims(string contentType)
    {
        (_server.Header, _server.Body) = ($"Content-Type: {contentType}\r\n", Issuer.KeySet(Issuer.Jwk(_issuer.Rsa, "rsa-1")));
        using var tokens = Trusting(_server.Address);
        Assert.Equal("good", await CodeAsync(tokens, _issuer.Rs256(_issuer.Claims())));
    }

    [Fact]
    public async Task A_key_that_nobody_knows_is_looked_for_once_in_ten_seconds_whatever_clients_send()
    {
        using var next = RSA.Create(2048);
        _server.Body = Issuer.KeySet(Issuer.Jwk(_issuer.Rsa, "rsa-1"));
        using var tokens = Trusting(_server.Address);
        Assert.Equal("good", await CodeAsync(tokens, _issuer.Rs256(_issuer.Claims())));

        _server.Body = Issuer.KeySet(Issuer.Jwk(_issuer.Rsa, "rsa-1"), Issuer.Jwk(next, "rsa-2"));
        var token = Issuer.Signed("""{"alg":"RS256","kid":"rsa-2"}""", _issuer.Claims(), input => next.SignData(input, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1));
        for (var i = 0; i < 50; i++) Assert.Equal("unauthorized", await CodeAsync(tokens, token));
        Assert.Equal(1, _server.Requests);

        _clock.Advance(TimeSpan.FromSeconds(10));
        Assert.Equal("good", await CodeAsync(tokens, token));
        for (var i = 0; i < 50; i++) Assert.Equal("unauthorized", await CodeAsync(tokens, _issuer.Rs256(_issuer.Claims(), $$"""{"alg":"RS256","kid":"made-up-{{i}}"}""")));
        Assert.Equal(2, _server.Requests);
    }

    [Theory]
    [InlineData("500 Internal Server Error", "")]
    [InlineData("404 Not Found", """{"keys":[]}""")]
    [InlineData("200 OK", "<html>Back in a minute</html>")]
    [InlineData("200 OK", """{"error":"busy"}""")]
    [InlineData("200 OK", "[]")]
    public async Task Keys_that_are_known_go_on_while_no_others_can_be_fetched(string status, string body)
    {
        _server.Body = Issuer.KeySet(Issuer.Jwk(_issuer.Rsa, "rsa-1"));
        using var tokens = Trusting(_server.Address);
        Assert.Equal("good", await CodeAsync(tokens, _issuer.Rs256(_issuer.Claims())));

        (_server.Status, _server.Body) = (status, body);
        _clock.Advance(TimeSpan.FromSeconds(10));
        Assert.Equal("unauthorized", await CodeAsync(tokens, _issuer.Rs256(_issuer.Claims(), """{"alg":"RS256","kid":"other"}""")));
        Assert.Equal(2, _server.Requests);
        Assert.Equal("good", await CodeAsync(tokens, _issuer.Rs256(_issuer.Claims())));
    }

    [Fact]
    public async Task Keys_are_fetched_again_after_an_hour_and_nobody_whose_key_is_known_waits_for_it()
    {
        _server.Body = Issuer.KeySet(Issuer.Jwk(_issuer.Rsa, "rsa-1"));
        using var tokens = Trusting(_server.Address, options => options.JwksTimeout = TimeSpan.FromMinutes(10));
        var token = _issuer.Rs256(_issuer.Claims("exp", _issuer.Now + 100_000));
        Assert.Equal("good", await CodeAsync(tokens, token));
        await _server.AskedAsync();

        _clock.Advance(TimeSpan.FromMinutes(59));
        Assert.Equal("good", await CodeAsync(tokens, token));
        Assert.Equal(1, _server.Requests);
        _server.IsSilent = true;
        _clock.Advance(TimeSpan.FromMinutes(1));
        Assert.Equal("good", await CodeAsync(tokens, token));
        await _server.AskedAsync();
        Assert.Equal("good", await CodeAsync(tokens, token));
    }

    [Fact]
    public async Task A_fetch_that_failed_is_repeated_soon_so_that_a_key_that_was_withdrawn_goes()
    {
        _server.Body = Issuer.KeySet(Issuer.Jwk(_issuer.Rsa, "rsa-1"));
        using var tokens = Trusting(_server.Address);
        var token = _issuer.Rs256(_issuer.Claims("exp", _issuer.Now + 100_000));
        Assert.Equal("good", await CodeAsync(tokens, token));

        _server.Status = "500 Internal Server Error";
        _clock.Advance(TimeSpan.FromHours(1));
        Assert.Equal("unauthorized", await CodeAsync(tokens, _issuer.Rs256(_issuer.Claims(), """{"alg":"RS256","kid":"other"}""")));
        Assert.Equal("good", await CodeAsync(tokens, token));
        Assert.Equal(2, _server.Requests);

        (_server.Status, _server.Body) = ("200 OK", Issuer.KeySet());
        _clock.Advance(TimeSpan.FromSeconds(10));
        Assert.Equal("good", await CodeAsync(tokens, token));   // it does not wait for the network
        Assert.Equal("unauthorized", await CodeAsync(tokens, _issuer.Rs256(_issuer.Claims(), """{"alg":"RS256","kid":"other"}""")));
        Assert.Equal("unauthorized", await CodeAsync(tokens, token));
        Assert.Equal(3, _server.Requests);
    }

    [Fact]
    public async Task An_address_that_redirects_is_not_followed()
    {
        using var elsewhere = new KeyServer { Body = Issuer.KeySet(Issuer.Jwk(_issuer.Rsa, "rsa-1")) };
        (_server.Status, _server.Header) = ("302 Found", $"Location: {elsewhere.Address}\r\n");
        using var tokens = Trusting(_server.Address);

        Assert.Equal("unauthorized", await CodeAsync(tokens, _issuer.Rs256(_issuer.Claims())));
        Assert.Equal((1, 0), (_server.Requests, elsewhere.Requests));
    }

    [Theory]
    [InlineData("jku")]
    [InlineData("x5u")]
    [InlineData("jwk")]
    public async Task An_address_in_a_token_is_never_asked(string header)
    {
        using var attacker = RSA.Create(2048);
        using var elsewhere = new KeyServer { Body = Issuer.KeySet(Issuer.Jwk(attacker, "rsa-1")) };
        _server.Body = Issuer.KeySet(Issuer.Jwk(_issuer.Rsa, "rsa-1"));
        using var tokens = Trusting(_server.Address);
        foreach (var kid in new[] { "rsa-1", "rsa-2", elsewhere.Address })
        {
            var token = Issuer.Signed($$"""{"alg":"RS256","kid":"{{kid}}","{{header}}":"{{elsewhere.Address}}"}""", _issuer.Claims(),
                input => attacker.SignData(input, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1));
            Assert.Equal("unauthorized", await CodeAsync(tokens, token));
            _clock.Advance(TimeSpan.FromMinutes(1));
        }
        Assert.Equal(0, elsewhere.Requests);
        Assert.Equal("good", await CodeAsync(tokens, _issuer.Rs256(_issuer.Claims(), $$"""{"alg":"RS256","kid":"rsa-1","{{header}}":"{{elsewhere.Address}}"}""")));
    }

    [Fact]
    public async Task A_key_set_that_is_too_large_is_not_read()
    {
        var large = Issuer.KeySet(Issuer.Jwk(_issuer.Rsa, "rsa-1", ("note", new string('x', 256 * 1024))));
        _server.Body = large;
        using var fetched = Trusting(_server.Address);
        Assert.Equal("unauthorized", await CodeAsync(fetched, _issuer.Rs256(_issuer.Claims())));

        await File.WriteAllTextAsync(_issuer.KeyFile, large);
        using var read = Trusting(_issuer.KeyFile);
        Assert.Equal("unauthorized", await CodeAsync(read, _issuer.Rs256(_issuer.Claims())));
    }

    [Fact]
    public async Task An_issuer_that_does_not_answer_is_waited_for_until_the_time_is_over()
    {
        _server.IsSilent = true;
        using var keys = new IssuerKeys(new AccessOptions { Jwks = _server.Address, JwksTimeout = TimeSpan.FromMilliseconds(50) }, TimeProvider.System, NullLogger.Instance);
        Assert.Equal("There was no answer within 0.1 s.", (await Assert.ThrowsAsync<IOException>(() => keys.ReadAsync(CancellationToken.None))).Message);
        Assert.Null(await keys.FindAsync("RS256", "rsa-1", CancellationToken.None));
    }

    [Fact]
    public async Task A_file_is_read_again_when_it_has_changed()
    {
        using var next = RSA.Create(2048);
        var token = Issuer.Signed("""{"alg":"RS256","kid":"rsa-2"}""", _issuer.Claims(), input => next.SignData(input, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1));
        using var tokens = Trusting(_issuer.KeyFile);
        Assert.Equal("good", await CodeAsync(tokens, _issuer.Rs256(_issuer.Claims())));
        Assert.Equal("unauthorized", await CodeAsync(tokens, token));

        await File.WriteAllTextAsync(_issuer.KeyFile, Issuer.KeySet(Issuer.Jwk(next, "rsa-2")));
        Assert.Equal("unauthorized", await CodeAsync(tokens, token));   // a file is looked at every two seconds at most
        _clock.Advance(TimeSpan.FromSeconds(2));
        Assert.Equal("good", await CodeAsync(tokens, token));
        Assert.Equal("unauthorized", await CodeAsync(tokens, _issuer.Rs256(_issuer.Claims())));

        File.Delete(_issuer.KeyFile);
        _clock.Advance(TimeSpan.FromSeconds(2));
        Assert.Equal("good", await CodeAsync(tokens, token));
    }

    [Fact]
    public async Task A_file_that_comes_later_is_found()
    {
        var text = await File.ReadAllTextAsync(_issuer.KeyFile);
        File.Delete(_issuer.KeyFile);
        using var tokens = Trusting(_issuer.KeyFile);
        Assert.Equal("unauthorized", await CodeAsync(tokens, _issuer.Rs256(_issuer.Claims())));

        await File.WriteAllTextAsync(_issuer.KeyFile, text);
        _clock.Advance(TimeSpan.FromSeconds(2));
        Assert.Equal("good", await CodeAsync(tokens, _issuer.Rs256(_issuer.Claims())));
    }

    [Fact]
    public async Task A_token_without_a_key_id_needs_a_set_in_which_one_key_fits()
    {
        using var second = RSA.Create(2048);
        await File.WriteAllTextAsync(_issuer.KeyFile, Issuer.KeySet(Issuer.Jwk(_issuer.Rsa, "rsa-1"), Issuer.Jwk(second, "rsa-2"), Issuer.Jwk(_issuer.P256, null)));
        using var tokens = Trusting(_issuer.KeyFile);

        Assert.Equal("unauthorized", await CodeAsync(tokens, _issuer.Rs256(_issuer.Claims(), """{"alg":"RS256"}""")));
        Assert.Equal("good", await CodeAsync(tokens, _issuer.Rs256(_issuer.Claims())));
        Assert.Equal("good", await CodeAsync(tokens, _issuer.Es256(_issuer.Claims(), """{"alg":"ES256"}""")));
    }

    [Fact]
    public void Keys_for_something_else_and_weak_ones_are_left_out()
    {
        using var weak = RSA.Create(1024);
        using var p384 = ECDsa.Create(ECCurve.NamedCurves.nistP384);
        var (rsa, p256) = (_issuer.Rsa, _issuer.P256);
        var offCurve = Issuer.Jwk(p256, "off-curve");
        offCurve["x"] = offCurve["y"];
        var set = KeySet.Read(Issuer.KeySet(
            Issuer.Jwk(rsa, "any"), Issuer.Jwk(rsa, "sig", ("use", "sig")), Issuer.Jwk(rsa, "ps", ("alg", "PS256")), Issuer.Jwk(p256, "es", ("alg", "ES256")),
            Issuer.Jwk(rsa, "enc", ("use", "enc")), Issuer.Jwk(rsa, "oaep", ("alg", "RSA-OAEP")), Issuer.Jwk(rsa, "rs512", ("alg", "RS512")), Issuer.Jwk(rsa, "hs", ("alg", "HS256")),
            Issuer.Jwk(p256, "rs", ("alg", "RS256")), Issuer.Jwk(weak, "weak"), Issuer.Jwk(p384, "p384"), offCurve,
            new { kty = "oct", kid = "secret", k = Issuer.Part(Issuer.Secret) }, new { kty = "OKP", crv = "Ed25519", x = "aaaa", kid = "okp" },
            new { kty = "RSA", kid = "sign", key_ops = new[] { "sign" } }, new { kty = "RSA", kid = "empty" }, new { kty = 7 }, new { }, 7, "text", new[] { 1 }));

        Assert.Equal(["any RS256 PS256", "sig RS256 PS256", "ps PS256", "es ES256"], set.Keys.Select(key => $"{key.Id} {string.Join(' ', key.Algorithms)}"));
        Assert.Equal(17, set.LeftOut);
    }

    [Fact]
    public void Two_keys_of_one_name_are_no_choice()
    {
        var set = KeySet.Read(Issuer.KeySet(Issuer.Jwk(_issuer.Rsa, "one"), Issuer.Jwk(_issuer.Rsa, "one"), Issuer.Jwk(_issuer.P256, "one")));
        Assert.Null(set.Choose("RS256", "one"));
        Assert.NotNull(set.Choose("ES256", "one"));
    }

    TokenValidator Trusting(string jwks, Action<AccessOptions>? configure = null)
    {
        var options = new AccessOptions { Jwks = jwks };
        configure?.Invoke(options);
        return new TokenValidator(options, _clock, NullLogger.Instance);
    }

    static async Task<string> CodeAsync(TokenValidator tokens, string token) => (await tokens.ValidateAsync(token, CancellationToken.None)).Error?.Code ?? "good";
}
