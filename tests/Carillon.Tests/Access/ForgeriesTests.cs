using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;

namespace Carillon.Tests.Access;

/// <summary>Tokens that somebody made up, altered or kept too long, and the code that each is told.</summary>
public sealed class ForgeriesTests : IDisposable
{
    readonly Issuer _issuer = new();

    public void Dispose() => _issuer.Dispose();

    static readonly (string Name, string Code, Func<Issuer, string?> Make)[] Table =
    [
        // What is good, so that the others are refused for their own fault.
        ("HS256", "good", i => i.Hs256(i.Claims())),
        ("HS384 with a secret of 32 bytes", "good", i => i.Hs256(i.Claims(), """{"alg":"HS384"}""")),
        ("HS512 with a secret of 32 bytes", "good", i => i.Hs256(i.Claims(), """{"alg":"HS512"}""")),
        ("RS256", "good", i => i.Rs256(i.Claims())),
        ("PS256", "good", i => i.Rs256(i.Claims(), """{"alg":"PS256","kid":"rsa-1"}""")),
        ("ES256", "good", i => i.Es256(i.Claims())),
        ("no kid where one key fits", "good", i => i.Rs256(i.Claims(), """{"alg":"RS256"}""")),
        ("typ at+jwt", "good", i => i.Hs256(i.Claims(), """{"alg":"HS256","typ":"application/at+jwt"}""")),
        ("headers that nobody reads", "good", i => i.Hs256(i.Claims(), """{"alg":"HS256","x5t":"aaaa","nonce":{"a":[1]}}""")),

        // No token at all.
        ("nothing", "unauthorized", _ => null),
        ("an empty text", "unauthorized", _ => ""),
        ("a space", "unauthorized", _ => " "),
        ("undefined", "unauthorized", _ => "undefined"),
        ("two dots", "unauthorized", _ => ".."),
        ("a hundred dots", "unauthorized", _ => new string('.', 100)),
        ("JSON", "unauthorized", _ => """{"sub":"alice"}"""),
        ("the JSON serialization", "unauthorized", i => FlattenedJson(i.Hs256(i.Claims()))),
        ("Unicode", "unauthorized", _ => "é.日本.😀"),
        ("a lone surrogate", "unauthorized", _ => "a.b.\ud800"),
        ("NUL", "unauthorized", i => i.Hs256(i.Claims()) + "\0"),
        ("Bearer before it", "unauthorized", i => "Bearer " + i.Hs256(i.Claims())),
        ("longer than may be", "unauthorized", i => i.Hs256(i.Claims("name", new string('n', 8000)))),
        ("a header that is no object", "unauthorized", i => i.Hs256(i.Claims(), "[]")),
        ("a header of null", "unauthorized", i => i.Hs256(i.Claims(), "null")),
        ("a header with a comment", "unauthorized", i => i.Hs256(i.Claims(), """{"alg":"HS256"/**/}""")),
        ("claims that are no object", "unauthorized", i => i.Hs256("\"alice\"")),
        ("claims of nothing", "unauthorized", i => i.Hs256("{}")),
        ("claims that are not UTF-8", "unauthorized", i => Issuer.Signed("""{"alg":"HS256"}""", Encoding.Latin1.GetBytes(i.Claims().Replace("alice", "alicé")), input => HMACSHA256.HashData(Encoding.UTF8.GetBytes(Issuer.Secret), input))),
        ("claims nested too deep", "unauthorized", i => i.Hs256($$"""{"sub":"alice","exp":{{i.Now + 60}},"x":{{new string('[', 500)}}{{new string(']', 500)}}}""")),

        // No signature, or none that counts (RFC 8725, section 2.1).
        ("alg none", "unauthorized", i => Unsigned(i, "none")),
        ("alg None", "unauthorized", i => Unsigned(i, "None")),
        ("alg NONE", "unauthorized", i => Unsigned(i, "NONE")),
        ("alg nOnE", "unauthorized", i => Unsigned(i, "nOnE")),
        ("alg none with a signature", "unauthorized", i => i.Hs256(i.Claims(), """{"alg":"none"}""")),
        ("alg empty", "unauthorized", i => i.Hs256(i.Claims(), """{"alg":""}""")),
        ("no alg", "unauthorized", i => i.Hs256(i.Claims(), """{"typ":"JWT"}""")),
        ("alg of another type", "unauthorized", i => i.Hs256(i.Claims(), """{"alg":["HS256"]}""")),
        ("alg null", "unauthorized", i => i.Hs256(i.Claims(), """{"alg":null}""")),
        ("alg in small letters", "unauthorized", i => i.Hs256(i.Claims(), """{"alg":"hs256"}""")),
        ("alg by its address", "unauthorized", i => i.Hs256(i.Claims(), """{"alg":"http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"}""")),
        ("alg twice", "unauthorized", i => i.Hs256(i.Claims(), """{"alg":"none","alg":"HS256"}""")),
        ("alg that is not accepted", "unauthorized", i => i.Rs256(i.Claims(), """{"alg":"RS512","kid":"rsa-1"}""")),
        ("the signature left out", "unauthorized", i => Cut(i.Hs256(i.Claims()))),
        ("the signature empty", "unauthorized", i => Cut(i.Hs256(i.Claims())) + "."),
        ("the signature of another token", "unauthorized", i => Cut(i.Hs256(i.Claims())) + "." + i.Hs256(i.Claims("sub", "bob")).Split('.')[2]),
        ("half a signature", "unauthorized", i => i.Hs256(i.Claims())[..^20]),
        ("a signature of zeros", "unauthorized", i => Cut(i.Es256(i.Claims())) + "." + Base64Url.EncodeToString(new byte[64])),
        ("a signature as DER", "unauthorized", i => Issuer.Signed("""{"alg":"ES256","kid":"ec-1"}""", i.Claims(), input => i.P256.SignData(input, HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence))),
        ("a signature of a megabit", "unauthorized", i => Cut(i.Rs256(i.Claims())) + "." + Base64Url.EncodeToString(new byte[4000])),

        // Somebody else's key, or a key used as another kind of key (RFC 8725, sections 2.1 and 3.1).
        ("another secret", "unauthorized", i => Issuer.Hmac("""{"alg":"HS256"}""", i.Claims(), "another secret of more than 32 bytes"u8.ToArray())),
        ("an empty secret", "unauthorized", i => Issuer.Hmac("""{"alg":"HS256","kid":"../../../../dev/null"}""", i.Claims(), [])),
        ("HS256 with the public key in PEM", "unauthorized", i => Issuer.Hmac("""{"alg":"HS256","kid":"rsa-1"}""", i.Claims(), Encoding.ASCII.GetBytes(i.Rsa.ExportSubjectPublicKeyInfoPem()))),
        ("HS256 with the public key in PEM and a line end", "unauthorized", i => Issuer.Hmac("""{"alg":"HS256","kid":"rsa-1"}""", i.Claims(), Encoding.ASCII.GetBytes(i.Rsa.ExportSubjectPublicKeyInfoPem() + "\n"))),
        ("HS256 with the public key in DER", "unauthorized", i => Issuer.Hmac("""{"alg":"HS256","kid":"rsa-1"}""", i.Claims(), i.Rsa.ExportSubjectPublicKeyInfo())),
        ("HS256 with the PKCS#1 key in DER", "unauthorized", i => Issuer.Hmac("""{"alg":"HS256","kid":"rsa-1"}""", i.Claims(), i.Rsa.ExportRSAPublicKey())),
        ("HS256 with the modulus", "unauthorized", i => Issuer.Hmac("""{"alg":"HS256","kid":"rsa-1"}""", i.Claims(), i.Rsa.ExportParameters(false).Modulus!)),
        ("HS256 with the key set itself", "unauthorized", i => Issuer.Hmac("""{"alg":"HS256","kid":"rsa-1"}""", i.Claims(), File.ReadAllBytes(i.KeyFile))),
        ("RS256 by another key", "unauthorized", i => ByAnotherRsaKey(i, """{"alg":"RS256","kid":"rsa-1"}""")),
        ("ES256 by another key", "unauthorized", i => ByAnotherP256Key(i, """{"alg":"ES256","kid":"ec-1"}""")),
        ("RS256 said to be PS256", "unauthorized", i => Swap(i.Rs256(i.Claims()), """{"alg":"PS256","kid":"rsa-1"}""")),
        ("RS256 said to be HS256", "unauthorized", i => Swap(i.Rs256(i.Claims()), """{"alg":"HS256","kid":"rsa-1"}""")),
        ("HS256 said to be HS512", "unauthorized", i => Swap(i.Hs256(i.Claims()), """{"alg":"HS512"}""")),
        ("ES256 with the id of the RSA key", "unauthorized", i => i.Es256(i.Claims(), """{"alg":"ES256","kid":"rsa-1"}""")),

        // Keys and places of keys that the token brings along (RFC 8725, section 3.10).
        ("its own key in jwk", "unauthorized", i => ByAnotherRsaKey(i, """{"alg":"RS256"}""", withJwk: true)),
        ("its own key in jwk, with our id", "unauthorized", i => ByAnotherRsaKey(i, """{"alg":"RS256","kid":"rsa-1"}""", withJwk: true)),
        ("its own secret in jwk", "unauthorized", i => Issuer.Hmac("""{"alg":"HS256","jwk":{"kty":"oct","k":"c2VjcmV0"}}""", i.Claims(), "secret"u8.ToArray())),
        ("kid as a path", "unauthorized", i => i.Rs256(i.Claims(), """{"alg":"RS256","kid":"../../etc/passwd"}""")),
        ("kid as SQL", "unauthorized", i => i.Rs256(i.Claims(), """{"alg":"RS256","kid":"rsa-1' OR '1'='1"}""")),
        ("kid as a command", "unauthorized", i => i.Rs256(i.Claims(), """{"alg":"RS256","kid":"rsa-1|id"}""")),
        ("kid as an address", "unauthorized", i => i.Rs256(i.Claims(), """{"alg":"RS256","kid":"http://127.0.0.1/keys"}""")),
        ("kid of another type", "unauthorized", i => i.Rs256(i.Claims(), """{"alg":"RS256","kid":7}""")),
        ("kid empty", "unauthorized", i => i.Rs256(i.Claims(), """{"alg":"RS256","kid":""}""")),
        ("kid in other letters", "unauthorized", i => i.Rs256(i.Claims(), """{"alg":"RS256","kid":"RSA-1"}""")),
        ("kid with a lone surrogate", "unauthorized", i => i.Rs256(i.Claims(), """{"alg":"RS256","kid":"\ud800"}""")),

        // What would have to be understood (RFC 7515, section 4.1.11), and other kinds of tokens.
        ("crit with something unknown", "unauthorized", i => i.Hs256(i.Claims(), """{"alg":"HS256","crit":["exp2"],"exp2":1}""")),
        ("crit with b64", "unauthorized", i => i.Hs256(i.Claims(), """{"alg":"HS256","crit":["b64"],"b64":false}""")),
        ("crit empty", "unauthorized", i => i.Hs256(i.Claims(), """{"alg":"HS256","crit":[]}""")),
        ("encrypted", "unauthorized", _ => $"{Issuer.Part("""{"alg":"dir","enc":"A128GCM"}""")}..{Issuer.Part("123456789012")}.{Issuer.Part("text")}.{Issuer.Part("tag")}"),
        ("encrypted, with five parts filled", "unauthorized", _ => string.Join('.', Enumerable.Repeat(Issuer.Part("""{"alg":"RSA-OAEP","enc":"A128GCM"}"""), 5))),
        ("enc in a signed one", "unauthorized", i => i.Hs256(i.Claims(), """{"alg":"HS256","enc":"A128GCM"}""")),
        ("a token in a token", "unauthorized", i => i.Hs256(i.Hs256(i.Claims()), """{"alg":"HS256","cty":"JWT"}""")),
        ("a token for something else", "unauthorized", i => i.Hs256(i.Claims(), """{"alg":"HS256","typ":"secevent+jwt"}""")),

        // Another text for the same token.
        ("a dot behind it", "unauthorized", i => i.Hs256(i.Claims()) + "."),
        ("dots behind it", "unauthorized", i => i.Hs256(i.Claims()) + "..."),
        ("a dot before it", "unauthorized", i => "." + i.Hs256(i.Claims())),
        ("a space behind it", "unauthorized", i => i.Hs256(i.Claims()) + " "),
        ("a line end behind it", "unauthorized", i => i.Hs256(i.Claims()) + "\r\n"),
        ("a space in it", "unauthorized", i => i.Hs256(i.Claims()).Insert(5, " ")),
        ("padding", "unauthorized", i => i.Hs256(i.Claims()) + "="),
        ("padding of the header", "unauthorized", i => i.Hs256(i.Claims(), """{"alg":"HS256" }""").Replace(".", "=.")),
        ("stray bits at the end", "unauthorized", i => WithStrayBits(i.Hs256(i.Claims()))),
        ("base64 instead of base64url", "unauthorized", i => Base64OfSignature(i)),

        // Claims.
        ("another payload", "unauthorized", i => SwapClaims(i.Hs256(i.Claims()), i.Claims("sub", "admin"))),
        ("a payload in another order", "unauthorized", i => SwapClaims(i.Hs256("""{"a":1,"b":2}"""), """{"b":2,"a":1}""")),
        ("sub twice", "unauthorized", i => i.Hs256(i.Claims().Insert(1, """ "sub":"admin", """))),
        ("an unknown claim twice", "unauthorized", i => i.Hs256(i.Claims().Insert(1, """ "x":1, "x":2, """))),
        ("another issuer", "unauthorized", i => i.Hs256(i.Claims("iss", "https://other.example"))),
        ("an issuer with a slash more", "unauthorized", i => i.Hs256(i.Claims("iss", "https://issuer.example/"))),
        ("no issuer", "unauthorized", i => i.Hs256(i.Claims("iss", remove: true))),
        ("issuers in a list", "unauthorized", i => i.Hs256(i.Claims("iss", new JsonArray("https://issuer.example")))),
        ("another audience", "unauthorized", i => i.Hs256(i.Claims("aud", "other"))),
        ("no audience", "unauthorized", i => i.Hs256(i.Claims("aud", remove: true))),
        ("audiences without ours", "unauthorized", i => i.Hs256(i.Claims("aud", new JsonArray("a", "b")))),
        ("an empty list of audiences", "unauthorized", i => i.Hs256(i.Claims("aud", new JsonArray()))),
        ("ours among the audiences", "good", i => i.Hs256(i.Claims("aud", new JsonArray("a", "shop")))),
        ("audiences with a number", "unauthorized", i => i.Hs256(i.Claims("aud", new JsonArray("shop", 1)))),
        ("audiences with nothing", "unauthorized", i => i.Hs256(i.Claims("aud", new JsonArray("shop", null)))),
        ("no expiry", "unauthorized", i => i.Hs256(i.Claims("exp", remove: true))),
        ("an expiry of nothing", "unauthorized", i => i.Hs256(i.Claims("exp"))),
        ("an expiry as text", "unauthorized", i => i.Hs256(i.Claims("exp", (i.Now + 3600).ToString()))),
        ("an expiry as a date", "unauthorized", i => i.Hs256(i.Claims("exp", "2030-01-01T00:00:00Z"))),
        ("an expiry in a list", "unauthorized", i => i.Hs256(i.Claims("exp", new JsonArray(i.Now + 3600)))),
        ("an expiry that is true", "unauthorized", i => i.Hs256(i.Claims("exp", true))),
        ("a far expiry", "good", i => i.Hs256(i.Claims("exp", 4_102_444_800))),
        ("an expiry beyond any calendar", "good", i => i.Hs256(i.Claims("exp", 1e300))),
        ("an expiry of infinity", "good", i => i.Hs256(i.Claims().Replace($"\"exp\":{i.Now + 3600}", "\"exp\":1e999"))),
        ("an expiry with a fraction", "good", i => i.Hs256(i.Claims("exp", i.Now + 0.5))),
        ("expired within the skew", "good", i => i.Hs256(i.Claims("exp", i.Now - 4))),
        ("expired by the skew", "token-expired", i => i.Hs256(i.Claims("exp", i.Now - 5))),
        ("expired long ago", "token-expired", i => i.Hs256(i.Claims("exp", 1))),
        ("expired before there were clocks", "token-expired", i => i.Hs256(i.Claims("exp", -1e300))),
        ("expired, by the RSA key", "token-expired", i => i.Rs256(i.Claims("exp", i.Now - 60))),
        ("expired and of another key", "unauthorized", i => Issuer.Hmac("""{"alg":"HS256"}""", i.Claims("exp", 1), "another secret of more than 32 bytes"u8.ToArray())),
        ("expired and altered", "unauthorized", i => SwapClaims(i.Hs256(i.Claims()), i.Claims("exp", 1))),
        ("expired and for somebody else", "unauthorized", i => i.Hs256(i.Claims("exp", 1).Replace("\"shop\"", "\"other\""))),
        ("expired and of nobody", "unauthorized", i => i.Hs256($$"""{"iss":"https://issuer.example","aud":"shop","exp":1}""")),
        ("not yet valid", "unauthorized", i => i.Hs256(i.Claims("nbf", i.Now + 6))),
        ("not yet valid within the skew", "good", i => i.Hs256(i.Claims("nbf", i.Now + 5))),
        ("not yet valid, as text", "unauthorized", i => i.Hs256(i.Claims("nbf", "0"))),
        ("issued in the future", "unauthorized", i => i.Hs256(i.Claims("iat", i.Now + 3600))),
        ("issued by a clock that is a little ahead", "good", i => i.Hs256(i.Claims("iat", i.Now + 4))),
        ("no time of issue", "good", i => i.Hs256(i.Claims("iat", remove: true))),
        ("no subject", "unauthorized", i => i.Hs256(i.Claims("sub", remove: true))),
        ("an empty subject", "unauthorized", i => i.Hs256(i.Claims("sub", ""))),
        ("a subject of spaces", "unauthorized", i => i.Hs256(i.Claims("sub", "  "))),
        ("a subject as a number", "unauthorized", i => i.Hs256(i.Claims("sub", 7))),
        ("a subject as an object", "unauthorized", i => i.Hs256(i.Claims("sub", new JsonObject { ["id"] = "alice" }))),
        ("the longest subject", "good", i => i.Hs256(i.Claims("sub", new string('s', 186)))),
        ("a subject whose channel would have too long a name", "unauthorized", i => i.Hs256(i.Claims("sub", new string('s', 187)))),
        ("a subject that reaches into another channel", "unauthorized", i => i.Hs256(i.Claims("sub", "alice:x"))),
        ("a subject with a line end", "unauthorized", i => i.Hs256(i.Claims("sub", "alice\nbob"))),
        ("a subject with NUL", "unauthorized", i => i.Hs256(i.Claims("sub", "alice\0"))),
        ("a subject with a lone surrogate", "unauthorized", i => i.Hs256(i.Claims().Replace("\"alice\"", "\"a\\ud800\""))),
        ("a subject of another script", "good", i => i.Hs256(i.Claims("sub", "été 日本 😀"))),
        ("a name as a number", "unauthorized", i => i.Hs256(i.Claims("name", 7))),
        ("roles as a number", "unauthorized", i => i.Hs256(i.Claims("roles", 7))),
        ("roles as an object", "unauthorized", i => i.Hs256(i.Claims("roles", new JsonObject { ["admin"] = true }))),
        ("roles with a number", "unauthorized", i => i.Hs256(i.Claims("roles", new JsonArray("seller", 7)))),
        ("roles with nothing", "unauthorized", i => i.Hs256(i.Claims("roles", new JsonArray("seller", null)))),
        ("interests as a text", "unauthorized", i => i.Hs256(i.Claims("interests", "fruit"))),
        ("a token's id as a number", "unauthorized", i => i.Hs256(i.Claims("jti", 7))),
        ("capabilities as a list", "unauthorized", i => i.Hs256(i.Claims("capabilities", new JsonArray("orders:*")))),
        ("capabilities of true", "unauthorized", i => i.Hs256(i.Claims("capabilities", new JsonObject { ["orders:*"] = true }))),
        ("capabilities of nothing", "unauthorized", i => i.Hs256(i.Claims("capabilities", new JsonObject { ["orders:*"] = null }))),
    ];

    public static TheoryData<string> Names => [.. Table.Select(row => row.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public async Task Each_forgery_is_told_its_code(string name)
    {
        var (_, code, make) = Table.Single(row => row.Name == name);
        Assert.Equal(code, await _issuer.CodeAsync(make(_issuer)));
    }

    [Fact]
    public async Task Any_character_changed_or_left_out_is_refused()
    {
        string[] good = [_issuer.Hs256(_issuer.Claims()), _issuer.Rs256(_issuer.Claims()), _issuer.Es256(_issuer.Claims())];
        foreach (var (seed, chance) in Chance.Rounds(3000))
        {
            var token = good[chance.Next(3)];
            var damaged = Damaged(token, chance);
            if (damaged != token) Assert.True(await _issuer.CodeAsync(damaged) == "unauthorized", $"CARILLON_SEED={seed}: {damaged}");
        }
    }

    [Fact]
    public async Task Rubbish_in_any_place_is_refused_and_throws_nothing()
    {
        string[] values = ["null", "0", "-1", "1e999", "true", "\"\"", "\"\\ud800\"", "[]", "[null]", "{}", "[[[]]]", $"\"{new string('x', 500)}\"", "[\"a\",[\"b\"]]", "{\"a\":null}", "{\"a\":[{}]}"];
        string[] claims = ["iss", "aud", "sub", "exp", "nbf", "iat", "jti", "name", "roles", "region", "interests", "capabilities"];
        string[] headers = ["alg", "kid", "typ", "cty", "crit", "enc", "jwk", "jku", "x5c", "x5u", "zip", "b64"];
        foreach (var (seed, chance) in Chance.Rounds(2000))
        {
            string Made(string[] names) => "{" + string.Join(',', names.Where(_ => chance.Next(3) == 0).Select(name => $"\"{name}\":{values[chance.Next(values.Length)]}")) + "}";
            var header = chance.Next(2) == 0 ? """{"alg":"HS256"}""" : Made(headers);
            var token = _issuer.Hs256(Made(claims), header);
            Assert.True(await _issuer.CodeAsync(token) == "unauthorized", $"CARILLON_SEED={seed}: {header} {token}");
        }
    }

    static string Damaged(string token, Random chance)
    {
        const string characters = "ABCXYZabcxyz0189-_.=+/ \0é";
        var (at, other) = (chance.Next(token.Length), characters[chance.Next(characters.Length)].ToString());
        return chance.Next(3) switch
        {
            0 => token.Remove(at, 1),
            1 => token.Insert(at, other),
            _ => token.Remove(at, 1).Insert(at, other),
        };
    }

    static string Unsigned(Issuer issuer, string alg) => $"{Issuer.Part($$"""{"alg":"{{alg}}"}""")}.{Issuer.Part(issuer.Claims())}.";

    static string Cut(string token) => token[..token.LastIndexOf('.')];

    static string Swap(string token, string header) => Issuer.Part(header) + token[token.IndexOf('.')..];

    static string SwapClaims(string token, string claims) => token.Split('.') is [var header, _, var signature] ? $"{header}.{Issuer.Part(claims)}.{signature}" : "";

    static string FlattenedJson(string token) =>
        token.Split('.') is [var header, var payload, var signature] ? $$"""{"protected":"{{header}}","payload":"{{payload}}","signature":"{{signature}}"}""" : "";

    // 32 bytes leave two bits of the last character unused.
    static string WithStrayBits(string token)
    {
        const string alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        return token[..^1] + alphabet[alphabet.IndexOf(token[^1]) | 1];
    }

    static string Base64OfSignature(Issuer issuer)
    {
        for (var i = 0; ; i++)
        {
            var token = issuer.Hs256(issuer.Claims("jti", i.ToString()));
            if (token[token.LastIndexOf('.')..].AsSpan().ContainsAny('-', '_')) return token.Replace('-', '+').Replace('_', '/');
        }
    }

    static string ByAnotherRsaKey(Issuer issuer, string header, bool withJwk = false)
    {
        using var other = RSA.Create(2048);
        if (withJwk) header = header[..^1] + ",\"jwk\":" + System.Text.Json.JsonSerializer.Serialize(Issuer.Jwk(other, "rsa-1")) + "}";
        return Issuer.Signed(header, issuer.Claims(), input => other.SignData(input, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1));
    }

    static string ByAnotherP256Key(Issuer issuer, string header)
    {
        using var other = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        return Issuer.Signed(header, issuer.Claims(), input => other.SignData(input, HashAlgorithmName.SHA256));
    }
}
