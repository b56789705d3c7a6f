using System.Text.Json;
using System.Text.Json.Serialization;

namespace Carillon.Access.Tokens;

/// <summary>The claims of a token (RFC 7519, section 4), under their names there. Claims of other JSON types are refused.</summary>
sealed record Claims(
    string? Iss,
    [property: JsonConverter(typeof(OneOrMany))] string[]? Aud,
    string? Sub,
    double? Exp,
    double? Nbf,
    double? Iat,
    string? Jti,
    string? Name,
    [property: JsonConverter(typeof(OneOrMany))] string[]? Roles,
    string? Region,
    string[]? Interests,
    Dictionary<string, string[]>? Capabilities)
{
    // A user's longest channel is "notifications:" and the id, and a channel's name has 200 characters at most.
    internal const int LongestSubject = 200 - 14;

    /// <summary>
    /// Validates the claims of a token whose signature was right. Expiry comes last: only for a token that was valid once the client is
    /// asked to renew.
    /// </summary>
    public TokenResult Validate(AccessOptions options, DateTimeOffset now)
    {
        var skew = options.ClockSkew;
        if (HoldsNothing(Aud) || HoldsNothing(Roles) || HoldsNothing(Interests) || Capabilities?.Values.Any(actions =>
            actions is null || HoldsNothing(actions)) == true)
            return TokenResult.Refused("A claim of the token holds nothing where a text should be.");
        if (!string.IsNullOrEmpty(options.Issuer)
            && Iss != options.Issuer) return TokenResult.Refused("The token is of another issuer, or of none.");
        if (!string.IsNullOrEmpty(options.Audience)
            && Aud?.Contains(options.Audience) != true) return TokenResult.Refused("The token is for another audience, or for none.");
        if (!IsSubject(Sub)) return TokenResult.Refused("The token names no subject, or one that cannot be a user's id.");
        if (Exp is not { } exp) return TokenResult.Refused("The token does not say when it expires.");
        if (Nbf is { } nbf && Moment(nbf) - now > skew) return TokenResult.Refused("The token is not yet valid.");
        // Revoking all tokens of a user up to now must include this one.
        if (Iat is { } iat && Moment(iat) - now > skew) return TokenResult.Refused("The token was issued in the future.");
        if (now - Moment(exp) >= skew) return TokenResult.Expired();
        if (Jti is not null && Iat is { } at && options.OutlivesRevocation(Moment(at), now)) return TokenResult.Expired();
        if (Jti is not null && Iat is null && Moment(exp) - now > options.RevocationRetention) return TokenResult.Refused(
            "The token lives for longer than RevocationRetention and has no iat.");
        return TokenResult.Valid(
            new Token(Sub!, Name, Roles ?? [], Region, Interests ?? [], Jti, Iat is { } issued ? Moment(issued) : null, Moment(exp),
            (Capabilities ?? []).ToDictionary(entry => entry.Key, entry => (IReadOnlyList<string>)entry.Value, StringComparer.Ordinal)));
    }

    /// <summary>Whether a subject can be a user's id, and as such one part of a channel's name.</summary>
    internal static bool IsSubject(string? text)
    {
        if (text is not { Length: <= LongestSubject } || string.IsNullOrWhiteSpace(text)) return false;
        for (var i = 0; i < text.Length; i++)
        {
            if (char.IsControl(text[i]) || text[i] == ':') return false;
            if (!char.IsSurrogate(text[i])) continue;
            if (!char.IsHighSurrogate(text[i]) || ++i == text.Length || !char.IsLowSurrogate(text[i])) return false;
        }
        return true;
    }

    // Seconds since 1970, fractions allowed (RFC 7519, section 2); what no calendar holds is its first or last moment.
    static DateTimeOffset Moment(double seconds) =>
        DateTimeOffset.UnixEpoch.AddSeconds(
            Math.Clamp(seconds, DateTimeOffset.MinValue.ToUnixTimeSeconds(), DateTimeOffset.MaxValue.ToUnixTimeSeconds()));

    static bool HoldsNothing(string[]? texts) => texts?.Contains(null) == true;
}

/// <summary>A list of texts, or one text alone.</summary>
sealed class OneOrMany : JsonConverter<string[]>
{
    public override string[]? Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        reader.TokenType == JsonTokenType.String ? [reader.GetString()!] : JsonSerializer.Deserialize<string[]>(ref reader, options);

    public override void Write(Utf8JsonWriter writer, string[] value, JsonSerializerOptions options) => throw new NotSupportedException();
}
