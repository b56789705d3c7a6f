using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text;
using Carillon.Api;
using Carillon.Storage;
using Dapper;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Carillon.Access;

/// <summary>
/// Tickets: random texts that open one connection each, within seconds, as the user who asked for them. Whoever overhears one on its way (an address, a log) comes too late.
/// </summary>
sealed class Tickets(Database db, AccessOptions options, TimeProvider clock)
{
    const string Prefix = "ct_";
    static readonly int Length = Prefix.Length + 43;

    public sealed record Given(string Ticket, string ExpiresAt);

    [method: ExplicitConstructor]
    sealed record Row(string Token, long ExpiresMs);

    public static void Map(RouteGroupBuilder api) =>
        api.MapPost("/tickets", HandleAsync).Needs(Need.Person).WithMetadata(AnswersSecret.Yes)
            .WithSummary("Gives a ticket that opens one connection, within seconds, as the user who asks.").Produces<Given>();

    public static bool IsTicket(string? text) => text?.Length == Length && text.StartsWith(Prefix, StringComparison.Ordinal);

    static async Task<IResult> HandleAsync(Caller caller, Tickets tickets, CancellationToken ct) => TypedResults.Ok(await tickets.GiveAsync(caller, ct));

    public async Task<Given> GiveAsync(Caller caller, CancellationToken ct)
    {
        var text = Prefix + Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(32));
        var now = clock.GetUtcNow();
        var until = now + options.TicketsLastFor;
        await using var tx = await db.BeginAsync(caller.Actor, ct);
        await tx.ExecuteAsync("DELETE FROM carillon_tickets WHERE expires_ms < @before", new { before = now.ToUnixTimeMilliseconds() - ForgottenAfter }, ct);
        await tx.ExecuteAsync("INSERT INTO carillon_tickets (hash, token, expires_ms) VALUES (@hash, @token, @expires)",
            new { hash = HashOf(text), token = JsonSerializer.Serialize(caller.Token), expires = until.ToUnixTimeMilliseconds() }, ct);
        await Audit.WriteAsync(tx, new AuditEntry(now, caller.Actor, "ticket:given", null, caller.Address, AuditEntry.Allowed), ct);
        await tx.CommitAsync(ct);
        return new Given(text, Iso.Of(until));
    }

    // Longer than anybody would try again: a used or an old ticket is told from one that never was.
    const long ForgottenAfter = 60 * 60 * 1000;

    /// <summary>Takes a ticket for a connection. Of two that bring it at once, on whatever node, one gets in.</summary>
    public async ValueTask<TokenReading> RedeemAsync(string text, CancellationToken ct)
    {
        var hash = HashOf(text);
        // Who guesses does not come as far as the queue of the writers.
        if (await db.QuerySingleOrDefaultAsync<Row>(Find, new { hash }, ct) is not { } row) return new TokenReading(null, ErrorCode.Unauthorized, "no such ticket");
        if (row.ExpiresMs <= clock.GetUtcNow().ToUnixTimeMilliseconds()) return new TokenReading(null, ErrorCode.TokenExpired, "the ticket has expired");
        await using var tx = await db.BeginAsync(null, ct);
        var taken = await tx.ExecuteAsync("UPDATE carillon_tickets SET used = 1 WHERE hash = @hash AND used = 0", new { hash }, ct);
        await tx.CommitAsync(ct);
        return taken == 1
            ? new TokenReading(JsonSerializer.Deserialize<Token>(row.Token), null, null)
            : new TokenReading(null, ErrorCode.TokenReplayed, "the ticket was used before");
    }

    const string Find = "SELECT token AS Token, expires_ms AS ExpiresMs FROM carillon_tickets WHERE hash = @hash";

    static string HashOf(string text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)));
}
