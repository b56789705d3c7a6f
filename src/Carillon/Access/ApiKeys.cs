using System.Security.Cryptography;
using System.Text;
using Carillon.SocketIO;

namespace Carillon.Access;

/// <summary>The API keys of the configuration. Only their hashes are kept, which all have one length: comparing takes as long for a near miss as for any other.</summary>
sealed class ApiKeys
{
    const string Scheme = "ApiKey ";

    readonly Key[] _keys;
    readonly Rate _rate;
    readonly TimeProvider _clock;

    public ApiKeys(AccessOptions options, TimeProvider clock)
    {
        _keys = [.. options.ApiKeys.Distinct(StringComparer.Ordinal).Select(key => new Key(HashOf(key)))];
        _rate = new Rate(options.RequestsPerSecondPerKey, options.RequestBurstPerKey, clock);
        _clock = clock;
    }

    /// <summary>The key that an Authorization header brings; null where it brings none at all.</summary>
    public static string? In(string? authorization) =>
        authorization?.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase) == true ? authorization[Scheme.Length..].Trim() : null;

    /// <summary>Finds a key. Every key is compared in full, whichever is the right one.</summary>
    public Key? Find(string text)
    {
        var hash = HashOf(text);
        Key? found = null;
        foreach (var key in _keys)
            if (CryptographicOperations.FixedTimeEquals(key.Hash, hash)) found = key;
        return found;
    }

    /// <summary>Counts a request of a key. False: it made too many, and may go on after a while.</summary>
    public bool TrySpend(Key key, out TimeSpan retryAfter) => key.Requests.TryTake(_rate, 1, _clock.GetTimestamp(), out retryAfter);

    static byte[] HashOf(string key) => SHA256.HashData(Encoding.UTF8.GetBytes(key));

    internal sealed class Key(byte[] hash)
    {
        public readonly byte[] Hash = hash;
        public TokenBucket Requests;
    }
}
