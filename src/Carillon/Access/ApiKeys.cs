using System.Buffers.Text;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Carillon.Access.Tokens;
using Carillon.Storage;
using Dapper;

namespace Carillon.Access;

/// <summary>A back end's key, without its secret.</summary>
sealed record ApiKey(string Id, string Name, IReadOnlyList<string> Scopes, DateTimeOffset? ExpiresAt = null);

/// <summary>
/// The keys of back ends: those of the configuration, and those that were made over HTTP and lie in the database. Only hashes are kept,
/// which all have one length: comparing takes as
/// long for a near miss as for any other.
/// </summary>
sealed class ApiKeys
{
    const string Scheme = "ApiKey ";
    const string Prefix = "ck_";
    const int IdLength = 16;

    readonly (ApiKey Key, byte[] Hash)[] _configured;
    readonly Database _db;
    readonly UserDirectory _directory;
    readonly PendingDecisions _decisions;
    readonly TimeProvider _clock;

    [method: ExplicitConstructor]
    sealed record Row(string Name, string Hash, string Scopes, string? ExpiresAt, string? Maker, string? MakerToken);

    public ApiKeys(AccessOptions options, Database db, UserDirectory directory, PendingDecisions decisions, TimeProvider clock)
    {
        _configured = [.. options.ApiKeys.Distinct(StringComparer.Ordinal)
            .Select((key, i) => (new ApiKey($"configured-{i}", "of the configuration", [Scopes.All]), HashOf(key)))];
        (_db, _directory, _decisions, _clock) = (db, directory, decisions, clock);
    }

    /// <summary>The key that an Authorization header brings; null where it brings none at all.</summary>
    public static string? In(string? authorization) =>
        authorization?.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase) == true ? authorization[Scheme.Length..].Trim() : null;

    /// <summary>A new key: its id, which is no secret, and the whole text.</summary>
    public static (string Id, string Text, string Hash) Create()
    {
        var id = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(IdLength / 2));
        var text = $"{Prefix}{id}_{Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(32))}";
        return (id, text, Convert.ToHexStringLower(HashOf(text)));
    }

    /// <summary>Finds a key. Every key of the configuration is compared in full, whichever is the right one.</summary>
    public async ValueTask<ApiKey?> FindAsync(string text, CancellationToken ct)
    {
        if (text.Length is 0 or > AccessOptions.LongestApiKey) return null;
        var hash = HashOf(text);
        ApiKey? found = null;
        foreach (var (key, expected) in _configured)
            if (CryptographicOperations.FixedTimeEquals(expected, hash)) found = key;
        return found ?? (IdIn(text) is { } id ? await FindMadeAsync(id, hash, ct) : null);
    }

    async ValueTask<ApiKey?> FindMadeAsync(string id, byte[] hash, CancellationToken ct)
    {
        if (_decisions.DeletesKey(id)) return null;
        var row = await _db.QuerySingleOrDefaultAsync<Row>("""
            SELECT name AS Name, hash AS Hash, scopes AS Scopes, expires_at AS ExpiresAt, maker AS Maker, maker_token AS MakerToken
            FROM carillon_api_keys WHERE id = @id
            """, new { id }, ct);
        if (row is null || !CryptographicOperations.FixedTimeEquals(Convert.FromHexString(row.Hash), hash)) return null;
        if (row.ExpiresAt is { } end && string.CompareOrdinal(end, Iso.Of(_clock.GetUtcNow())) <= 0) return null;
        // A key that a person created ends when that person loses the permission to create it.
        var token = row.MakerToken is null ? null : JsonSerializer.Deserialize<Token>(row.MakerToken);
        if (row.Maker is { } maker && !await _directory.MayStillMakeKeysAsync(maker, token, ct)) return null;
        return new ApiKey(id, row.Name, JsonSerializer.Deserialize<string[]>(row.Scopes)!, row.ExpiresAt is null ? null
            : TimeOf(row.ExpiresAt));
    }

    static DateTimeOffset TimeOf(string iso) => DateTimeOffset.Parse(iso, CultureInfo.InvariantCulture);

    static string? IdIn(string text) =>
        text.StartsWith(Prefix, StringComparison.Ordinal) && text.Length > Prefix.Length + IdLength && text[Prefix.Length + IdLength] == '_'
            ? text.Substring(Prefix.Length, IdLength)
            : null;

    static byte[] HashOf(string key) => SHA256.HashData(Encoding.UTF8.GetBytes(key));
}
