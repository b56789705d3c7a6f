using System.Security.Cryptography;
using System.Text.Json;
using Microsoft.IdentityModel.Tokens;

namespace Carillon.Access.Tokens;

/// <summary>A public key of an issuer, and what it may check.</summary>
sealed record IssuerKey(string? Id, IReadOnlyList<string> Algorithms, SecurityKey Key);

/// <summary>The public keys of an issuer (RFC 7517), those that can check a token of ours.</summary>
sealed record KeySet(IReadOnlyList<IssuerKey> Keys, int LeftOut)
{
    public const int MaxBytes = 256 * 1024;

    const int FewestRsaBits = 2048;   // RFC 7518, section 3.3

    public static readonly KeySet Empty = new([], 0);

    /// <summary>Reads a key set. Keys for something else, and those that are too weak, are left out.</summary>
    /// <exception cref="FormatException">The text is no key set.</exception>
    public static KeySet Read(string text)
    {
        try
        {
            using var document = JsonDocument.Parse(text);
            if (document.RootElement.ValueKind == JsonValueKind.Object && document.RootElement.TryGetProperty("keys", out var keys)
                && keys.ValueKind == JsonValueKind.Array)
            {
                var fit = keys.EnumerateArray().Select(ReadKey).OfType<IssuerKey>().ToArray();
                return new KeySet(fit, keys.GetArrayLength() - fit.Length);
            }
        }
        catch (JsonException ex)
        {
            throw new FormatException("It is no JSON.", ex);
        }
        throw new FormatException("It is no JSON Web Key Set: there is no list of keys in it.");
    }

    /// <summary>The key that checks a token. Exactly one must fit: where a token names none, there may be no choice.</summary>
    public SecurityKey? Choose(string algorithm, string? id) =>
        Keys.Where(key => key.Algorithms.Contains(algorithm) && (id is null || key.Id == id)).Take(2).ToArray() is [var only]
            ? only.Key : null;

    static IssuerKey? ReadKey(JsonElement json)
    {
        try
        {
            var key = new JsonWebKey(json.GetRawText());
            if (key.Use is not (null or "" or "sig")) return null;
            if (key.KeyOps.Count > 0 && !key.KeyOps.Contains("verify")) return null;
            SecurityKey? made = key switch
            {
                { Kty: "RSA" } => Rsa(key),
                { Kty: "EC", Crv: "P-256" } => P256(key),
                _ => null,   // secrets among them: what lies where everybody can read it is none
            };
            var able = key.Kty == "RSA" ? Algorithms.OfRsaKeys : Algorithms.OfP256Keys;
            if (!string.IsNullOrEmpty(key.Alg)) able = able.Contains(key.Alg) ? [key.Alg] : [];
            return made is null || able.Length == 0 ? null : new IssuerKey(string.IsNullOrEmpty(key.Kid) ? null : key.Kid, able, made);
        }
        catch (Exception ex) when (
            ex is ArgumentException or FormatException or CryptographicException or JsonException or InvalidOperationException)
        {
            return null;   // one odd key does not spoil the others (RFC 7517, section 5)
        }
    }

    static RsaSecurityKey? Rsa(JsonWebKey key)
    {
        using var rsa = RSA.Create(
            new RSAParameters { Modulus = Base64UrlEncoder.DecodeBytes(key.N), Exponent = Base64UrlEncoder.DecodeBytes(key.E) });
        return rsa.KeySize < FewestRsaBits
            ? null : new RsaSecurityKey(rsa.ExportParameters(includePrivateParameters: false)) { KeyId = key.Kid };
    }

    static ECDsaSecurityKey P256(JsonWebKey key) => new(ECDsa.Create(new ECParameters
    {
        Curve = ECCurve.NamedCurves.nistP256,
        Q = new ECPoint { X = Base64UrlEncoder.DecodeBytes(key.X), Y = Base64UrlEncoder.DecodeBytes(key.Y) },
    }))
    {
        KeyId = key.Kid,
    };
}
