using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Carillon.Access.Tokens;
using Carillon.Audit;
using Carillon.Storage;
using Dapper;

namespace Carillon.Access;

/// <summary>
/// Tickets: random texts that open one connection each, within seconds, as the user who asked for them. Whoever overhears one on its way
/// (an address, a log) comes too late.
/// </summary>
sealed class Tickets(Database db, AccessOptions options, AuditLog audit, TimeProvider clock)
{
    const string Prefix = "ct_";

    public const int MostAtOnce = 50;            // a person's devices and pages, all connecting at once
    static readonly int Length = Prefix.Length + 43;

    // Longer than anybody would try again: until then a used or an old ticket is distinguished from an unknown one.
    static readonly TimeSpan ForgottenAfter = TimeSpan.FromMinutes(10);

    static readonly TokenResult Replayed = new(null, ErrorCode.TokenReplayed, "The ticket was used before.");

    public sealed record Given(string Ticket, string ExpiresAt);

    [method: ExplicitConstructor]
    sealed record Row(string? Token, long ExpiresMs);

    public static bool IsTicket(string? text) => text?.Length == Length && text.StartsWith(Prefix, StringComparison.Ordinal);

    /// <summary>Gives a ticket; null where the user has too many.</summary>
    public async Task<Given?> GiveAsync(Caller caller, CancellationToken ct)
    {
        var text = Prefix + Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(32));
        var now = clock.GetUtcNow();
        var until = now + options.TicketLifetime;
        if (caller.ExpiresAt < until) until = caller.ExpiresAt.Value;     // not longer than the token it is given for
        await using var tx = await db.BeginAsync(caller.Actor, ct);
        await tx.ExecuteAsync("DELETE FROM carillon_tickets WHERE expires_ms < @before",
            new { before = (now - ForgottenAfter).ToUnixTimeMilliseconds() }, ct);
        var open = await tx.ExecuteScalarAsync<int>(
            "SELECT COUNT(*) FROM carillon_tickets WHERE user_id = @UserId AND token IS NOT NULL AND expires_ms > @now",
            new { caller.UserId, now = now.ToUnixTimeMilliseconds() }, ct);
        if (open >= MostAtOnce) return null;
        await tx.ExecuteAsync("INSERT INTO carillon_tickets (hash, user_id, token, expires_ms) VALUES (@hash, @UserId, @token, @expires)",
            new { hash = HashOf(text), caller.UserId, token = JsonSerializer.Serialize(caller.Token),
                expires = until.ToUnixTimeMilliseconds() }, ct);
        await tx.CommitAsync(ct);
        audit.NoteAct(caller.Actor, "ticket:given", null, caller.Address);
        return new Given(text, Iso.Of(until));
    }

    /// <summary>Takes a ticket for a connection. Of two that bring it at once, on whatever node, one gets in.</summary>
    public async ValueTask<TokenResult> RedeemAsync(string text, CancellationToken ct)
    {
        var hash = HashOf(text);
        // A guessed ticket never reaches the writer queue.
        var row = await db.QuerySingleOrDefaultAsync<Row>(
            "SELECT token AS Token, expires_ms AS ExpiresMs FROM carillon_tickets WHERE hash = @hash", new { hash }, ct);
        if (row is null) return TokenResult.Refused("There is no such ticket.");
        if (row.Token is null) return Replayed;
        if (row.ExpiresMs <= clock.GetUtcNow().ToUnixTimeMilliseconds()) return TokenResult.Expired();
        await using var tx = await db.BeginAsync(null, ct);
        var taken = await tx.ExecuteAsync(
            "UPDATE carillon_tickets SET token = NULL WHERE hash = @hash AND token IS NOT NULL", new { hash }, ct);
        await tx.CommitAsync(ct);
        return taken == 1 ? TokenResult.Valid(JsonSerializer.Deserialize<Token>(row.Token)!) : Replayed;
    }

    static string HashOf(string text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)));
}
