using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Carillon.Access;
using Carillon.Access.Tokens;
using Carillon.TestTools;
using Microsoft.Extensions.Logging.Abstractions;

namespace Carillon.Tests.Access;

/// <summary>An issuer of tokens with a secret, an RSA key and a P-256 key, which signs whatever a test puts together, and the server that trusts it.</summary>
sealed class Issuer : IDisposable
{
    public const string Secret = "a secret of exactly 32 bytes, ok";

    // Shared: making an RSA key takes longer than any test here.
    static readonly RSA SharedRsa = RSA.Create(2048);
    static readonly ECDsa SharedP256 = ECDsa.Create(ECCurve.NamedCurves.nistP256);

    readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("carillon-");

    public Issuer(Action<AccessOptions>? configure = null)
    {
        File.WriteAllText(KeyFile, KeySet(Jwk(Rsa, "rsa-1"), Jwk(P256, "ec-1")));
        Options = new AccessOptions { SigningKey = Secret, Jwks = KeyFile, Issuer = "https://issuer.example", Audience = "shop" };
        configure?.Invoke(Options);
        Assert.Null(Options.TokenProblem());
        Tokens = new TokenValidator(Options, Clock, NullLogger.Instance);
    }

    public HandDrivenClock Clock { get; } = new();

    public RSA Rsa => SharedRsa;

    public ECDsa P256 => SharedP256;

    public AccessOptions Options { get; }

    public TokenValidator Tokens { get; }

    public string KeyFile => Path.Combine(_folder.FullName, "keys.json");

    public long Now => Clock.GetUtcNow().ToUnixTimeSeconds();

    /// <summary>The claims of a good token, with one of them changed or, where the value is left out, removed.</summary>
    public string Claims(string? name = null, JsonNode? value = null, bool remove = false)
    {
        var claims = new JsonObject { ["iss"] = "https://issuer.example", ["aud"] = "shop", ["sub"] = "alice", ["iat"] = Now, ["exp"] = Now + 3600 };
        if (remove) claims.Remove(name!);
        else if (name is not null) claims[name] = value;
        return claims.ToJsonString();
    }

    public async Task<TokenResult> ReadAsync(string? token) => await Tokens.ValidateAsync(token, CancellationToken.None);

    public async Task<string> CodeAsync(string? token)
    {
        var reading = await ReadAsync(token);
        Assert.Equal(reading.Token is null, reading.Error is not null);
        if (reading.Reason is { } reason && token is { Length: > 20 }) Assert.DoesNotContain(token, reason, StringComparison.Ordinal);
        return reading.Error?.Code ?? "good";
    }

    public string Hs256(string claims, string header = """{"alg":"HS256","typ":"JWT"}""") => Hmac(header, claims, Encoding.UTF8.GetBytes(Secret));

    public string Rs256(string claims, string header = """{"alg":"RS256","kid":"rsa-1"}""") =>
        Signed(header, claims, input => Rsa.SignData(input, HashAlgorithmName.SHA256, header.Contains("PS256") ? RSASignaturePadding.Pss : RSASignaturePadding.Pkcs1));

    public string Es256(string claims, string header = """{"alg":"ES256","kid":"ec-1"}""") => Signed(header, claims, input => P256.SignData(input, HashAlgorithmName.SHA256));

    public static string Hmac(string header, string claims, byte[] key) => Signed(header, claims, input =>
        header.Contains("HS512") ? HMACSHA512.HashData(key, input) : header.Contains("HS384") ? HMACSHA384.HashData(key, input) : HMACSHA256.HashData(key, input));

    public static string Signed(string header, string claims, Func<byte[], byte[]> sign) => Signed(header, Encoding.UTF8.GetBytes(claims), sign);

    public static string Signed(string header, byte[] claims, Func<byte[], byte[]> sign)
    {
        var input = $"{Part(header)}.{Base64Url.EncodeToString(claims)}";
        return $"{input}.{Base64Url.EncodeToString(sign(Encoding.ASCII.GetBytes(input)))}";
    }

    public static string Part(string text) => Base64Url.EncodeToString(Encoding.UTF8.GetBytes(text));

    public static string KeySet(params object[] keys) => JsonSerializer.Serialize(new { keys });

    public static Dictionary<string, string> Jwk(RSA key, string? kid, params (string Name, string Value)[] more)
    {
        var parameters = key.ExportParameters(false);
        return Jwk(kid, more, ("kty", "RSA"), ("n", Base64Url.EncodeToString(parameters.Modulus)), ("e", Base64Url.EncodeToString(parameters.Exponent)));
    }

    public static Dictionary<string, string> Jwk(ECDsa key, string? kid, params (string Name, string Value)[] more)
    {
        var q = key.ExportParameters(false).Q;
        return Jwk(kid, more, ("kty", "EC"), ("crv", $"P-{key.KeySize}"), ("x", Base64Url.EncodeToString(q.X)), ("y", Base64Url.EncodeToString(q.Y)));
    }

    static Dictionary<string, string> Jwk(string? kid, (string Name, string Value)[] more, params (string Name, string Value)[] own)
    {
        var key = own.Concat(more).ToDictionary(entry => entry.Name, entry => entry.Value);
        if (kid is not null) key["kid"] = kid;
        return key;
    }

    public void Dispose()
    {
        Tokens.Dispose();
        _folder.Delete(recursive: true);
    }
}
