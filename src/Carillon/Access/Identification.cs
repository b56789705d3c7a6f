using System.Net;
using System.Security.Claims;

namespace Carillon.Access;

/// <summary>Who somebody turned out to be, or why not.</summary>
/// <param name="Caller">A known user.</param>
/// <param name="Error">Why not.</param>
/// <param name="Subject">The user that a valid token named, though it was refused.</param>
readonly record struct Identified(Caller? Caller, ErrorCode? Error, string? Subject);

/// <summary>Tells who somebody is: the token first, then what is on record about it and its user.</summary>
sealed class Identification(Tokens tokens, Tickets tickets, UserDirectory directory, AccessOptions options)
{
    /// <summary>Whoever opens a connection.</summary>
    public async ValueTask<Identified> OfConnectionAsync(string? text, ClaimsPrincipal user, IPAddress? address, CancellationToken ct)
    {
        if (options.UseHostAuthentication) return await OfUserAsync(user, address, ct);
        if (Tickets.IsTicket(text)) return await OfAsync(await tickets.RedeemAsync(text!, ct), address, ct);
        return options.RequireTickets ? new Identified(null, ErrorCode.Unauthorized, null) : await OfTokenAsync(text, address, ct);
    }

    /// <summary>Whoever brings a token over HTTP, or a newer one on an open connection.</summary>
    public async ValueTask<Identified> OfTokenAsync(string? text, IPAddress? address, CancellationToken ct) => await OfAsync(await tokens.ReadAsync(text, ct), address, ct);

    /// <summary>Whoever the application itself has signed in.</summary>
    public async ValueTask<Identified> OfUserAsync(ClaimsPrincipal user, IPAddress? address, CancellationToken ct) =>
        await OfAsync(HostToken.Of(user) is { } token ? new TokenReading(token, null, null) : new TokenReading(null, ErrorCode.Unauthorized, "not signed in"), address, ct);

    /// <summary>Asks anew about somebody who was let in before.</summary>
    public ValueTask<(Caller? Caller, ErrorCode? Error)> AgainAsync(Caller caller, CancellationToken ct) => directory.LookUpAsync(caller.Token!, caller.Address, ct);

    async ValueTask<Identified> OfAsync(TokenReading reading, IPAddress? address, CancellationToken ct)
    {
        if (reading.Token is not { } token) return new Identified(null, reading.Error, null);
        var (caller, error) = await directory.LookUpAsync(token, address, ct);
        return new Identified(caller, error, token.Subject);
    }
}
