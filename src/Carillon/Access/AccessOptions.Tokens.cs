using System.Text;

namespace Carillon.Access;

/// <content>How tokens are checked.</content>
public sealed partial class AccessOptions
{
    const int ShortestSigningKey = 32;

    /// <summary>
    /// The secret with which tokens of HS256, HS384 and HS512 are signed, taken as UTF-8: 32 bytes or more, because a shorter one can be
    /// guessed at leisure by whoever has a
    /// token (RFC 7518, section 3.2). Unset: such tokens are refused.
    /// </summary>
    public string? SigningKey { get; set; }

    /// <summary>
    /// Where the public keys for RS256, PS256 and ES256 are (a JSON Web Key Set, RFC 7517): the path of a file, or an http or https
    /// address. Nothing in a token decides where
    /// to look. Unset: such tokens are refused.
    /// </summary>
    public string? Jwks { get; set; }

    /// <summary>The required issuer of tokens (<c>iss</c>). Not checked if unset.</summary>
    public string? Issuer { get; set; }

    /// <summary>For whom a token must be (<c>aud</c>, alone or among others). Unset: it is not looked at.</summary>
    public string? Audience { get; set; }

    /// <summary>
    /// How far apart the clocks of this server and the issuer may be. 5 seconds: clocks that are set over the network differ by less.
    /// </summary>
    public TimeSpan ClockSkew { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>How many characters a token may have: 8,192, what fits into a header of HTTP. More is refused before it is read.</summary>
    public int MaxTokenLength { get; set; } = 8 * 1024;

    /// <summary>
    /// How old the keys of an address may become before they are fetched again: an hour, after which a key that was withdrawn is gone.
    /// </summary>
    public TimeSpan JwksRefresh { get; set; } = TimeSpan.FromHours(1);

    /// <summary>
    /// The shortest time between two fetches of the keys of an address: 10 seconds. A key that nobody knows makes us look, and clients may
    /// send as many of these as they like.
    /// </summary>
    public TimeSpan JwksMinInterval { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>How long fetching the keys may take: 5 seconds. Until they come for the first time, clients wait at the door.</summary>
    public TimeSpan JwksTimeout { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>The address of the keys; null where they are in a file, or nowhere.</summary>
    internal Uri? JwksAddress =>
        Uri.TryCreate(Jwks, UriKind.Absolute, out var address) && address.Scheme is "http" or "https" ? address : null;

    /// <summary>Whether there is a key with which a token could be checked.</summary>
    internal bool HasTokenKeys => !string.IsNullOrEmpty(SigningKey) || !string.IsNullOrEmpty(Jwks);

    /// <summary>Says what is wrong with the options of tokens, for a person; null where nothing is.</summary>
    internal string? TokenProblem() =>
        SigningKey?.Contains("-----BEGIN", StringComparison.Ordinal) == true
            ? "SigningKey is a secret, not a key in PEM. A public key belongs into a JSON Web Key Set, named by Jwks." :
        !string.IsNullOrEmpty(SigningKey) && Encoding.UTF8.GetByteCount(SigningKey) is < ShortestSigningKey and var length
            ? $"SigningKey has {length} bytes; it must have {ShortestSigningKey} or more. `openssl rand -base64 48` makes one." :
        Jwks?.Contains("://", StringComparison.Ordinal) == true && JwksAddress is null
            ? "Jwks must be the path of a file, or an address that begins with http:// or https://." :
        JwksAddress is { UserInfo.Length: > 0 }
            ? "Jwks must not hold a user or a password: a key set is public." :
        ClockSkew < TimeSpan.Zero || ClockSkew > TimeSpan.FromMinutes(10)
            ? "ClockSkew must lie between zero and ten minutes." :
        MaxTokenLength is < 128 or > 1024 * 1024
            ? "MaxTokenLength must lie between 128 and 1,048,576." :
        JwksRefresh <= TimeSpan.Zero || JwksMinInterval <= TimeSpan.Zero || JwksTimeout <= TimeSpan.Zero
            ? "JwksRefresh, JwksMinInterval and JwksTimeout must be longer than zero." :
        null;
}
