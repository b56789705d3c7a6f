using System.Security.Cryptography;
using System.Text.Json;
using Carillon.Storage;

namespace Magasin.Data;

/// <summary>
/// A creation that is sent twice with the same Idempotency-Key happens once: the second is answered what the first was. The answer is
/// kept in the transaction of the creation itself, for a day.
/// </summary>
internal static class IdempotentAnswers
{
    const int LongestKey = 200;

    public readonly record struct Request(string? Cle, string Empreinte);

    public static Request Of<T>(HttpContext context, T request)
    {
        var key = context.Request.Headers["Idempotency-Key"].ToString();
        if (key.Length > LongestKey) throw new BadHttpRequestException($"Idempotency-Key may have {LongestKey} characters at most.");
        return new Request(key.Length == 0 ? null : key,
            Convert.ToHexStringLower(SHA256.HashData(
                JsonSerializer.SerializeToUtf8Bytes(new { path = context.Request.Path.Value, request }, JsonSerializerOptions.Web))));
    }

    /// <summary>The earlier answer; null if the request is new.</summary>
    public static async Task<IResult?> BeforeAsync<T>(DatabaseTransaction tx, Request demande, CancellationToken ct)
    {
        if (demande.Cle is null) return null;
        var known = await tx.QuerySingleOrDefaultAsync<Answer>(
            "SELECT empreinte, adresse, corps FROM reponses WHERE cle = @Cle", demande, ct);
        if (known is null) return null;
        return known.Empreinte == demande.Empreinte
            ? Results.Created(known.Adresse, JsonSerializer.Deserialize<T>(known.Corps, JsonSerializerOptions.Web))
            : Problems.Conflict("This Idempotency-Key was used for another request.");
    }

    public static async Task<IResult> CreatedAsync<T>(
        DatabaseTransaction tx, Request demande, string adresse, T created, CancellationToken ct)
    {
        if (demande.Cle is not null)
        {
            await tx.ExecuteAsync("DELETE FROM reponses WHERE creeLe < strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 day')", ct: ct);
            await tx.ExecuteAsync("INSERT INTO reponses (cle, empreinte, adresse, corps) VALUES (@Cle, @Empreinte, @adresse, @corps)",
                new { demande.Cle, demande.Empreinte, adresse, corps = JsonSerializer.Serialize(created, JsonSerializerOptions.Web) }, ct);
        }

        await tx.CommitAsync(ct);
        return Results.Created(adresse, created);
    }

    sealed class Answer
    {
        public string Empreinte { get; init; } = "";
        public string Adresse { get; init; } = "";
        public string Corps { get; init; } = "";
    }
}
