using System.Buffers.Text;
using System.Text;
using System.Text.Json;

namespace Carillon.Access.Tokens;

/// <summary>
/// A signed token as it travels (RFC 7515, section 3.1): header, payload and signature in base64url, joined by dots. Each token has one
/// text only: padding, spaces and stray bits
/// are refused, so that whatever is kept or compared by the text cannot be had twice.
/// </summary>
sealed record CompactToken(JoseHeader Header, ReadOnlyMemory<byte> Payload, byte[] SignedBytes, byte[] Signature)
{
    public static CompactToken? Read(string text)
    {
        Span<Range> parts = stackalloc Range[4];
        var chars = text.AsSpan();
        if (chars.Split(parts, '.') != 3) return null;
        if (Decode(chars[parts[0]]) is not { } header || Decode(chars[parts[1]]) is not { } payload
            || Decode(chars[parts[2]]) is not { } signature) return null;
        return StrictJson.Read<JoseHeader>(header) is { } read
            ? new CompactToken(read, payload, Encoding.ASCII.GetBytes(text, 0, parts[1].End.Value), signature) : null;
    }

    static byte[]? Decode(ReadOnlySpan<char> part)
    {
        if (part.IsEmpty || !Base64Url.IsValid(part)) return null;
        var bytes = Base64Url.DecodeFromChars(part);
        return part.SequenceEqual(Base64Url.EncodeToString(bytes)) ? bytes : null;
    }
}

/// <summary>
/// The members of a token's header that we read. Keys and addresses of keys in it (<c>jwk</c>, <c>jku</c>, <c>x5c</c>, <c>x5u</c>) are not
/// read at all:
/// who signs a token must not choose what it
/// is checked with (RFC 8725, section 3.10).
/// </summary>
sealed record JoseHeader(string? Alg, string? Kid, string? Typ, string? Cty, JsonElement? Crit, JsonElement? Enc)
{
    /// <summary>Why such a token is not for us; null where it may be.</summary>
    public string? Problem() =>
        Alg is null ? "The token names no algorithm." :
        !Algorithms.All.Contains(Alg) ? "The token's algorithm is not one that is accepted." :
        Crit is not null ? "The token asks for something that is not known here (crit)." :   // RFC 7515, section 4.1.11
        Enc is not null || Cty is not null ? "The token holds another one, or something encrypted." :
        !IsAccessToken(Typ) ? "The token is of another kind (typ)." :
        null;

    // RFC 8725, section 3.11: a token that says what it is, and is something else, was made for somebody else.
    static bool IsAccessToken(string? typ) => typ is null
        || (typ.StartsWith("application/", StringComparison.OrdinalIgnoreCase) ? typ["application/".Length..] : typ)
            .ToUpperInvariant() is "JWT" or "AT+JWT";
}

/// <summary>The algorithms that are accepted (RFC 7518), each bound to its kind of key (RFC 8725, section 3.1).</summary>
static class Algorithms
{
    public static readonly string[] OfSecrets = ["HS256", "HS384", "HS512"];

    public static readonly string[] OfRsaKeys = ["RS256", "PS256"];

    public static readonly string[] OfP256Keys = ["ES256"];

    public static readonly string[] All = [.. OfSecrets, .. OfRsaKeys, .. OfP256Keys];
}

/// <summary>JSON that means one thing only: no name twice, valid UTF-8, no comments, and the types that are expected.</summary>
static class StrictJson
{
    static readonly JsonDocumentOptions Reading = new() { AllowDuplicateProperties = false, MaxDepth = 32 };
    static readonly JsonSerializerOptions Types = new() { PropertyNamingPolicy = JsonNamingPolicy.CamelCase, MaxDepth = 32 };

    /// <summary>Reads an object; null where it is none, or not as it should be.</summary>
    public static T? Read<T>(ReadOnlyMemory<byte> utf8) where T : class
    {
        if (!System.Text.Unicode.Utf8.IsValid(utf8.Span)) return null;
        try
        {
            using var document = JsonDocument.Parse(utf8, Reading);
            return document.Deserialize<T>(Types);
        }
        catch (Exception ex) when (ex is JsonException or InvalidOperationException)
        {
            return null;   // the second one comes for half a surrogate pair
        }
    }
}
