using System.Text;
using Microsoft.Extensions.Logging;
using Microsoft.IdentityModel.Tokens;

namespace Carillon.Access.Tokens;

/// <summary>
/// Reads the tokens that clients bring (JSON Web Tokens, RFC 7519), as strictly as RFC 8725 asks for: what decides how a token is checked
/// is the configuration, never the token.
/// </summary>
sealed class TokenValidator : IDisposable
{
    readonly AccessOptions _options;
    readonly TimeProvider _clock;
    readonly SecurityKey? _secret;
    readonly IssuerKeys? _issuer;

    public TokenValidator(AccessOptions options, TimeProvider clock, ILogger logger)
    {
        (_options, _clock) = (options, clock);
        if (!string.IsNullOrEmpty(options.SigningKey)) _secret = Secret(options.SigningKey);
        if (!string.IsNullOrEmpty(options.Jwks)) _issuer = new IssuerKeys(options, clock, logger);
    }

    /// <summary>Reads a token. In order: its size, its form, its header, its signature, its claims; expiry last.</summary>
    public async ValueTask<TokenResult> ValidateAsync(string? text, CancellationToken ct)
    {
        if (string.IsNullOrEmpty(text)) return TokenResult.Refused("There is no token.");
        if (text.Length > _options.MaxTokenLength) return TokenResult.Refused("The token is too long.");
        if (CompactToken.Read(text) is not { } token) return TokenResult.Refused("The token is malformed.");
        if (token.Header.Problem() is { } problem) return TokenResult.Refused(problem);

        var algorithm = token.Header.Alg!;
        var key = Algorithms.OfSecrets.Contains(algorithm) ? _secret : _issuer is null
            ? null : await _issuer.FindAsync(algorithm, token.Header.Kid, ct);
        if (key is null) return TokenResult.Refused("No key is known with which the token could be checked.");
        if (!IsSignedBy(key, algorithm, token)) return TokenResult.Refused("The token's signature is wrong.");

        return StrictJson.Read<Claims>(token.Payload) is { } claims
            ? claims.Validate(_options, _clock.GetUtcNow()) : TokenResult.Refused("A claim of the token is malformed.");
    }

    internal static bool IsSignedBy(SecurityKey key, string algorithm, CompactToken token)
    {
        var signatures = key.CryptoProviderFactory.CreateForVerifying(key, algorithm);
        try
        {
            return signatures.Verify(token.SignedBytes, token.Signature);
        }
        finally
        {
            key.CryptoProviderFactory.ReleaseSignatureProvider(signatures);
        }
    }

    /// <summary>The key that a secret is, for checking and for signing.</summary>
    internal static SymmetricSecurityKey Secret(string signingKey)
    {
        // RFC 7518 wants 48 and 64 bytes for HS384 and HS512, and the library insists. HMAC fills short keys up with zeros (RFC 2104,
        // section 2): written out, they change no signature.
        const int shortestBlock = 64;
        var bytes = Encoding.UTF8.GetBytes(signingKey);
        if (bytes.Length < shortestBlock) Array.Resize(ref bytes, shortestBlock);
        return new SymmetricSecurityKey(bytes);
    }

    public void Dispose() => _issuer?.Dispose();
}
